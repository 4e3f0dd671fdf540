"""A conversation with an agent's machine, played by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orch_nb.agents.machine import AgentMachine
from orch_nb.schema.events import ErrorInfo, Settled
from orch_nb.schema.values import plain

if TYPE_CHECKING:
    from orch_nb.engine.ports import Call, Result


def settled(number: int, reply: Any = None, *, error: ErrorInfo | None = None, finish: str = "stop") -> Settled:
    """One outcome."""
    return Settled("", "a", 1, None, number, 0.0, ok=error is None, reply=reply, error=error, finish_reason=finish)


def said(text: Any, finish: str = "stop") -> dict[str, Any]:
    """A model's text (data become JSON)."""
    return {"reply": {"text": text if isinstance(text, str) else json.dumps(text)}, "finish": finish}


def calls(*asked: tuple[str, Any]) -> dict[str, Any]:
    """A model's wish to call tools."""
    rows = [
        {"id": f"c{i}", "name": name, "arguments": args if isinstance(args, str) else json.dumps(args)}
        for i, (name, args) in enumerate(asked)
    ]
    return {"reply": {"text": "", "tool_calls": rows}, "finish": "tool_calls"}


def failed(failure: str = "transient", code: str = "ORCH305", kind: str = "ProviderUnavailable") -> dict[str, Any]:
    """A call that failed for good."""
    return {"error": ErrorInfo(code, kind, "it broke", failure)}


def play(definition: dict[str, Any], inputs: dict[str, Any], *outcomes: dict[str, Any]) -> list[Call | Result]:
    """Every step of the machine. After each one a fresh machine is asked too: resume must see the same."""
    events: list[Settled] = []
    machine = AgentMachine(definition, inputs)
    steps = [machine.next(events)]
    for number, outcome in enumerate(outcomes, 1):
        events.append(settled(number, **outcome))
        steps.append(machine.next(events))
        again = AgentMachine(json.loads(json.dumps(plain(definition))), inputs).next(list(events))
        assert again == steps[-1], "a resumed machine asks something else"
    return steps
