"""What every store promises (`engine.ports.Store`, `RunLog`), whatever it is made of."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from orch_nb.engine.ports import Refusal, RunLog, Store
from orch_nb.errors import RunLocked, RunNotFound, StoreError, UnstorableValue
from orch_nb.schema import events as ev
from orch_nb.store.export import read_lines
from tests.contract.facts import ended, every_event, finished, hold, sent, settled, started

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tests.contract.conftest import Shelf

D = Decimal


async def done(waiting: Awaitable[None] | None) -> None:
    """Wait for an append where there is something to wait for."""
    if waiting is not None:
        await waiting


def begin(store: Any, run: str = "", **facts: Any) -> Any:
    """A new run with its first event."""
    log = store.create(run or store.next_run())
    log.append([started(log.run, **facts)])
    return log


def read(store: Any, run: str, after: int = 0) -> list[ev.Event]:
    """A run's events."""
    return [event for _, event in store.read(run, after=after)]


# ------------------------------------------------------------------------------------------------------------ shapes
def test_it_is_a_store(store: Any) -> None:
    """A store and its logs are what the engine's ports ask for."""
    assert isinstance(store, Store)
    assert isinstance(store.create("x"), RunLog)


def test_numbers_count_from_one(store: Any) -> None:
    """Run ids are short numbers, given in order."""
    assert [store.next_run() for _ in range(5)] == ["1", "2", "3", "4", "5"]


def test_numbers_are_never_given_twice(shelf: Shelf) -> None:
    """A number is not given again after its run was deleted or the store was reopened."""
    log = begin(shelf.store)
    log.close()
    shelf.store.delete(log.run)
    assert int(shelf.again().next_run()) > int(log.run)


def test_numbers_pass_over_names_that_are_numbers(store: Any) -> None:
    """A run created as "7" by hand is not met again by `next_run`."""
    begin(store, "7")
    assert store.next_run() == "8"


@pytest.mark.parametrize("run", ["nightly", "7.12", "a-b_c.D", "x" * 64])
def test_runs_may_have_names(store: Any, run: str) -> None:
    """A run may be called anything of letters, digits and _ . - ."""
    begin(store, run).close()
    assert store.run(run).run == run
    assert read(store, run)[0].run == run


@pytest.mark.parametrize(
    "run", ["", "..", "../x", "a/b", "a b", "x" * 65, "x" * 5000, "a\0b", "é", "-x", "'; DROP TABLE runs"]
)
def test_bad_names_are_refused(store: Any, run: str) -> None:
    """An id that cannot be a file's name or a word in a message is refused with a typed error."""
    with pytest.raises(StoreError, match="cannot name a run"):
        store.create(run)


def test_a_run_is_created_once(store: Any) -> None:
    """Creating a run that has events is an error."""
    log = begin(store, "x")
    log.close()
    with pytest.raises(StoreError, match="`x` already"):
        store.create("x")


@pytest.mark.parametrize("run", ["x", "12.0", ""])
def test_a_run_exists_from_its_first_event_on(shelf: Shelf, run: str) -> None:
    """A process that dies between `create` and the first event leaves no run, and its id is free (a batch's row 12.0)."""
    name = run or shelf.store.next_run()
    shelf.store.create(name).close()
    for look in (lambda: shelf.store, shelf.again):
        store = look()
        for call in ("open", "read", "run", "delete", "export", "counts"):
            with pytest.raises(RunNotFound, match=f"'{name}'"):
                getattr(store, call)(name)
        assert store.runs() == []
        assert store.prune(keep_last=0, unfinished=True) == []
        assert store.stats().runs == 0
    log = store.create(name)
    log.append([started(name)])
    log.close()
    assert [event.run for event in read(shelf.again(), name)] == [name]


def test_a_run_that_is_about_to_begin_is_locked(store: Any) -> None:
    """Two that begin the same run at once: the second one is told who has it, and the first one begins it."""
    log = store.create("x")
    with pytest.raises(RunLocked, match="`x`"):
        store.create("x")
    log.append([started("x")])
    assert len(read(store, "x")) == 1


@pytest.mark.parametrize("call", ["open", "read", "run", "delete", "export", "counts"])
def test_an_unknown_run_is_named(store: Any, call: str) -> None:
    """Whatever is asked of a run that is not there: a typed error with the nearest id."""
    begin(store, "nightly").close()
    with pytest.raises(RunNotFound, match="nihgtly") as caught:
        list(getattr(store, call)("nihgtly"))
    assert "nightly" in caught.value.hint


# ------------------------------------------------------------------------------------------------------------ events
@pytest.mark.parametrize("event", every_event(), ids=lambda e: e.TYPE)
async def test_every_event_comes_back_equal(shelf: Shelf, event: ev.Event) -> None:
    """Each type of event is read back exactly as it was written, by another process too."""
    log = shelf.store.create("x")
    await done(log.append([started("x"), event]))
    log.close()
    assert read(shelf.again(), "x") == [started("x"), event]


