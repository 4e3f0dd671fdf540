"""What every provider behind an HTTP door has in common: what it shows of itself, its further fields, its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.errors import BadOption
from orch_nb.schema.service import service_in, special

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_nb.providers.http import Http


class HttpProvider:
    """A provider that calls models through one `Http`.

    Parameters
    ----------
    name
        What the notebook calls it.
    http
        Its door to the network.
    """

    _extra: dict[str, Any]
    """Further fields of its requests; a kind that takes them sets them."""

    def __init__(self, name: str, http: Http) -> None:
        self.name, self._http = name, http

    @property
    def base_url(self) -> str:
        """The address, fit to be shown."""
        return str(self._http.url.copy_with(query=None))

    @property
    def key_reference(self) -> str:
        """Where the key comes from, such as ``env:OPENAI_API_KEY``; "" when none is used."""
        return self._http.key.reference if self._http.key else ""

    @property
    def asked_service(self) -> dict[str, str]:
        """The service tier or speed that every request asks for by `extra`, where it is not the ordinary one."""
        return special(service_in(self._extra))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.base_url!r}, key={self.key_reference or None!r})"

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def checked_extra(provider: str, extra: Mapping[str, Any] | None, kept: frozenset[str]) -> dict[str, Any]:
    """`extra` as a dict.

    Raises
    ------
    BadOption
        It sets a field that the adapter sets itself.
    """
    given = dict(extra or {})
    if taken := sorted(kept & given.keys()):
        raise BadOption(f"`extra` of `{provider}` may not set {', '.join(taken)}.", hint="these come from the request")
    return given
