"""Measured abilities of models: what a model of a family was seen to do, and to fail at.

A small model answers everything, and wrongly where it is out of its depth, without saying so. The card of an agent
warns when its task has the shape of one that its model failed at, with the line to change.

Figures: our own measurement of 21 November 2026 on 4 to 20 items each, temperature 0, seed 7: they say "works" or "does
not work", and no more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Verdict = Literal["good", "usable", "bad"]

MANY_CLASSES = 3
"""Enumerations of this many words and more are routing; two-way labels were measured apart."""


@dataclass(slots=True, frozen=True)
class Ability:
    """One task and how it went.

    Parameters
    ----------
    task
        What was asked, in words.
    right, asked
        Items answered rightly, of how many. (0, 0): judged by reading, no count.
    instead
        What to do where the verdict is bad: shown with the warning.
    """

    task: str
    verdict: Verdict
    right: int = 0
    asked: int = 0
    remark: str = ""
    instead: str = ""

    @property
    def figure(self) -> str:
        """``6 of 10 right``, or the remark."""
        return f"{self.right} of {self.asked} right" if self.asked else self.remark


ABILITIES: dict[str, dict[str, Ability]] = {
    "smollm2-135m": {
        "label": Ability("two-way sentiment labels", "good", 20, 20),
        "extract": Ability("extraction of short fields, with one example in the prompt", "usable", 18, 20),
        "qa": Ability("short answers from a context of eight facts", "usable", 5, 8, "it invents what is not there"),
        "summary": Ability("summaries", "usable", remark="plausible, drifts"),
        "route": Ability(
            "routing among three or more classes", "bad", 6, 10,
            instead="route with `by similarity(…)` and examples: embeddings had 10 of 10",
        ),
        "judge": Ability("true/false judgement", "bad", 3, 6, "chance", "decide in a function, or name a bigger `model`"),
        "score": Ability(
            "scores and confidences", "bad", remark="numbers are not grounded (17 + 25 = 32)",
            instead="compute the score in a function, or name a bigger `model`",
        ),
        "arithmetic": Ability("arithmetic", "bad", remark="17 + 25 = 32", instead="compute in a function node"),
        "plan": Ability(
            "plans and lists of objects", "bad", remark="repeats the goal; dependencies on itself",
            instead="keep the plan in the graph, or name a bigger `model`",
        ),
        "tools": Ability("choice of tools", "bad", 1, 4, instead="call the function as a node, or name a bigger `model`"),
        "reply": Ability("drafting replies to customers", "bad", remark="confuses the roles", instead="name a bigger `model`"),
    },
}  # fmt: skip
"""Family -> task -> ability. Families that nobody measured are not in it, and give no warning."""


def tasks_of(schema: Mapping[str, object] | None, *, has_tools: bool, prompt: str = "") -> dict[str, str]:
    """Tasks that an agent's shape asks for -> the part of its definition that says so.

    Parameters
    ----------
    schema
        JSON Schema of its `out`; None for text.
    prompt
        Looked at for arithmetic and for drafting replies only: words are a weaker sign than types.
    """
    found: dict[str, str] = {}
    if has_tools:
        found["tools"] = "tools"
    for path, part in _parts(schema or {}, ""):
        task = _task_of(part)
        if task:
            found.setdefault(task, f"out{f': {path}' if path else ''}")
    if re.search(r"\b(calculate|compute|add up|sum of|multiply|how many|what is \d+)\b", prompt, re.IGNORECASE):
        found.setdefault("arithmetic", "prompt")
    if schema is None and re.search(
        r"\b(draft|write|compose)\b.{0,40}\b(reply|response|e-?mail)\b", prompt, re.IGNORECASE
    ):
        found.setdefault("reply", "prompt")
    return found


def warnings(agent: Any, model_family: str, model: str = "") -> list[str]:
    """One line for each task at which models of this family failed: what, how badly, and the line to change.

    Parameters
    ----------
    agent
        Anything with `spec` (model, prompt, tools) and `schema` (JSON Schema of its `out`, or None).
    model_family
        `Offer.family`; "" gives no warnings.
    model
        The notebook's name of the model; the agent's own unless told.
    """
    known = ABILITIES.get(model_family, {})
    spec = agent.spec
    tasks = tasks_of(agent.schema, has_tools=bool(spec.tools), prompt=spec.prompt)
    out = []
    for task, where in tasks.items():
        ability = known.get(task)
        if ability is not None and ability.verdict == "bad":
            out.append(
                f"`{where}`: `{model or spec.model}` ({model_family}) fails at {ability.task} ({ability.figure}); {ability.instead}."
            )
    return out


def failing(
    model_family: str, schema: Mapping[str, object] | None, *, has_tools: bool, prompt: str = ""
) -> list[Ability]:
    """Return what models of this family were measured to fail at, of what is asked; [] for families that nobody measured."""
    known = ABILITIES.get(model_family, {})
    tasks = tasks_of(schema, has_tools=has_tools, prompt=prompt) if known else {}
    return [known[task] for task in tasks if task in known and known[task].verdict == "bad"]


def describe(model_family: str) -> list[str]:
    """The family's abilities as lines for people, best first."""
    order = {"good": 0, "usable": 1, "bad": 2}
    rows = sorted(ABILITIES.get(model_family, {}).values(), key=lambda a: order[a.verdict])
    return [f"{a.verdict:6}  {a.task}: {a.figure}" for a in rows]


def _parts(schema: Mapping[str, Any], path: str, depth: int = 0) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, schema
    if depth > 8:
        return
    for name, part in (schema.get("properties") or {}).items():
        if isinstance(part, dict):
            yield from _parts(part, f"{path}.{name}" if path else name, depth + 1)


def _task_of(part: Mapping[str, Any]) -> str:
    words = [w for w in part.get("enum", ()) if isinstance(w, str)]
    kind = part.get("type")
    if len(words) >= MANY_CLASSES:
        return "route"
    if kind == "boolean":
        return "judge"
    if kind == "number":
        return "score"
    if (
        kind == "array"
        and isinstance(part.get("items"), dict)
        and ("properties" in part["items"] or "$ref" in part["items"])
    ):
        return "plan"
    return ""