VALUES: dict[str, Any] = {
    "none": None,
    "true": True,
    "zero": 0,
    "minus": -1,
    "huge": 10**30,
    "float": 0.1,
    "tiny": 5e-324,
    "minus zero": -0.0,
    "empty text": "",
    "text": "plain",
    "unicode": "é 😀 \u202e \u0000 \ufffe",
    "quotes": '"\\/\b\n\r\t\x7f</script>',
    "bytes": b"\x00\xff",
    "no bytes": b"",
    "large bytes": bytes(range(256)) * 100,
    "empty list": [],
    "list": [1, "a", None, [2.5, [True]]],
    "empty mapping": {},
    "order": {"z": 1, "a": 2, "m": 3},
    "tag keys": {"$blob": 1, "$list": [2], "$bytes": "AA==", "$$x": 3, "$": 4},
    "one tag key": {"$bytes": "AA=="},
    "tag in a list": [{"$blob": 7}, {"$decimal": "1"}, {"$dict": {}}],
    "dollars": "$5.00",
    "bytes inside": {"a": [b"x", {"b": b"y" * 5000}]},
    "large text": "ab" * 5000,
    "large unicode": "é😀" * 5000,
    "large text in a list": ["x" * 5000, "y", "x" * 5000],
    "long list": list(range(5000)),
    "long list of mappings": [{"role": "user", "content": f"message {i}"} for i in range(500)],
    "large mapping": {f"key {i}": {"n": i, "t": "x" * 50} for i in range(300)},
    "large mapping with tags": {f"$key {i}": b"%d" % i for i in range(600)},
    "deep": json.loads("[" * 60 + "1" + "]" * 60),
    "deep and large": {"a": [{"b": ["z" * 5000] * 3}] * 3, "c": [[["w" * 3000]] * 4] * 4},
    "very long list of large texts": [f"{i}" + "x" * 4200 for i in range(400)],
}


@pytest.mark.parametrize("name", VALUES)
async def test_values_come_back_equal(shelf: Shelf, name: str) -> None:
    """Any plain data, small or large, comes back with the same types and order."""
    value = VALUES[name]
    log = shelf.store.create("x")
    await done(log.append([finished(value), finished({"again": value}, writes={"k": value}), ended(output=value)]))
    log.close()
    first, second, last = read(shelf.again(), "x")
    for got in (first.value, second.value["again"], second.writes["k"], last.output):
        assert repr(got) == repr(value)


def cyclic() -> list[Any]:
    """A list that contains itself."""
    out: list[Any] = []
    out.append(out)
    return out


BAD: dict[str, Any] = {
    "NaN": float("nan"),
    "infinity": float("inf"),
    "nested NaN": {"a": [1.0, float("nan")]},
    "function": len,
    "object": object(),
    "set": {1},
    "number key": {1: "a"},
    "none key": {"a": {None: 1}},
    "surrogate": "a\ud800b",
    "surrogate key": {"\udfff": 1},
    "large surrogate": "x" * 5000 + "\ud800",
    "cycle": cyclic(),
    "large and bad": ["x" * 5000, len],
    "complex": 1j,
}


@pytest.mark.parametrize("name", BAD)
async def test_what_cannot_be_stored_is_refused(store: Any, name: str) -> None:
    """A value that cannot be stored is a typed error; nothing is appended, and the log can be used further."""
    log = begin(store)
    with pytest.raises(UnstorableValue):
        await done(log.append([finished(1), finished(BAD[name])]))
    with pytest.raises(UnstorableValue):
        await log.admit(sent(request=BAD[name]), None)
    large = {"t": "x" * 9000}
    with pytest.raises(UnstorableValue):
        await done(log.append([finished(large), finished(BAD[name])]))
    await done(log.append([finished(2), finished(large)]))
    assert read(store, log.run)[1:] == [finished(2), finished(large)]


async def test_order_and_positions(store: Any) -> None:
    """Positions count from 1 without gaps, in the order of appending."""
    log = begin(store)
    for i in range(20):
        await done(log.append([finished(i), finished(-i)]))
    assert [seq for seq, _ in store.read(log.run)] == list(range(1, 42))
    assert [e.value for e in read(store, log.run)[1:]] == [x for i in range(20) for x in (i, -i)]


@pytest.mark.parametrize(("after", "left"), [(0, 5), (1, 4), (4, 1), (5, 0), (99, 0), (-3, 5)])
async def test_reading_from_a_position(store: Any, after: int, left: int) -> None:
    """`after` leaves out what was read already; beyond the end nothing is left."""
    log = begin(store)
    await done(log.append([finished(i) for i in range(4)]))
    got = list(store.read(log.run, after=after))
    assert len(got) == left
    assert all(seq > after for seq, _ in got)


async def test_reading_while_writing(store: Any) -> None:
    """A reader under way is not disturbed by appends, and sees no half of one."""
    log = begin(store)
    await done(log.append([finished(i) for i in range(600)]))
    reader = store.read(log.run)
    head = [next(reader) for _ in range(10)]
    await done(log.append([finished(i) for i in range(600)]))
    tail = list(reader)
    assert [seq for seq, _ in head + tail] == list(range(1, len(head + tail) + 1))
    assert len(head + tail) in (601, 1201)


