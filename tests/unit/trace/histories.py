"""Histories of runs, made by hand: what the readings are tested on, and what the pictures in `tests/unit/notebook` show."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from orch_nb.engine.plan import Body, Chooser, Edge, Plan, PlanNode, Read, Retry, to_data
from orch_nb.schema import events as ev
from orch_nb.schema.messages import Usage

T0 = 1_790_000_000.0
"""An instant in September 2026."""


def agent(name: str, model: str, *reads: Read, **more: Any) -> PlanNode:
    """An agent node as `compile` makes it."""
    spec = {"name": name, "prompt": f"Do {name}.", "models": [{"name": model}]}
    return PlanNode(name, "agent", tuple(reads), spec=spec, fingerprint=f"{name}0123456789", **more)


def by_input(name: str) -> Read:
    """A read of a graph input."""
    return Read(name, "input", name)


def by_node(name: str, *path: str, back: bool = False, optional: bool = False) -> Read:
    """A read of a node's value."""
    return Read(".".join((name, *path)), "node", name, path, optional, back)


SPECIALISTS = ("billing", "technical", "sales", "general")


def support_plan() -> Plan:
    """The graph of the design: a choice, a group, a loop, a gate, a person and an effect."""
    score = by_node("qa", "score")
    nodes = (
        agent("triage", "small", by_input("ticket"), by_node("qa", "feedback", back=True, optional=True),
              chooser=Chooser("field", Read("triage.category", "node", "triage", ("category",)), SPECIALISTS)),
        agent("billing", "mid", by_input("ticket"), by_input("policy")),
        agent("technical", "mid", by_input("ticket")),
        agent("sales", "small", by_input("ticket")),
        agent("general", "small", by_input("ticket")),
        agent("qa", "mid", by_input("ticket"), Read("answer", "group", "specialist", ("answer",), members=SPECIALISTS)),
        PlanNode("approve", "human", gate="triage.confidence < 0.8",
                 gate_reads=(by_node("triage", "confidence"),), spec={"question": "Send this answer?"}),
        PlanNode("person", "human"),
        PlanNode("send", "function", (by_node("qa"),), function="send", effects=("message",)),
    )  # fmt: skip
    edges = (
        *(Edge("triage", s, "by") for s in SPECIALISTS),
        Edge("triage", "general", "else"),
        *(Edge(s, "qa") for s in SPECIALISTS),
        Edge("qa", "triage", "when", "qa.score < 0.6", 2, (score,)),
        Edge("qa", "approve", "when", "qa.score >= 0.6", None, (score,)),
        Edge("qa", "person", "else"),
        Edge("approve", "send"),
    )
    bodies = (Body("triage", ("triage", *SPECIALISTS, "qa"), (9,)),)
    return Plan(
        "support", nodes, edges, ("ticket", "policy"), (), ("send",), bodies, groups={"specialist": SPECIALISTS}
    )


