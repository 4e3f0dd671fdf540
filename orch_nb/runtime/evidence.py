"""Evidence of a run about its models: the answers that a function of the notebook checked.

The right form does not make an answer right, and neither does agreement: a model may be wrong three times in the same way. So
evidence is written only where a function of the notebook checked answers.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_nb.routing.evidence import Evidence
from orch_nb.schema import events as ev
from orch_nb.schema.events import CACHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orch_nb.schema.events import Event

ZERO = Decimal(0)


def evidence_of(run: str, plan: Mapping[str, Any], events: Iterable[Event]) -> list[Evidence]:
    """Return one row for each answer of a cascade that a check passed or refuted. O(events).

    Parameters
    ----------
    plan
        The plan of the run as data.

    Notes
    -----
    An answer of the wrong form counts as refuted, as it does in the cascade. A provider's failure judges nothing, and a
    recorded answer was judged when it was given. The key is that of the activation and the model: a run that is read twice
    gives the same rows.
    """
    checked = {name: spec for name, spec in _specs(plan, "") if _is_checked(spec)}
    if not checked:
        return []
    calls: dict[str, dict[str, _Asked]] = {}
    out: list[Evidence] = []
    for event in events:
        if isinstance(event, ev.Sent | ev.Settled):
            _note(calls, event)
        elif isinstance(event, ev.Finished):
            spec = checked.get(_path(event))
            route = (event.decision or {}).get("route")
            if spec is not None and route:
                out += _rows(run, event, spec, route, calls.get(ev.key(event), {}))
    return out


class _Asked:
    """The calls to one model in one activation: their prompt, cost and seconds."""

    __slots__ = ("cost_usd", "is_cached", "prompt", "seconds", "sent_at")

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt
        self.cost_usd: Decimal | None = ZERO
        self.seconds = 0.0
        self.is_cached = False
        self.sent_at: dict[int, float] = {}


def _note(calls: dict[str, dict[str, _Asked]], event: ev.Sent | ev.Settled) -> None:
    models = calls.setdefault(ev.key(event), {})
    if isinstance(event, ev.Sent):
        if event.kind == "model":
            models.setdefault(event.target, _Asked(_prompt(event.request))).sent_at[event.call] = event.at
        return
    for asked in models.values():
        if event.call in asked.sent_at:
            known = asked.cost_usd is not None and event.cost_usd is not None
            asked.cost_usd = asked.cost_usd + event.cost_usd if known else None  # type: ignore[operator]
            asked.seconds += event.at - asked.sent_at[event.call]
            asked.is_cached = asked.is_cached or event.note.startswith(CACHED)


def _rows(run: str, event: ev.Finished, spec: Mapping[str, Any], route: Mapping[str, Any], calls: Mapping[str, _Asked]) -> Iterator[Evidence]:  # fmt: skip
    models = {m["name"]: m for m in spec["models"]}
    for step in route.get("ladder", ()):
        asked, model = calls.get(step["offer"]), models.get(step["offer"])
        is_judged = "by" in step or str(step["because"]).startswith("SemanticFailure")
        if asked is None or model is None or not is_judged or asked.is_cached:
            continue
        yield Evidence(
            spec["name"], step["offer"], model["model"], model["provider"], asked.prompt, float(step["passed"]),
            asked.cost_usd, asked.seconds, "run", spec["route"]["by"], event.at,
            f"run/{run}/{ev.key(event)}/{step['offer']}", run, event.node,
        )  # fmt: skip


def _specs(plan: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for node in plan.get("nodes", ()):
        if node.get("kind") == "agent":
            yield f"{path}{node['name']}", node.get("spec", {})
    for name, sub in plan.get("subplans", {}).items():
        yield from _specs(sub, f"{path}{name}/")


def _is_checked(spec: Mapping[str, Any]) -> bool:
    return str((spec.get("route") or {}).get("by", "")).startswith("check(")


def _path(event: ev.Finished) -> str:
    return "/".join(part.partition("[")[0] for part in (*filter(None, event.frame.split("/")), event.node))


def _prompt(request: object) -> str:
    messages = request.get("messages", ()) if isinstance(request, dict) else ()
    return next((str(m.get("content") or "") for m in messages if m.get("role") == "user"), "")
