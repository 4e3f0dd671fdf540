"""The package of providers: its names, and what importing it loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import orch_nb.providers
from orch_nb.catalog.vendors import VENDORS
from orch_nb.errors import UnknownModel
from orch_nb.providers.vendors import vendor

HEAVY = ["httpx", "numpy", "onnxruntime", "xllamacpp", "pydantic", "jsonschema"]


def test_every_name_resolves() -> None:
    """Each public name is there, is listed, and has a docstring; others are an AttributeError."""
    for name in orch_nb.providers.__all__:
        assert getattr(orch_nb.providers, name).__doc__
        assert name in dir(orch_nb.providers)
    with pytest.raises(AttributeError, match="no attribute 'OpenAi'"):
        _ = orch_nb.providers.OpenAi


def test_the_fakes_and_the_embedders_load_nothing_heavy() -> None:
    """The fakes, the embedders and the local model's adapter are imported without httpx, numpy or a runtime."""
    code = (
        "import sys, orch_nb.providers; from orch_nb.providers import EchoProvider, ScriptedProvider, LocalModel, default_embedder;"
        f"default_embedder(); LocalModel().is_installed; print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(name for name in VENDORS if VENDORS[name].key))
def test_every_vendor_is_reached_by_tls_with_its_own_key(name: str) -> None:
    """Known vendors have https addresses and the name of their key's variable."""
    chat = vendor(name)
    assert chat.base_url.startswith("https://")
    assert chat.key_reference == f"env:{VENDORS[name].key}"


def test_a_vendor_elsewhere_and_an_unknown_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment variable moves a vendor's address; an unknown vendor's error lists the known ones."""
    monkeypatch.setenv("ORCH_X_AI_URL", "https://gateway.example.org/v1")
    assert vendor("x-ai").base_url == "https://gateway.example.org/v1"
    with pytest.raises(UnknownModel, match="`acme` has no adapter") as caught:
        vendor("acme")
    assert "openrouter" in caught.value.hint


def test_a_vendor_that_speaks_openais_interface_is_one_line(monkeypatch):
    """Added to the table alone, it has an adapter, a name in the model book with its key's variable, and a place in the hints."""
    from orch_nb.catalog.models import ModelBook
    from orch_nb.catalog.vendors import Vendor
    from orch_nb.providers.vendors import unknown_hint

    monkeypatch.setitem(VENDORS, "newco", Vendor("https://api.newco.example/v1", "NEWCO_API_KEY"))
    assert vendor("newco").key_reference == "env:NEWCO_API_KEY"
    assert "newco" in ModelBook(environ={"NEWCO_API_KEY": "x"}).keys_found()
    assert "`newco`" in unknown_hint("newc")