class Recorder:
    """Writes a history: a clock that moves by hand, calls with their money."""

    def __init__(
        self, plan: Plan, inputs: dict[str, Any], *, run: str = "7", limit: str | None = None, **more: Any
    ) -> None:
        self.at = T0
        self.events: list[ev.Event] = [
            ev.RunStarted(run, plan.name, to_data(plan), inputs, T0, None if limit is None else Decimal(limit), **more)
        ]

    def after(self, seconds: float) -> Recorder:
        """Let time pass."""
        self.at = round(self.at + seconds, 6)
        return self

    def add(self, event: ev.Event) -> Recorder:
        """Append any event."""
        self.events.append(event)
        return self

    def send(
        self, node: str, model: str, said: str, *, call: int = 1, round: int = 1, item: int | None = None,
        frame: str = "", reserved: str | None = "0.02", queued: float = 0.0, kind: str = "model", attempt: int = 1,
    ) -> Recorder:  # fmt: skip
        """A call leaves."""
        request = {"messages": [{"role": "user", "content": said}]} if kind == "model" else {"arguments": said}
        held = None if reserved is None else Decimal(reserved)
        return self.add(ev.Sent(frame, node, round, item, call, kind, model, request, f"h{len(self.events)}", self.at, held, 900,
                                attempt, queued, fingerprint=f"{node}{round}aaaaaaaa"))  # fmt: skip

    def settle(
        self, node: str, text: str, tokens: tuple[int, int], cost: str | None, *, call: int = 1, round: int = 1,
        item: int | None = None, frame: str = "", ok: bool = True, error: ev.ErrorInfo | None = None, note: str = "",
        overrun: str = "0", cached: int = 0,
    ) -> Recorder:  # fmt: skip
        """Its answer comes."""
        usage = Usage(tokens[0], tokens[1], cached) if ok or any(tokens) else None
        reply = {"text": text} if ok else None
        spent = None if cost is None else Decimal(cost)
        return self.add(ev.Settled(frame, node, round, item, call, self.at, ok, reply, usage, spent, Decimal(overrun), error,
                                   "stop" if ok else "", 0.1 if ok else None, "list price of 2026-09-01", note))  # fmt: skip

    def finish(
        self, node: str, value: Any, *, started: float, round: int = 1, item: int | None = None, frame: str = "",
        taken: tuple[int, ...] | None = None, status: str = "success", decision: Any = None, queued: float = 0.0,
        attempt: int = 1, writes: Any = None,
    ) -> Recorder:  # fmt: skip
        """An activation ends well."""
        return self.add(ev.Finished(frame, node, round, item, value, self.at, started, taken, writes, attempt, queued,
                                    f"{node}{round}aaaaaaaa", status, decision))  # fmt: skip

    def call(
        self,
        node: str,
        model: str,
        said: str,
        value: Any,
        tokens: tuple[int, int],
        cost: str,
        seconds: float,
        **more: Any,
    ) -> Recorder:
        """A whole activation of one model call."""
        where = {k: more[k] for k in ("round", "item", "frame") if k in more}
        started = self.at
        self.send(node, model, said, **where).after(seconds).settle(node, str(value), tokens, cost, **where)
        ends = {k: v for k, v in more.items() if k not in where}
        return self.finish(node, value, started=started, **where, **ends)

    def end(
        self, status: str = "done", output: Any = None, error: ev.ErrorInfo | None = None, node: str = ""
    ) -> Recorder:
        """The run ends."""
        return self.add(ev.RunEnded(status, self.at, output, error, node))


TICKET = "My payment failed but I was charged anyway"
POLICY = "Refunds within 30 days. Pending holds are released after 7 days."
BY_BILLING = {"chooser": {"how": "field", "path": "triage.category", "value": "billing", "choice": "billing",
                          "candidates": list(SPECIALISTS)}}  # fmt: skip


def _condition(score: float, again: bool) -> dict[str, Any]:
    values = {"qa.score": score}
    return {
        "predicates": {
            "triage: qa.score < 0.6": {"values": values, "result": again, "exhausted": False},
            "approve: qa.score >= 0.6": {"values": values, "result": not again, "exhausted": False},
        }
    }


def _until_second_qa(limit: str | None = "0.05") -> Recorder:
    r = Recorder(support_plan(), {"ticket": TICKET, "policy": POLICY}, limit=limit, notebook="support")
    billing = {"category": "billing", "confidence": 0.93}
    r.add(
        ev.Reused(
            "", "triage", 1, None, billing, r.at, {"run": "5"}, (0,), None, Decimal("0.0002"), "triage1", BY_BILLING
        )
    )
    r.after(0.02)
    started = r.at
    limited = ev.ErrorInfo("ORCH302", "RateLimited", "429: slow down, try again in 0.2 s", "transient", "", 0.2)
    r.send("billing", "mid", "Answer the billing question …", queued=0.02).after(0.21)
    r.settle("billing", "", (0, 0), "0", ok=False, error=limited, note="retry")
    r.after(0.2).send("billing", "mid", "Answer the billing question …", call=2, attempt=2).after(0.96)
    r.settle("billing", '{"answer": "The first charge is a pending hold."}', (706, 206), "0.0061", call=2, cached=512)
    r.finish("billing", {"answer": "The first charge is a pending hold."}, started=started, queued=0.02)
    r.call("qa", "mid", "Score 0 to 1 …", {"score": 0.52, "feedback": "does not say when"}, (330, 72), "0.0016", 0.44,
           taken=(0,), decision=_condition(0.52, again=True))  # fmt: skip
    r.call("triage", "small", "Classify …", {"category": "billing", "confidence": 0.93}, (96, 22), "0.00002", 0.24, round=2,
           taken=(0,), decision=BY_BILLING)  # fmt: skip
    r.call(
        "billing",
        "mid",
        "Answer …",
        {"answer": "A pending hold, released after 7 days."},
        (310, 84),
        "0.0028",
        0.68,
        round=2,
    )
    r.call("qa", "mid", "Score …", {"score": 0.91, "feedback": "none"}, (300, 58), "0.0016", 0.4, round=2,
           taken=(1,), decision=_condition(0.91, again=False))  # fmt: skip
    return r


