"""A provider's address: what may be one, and where a key may be sent."""

from __future__ import annotations

import ipaddress
import re

import httpx

from orch_nb.errors import AuthFailed, BadOption

_HOST_NAME = re.compile(rb"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?")


def checked_url(provider: str, base_url: str, *, with_key: bool, allow_insecure: bool) -> httpx.URL:
    """`base_url` when it may be used.

    Raises
    ------
    BadOption
        It is no http(s) address, or carries a user name or password (which would be shown wherever the address is).
    AuthFailed
        A key would cross a network unencrypted: http to another machine, without `allow_insecure`.
    """
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError, ValueError):
        raise BadOption(f"base_url of `{provider}` is not a web address.", hint="such as https://host/v1") from None
    if url.scheme not in ("http", "https") or not _is_host(url) or not 0 < (url.port or 1) < 65536:
        raise BadOption(f"base_url of `{provider}` is not an http(s) address.", hint="such as https://host/v1")
    if url.userinfo:
        raise BadOption(
            f"base_url of `{provider}` carries a user or password: {url.scheme}://[hidden]@{url.host}.",
            hint="take it out of the address; keys are given as key='env:NAME'",
        )
    if with_key and url.scheme == "http" and not is_loopback(url.host) and not allow_insecure:
        raise AuthFailed(
            f"`{provider}` would send its key unencrypted to {url.host}. Nothing was sent.",
            provider=provider,
            hint="use https, or allow_insecure=True where the network is trusted",
        )
    return url


def _is_host(url: httpx.URL) -> bool:
    """Whether the address has a host that can exist: a name in its ASCII form, or an IP address."""
    return _HOST_NAME.fullmatch(url.raw_host) is not None or ":" in url.host


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine by its text alone (nothing is resolved)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