async def test_an_append_of_nothing(store: Any) -> None:
    """Appending no events changes nothing."""
    log = begin(store)
    await done(log.append([]))
    assert len(read(store, log.run)) == 1


async def test_many_runs_at_once(store: Any) -> None:
    """A hundred runs that append at the same time keep each its own order, whole."""

    async def one(i: int) -> str:
        log = begin(store)
        for step in range(5):
            await done(log.append([finished({"run": i, "step": step})]))
        log.close()
        return log.run

    runs = await asyncio.gather(*(one(i) for i in range(100)))
    assert len(set(runs)) == 100
    for i, run in enumerate(runs):
        assert [e.value for e in read(store, run)[1:]] == [{"run": i, "step": step} for step in range(5)]


async def test_what_was_awaited_is_visible(store: Any) -> None:
    """Once an append is awaited, every reader sees it, also when several runs share the commit."""
    first, second = begin(store), begin(store)
    for i in range(10):
        waiting = [first.append([finished(i)]), second.append([finished(-i)])]
        for one in waiting:
            await done(one)
        assert read(store, first.run)[-1].value == i
        assert read(store, second.run)[-1].value == -i


def test_without_a_loop(store: Any) -> None:
    """In ordinary code without a loop an append is done when it returns."""
    first, second = begin(store), begin(store)
    for i in range(3):
        assert first.append([finished(i)]) is None
        assert second.append([finished(i)]) is None
        assert len(read(store, first.run)) == len(read(store, second.run)) == i + 2


def test_one_store_in_several_loops(store: Any) -> None:
    """A log continues in another loop after the first one ended, even with an append that was not awaited."""
    log, other = begin(store), begin(store)

    async def leave(i: int) -> None:
        log.append([finished(i)])
        other.append([finished(i)])

    for i in range(3):
        asyncio.run(leave(i))
    asyncio.run(log.sync())
    assert [e.value for e in read(store, log.run)[1:]] == [0, 1, 2]


def test_a_closed_log_is_closed(store: Any) -> None:
    """After `close` every use of a log is a typed error; closing again is not."""
    log = begin(store)
    log.close()
    log.close()
    for use in (lambda: log.append([finished(1)]), lambda: log.mark_in_doubt("h"), lambda: asyncio.run(log.sync())):
        with pytest.raises(StoreError, match="closed"):
            use()
    with pytest.raises(StoreError, match="closed"):
        asyncio.run(log.admit(sent(), None))


# ------------------------------------------------------------------------------------------------------------ one writer
def test_one_writer(store: Any) -> None:
    """A run that is open cannot be opened again; which process has it is said."""
    import os

    log = begin(store)
    with pytest.raises(RunLocked, match=f"`{log.run}`") as caught:
        store.open(log.run)
    assert caught.value.facts["pid"] == os.getpid()
    with pytest.raises(RunLocked):
        store.delete(log.run)


def test_a_closed_run_can_be_opened(shelf: Shelf) -> None:
    """After its writer closed, a run can be opened and continues at its end."""
    begin(shelf.store, "x").close()
    log = shelf.again().open("x")
    log.append([finished(1)])
    log.close()
    log = shelf.again().open("x")
    log.append([finished(2)])
    assert [seq for seq, _ in shelf.store.read("x")] == [1, 2, 3]


def test_opening_one_run_does_not_lock_others(store: Any) -> None:
    """Locks are by run."""
    first, second = begin(store), begin(store)
    second.close()
    again = store.open(second.run)
    assert again.run != first.run


# ------------------------------------------------------------------------------------------------------------ lists
def test_runs_are_listed_newest_first(store: Any) -> None:
    """The list shows what each run is and how many events it has, newest first."""
    for graph in ("a", "b"):
        log = begin(store, graph=graph, notebook="n", at=5.0, parent={"run": "0"})
        log.append([finished(1)])
        log.close()
    second, first = store.runs()
    assert (first.graph, second.graph) == ("a", "b")
    assert (first.events, first.nodes, first.notebook, first.started_at, first.parent) == (2, 2, "n", 5.0, {"run": "0"})
    assert (first.status, first.ended_at, first.error, first.live) == ("running", None, None, False)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["4", "3", "2", "1"]),
        ({"graph": "a"}, ["3", "1"]),
        ({"notebook": "m"}, ["4", "2"]),
        ({"graph": "a", "notebook": "m"}, []),
        ({"status": "done"}, ["1"]),
        ({"status": "waiting"}, ["3"]),
        ({"status": ["failed", "running"]}, ["4", "2"]),
        ({"status": []}, []),
        ({"limit": 2}, ["4", "3"]),
        ({"limit": 0}, []),
        ({"graph": "a' OR '1'='1"}, []),
        ({"notebook": "n%"}, []),
        ({"status": "done') --"}, []),
        ({"graph": ""}, []),
    ],
)
def test_lists_can_be_narrowed(store: Any, asked: dict[str, Any], found: list[str]) -> None:
    """By graph, notebook, status and number; what is asked for is only ever a value, never a part of a query."""
    tails: list[list[Any]] = [[ended("done")], [ended("failed")], [WAITING], []]
    for i, tail in enumerate(tails):
        log = begin(store, graph="ab"[i % 2], notebook="nm"[i % 2])
        log.append([finished(1), *tail])
        log.close()
    assert [row.run for row in store.runs(**asked)] == found