def support_run() -> list[ev.Event]:
    """Done: one reuse, one retry, one loop round, a gate that passed, one effect."""
    r = _until_second_qa()
    value = {"score": 0.91, "feedback": "none"}
    gate = {"gate": "triage.confidence < 0.8", "values": {"triage.confidence": 0.93}, "result": False}
    r.finish("approve", value, started=r.at, status="passed", decision=gate)
    r.send("send", "message", "…", kind="effect", reserved="0").after(0.01)
    r.add(ev.Settled("", "send", 1, None, 1, r.at))
    r.finish("send", {"sent": True}, started=r.at - 0.01)
    return r.end(output={"sent": True}).events


def waiting_run() -> list[ev.Event]:
    """A person is due at the gate."""
    r = _until_second_qa()
    r.add(
        ev.Waiting(
            "",
            "approve",
            1,
            None,
            "Send this answer?",
            {"answer": "A pending hold, released after 7 days."},
            "ab12",
            r.at,
        )
    )
    return r.events


def edited_run() -> list[ev.Event]:
    """The person edited, with the diff kept; the run ended."""
    events = waiting_run()
    r = Recorder(support_plan(), {})
    r.events, r.at = events, events[-1].at
    r.after(42.0)
    r.add(ev.Answered("", "approve", 1, None, "edit", {"answer": "It is released in 7 days."}, "ada", r.at, "ab12", None, "shorter",
                      "--- shown\n+++ answered\n@@ -1 +1 @@\n-A pending hold, released after 7 days.\n+It is released in 7 days."))  # fmt: skip
    r.finish("send", {"sent": True}, started=r.at)
    return r.end(output={"sent": True}).events


def failed_run() -> list[ev.Event]:
    """Failed at `billing`, after three attempts; a budget refusal besides."""
    r = Recorder(support_plan(), {"ticket": TICKET, "policy": POLICY}, limit="0.01")
    r.call("triage", "small", "Classify …", {"category": "billing", "confidence": 0.93}, (96, 22), "0.00002", 0.3,
           taken=(0,), decision=BY_BILLING)  # fmt: skip
    started = r.at
    down = ev.ErrorInfo("ORCH305", "ProviderUnavailable", "mid: 503 from the provider", "transient")
    for n in (1, 2, 3):
        r.send("billing", "mid", "Answer …", call=n, attempt=n).after(0.3)
        r.settle("billing", "", (0, 0), "0", call=n, ok=False, error=down, note="retry" if n < 3 else "")
    r.add(ev.Failed("", "billing", 1, None, down, r.at, started, 1))
    return r.end("failed", None, down, "billing").events


def doubtful_run() -> list[ev.Event]:
    """The process died in a call; a resume repeated it. One call in doubt, one overrun, one unknown price."""
    r = Recorder(support_plan(), {"ticket": TICKET, "policy": POLICY}, limit="0.10")
    r.call("triage", "small", "Classify …", {"category": "billing", "confidence": 0.93}, (96, 22), "0.00002", 0.3,
           taken=(0,), decision=BY_BILLING)  # fmt: skip
    r.send("billing", "mid", "Answer …", reserved="0.0184").after(600)
    r.add(ev.Resumed(r.at)).after(0.05)
    started = r.at
    r.send("billing", "mid", "Answer …", call=2, reserved="0.0184").after(0.9)
    r.settle("billing", "{}", (706, 206), "0.0184", call=2, overrun="0.0004")
    r.finish("billing", {"answer": "A hold."}, started=started)
    started = r.at
    r.send("qa", "house", "Score …", reserved=None).after(0.4).settle("qa", "{}", (300, 58), None)
    r.finish("qa", {"score": 0.9}, started=started, taken=(1,), decision=_condition(0.9, again=False))
    return r.events


