"""What the environment says of proxies and certificates, where it cannot be read: an error that names the variable."""

from __future__ import annotations

import pytest

from orch_nb.errors import BadEnvironment
from orch_nb.providers.openai.chat import OpenAIChat

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
SECRET = "pa55word"


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """None of them is set, and none was read before."""
    from orch_nb.providers.transport import http

    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    http._tls.cache_clear()
    yield
    http._tls.cache_clear()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NO_PROXY", "localhost,::1,fd00::/8"),
        ("no_proxy", "localhost,::1,fd00::/8"),
        ("HTTPS_PROXY", f"http://me:{SECRET}@proxy:port"),
        ("https_proxy", f"ftp://me:{SECRET}@proxy:21"),
        ("ALL_PROXY", f"nonsense://me:{SECRET}@proxy"),
        ("SSL_CERT_FILE", "/nowhere/at/all.pem"),
    ],
)
async def test_a_variable_that_cannot_be_used_is_named_and_nothing_is_sent(monkeypatch, asked, name, value):
    """The call fails as one that cost nothing, is not tried again, and shows no password."""
    monkeypatch.setenv(name, value)
    with pytest.raises(BadEnvironment) as caught:
        async for _ in OpenAIChat("p", "https://models.example.org/v1", key=None).stream(asked):
            pass
    error = caught.value
    assert f"the variable {name} of the environment" in str(error)
    assert name in error.hint
    assert (error.billed, error.failure) == (False, "catastrophic")
    assert SECRET not in str(error) + error.hint + str(dict(error.facts))


async def test_a_model_of_this_machine_needs_none_of_them(monkeypatch, loopback, asked):
    """Loopback reads no environment."""
    from tests.unit.providers.test_openai_chat import WHOLE

    monkeypatch.setenv("NO_PROXY", "localhost,::1,fd00::/8")
    address = loopback.sse(WHOLE)
    assert [event async for event in OpenAIChat("p", address, key=None).stream(asked)]