async def test_a_batch_is_listed_with_the_money_of_all_its_rows_which_need_not_be_listed(shelf: Shelf) -> None:
    """One figure, the same for a list, a single row of it and the batch's account; the notebook's counts each call once."""
    begin(shelf.store, "7", parent={"batch": True}, notebook="n").close()
    for n in range(3):
        log = begin(shelf.store, f"7.{n}", parent={"of_batch": "7", "row": n}, notebook="n")
        await log.admit(sent(), hold("h", "0.40", "notebook:n", ("batch:7", "5"), f"run:7.{n}"))
        if n < 2:
            await done(log.settle([settled(usd="0.25")], "h", D("0.25"), D(0)))
        log.close()
    store = shelf.again()
    (one,) = store.runs(batch_rows=False)
    assert one == store.run("7") == store.runs()[-1]
    assert (one.run, one.spent_usd, one.held_usd + one.in_doubt_usd, one.limit_usd) == ("7", D("0.50"), D("0.40"), D(5))
    assert one.spent_usd == store.balance("batch:7").spent_usd == store.balance("notebook:n").spent_usd
    assert [row.run for row in store.runs()] == ["7.2", "7.1", "7.0", "7"]
    assert [row.spent_usd for row in store.runs(limit=3)] == [0, D("0.25"), D("0.25")]
    assert [row.run for row in store.runs(limit=1, batch_rows=False)] == ["7"]


WAITING = ev.Waiting("", "approve", 1, None, "Send?", {"x": 1}, "h", 4.0)
ANSWERED = ev.Answered("", "approve", 1, None, "approve", {"x": 1}, "ann", 5.0)


@pytest.mark.parametrize(
    ("tail", "status", "waiting"),
    [
        ([WAITING], "waiting", ("approve",)),
        ([WAITING, ANSWERED], "running", ()),
        ([WAITING, finished(1, node="approve")], "running", ()),
        ([WAITING, WAITING, ANSWERED], "running", ()),
        ([WAITING, ended("cancelled")], "cancelled", ("approve",)),
        ([ended("failed", node="a", error=ev.ErrorInfo("ORCH202", "NodeFailed", "boom"))], "failed", ()),
        ([ended("failed"), ev.Resumed(10.0)], "running", ()),
        ([ended("failed"), ev.Resumed(10.0), ended("done", at=11.0)], "done", ()),
    ],
)
def test_status_follows_the_events(shelf: Shelf, tail: list[Any], status: str, waiting: tuple[str, ...]) -> None:
    """A run's status follows from its events, appended one by one or together, before and after reopening."""
    for together in (True, False):
        run = f"together-{together}"
        log = begin(shelf.store, run)
        for batch in [tail] if together else [[e] for e in tail]:
            log.append(batch)
        assert (shelf.store.run(run).status, shelf.store.run(run).waiting) == (status, waiting)
        log.close()
        row = shelf.again().run(run)
        assert (row.status, row.waiting) == (status, waiting)
        if status == "failed":
            assert (row.node, row.error.message) == ("a", "boom")
            assert row.ended_at == 9.0


def test_who_writes_is_shown(store: Any) -> None:
    """A run that is open for writing is `live`, a closed one is not."""
    log = begin(store)
    assert store.run(log.run).live
    log.close()
    assert not store.run(log.run).live


async def test_counts_by_type(store: Any) -> None:
    """`counts` returns the number of events of each type."""
    log = begin(store)
    await done(log.append([finished(1), finished(2), ended()]))
    assert store.counts(log.run) == {"run_started": 1, "finished": 2, "run_ended": 1}


def test_stats(store: Any) -> None:
    """The store says how many runs and events it has."""
    begin(store)
    begin(store)
    got = store.stats()
    assert (got.runs, got.events) == (2, 2)


# ------------------------------------------------------------------------------------------------------------ money
NEST = (("notebook:n", None), ("run:x", "1.00"), ("run:x/node:b", "0.50"))


async def test_a_hold_settles(store: Any) -> None:
    """Money is held in every scope of the nest, and what was spent takes its place."""
    log = begin(store, "x")
    assert await log.admit(sent(), hold("h", "0.40", *NEST)) is None
    assert [b.held_usd for b in store.balances()] == [D("0.40")] * 3
    await done(log.settle([settled(usd="0.10")], "h", D("0.10"), D(0)))
    for one in store.balances():
        assert (one.spent_usd, one.held_usd, one.in_doubt_usd, one.overrun_usd) == (D("0.10"), 0, 0, 0)
    assert [e.TYPE for e in read(store, "x")] == ["run_started", "sent", "settled"]


