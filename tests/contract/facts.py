"""Events for store tests: short to make, every type among them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from orch_nb.engine.ports import Hold
from orch_nb.schema import events as ev
from orch_nb.schema.messages import Usage

PLAN = {"name": "chain", "nodes": [{"name": "a", "kind": "function"}, {"name": "b", "kind": "agent"}]}


def started(run: str, **changes: Any) -> ev.RunStarted:
    """The first event of a run."""
    facts: dict[str, Any] = {"graph": "chain", "plan": PLAN, "inputs": {"n": 0}, "at": 1.0, **changes}
    return ev.RunStarted(run, facts.pop("graph"), facts.pop("plan"), facts.pop("inputs"), facts.pop("at"), **facts)


def finished(value: Any = None, *, node: str = "a", at: float = 2.0, **facts: Any) -> ev.Finished:
    """A node that ended well with `value`."""
    return ev.Finished("", node, facts.pop("round", 1), facts.pop("item", None), value, at, at - 0.5, **facts)


def sent(call: int = 0, *, node: str = "b", **facts: Any) -> ev.Sent:
    """A call that is about to leave."""
    request = facts.pop("request", [{"role": "user", "content": "hello"}])
    request_hash = facts.pop("request_hash", f"hash-{node}-{call}")
    kind = facts.pop("kind", "model")
    return ev.Sent("", node, 1, None, call, kind, "small", request, request_hash, 3.0 + call, **facts)


def settled(call: int = 0, *, node: str = "b", usd: str = "0", **facts: Any) -> ev.Settled:
    """A call that came back."""
    return ev.Settled("", node, 1, None, call, 3.5 + call, cost_usd=Decimal(usd), **facts)


def ended(status: str = "done", *, at: float = 9.0, **facts: Any) -> ev.RunEnded:
    """The end of a run."""
    return ev.RunEnded(status, at, **facts)


def hold(name: str, usd: str, *scopes: Any) -> Hold:
    """A hold of `usd` in scopes, each a name or (name, limit)."""
    nest = tuple((s, None) if isinstance(s, str) else (s[0], None if s[1] is None else Decimal(s[1])) for s in scopes)
    return Hold(name, nest, Decimal(usd))


ERROR = ev.ErrorInfo("ORCH302", "RateLimited", "too many requests", "transient", "wait", 2.5)
USAGE = Usage(120, 40, 20, 5, estimated=True, bad="cached_tokens was -1")


def every_event(run: str = "1") -> list[ev.Event]:
    """One run's worth of events in which every type occurs, every field of each at least once away from its default."""
    where = ("outer[2]", "b", 2, 3)
    return [
        started(run, limit_usd=Decimal("0.50"), notebook="n", parent={"run": "0", "seq": 4}, version="0.1", attended=False),
        ev.Mapped("", "m", 1, 2, 1.5),
        finished({"n": 1, "deep": [{"x": [1.5, None, True, "é😀"]}]}, taken=(0, 2), writes={"log": ["x"]}, attempt=2,
                 queued_s=0.25, fingerprint="f" * 32, status="passed", decision={"by": "field", "value": "b"}),
        ev.Opened(*where, {"q": 1}, 1.75, PLAN, 1.7, "o" * 32),
        ev.Waiting(*where, "Send it?", {"draft": "x"}, "s" * 32, 2.0, ("done", "again"), "w" * 32),
        ev.Answered(*where, "edit", {"draft": "y"}, "ann", 2.5, "s" * 32, (1,), "typo", "-x\n+y"),
        ev.Sent(*where, 0, "model", "small", [{"role": "user", "content": "hi"}], "h" * 32, 3.0, Decimal("0.0123"), 900, 2,
                0.5, "1/b/0", {"chosen": "small", "candidates": [{"model": "big", "usd": "0.1"}]}, "g" * 32),
        ev.Settled(*where, 0, 4.0, False, {"text": "hm"}, USAGE, Decimal("0.0100"), Decimal("0.0003"), ERROR, "length", 0.3,
                   "prices of 2026-11-01", "retry"),
        ev.Settled(*where, 1, 4.1, cost_usd=None),
        ev.Failed(*where, ERROR, 4.5, 4.4, attempt=2, final=False, retry_at=6.0, queued_s=0.1, fingerprint="z" * 32),
        ev.Failed(*where, ERROR, 4.7, 4.6, taken=(1,)),
        ev.Refused(*where, "run:1", Decimal("0.5"), Decimal("0.4"), Decimal("0.05"), Decimal("0.1"), 5.0),
        ev.Reused(*where, [1, 2], 5.5, {"run": "0", "seq": 9}, (0,), {"k": 1}, Decimal("0.02"), "r" * 32, {"by": "hash"}),
        ev.LimitChanged(Decimal("1.00"), 6.0),
        ev.LimitChanged(None, 6.5),
        ev.Resumed(7.0, False),
        ended("failed", at=8.0, output={"partial": 1}, error=ERROR, node="b"),
    ]  # fmt: skip