def map_plan() -> Plan:
    """A planner, a map over its tasks, a nested graph, a barrier; state with a reducer."""
    inner = Plan(
        "summary",
        (agent("short", "small", by_input("found")), PlanNode("check", "function", (by_node("short"),), function="check")),
        (Edge("short", "check"),), ("found",), (), ("check",),
    )  # fmt: skip
    nodes = (
        agent("plan", "big", by_input("goal")),
        agent("worker", "small", Read("task", "item", "worker"), each=Read("plan.tasks", "node", "plan", ("tasks",)),
              each_as="task", writes={"findings": "append"}),
        PlanNode("all", "barrier"),
        PlanNode("summary", "graph", (Read("found", "state", "findings"),)),
    )  # fmt: skip
    edges = (Edge("plan", "worker"), Edge("worker", "all"), Edge("all", "summary"))
    state = {"findings": {"reducer": "append"}}
    return Plan("market", nodes, edges, ("goal",), (), ("summary",), (), state, {"summary": inner})


def map_run(items: int = 3) -> list[ev.Event]:
    """A map of some items, a nested graph with a semantic failure that was retried, a join, state."""
    r = Recorder(map_plan(), {"goal": "Position of company X"}, run="12")
    tasks = [f"question {i}" for i in range(items)]
    r.call("plan", "big", "Plan …", {"tasks": tasks}, (210, 96), "0.0041", 1.2)
    r.add(ev.Mapped("", "worker", 1, items, r.at))
    opened = r.at
    for i in range(items):
        r.call("worker", "small", tasks[i], {"findings": f"fact {i}"}, (60, 20), "0.0003", 0.1, item=i,
               writes={"findings": f"fact {i}"})  # fmt: skip
    r.finish("worker", [{"findings": f"fact {i}"} for i in range(items)], started=opened)
    r.finish("all", {"worker": []}, started=r.at)
    r.add(ev.Opened("", "summary", 1, None, {"found": [f"fact {i}" for i in range(items)]}, r.at, started_at=r.at))
    opened = r.at
    r.call("short", "small", "Summarise …", {"text": "X is second."}, (80, 12), "0.0002", 0.2, frame="summary")
    bad = ev.ErrorInfo("ORCH203", "NodeTimeout", "`check` did not finish within its 0.1 s.", "transient")
    r.after(0.1).add(ev.Failed("summary", "check", 1, None, bad, r.at, r.at - 0.1, 1, False, r.at + 0.05))
    r.after(0.05).finish("check", {"ok": True}, started=r.at, frame="summary", attempt=2)
    r.finish("summary", {"ok": True}, started=opened)
    return r.end(output={"ok": True}).events


def recorded_run() -> list[ev.Event]:
    """``async with orch.record()``: no plan, two calls of one agent."""
    r = Recorder(Plan("record", (), (), open=True), {}, run="20")
    one = Plan("triage", (agent("triage", "small", by_input("ticket")),), (), ("ticket",), (), ("triage",))
    for n in (1, 2):
        key = ev.key_of("", "triage", n)
        r.add(ev.Opened("", "triage", n, None, {"ticket": TICKET}, r.at, to_data(one), r.at))
        r.call("triage", "small", "Classify …", {"category": "billing"}, (96, 22), "0.00002", 0.3, frame=key)
        r.finish("triage", {"category": "billing"}, started=r.at - 0.3, round=n)
    return r.end().events


def long_run(rounds: int) -> list[ev.Event]:
    """A loop of many rounds, for speed."""
    step = PlanNode("step", "function", (by_node("step", back=True, optional=True),), function="step")
    plan = Plan("long", (step,), (Edge("step", "step", "when", "step < 9", rounds, (by_node("step"),)),), (), (), ("step",),
                (Body("step", ("step",), (0,)),))  # fmt: skip
    r = Recorder(plan, {})
    for n in range(1, rounds + 1):
        r.after(0.001).finish("step", n, started=r.at, round=n, taken=(0,) if n < rounds else ())
    return r.end(output=rounds).events


EVERY = {
    "support": support_run,
    "waiting": waiting_run,
    "edited": edited_run,
    "failed": failed_run,
    "doubtful": doubtful_run,
    "map": map_run,
    "recorded": recorded_run,
}
"""All of them by name."""

_ = Retry