async def test_the_tightest_scope_refuses(store: Any) -> None:
    """A hold that does not fit in one scope is made in none; the refusal has the tightest scope's figures; nothing is recorded."""
    log = begin(store, "x")
    assert await log.admit(sent(), hold("h", "0.40", *NEST)) is None
    refusal = await log.admit(sent(1), hold("h2", "0.20", *NEST))
    assert refusal == Refusal("run:x/node:b", D("0.50"), D(0), D("0.40"), D("0.20"))
    assert [b.held_usd for b in store.balances()] == [D("0.40")] * 3
    assert len(read(store, "x")) == 2
    assert await log.admit(sent(1), hold("h2", "0.10", *NEST)) is None


@pytest.mark.parametrize(
    ("asked", "fits"), [("1.00", True), ("1.000000000000000001", False), ("0", True), ("0.999", True)]
)
async def test_limits_are_exact(store: Any, asked: str, fits: bool) -> None:
    """A hold fits up to the last digit of the limit, and no further."""
    log = begin(store, "x")
    assert (await log.admit(sent(), hold("h", asked, ("run:x", "1.00"))) is None) is fits


async def test_pennies_add_up(store: Any) -> None:
    """A thousand tenths of a cent are exactly a dollar."""
    log = begin(store, "x")
    for i in range(1000):
        assert await log.admit(sent(i), hold(f"h{i}", "0.001", ("run:x", "1"))) is None
        await done(log.settle([settled(i)], f"h{i}", D("0.001"), D(0)))
    assert store.balance("run:x").spent_usd == 1
    assert isinstance(await log.admit(sent(1000), hold("more", "0.000001", ("run:x", "1"))), Refusal)


async def test_spending_is_capped_at_the_hold(store: Any) -> None:
    """A bill above the hold is overrun: shown separately, and blocking all further calls in that budget."""
    log = begin(store, "x")
    await log.admit(sent(), hold("h", "0.10", *NEST))
    await done(log.settle([settled()], "h", D("0.15"), D("0.01")))
    for one in store.balances():
        assert (one.spent_usd, one.overrun_usd) == (D("0.10"), D("0.06"))
    refusal = await log.admit(sent(1), hold("h2", "0.01", *NEST))
    assert isinstance(refusal, Refusal)
    assert await log.admit(sent(1), hold("h2", "0.01", "notebook:n")) is None  # no limit there: nothing to guard


async def test_a_new_limit_acknowledges_an_overrun(store: Any) -> None:
    """Setting a limit accepts the overrun: it counts as spent from then on and no longer blocks by itself."""
    log = begin(store, "x", limit_usd=D("0.20"))
    await log.admit(sent(), hold("h", "0.10", "run:x"))
    await done(log.settle([settled()], "h", D("0.15"), D(0)))
    assert isinstance(await log.admit(sent(1), hold("h2", "0.01", "run:x")), Refusal)
    await done(log.append([ev.LimitChanged(D("0.30"), 5.0)]))
    assert await log.admit(sent(1), hold("h2", "0.15", "run:x")) is None
    assert isinstance(await log.admit(sent(2), hold("h3", "0.01", "run:x")), Refusal)


async def test_doubt_still_counts(store: Any) -> None:
    """Money in doubt is no longer held, and counts against the limit all the same; doubting twice is doubting once."""
    log = begin(store, "x")
    await log.admit(sent(), hold("h", "0.40", *NEST))
    log.mark_in_doubt("h")
    log.mark_in_doubt("h")
    for one in store.balances():
        assert (one.held_usd, one.in_doubt_usd) == (0, D("0.40"))
    refusal = await log.admit(sent(1), hold("h2", "0.20", *NEST))
    assert (refusal.spent, refusal.held) == (D("0.40"), 0)


async def test_what_was_in_doubt_can_settle(store: Any) -> None:
    """A call in doubt that turns out to have cost something settles like any other."""
    log = begin(store, "x")
    await log.admit(sent(), hold("h", "0.40", *NEST))
    log.mark_in_doubt("h")
    await done(log.settle([settled()], "h", D("0.25"), D(0)))
    for one in store.balances():
        assert (one.spent_usd, one.held_usd, one.in_doubt_usd) == (D("0.25"), 0, 0)


async def test_resuming_puts_open_holds_in_doubt(shelf: Shelf) -> None:
    """A call that was under way when its process ended is in doubt once the run is resumed, in every scope."""
    log = begin(shelf.store, "x")
    await log.admit(sent(), hold("h", "0.40", *NEST))
    log.close()
    log = shelf.again().open("x")
    assert log.holds() == ["h"]
    await done(log.append([ev.Resumed(9.0)]))
    for _ in range(2):
        for one in shelf.store.balances():
            assert (one.held_usd, one.in_doubt_usd) == (0, D("0.40"))
        log.mark_in_doubt("h")


