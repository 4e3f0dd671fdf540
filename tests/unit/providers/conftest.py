"""What provider tests share: the loopback server, the fault server of the shared tools, recorded replies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orch_nb.schema.messages import Message, ModelRequest
from tests.unit.providers.loopback import Loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIXTURES = Path(__file__).parents[2] / "fixtures" / "providers"


@pytest.fixture(scope="session")
def loopback() -> Iterator[Loopback]:
    server = Loopback()
    yield server
    server.close()


@pytest.fixture(scope="session")
def faultd(shared: Path) -> Iterator[str]:
    """Address of the fault server, without the path of the API."""
    command = [sys.executable, str(shared / "tools" / "faults" / "faultd.py"), "--port", "0", "--slow", "0.4"]
    command += ["--huge-mb", "12", "--bomb-mb", "48", "--max-seconds", "300"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = json.loads(child.stdout.readline())
    yield f"http://127.0.0.1:{said['port']}"
    child.terminate()
    child.wait(5)
    child.stdout.close()


@pytest.fixture
def asked() -> ModelRequest:
    return ModelRequest("m", (Message("user", "hello"),), timeout_s=5.0)


@pytest.fixture
def recorded() -> Callable[[str], bytes]:
    return lambda name: (FIXTURES / name).read_bytes()
