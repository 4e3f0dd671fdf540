"""The test bench itself."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.conftest import NetworkForbidden, _is_here


async def test_coroutine_functions_run() -> None:
    """A coroutine test function is really awaited."""
    await asyncio.sleep(0)
    assert asyncio.get_running_loop().is_running()


def test_other_machines_are_out_of_reach() -> None:
    """Connecting to a public address fails before a packet leaves."""
    with socket.socket() as sock, pytest.raises(NetworkForbidden):
        sock.connect(("192.0.2.1", 80))


@pytest.mark.parametrize(
    ("address", "here"),
    [
        (("127.0.0.1", 1), True),
        (("::1", 1, 0, 0), True),
        ("/tmp/sock", True),
        (("10.0.0.1", 1), False),
        (("example.org", 1), False),
    ],
)
def test_loopback_is_told_from_the_rest(address: object, here: bool) -> None:
    """Loopback and Unix sockets are this machine, names and other addresses are not."""
    assert _is_here(address) is here