async def test_resuming_in_the_same_process_doubts_too(store: Any) -> None:
    """The same when the run was only closed and opened again: `resumed` itself puts what is open in doubt."""
    log = begin(store, "x")
    await log.admit(sent(), hold("h", "0.40", *NEST))
    log.close()
    log = store.open("x")
    await done(log.append([ev.Resumed(9.0)]))
    for one in store.balances():
        assert (one.held_usd, one.in_doubt_usd) == (0, D("0.40"))


async def test_a_settlement_needs_a_hold(store: Any) -> None:
    """Money is spent under an open hold only, and once; nothing may settle without one (an unknown price)."""
    log = begin(store, "x")
    assert await log.admit(sent(), None) is None
    await done(log.settle([settled()], "", D(0), D(0)))
    with pytest.raises(StoreError, match="no open hold"):
        log.settle([settled()], "h", D("0.1"), D(0))
    await log.admit(sent(1), hold("h", "0.1", "run:x"))
    await done(log.settle([settled(1)], "h", D("0.1"), D(0)))
    with pytest.raises(StoreError, match="no open hold"):
        log.settle([settled(1)], "h", D("0.1"), D(0))
    assert store.balance("run:x").spent_usd == D("0.1")


async def test_a_hold_is_made_once(store: Any) -> None:
    """Two holds of one name in one run are an error that holds nothing; two runs may use the same name."""
    log, other = begin(store, "x"), begin(store, "y")
    await log.admit(sent(), hold("h", "0.1", "notebook:n"))
    with pytest.raises(StoreError, match="`h` already"):
        await log.admit(sent(1), hold("h", "0.1", "notebook:n"))
    await other.admit(sent(), hold("h", "0.1", "notebook:n"))
    assert store.balance("notebook:n").held_usd == D("0.2")
    with pytest.raises(StoreError, match="no open hold"):
        log.mark_in_doubt("other")


@pytest.mark.parametrize("bad", [D("NaN"), D("Infinity"), D("-0.01"), 0.1, "1", None])
async def test_amounts_are_amounts(store: Any, bad: Any) -> None:
    """NaN, infinities, negative amounts and floats are refused before anything moves."""
    log = begin(store, "x")
    await log.admit(sent(), hold("h", "0.1", "run:x"))
    with pytest.raises(StoreError, match="must be an amount of money"):
        await log.admit(sent(1), type(hold("g", "1"))("g", (("run:x", None),), bad))
    with pytest.raises(StoreError, match="must be an amount of money"):
        log.settle([settled()], "h", bad, D(0))
    with pytest.raises(StoreError, match="must be an amount of money"):
        log.settle([settled()], "h", D(0), bad)
    if bad is not None:
        with pytest.raises(StoreError, match="must be an amount of money"):
            store.set_limit("run:x", bad)
    assert len(read(store, "x")) == 2
    assert store.balance("run:x").held_usd == D("0.1")


async def test_a_scope_named_twice_is_charged_once(store: Any) -> None:
    """A scope that occurs twice in a nest counts once, with its tighter limit."""
    log = begin(store, "x")
    assert await log.admit(sent(), hold("h", "0.4", ("run:x", "1"), ("run:x", "0.5"), "run:x")) is None
    assert store.balance("run:x").held_usd == D("0.4")
    assert isinstance(await log.admit(sent(1), hold("g", "0.2", "run:x", ("run:x", "0.5"), ("run:x", "1"))), Refusal)


async def test_the_users_context_changes_no_sum(store: Any) -> None:
    """A decimal context of low precision in the user's code rounds nothing here."""
    import decimal

    log = begin(store, "x")
    with decimal.localcontext() as context:
        context.prec = 2
        await log.admit(sent(), hold("h", "1.23456789", "run:x"))
        await done(log.settle([settled()], "h", D("1.23456789"), D(0)))
        await log.admit(sent(1), hold("g", "0.00000001", "run:x"))
        await done(log.settle([settled(1)], "g", D("0.00000001"), D(0)))
    assert store.balance("run:x").spent_usd == D("1.23456790")


async def test_limits_can_be_set(shelf: Shelf) -> None:
    """A scope's limit is set, kept, changed and lifted; the tighter of it and a hold's own is in force."""
    store = shelf.store
    store.set_limit("notebook:n", D("0.50"))
    store = shelf.again()
    assert store.balance("notebook:n").limit_usd == D("0.50")
    log = begin(store, "x")
    assert isinstance(await log.admit(sent(), hold("h", "0.60", ("notebook:n", "5"))), Refusal)
    assert isinstance(await log.admit(sent(), hold("h", "0.40", ("notebook:n", "0.30"))), Refusal)
    store.set_limit("notebook:n", None)
    assert await log.admit(sent(), hold("h", "0.60", "notebook:n")) is None


async def test_a_run_brings_its_own_limit(shelf: Shelf) -> None:
    """The limit in a run's first event, and every later change of it, are in force in the run's scope."""
    log = begin(shelf.store, "x", limit_usd=D("0.10"))
    assert isinstance(await log.admit(sent(), hold("h", "0.20", "run:x")), Refusal)
    await done(log.append([ev.LimitChanged(D("0.30"), 2.0)]))
    assert await log.admit(sent(), hold("h", "0.20", "run:x")) is None
    await done(log.settle([settled()], "h", D("0.20"), D(0)))
    assert shelf.store.run("x").limit_usd == D("0.30")
    assert shelf.store.run("x").spent_usd == D("0.20")
    await done(log.append([ev.LimitChanged(None, 3.0)]))
    log.close()
    assert shelf.again().balance("run:x").limit_usd is None


