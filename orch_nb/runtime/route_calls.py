"""Decisions about models: the facts are gathered here, the choice is a pure function of them.

A decision is the reply of an event, with every candidate. A resume reads it there.
"""

from __future__ import annotations

import asyncio
import inspect
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch_nb.engine.outcome import error_info
from orch_nb.engine.ports import Call, Limit, Outcome, Prepared, dollars
from orch_nb.engine.user_code import contained, ends_task, running_task
from orch_nb.errors import NoOffer, OrchError, ToolFailed
from orch_nb.routing.filters import Facts, Room, filtered
from orch_nb.runtime.checks import check_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orch_nb.catalog.offers import Offer
    from orch_nb.engine.plan import Chooser, Plan, PlanNode
    from orch_nb.routing.decision import Candidate, Decision, Question
    from orch_nb.runtime.services import Services
    from orch_nb.schema.events import Settled

Scopes = tuple[tuple[str, Limit], ...]
ZERO = Decimal(0)
NONE = "none"
"""A judge's answer where no candidate fits: the `else` arrow. No node can have this name."""


class Routes:
    """The decisions of one run.

    Parameters
    ----------
    runtime
        Has the models, prices, providers and budgets.
    namespace
        Where a check's function is bound.
    """

    def __init__(self, runtime: Services, namespace: Mapping[str, object]) -> None:
        self.runtime, self.namespace = runtime, namespace

    def prepare(self, call: Call, scopes: Scopes, node: PlanNode) -> Prepared:
        """Prepare a decision or a check: it costs nothing and sends nothing."""
        from orch_nb.schema.canonical import digest

        said = call.request.as_data() if call.kind == "route" else {"answer": call.request["answer"]}
        return Prepared(
            call.kind, call.target, said, digest([call.kind, 1, call.target, said]), ZERO, 0, (), None, call.kind,
            (call, scopes, node),
        )  # fmt: skip

    async def call(self, prepared: Prepared) -> Outcome:
        """Make the decision or the check. A failure is an outcome."""
        call, scopes, node = prepared.payload
        if call.kind == "check":
            return await self._check(call)
        try:
            return await self._decide(call.request, scopes, node)
        except OrchError as error:
            return Outcome(False, None, cost_usd=ZERO, error=error_info(error))

    # ---------------------------------------------------------------- decisions
    async def _decide(self, question: Question, scopes: Scopes, node: PlanNode) -> Outcome:
        candidates = filtered(question, self.facts(question, scopes, node))
        try:
            made = await self._choose(question, candidates)
        except NoOffer as error:
            refused = {
                "how": question.route["how"],
                "offer": "",
                "because": str(error),
                "candidates": [c.as_data() for c in candidates],
            }
            return Outcome(False, refused, cost_usd=ZERO, error=error_info(error))
        return Outcome(True, made.as_data(), cost_usd=ZERO)

    async def _choose(self, question: Question, candidates: list[Candidate]) -> Decision:
        from orch_nb.routing import auto, judge, rules
        from orch_nb.routing.decision import decide

        how = question.route["how"]
        match how:
            case "rules":
                return decide(how, question.agent, candidates, rules.by_rules(question))
            case "keywords":
                return decide(how, question.agent, candidates, rules.by_keywords(question))
            case "similar":
                return decide(
                    how, question.agent, candidates, rules.by_similarity(question, await self._similar(question))
                )
            case "judge":
                return judge.by_judge(question, candidates)
            case "learned" | "auto":
                return await self._choose_learned(question, candidates)
            case _:
                return auto.climb(question, candidates, how=how)

    async def _choose_learned(self, question: Question, candidates: list[Candidate]) -> Decision:
        """Choose by the outcomes of this agent, under the names that the models have now."""
        from orch_nb.routing.auto import by_auto
        from orch_nb.routing.decision import decide
        from orch_nb.routing.learned.proposal import Log, Rule, accepted_for, by_learning

        runtime, route = self.runtime, question.route
        rule = Rule.of(question.agent, route)
        log = Log.of(runtime.store.evidence(question.agent), {c.offer.name: c.offer for c in candidates})
        accepted = accepted_for(rule, runtime.accepted.find("route", question.agent))
        advice = None
        if route["how"] == "learned" or (accepted is not None and log.is_enough(rule.minimum)):
            costs = {c.offer.name: None if c.expected_usd is None else float(c.expected_usd) for c in candidates}
            loop = asyncio.get_running_loop()
            advice = await loop.run_in_executor(
                runtime.embed_pool, runtime.learning.advise, rule, log, question.prompt, costs
            )
        if route["how"] == "auto":
            return by_auto(question, candidates, advice, log, accepted)
        assert advice is not None
        return decide("learned", question.agent, candidates, by_learning(question, advice, log, accepted))

    async def _similar(self, question: Question) -> dict[str, Any]:
        """Compute the similarity of the prompt to each model's examples, on the thread that embeds."""
        route = question.route
        chooser = self.runtime.similarity(
            {name: ("", tuple(texts)) for name, texts in route["similar"].items()}, route["above"]
        )
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.runtime.embed_pool, chooser.choose, question.prompt)

    # ---------------------------------------------------------------- nodes
    async def by_fit(
        self, plan: Plan, chooser: Chooser, text: str, facts: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, object]:
        """Decide `by fit`: which node's description fits, whose models are available, and whose inputs are there."""
        from orch_nb.routing.fit import by_fit

        made = self.runtime.similarity({c: (chooser.describe[c], chooser.examples[c]) for c in chooser.candidates}, 0.0)
        similar = await asyncio.get_running_loop().run_in_executor(self.runtime.embed_pool, made.choose, text)
        away = {c: why for c in chooser.candidates if (why := self._nobody_there(plan, c))}
        return {"path": chooser.read.ref, **by_fit(similar["scores"], facts, away, chooser.threshold)}

    def _nobody_there(self, plan: Plan, name: str) -> str:
        """Return why none of the models of an agent node is available now; "" where one is, or where it needs none."""
        node = next((n for n in plan.nodes if n.name == name), None)
        names = [m["name"] for m in node.spec.get("models", ())] if node is not None and node.kind == "agent" else []
        whys = [self._unavailable(self.runtime.offer(node, model).provider) for model in names] if node else []
        return whys[0] if whys and all(whys) else ""

    def judge(self, chooser: Chooser, text: str) -> Call:
        """Return the call that asks `chooser.model` for the next node."""
        from orch_nb.routing.judge import judge_request

        offer = self.runtime.models.planned(chooser.model, chooser.offer)
        choices = [(c, chooser.describe[c] or "; ".join(chooser.examples[c][:3])) for c in chooser.candidates]
        request = judge_request(offer.model, text, [*choices, (NONE, "none of the others fits")], "", what="step")
        return Call("model", chooser.model, request, f"it judges where `{chooser.read.ref}` goes", chooses="node")

    def verdict(self, chooser: Chooser, settled: Settled) -> dict[str, object]:
        """Return the decision of a judge's answer; an answer without a known name leads to `else`."""
        from orch_nb.routing.judge import judged

        said = judged(settled, (*chooser.candidates, NONE))
        choice = said.get("choice")
        is_one = choice in chooser.candidates
        because = said.get("reason") or said.get("problem") or "no reason given"
        chose = f"`{choice}`" if is_one else "none"
        return {
            "how": f"judge({chooser.model})", "path": chooser.read.ref, "choice": choice if is_one else None,
            "because": f"`{chooser.model}` said: {because}", "candidates": list(chooser.candidates),
            "why_not": {c: f"`{chooser.model}` chose {chose}" for c in chooser.candidates if c != choice},
        }  # fmt: skip

    # ---------------------------------------------------------------- facts
    def facts(self, question: Question, scopes: Scopes, node: PlanNode) -> Facts:
        """Return the facts about the candidates now: prices, keys, availability, seconds, and what is left of the budgets."""
        runtime = self.runtime
        offers = {name: runtime.offer(node, name) for name in question.models}
        seen = {name: found for name in offers if (found := runtime.availability.seconds(name)) is not None}
        return Facts(
            offers,
            {name: runtime.models.prices.price(offer) for name, offer in offers.items()},
            {name: why for name, offer in offers.items() if (why := self._unavailable(offer.provider))},
            self.room(scopes),
            seen,
            self._unfit(question, offers) if question.route["how"] == "auto" else {},
        )

    @staticmethod
    def _unfit(question: Question, offers: Mapping[str, Offer]) -> dict[str, str]:
        """Return the tasks of this agent that models were measured to fail at. A list that the user wrote is not checked."""
        from orch_nb.catalog.abilities import failing

        found = {}
        for name, offer in offers.items():
            tasks = failing(
                offer.family, question.request.schema, has_tools="tools" in question.needs, prompt=question.template
            )
            if tasks:
                found[name] = f"it fails at {tasks[0].task} ({tasks[0].figure})"
        return found

    def _unavailable(self, provider: str) -> str:
        try:
            check_key(self.runtime.provider(provider))
        except OrchError as error:
            return str(error).rstrip(".")
        return self.runtime.availability.why_not(provider)

    def room(self, scopes: Scopes) -> Room | None:
        """Return the tightest of the budgets around a call, and what is left of it; None without a limit."""
        tightest: Room | None = None
        for scope, own in scopes:
            balance = self.runtime.store.balance(scope)
            own_usd = dollars(own)
            limit = own_usd if own_usd is not None else balance.limit_usd
            if limit is None:
                continue
            used = balance.spent_usd + balance.held_usd + balance.in_doubt_usd + balance.overrun_usd
            left = max(ZERO, limit - used)
            if tightest is None or left < tightest.left_usd:
                tightest = Room(scope, left)
        return tightest

    # ---------------------------------------------------------------- checks
    async def _check(self, call: Call) -> Outcome:
        """Let a function of the notebook judge an answer: true or false, or a number from 0 to 1 (at least 0.5 passes)."""
        task = running_task()
        try:
            got = await self._judgement(call)
        except BaseException as error:
            if ends_task(error, task):
                raise
            return Outcome(False, cost_usd=ZERO, error=error_info(error))
        if isinstance(got, bool):
            return Outcome(True, {"passed": got}, cost_usd=ZERO)
        if isinstance(got, int | float) and 0 <= got <= 1:
            return Outcome(True, {"passed": got >= PASSES, "score": float(got)}, cost_usd=ZERO)
        wrong = ToolFailed(f"`{call.target}` must return true, false or a number from 0 to 1, got {got!r:.60}.")
        return Outcome(False, cost_usd=ZERO, error=error_info(wrong))

    async def _judgement(self, call: Call) -> object:
        target = self.namespace.get(call.target)
        if not callable(target):
            raise ToolFailed(
                f"the function `{call.target}`, which checks the answer, is not defined here.", hint="run its cell"
            )
        arguments = _arguments(target, call.request)
        if inspect.iscoroutinefunction(target):
            return await target(**arguments)
        return await asyncio.get_running_loop().run_in_executor(
            self.runtime.pool, lambda: contained(target, **arguments)
        )


PASSES = 0.5
"""The least number of a check that passes."""


def _arguments(target: Callable[..., object], given: Mapping[str, Any]) -> dict[str, object]:
    """Return the arguments of a check: the answer first, then reads of the agent by name."""
    first, *rest = inspect.signature(target).parameters.values()
    made = {first.name: given["answer"]}
    for parameter in rest:
        if parameter.name in given["values"]:
            made[parameter.name] = given["values"][parameter.name]
        elif parameter.default is inspect.Parameter.empty:
            raise ToolFailed(
                f"the check reads `{parameter.name}`, which the agent does not.",
                hint=f"the agent reads: {', '.join(given['values']) or 'nothing'}",
            )
    return made
