"""Is what a damaged store says true? `python -m tests.unit.store.torn_check PATH LEAST ROT`: exit 0 when it is.

The store was written by `test_processes._torn`. At least LEAST events must be there. With ROT a typed error will do.
"""

from __future__ import annotations

import sys

from orch_nb.errors import OrchError, RunNotFound
from orch_nb.schema import events as ev
from orch_nb.store.sqlite import SqliteStore


def check(path: str, least: int) -> None:
    """Raise AssertionError where the store says something that was not written."""
    with SqliteStore(path) as store:
        try:
            events = [event for _, event in store.read("x")]
        except RunNotFound:
            events = []
        assert len(events) >= least, f"{len(events)} events of {least}"
        order = [ev.RunStarted, *[ev.Finished, ev.Sent, ev.Settled] * 12]
        assert [type(e) for e in events] == order[: len(events)]
        finished = [e.value for e in events if isinstance(e, ev.Finished)]
        for i, value in enumerate(finished):
            assert value == {"i": i, "text": f"{i}" * 2500, "list": [f"{i}" * 5000, "s"]}, i
        if not rot:
            assert store.rebuild_ledger() == []
            if events:
                log = store.open("x")
                log.append([ev.Resumed(20.0)])
                assert len(list(store.read("x"))) == len(events) + 1


path, least, rot = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "rot"
try:
    check(path, least)
except OrchError as error:
    if not rot:
        raise
    print(f"noticed: {error}")