async def test_an_earlier_holds_limit_does_not_stay(store: Any) -> None:
    """A raised budget is in force at once, also when the next hold does not repeat it."""
    log = begin(store, "x")
    await log.admit(sent(), hold("h", "0.10", ("batch:1", "0.10")))
    store.set_limit("batch:1", D("0.50"))
    assert await log.admit(sent(1), hold("g", "0.10", "batch:1")) is None


def test_an_unknown_scope_is_empty(store: Any) -> None:
    """Nothing is known of a scope that was never used: no limit, all zero."""
    one = store.balance("notebook:never")
    assert (one.limit_usd, one.spent_usd, one.held_usd, one.in_doubt_usd, one.overrun_usd) == (None, 0, 0, 0, 0)


async def test_balances_by_prefix(store: Any) -> None:
    """Balances are listed by the beginning of their scope; no character of it is special."""
    log = begin(store, "x")
    await log.admit(sent(), hold("h", "0.1", "notebook:n", "notebook:nn", "run:x", "run:x/node:[b]*", "run:xy"))
    assert [b.scope for b in store.balances("notebook:")] == ["notebook:n", "notebook:nn"]
    assert [b.scope for b in store.balances("run:x/")] == ["run:x/node:[b]*"]
    assert [b.scope for b in store.balances("run:x/node:[b]")] == ["run:x/node:[b]*"]
    assert store.balances("*") == []
    assert len(store.balances()) == 5


async def test_a_reset_begins_anew(shelf: Shelf) -> None:
    """After a reset nothing is spent, in doubt or overrun; what is held stays held; the logs agree."""
    log = begin(shelf.store, "x")
    for i, name in enumerate("abc"):
        await log.admit(sent(i), hold(name, "0.10", ("notebook:n", "0.50")))
    await done(log.settle([settled()], "a", D("0.20"), D(0)))
    log.mark_in_doubt("b")
    shelf.store.reset("notebook:n")
    one = shelf.store.balance("notebook:n")
    assert (one.spent_usd, one.held_usd, one.in_doubt_usd, one.overrun_usd) == (0, D("0.10"), 0, 0)
    assert shelf.store.balance("run:x").spent_usd == 0
    log.close()
    assert shelf.again().rebuild_ledger() == []


async def test_many_calls_never_pass_the_limit(store: Any) -> None:
    """Of 200 calls at once on a budget for 100, exactly 100 are admitted."""
    log = begin(store, "x")
    got = await asyncio.gather(*(log.admit(sent(i), hold(f"h{i}", "0.01", ("notebook:n", "1.00"))) for i in range(200)))
    assert sum(one is None for one in got) == 100
    assert store.balance("notebook:n").held_usd == 1


async def test_a_cancelled_admission_leaves_all_or_nothing(store: Any) -> None:
    """Stopped at any moment, an admission is either recorded and held, or neither; never one without the other."""
    log = begin(store, "x")
    for i in range(20):
        task = asyncio.ensure_future(log.admit(sent(i), hold(f"h{i}", "0.01", "run:x")))
        for _ in range(i % 5):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        recorded = sum(isinstance(e, ev.Sent) for e in read(store, "x"))
        assert len(log.holds()) == recorded
        assert store.balance("run:x").held_usd == D("0.01") * recorded


async def test_a_cancelled_task_ends_at_its_next_await(store: Any) -> None:
    """A task stopped during an admission that went through is told so right after it, not never."""
    log = begin(store, "x")
    reached: list[str] = []

    async def call() -> None:
        await log.admit(sent(), hold("h", "0.01", "run:x"))
        reached.append("admitted")
        await asyncio.sleep(60)
        reached.append("sent")

    task = asyncio.ensure_future(call())
    while not store.balance("run:x").held_usd:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert reached == ["admitted"]


async def test_sync_covers_what_was_appended(store: Any) -> None:
    """`sync` returns once everything appended before it is safe, whether that was awaited or not."""
    log, other = begin(store), begin(store)
    log.append([finished(1)])
    other.append([finished(2)])
    await log.sync()
    assert read(store, other.run)[-1].value == 2
    await log.sync()


# ------------------------------------------------------------------------------------------------------------ effects
async def test_effects_are_found_by_their_key(shelf: Shelf) -> None:
    """An effect that an earlier run performed, or may have, is found by its idempotency key; a failed one is not."""
    ends = {"done": [settled()], "unknown": [], "failed": [settled(ok=False)]}
    for run, tail in ends.items():
        log = begin(shelf.store, run)
        await log.admit(sent(request_hash=f"key-{run}", kind="effect"), None)
        await done(log.append(tail))
        log.close()
    store = shelf.again()
    assert store.effect_done("key-done") == "done"
    assert store.effect_done("key-done", but="done") is None
    assert store.effect_done("key-unknown") == "unknown"
    assert store.effect_done("key-failed") is None
    assert store.effect_done("key-never") is None
    log = begin(store, "later")
    await log.admit(sent(request_hash="key-done", kind="effect"), None)
    log.close()
    assert store.effect_done("key-done") == "later"
    assert store.effect_done("key-done", but="later") == "done"
    store.delete("later")
    store.delete("done")
    assert store.effect_done("key-done") is None


