"""What a run should say of its money while it runs: a budget that is nearly used up, a cost far above the usual one.

Read from the events like everything else, so that a saved trace says the same as the live panel.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_nb.errors import counted
from orch_nb.schema import events as ev
from orch_nb.schema.budget import UNITS, Budget, budget_of
from orch_nb.schema.secrets import summary

if TYPE_CHECKING:
    from orch_nb.engine.state import RunState

ZERO = Decimal(0)
WARN_AT = Decimal("0.8")
"""The share of a budget from which on it is warned of."""
ALERT_FACTOR = Decimal(3)
"""How many times the baseline a run may cost before it is said aloud."""


@dataclass(slots=True)
class Notice:
    """One thing that a run says of itself. `kind`: budget | alert | degraded | secret. `key`: the activation where it came
    about, "inputs" for what was given to the run."""

    kind: str
    key: str
    at: float
    text: str


class Watch:
    """Takes events in one at a time, each before the run's state is folded with it."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self._own = Budget()
        self._raised: dict[str, Budget] = {}
        self._used: dict[str, dict[str, Decimal]] = {}
        self._warned: set[tuple[str, str]] = set()
        self._baseline: dict[str, Any] = {}
        self._alerted = False
        self._cost: dict[str, Decimal] = {}
        self._total = ZERO

    def feed(self, event: object, state: RunState) -> None:
        """Take one more event in."""
        if isinstance(event, ev.Settled):
            self._on_settled(event, state)
        elif isinstance(event, ev.Sent):
            self._on_sent(event)
        elif isinstance(event, ev.RunStarted):
            self._own, self._baseline = budget_of(event.limit_usd, event.limits), event.baseline or {}
            self._replace("inputs", event.at, event.secrets)
        elif isinstance(event, ev.Finished):
            if event.decision is not None and "secrets" in event.decision:
                self._replace(ev.key(event), event.at, event.decision["secrets"])
        elif isinstance(event, ev.LimitChanged):
            self._on_limit_changed(event, state)

    def _on_limit_changed(self, event: ev.LimitChanged, state: RunState) -> None:
        """Another limit: what was warned of may come about again."""
        budget = budget_of(event.limit_usd, event.limits)
        if event.scope:
            self._raised[event.scope] = budget
        else:
            self._own = budget
        scope = event.scope or f"run:{state.run}"
        used = self._used.get(scope, {})
        for unit in UNITS:
            if not is_near(used.get(unit, ZERO), budget.limit(unit)):
                self._warned.discard((scope, unit))

    def _on_sent(self, event: ev.Sent) -> None:
        degraded = (event.route or {}).get("degraded")
        if degraded:
            self.notices.append(Notice("degraded", ev.key(event), event.at, str(degraded)))

    def _replace(self, key: str, at: float, found: Any) -> None:
        if found:
            self.notices.append(Notice("secret", key, at, f"{summary(found)} before it was stored"))

    def _on_settled(self, event: ev.Settled, state: RunState) -> None:
        sent = state.open_calls.get((ev.key(event), event.call))
        if sent is None or sent.kind == "effect":
            return
        amounts = _amounts(event, sent)
        own, run = f"run:{state.run}", state.run
        self._count(own, self._own, amounts, event, f"run {run}")
        budget = self._node_budget(event, state)
        if budget is not None:
            self._count(f"{own}/node:{event.node}", budget, amounts, event, f"`{event.node}`")
        self._watch_cost(event, amounts["usd"])

    def _node_budget(self, event: ev.Settled, state: RunState) -> Budget | None:
        plan = state.frames[event.frame].plan
        node = plan.node(event.node) if not plan.open else None
        if node is None or (node.budget_usd is None and not node.budget):
            return None
        usd = None if node.budget_usd is None else Decimal(node.budget_usd)
        return self._raised.get(f"run:{state.run}/node:{event.node}") or budget_of(usd, node.budget)

    def _count(self, scope: str, budget: Budget, amounts: dict[str, Decimal], event: ev.Settled, whose: str) -> None:
        used = self._used.setdefault(scope, dict.fromkeys(UNITS, ZERO))
        for unit, amount in amounts.items():
            used[unit] += amount
            limit = budget.limit(unit)
            if (scope, unit) not in self._warned and is_near(used[unit], limit):
                assert limit is not None
                self._warned.add((scope, unit))
                self.notices.append(
                    Notice("budget", ev.key(event), event.at, near_text(whose, unit, used[unit], limit))
                )

    def _watch_cost(self, event: ev.Settled, usd: Decimal) -> None:
        key = ev.key(event)
        self._cost[key] = self._cost.get(key, ZERO) + usd
        self._total += usd
        if self._alerted or not self._baseline:
            return
        total, usual = self._total, Decimal(self._baseline["usd"])
        if total <= usual * Decimal(self._baseline.get("factor", str(ALERT_FACTOR))):
            return
        self._alerted = True
        most, share = self._dearest()
        text = (
            f"{money(total)} so far is {total / usual:.1f} times {self._baseline.get('from', 'the usual cost')} ({money(usual)}); "
            f"{most} is {share:.0%} of it"
        )
        self.notices.append(Notice("alert", key, event.at, text))

    def _dearest(self) -> tuple[str, float]:
        """The node with the biggest share so far, with the round of it that cost most."""
        nodes: dict[str, list[str]] = {}
        for key in self._cost:
            nodes.setdefault("/".join(part.partition("[")[0] for part in key.split("/")), []).append(key)
        sums = {node: sum((self._cost[key] for key in keys), ZERO) for node, keys in nodes.items()}
        most = max(sums, key=lambda node: sums[node])
        keys = sorted(nodes[most], key=lambda key: self._cost[key])
        times = f", {len(keys)} times," if len(keys) > 1 else ""
        worst = f" most in `{keys[-1]}`," if self._cost[keys[-1]] > self._cost[keys[0]] else ""
        return f"`{most}`{times}{worst}", float(sums[most] / self._total)


def _amounts(event: ev.Settled, sent: ev.Sent) -> dict[str, Decimal]:
    """Return what a call used, by unit."""
    usd = (event.cost_usd or ZERO) + event.overrun_usd
    seconds = Decimal(f"{max(event.at - sent.at, 0.0):.6f}")
    if sent.kind != "model":
        return {"usd": usd, "seconds": seconds}
    usage = event.usage
    unknown = usage is None or bool(usage.bad)
    tokens = sent.reserved_tokens if usage is None or unknown else usage.input_tokens + usage.output_tokens
    return {"usd": usd, "tokens": Decimal(tokens), "calls": Decimal(1), "seconds": seconds}


def is_near(used: Decimal, limit: Decimal | None) -> bool:
    """Return whether four fifths of a limit are used."""
    return limit is not None and used > ZERO and used >= WARN_AT * limit


def near_text(whose: str, unit: str, used: Decimal, limit: Decimal) -> str:
    """``run 7 has used 84% of its budget: $0.042 of $0.05``."""
    share = f"{used / limit:.0%}" if limit else "all"
    if unit == "usd":
        said = f"{money(used)} of {money(limit)}"
    else:
        said = f"{used.normalize():,f} of {counted(limit, unit)}"
    return f"{whose} has used {share} of its budget: {said}"


def money(usd: Decimal) -> str:
    """Dollars without trailing zeros, to a millionth."""
    text = f"{usd:.6f}".rstrip("0")
    return f"${text}{'0' * max(0, 2 - len(text.partition('.')[2]))}"