# ------------------------------------------------------------------------------------------------------------ forgetting
async def test_deleting_deletes_one_run(store: Any) -> None:
    """A deleted run is gone from everything; the others and the notebook's money stay."""
    for run in ("x", "y"):
        log = begin(store, run)
        await log.admit(sent(), hold("h", "0.10", "notebook:n", f"run:{run}", f"run:{run}/node:b"))
        await done(log.settle([settled()], "h", D("0.07"), D("0.01")))
        log.close()
    store.delete("x")
    assert [row.run for row in store.runs()] == ["y"]
    assert [b.scope for b in store.balances()] == ["notebook:n", "run:y", "run:y/node:b"]
    assert (store.balance("notebook:n").spent_usd, store.balance("notebook:n").overrun_usd) == (D("0.14"), D("0.02"))
    with pytest.raises(RunNotFound):
        store.read("x")
    assert len(read(store, "y")) == 3


async def test_deleting_a_run_in_doubt_keeps_the_doubt(store: Any) -> None:
    """Open calls of a deleted run stay counted, because it is unknown whether they were paid."""
    log = begin(store, "x")
    await log.admit(sent(), hold("h", "0.10", "notebook:n"))
    log.close()
    store.delete("x")
    one = store.balance("notebook:n")
    assert (one.held_usd, one.in_doubt_usd) == (0, D("0.10"))


async def test_shared_values_survive_a_deletion(shelf: Shelf) -> None:
    """Runs that hold the same large values do not lose them when one of them is deleted."""
    values = ["z" * 9000, [f"{i}" * 100 for i in range(300)], b"q" * 9000, VALUES["very long list of large texts"]]
    for run in ("x", "y"):
        log = begin(shelf.store, run)
        for value in values:
            await done(log.append([finished(value), finished({"in": value})]))
        log.close()
    shelf.store.delete("x")
    assert [e.value for e in read(shelf.again(), "y")[1::2]] == values


@pytest.mark.parametrize(
    ("asked", "gone"),
    [
        ({"keep_last": 2}, ["2", "1"]),
        ({"keep_last": 0}, ["5", "2", "1"]),
        ({"keep_last": 99}, []),
        ({"before": 2.5}, ["2", "1"]),
        ({"before": 9.0, "keep_last": 4}, ["1"]),
        ({"keep_last": 0, "unfinished": True}, ["5", "3", "2", "1"]),
    ],
)
def test_pruning(store: Any, asked: dict[str, Any], gone: list[str]) -> None:
    """Old runs that ended are deleted; one that could be resumed only when asked for; one being written never."""
    for i, tail in enumerate(([ended()], [ended("failed")], [], [], [ended("cancelled")]), 1):
        log = begin(store, at=float(i))
        log.append([finished("x" * 5000), *tail])
        if i != 4:
            log.close()
    assert store.prune(**asked) == gone
    assert [row.run for row in store.runs()] == [r for r in "54321" if r not in gone]


def test_pruning_needs_a_bound(store: Any) -> None:
    """Pruning without saying what would be pruning everything: refused."""
    with pytest.raises(StoreError, match="keep_last"):
        store.prune()


# ------------------------------------------------------------------------------------------------------------ export
async def test_an_exported_run_reads_back(store: Any) -> None:
    """A run leaves as JSON lines, one event each, complete in themselves, and they read back equal."""
    log = store.create("x")
    events = [*every_event("x"), *(finished(value) for value in VALUES.values())]
    await done(log.append(events))
    lines = list(store.export("x"))
    assert all("\n" not in line and json.loads(line)["schema"] == ev.SCHEMA for line in lines)
    assert [repr(e) for _, e in read_lines(lines)] == [repr(e) for e in events]


# ------------------------------------------------------------------------------------------------- requests
async def test_runs_that_asked_the_same_are_found(shelf: Shelf) -> None:
    """Runs that sent a request are found by its hash, newest first, each once, at most as many as asked for."""
    for run in ("one", "two", "three"):
        log = begin(shelf.store, run)
        await log.admit(sent(request_hash="same"), None)
        await log.admit(sent(request_hash="same", call=2), None)
        await log.admit(sent(request_hash=f"own-{run}", call=3), None)
        log.close()
    store = shelf.again()
    assert store.asked_by("same") == ["three", "two", "one"]
    assert store.asked_by("same", limit=2) == ["three", "two"]
    assert store.asked_by("own-two") == ["two"]
    assert store.asked_by("never") == []
    store.delete("three")
    assert store.asked_by("same") == ["two", "one"]
