"""The calls of a run's nodes: priced and bounded calls to providers, tools, choices. Implements `engine.ports.Perform`."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from orch_nb.agents.binding import bound_call, callables, compile_in, function_key, graph_spec
from orch_nb.engine.outcome import error_info
from orch_nb.engine.plan import to_data
from orch_nb.engine.ports import Call, Outcome, Prepared, SystemClock
from orch_nb.engine.user_code import ends_task, running_task, words_of
from orch_nb.errors import (
    OrchError,
    ProviderError,
    ProviderFault,
    ProviderTimeout,
    ProviderUnavailable,
    ReplayMismatch,
)
from orch_nb.runtime import budget_limit
from orch_nb.runtime.checks import check_inputs
from orch_nb.runtime.provider_batches import SLOT
from orch_nb.runtime.response_cache import Hit, ResponseCache
from orch_nb.runtime.route_calls import Routes
from orch_nb.schema.budget import budget_of
from orch_nb.schema.events import ErrorInfo
from orch_nb.schema.messages import UNSENT, ModelRequest, Reply, collect
from orch_nb.schema.secret_stream import StreamRedactor
from orch_nb.schema.secrets import REDACTOR
from orch_nb.schema.service import in_words, special
from orch_nb.schema.values import plain
from orch_nb.trace.savings import BATCH, SERVED

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

    from orch_nb.catalog.offers import Offer
    from orch_nb.catalog.priced_request import PricedRequest
    from orch_nb.catalog.prices import Price
    from orch_nb.engine.drive import Expand
    from orch_nb.engine.plan import Chooser, Plan, PlanNode
    from orch_nb.engine.ports import Limit, Machine, Refusal
    from orch_nb.runtime.services import Services
    from orch_nb.schema.events import Event, Settled
    from orch_nb.schema.messages import Message, ModelEvent

ZERO = Decimal(0)
CACHE_SLOT = "recorded"
"""Concurrency slot of recorded answers, which wait for no provider."""
DOWN_POLL_S = 0.05
"""Seconds between the looks of a call that waits until a provider is up again."""
FREED_POLL_S = 0.25
"""Seconds between looks at the ledger: another process's settlement is not announced."""


class Performer:
    """Makes the calls of one run.

    Parameters
    ----------
    runtime
        Whose models, prices, providers, tools and pools are used.
    bound
        Plan and node -> callable, for function and tool nodes.
    scopes
        The budgets around the run (notebook, batch, run), as (scope, limit); a node's own budget is added per call.
    on_text
        Called with (activation key, piece of text) while an answer streams; "" and the key alone when it ended.
    """

    def __init__(
        self,
        runtime: Services,
        plan: Plan,
        bound: Mapping[str, Callable[..., object]],
        namespace: Mapping[str, object],
        *,
        run: str,
        scopes: tuple[tuple[str, Limit], ...],
        on_text: Callable[[str, str], None] | None = None,
        on_call_end: Callable[[str], None] | None = None,
        now: Callable[[], float] = SystemClock.now,
    ) -> None:
        self.runtime, self.plan, self.bound, self.namespace = runtime, plan, bound, namespace
        self.run, self.scopes = run, scopes
        self.on_text, self.on_call_end = on_text, on_call_end
        self.raised: dict[str, Limit] = {}
        """Scopes inside the run whose limit was changed during the run."""
        self._calls: dict[int, tuple[PlanNode, Callable[..., object]]] = {}
        self._said: dict[int, list[str]] = {}
        """Calls that may have been sent -> the pieces of text that were received."""
        self.routes = Routes(runtime, namespace)
        self._priced: dict[str, str] = {}
        self.queue = runtime.batch_queue_of(scopes)
        self.cache = ResponseCache(runtime.answers, run, now)

    # ---------------------------------------------------------------- functions
    def function(self, node: PlanNode) -> Callable[..., object]:
        """Return what the driver calls for a function or tool node."""
        known = self._calls.get(id(node))
        if known is None:
            target = self.bound.get(function_key(node)) or self.namespace.get(node.function)
            if not callable(target):
                raise ReplayMismatch(
                    f"the function `{node.function}` is not defined here.", hint="run the cell that defines it"
                )
            # The node is stored with its call: an `id` is unique only while its object lives.
            known = self._calls[id(node)] = (node, bound_call(node, target, self.runtime.pool))
        return known[1]

    def expand(self, grown: Expand) -> tuple[dict[str, object], dict[str, object]]:
        """Compile and check a graph that a node returned; return its plan and its inputs as data."""
        plan = compile_in(grown.graph, self.namespace)
        self.bound = {**self.bound, **callables(plan, self.namespace, graph_spec(grown.graph))}
        check_inputs(plan, grown.inputs)
        return to_data(plan), plain(grown.inputs, where="the inputs of a grown graph")

    def effect_done(self, key: str) -> str | None:
        """Return the earlier run in which this effect was performed; None where none did."""
        return self.runtime.effect_done(key, self.run)

    # ---------------------------------------------------------------- agents
    def machine(self, node: PlanNode, values: dict[str, object], key: str) -> Machine:
        """Return the conversation of an agent node, from its recorded definition."""
        from orch_nb.agents.machine import AgentMachine

        return AgentMachine(node.spec, values)

    def prepare(self, node: PlanNode, call: Call, idempotency_key: str) -> Prepared:
        """Route, bound and hash one call, so that it can be sent."""
        scopes = self.scopes_of(node)
        if call.kind in ("route", "check"):
            return self.routes.prepare(call, scopes, node)
        if call.kind == "tool":
            return Prepared(
                "tool",
                call.target,
                call.request,
                _tool_hash(call),
                ZERO,
                0,
                scopes,
                None,
                f"tool:{call.target}",
                (node, call),
            )
        return self._prepare_model(node, call, idempotency_key, scopes)

    def scopes_of(self, node: PlanNode) -> tuple[tuple[str, Limit], ...]:
        """Return the budgets around a call of `node`, outermost first, with what they were raised to since."""
        scopes = self.scopes
        if node.budget_usd is not None or node.budget:
            usd = None if node.budget_usd is None else Decimal(node.budget_usd)
            scopes = (*scopes, (f"run:{self.run}/node:{node.name}", budget_of(usd, node.budget)))
        return tuple((scope, self.raised.get(scope, limit)) for scope, limit in scopes) if self.raised else scopes

    def _prepare_model(
        self, node: PlanNode, call: Call, idempotency_key: str, scopes: tuple[tuple[str, Limit], ...]
    ) -> Prepared:
        from orch_nb.agents.fingerprint import request_hash
        from orch_nb.catalog.priced_request import PricedRequest
        from orch_nb.routing.fixed import fixed_route

        asked: ModelRequest = REDACTOR.clean(call.request)[0]
        offer = self.runtime.offer_to_call(node, call.target)
        prices = self.runtime.models.prices
        request = replace(asked, model=offer.model, idempotency_key=idempotency_key)
        priced = PricedRequest.of(request, offer, prices.price(offer))
        has_budget = priced.price is None and self.runtime.has_limit(scopes)
        route = fixed_route(priced, has_budget=has_budget, service=prices.asked(offer.provider)).as_data()
        route = {**route, "because": call.because} if call.because else route
        route = {**route, "chooses": call.chooses} if call.chooses else route
        identity = request_hash(request, provider=offer.provider)
        said = {"messages": [_message_data(m) for m in request.messages], "max_tokens": request.max_tokens,
                "temperature": request.temperature, "schema": request.schema, "seed": request.seed}  # fmt: skip
        if (fresh_s := node.spec.get("cache_s")) is not None:
            hit = self.cache.find(identity, _activation(idempotency_key, self.run), fresh_s)
            if hit is not None:
                return Prepared("model", offer.name, said, identity, ZERO, 0, (), route, CACHE_SLOT, hit)
        route = {**route, **self._figures(node, offer, priced.price, idempotency_key)}
        slot = f"model:{offer.provider}"
        if self.queue is not None and self.queue.takes(offer.provider, priced.price):
            priced, slot = priced.at(priced.price and priced.price.in_batch()), f"{SLOT}{offer.provider}"
        return Prepared("model", offer.name, said, identity, priced.bound_usd,
                        priced.bound_tokens, scopes, route, slot, priced)  # fmt: skip

    def _figures(self, node: PlanNode, offer: Offer, price: Price | None, call: str) -> dict[str, object]:
        """Return the prices of the models that this agent may call, with the first call that may go to each.

        The run is re-priced by them later. A call that is prepared again, for a cheaper model, repeats them.
        """
        made: dict[str, object] = {}
        names = dict.fromkeys([offer.name, *(m["name"] for m in node.spec.get("models", ()))])
        for name in names:
            if self._priced.setdefault(name, call) == call:
                known = price if name == offer.name else self.runtime.price_of(name, node)
                if known is not None:
                    made[name] = known.figures()
        return {"prices": made} if made else {}

    async def call(self, prepared: Prepared, key: str) -> Outcome:
        """Make the call. A failure of the call is an outcome; only a cancellation is raised (see `cancelled`)."""
        if prepared.kind in ("route", "check"):
            return await self.routes.call(prepared)
        if prepared.kind == "tool":
            return await self._tool(prepared)
        if isinstance(prepared.payload, Hit):
            return prepared.payload.outcome()
        if prepared.slot.startswith(SLOT):
            return await self._by_batch(prepared)
        provider = prepared.payload.offer.provider
        waited_s = await self._until_up(provider)
        with self.runtime.availability.trying(provider):
            return await self._ask(prepared, key, waited_s)

    async def _ask(self, prepared: Prepared, key: str, waited_s: float) -> Outcome:
        """Send the request and collect the reply."""
        priced: PricedRequest = prepared.payload
        offer, request = priced.offer, priced.request
        said = self._said[id(prepared)] = []
        task, started = running_task(), asyncio.get_running_loop().time()
        may_be_sent = has_begun = False
        first: list[float] = []
        shown = StreamRedactor()

        def on_text(piece: str) -> None:
            if not first:
                first.append(asyncio.get_running_loop().time() - started)
            said.append(piece)
            if self.on_text is not None and (clean := shown.feed(piece)):
                self.on_text(key, clean)

        def on_event() -> None:
            nonlocal has_begun
            has_begun = True

        try:
            provider = self.runtime.provider(offer.provider)
            may_be_sent = True
            events = cast("AsyncGenerator[ModelEvent, None]", provider.stream(request))
            async with asyncio.timeout(request.timeout_s + 5.0), aclosing(events) as stream:
                reply = await collect(stream, on_text=on_text, on_event=on_event)
            if self.on_text is not None and (clean := shown.flush()):
                self.on_text(key, clean)
            outcome = self._settle(prepared, reply, first[0] if first else None)
        except OrchError as error:
            return self._fail(prepared, error, is_answered=has_begun)
        except TimeoutError:
            return self._fail(prepared, ProviderTimeout(f"`{offer.model}` gave no end within {request.timeout_s:g} s.",
                                                          provider=offer.provider, model=offer.model, billed=may_be_sent))  # fmt: skip
        except BaseException as error:
            if ends_task(error, task):
                self._note_unsent(prepared, error)
                raise
            return self._fail(prepared, _fault(offer, error, billed=may_be_sent))
        finally:
            if self.on_call_end is not None:
                self.on_call_end(key)
        self._said.pop(id(prepared), None)
        self.runtime.availability.note(offer.provider, offer.name, None, asyncio.get_running_loop().time() - started)
        if waited_s:
            remark = f"waited {waited_s:.1f} s for `{offer.provider}`, which was down"
            outcome.note = "; ".join(filter(None, (outcome.note, remark)))
        return outcome

    async def _until_up(self, provider: str) -> float:
        """Wait while a provider is down and another call tries it; return the seconds waited, 0 where it was up.

        Stop and timeouts end the wait.
        """
        seen, loop = self.runtime.availability, asyncio.get_running_loop()
        began, has_waited = loop.time(), False
        while seen.wait_s(provider) is not None:
            has_waited = True
            await asyncio.sleep(DOWN_POLL_S)
        return loop.time() - began if has_waited else 0.0

    async def _by_batch(self, prepared: Prepared) -> Outcome:
        """Make the call by the provider's batch interface, billed at the batch price."""
        priced: PricedRequest = prepared.payload
        offer, request, price = priced.offer, priced.request, priced.price
        assert self.queue is not None
        self._said[id(prepared)] = []
        task, is_answered = running_task(), False
        try:
            reply, batch = await self.queue.ask(offer.provider, prepared.request_hash, request)
            is_answered = True
            made = self._settle(prepared, reply, None)
        except OrchError as error:
            return self._fail(prepared, error, is_answered=is_answered)
        except BaseException as error:
            if ends_task(error, task):
                self._note_unsent(prepared, error)
                raise
            return self._fail(prepared, _fault(offer, error, billed=True))
        del self._said[id(prepared)]
        if made.cost_usd is not None:
            is_exact = made.tokens is not None and price is not None  # a guess saves nothing
            standard_usd = made.cost_usd / price.share if price is not None and is_exact else made.cost_usd
            made.reply[BATCH] = {"id": batch, "standard_usd": str(standard_usd)}
        return made

    def _settle(self, prepared: Prepared, reply: Reply, first_token_s: float | None) -> Outcome:
        """Return the outcome of a call with a reply: billed as it was served."""
        from orch_nb.catalog.billing import settle_usage

        priced: PricedRequest = prepared.payload
        offer, request = priced.offer, priced.request
        calls = [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in reply.tool_calls]
        said = reply.text + "".join(c["name"] + c["arguments"] for c in calls)
        price, service, is_priced = self._price_served(offer, priced.price, reply.served)
        s = settle_usage(
            reply.usage, priced, price, answer=said, reasoned=reply.reasoned, served="" if is_priced else in_words(service),
        )  # fmt: skip
        data: dict[str, object] = {"text": reply.text}
        if calls:
            data["tool_calls"] = calls
        if reply.model and reply.model != request.model:
            data["model"] = reply.model
        if service:
            data[SERVED] = service
        if reply.logprobs:
            data["logprobs"] = [[token, round(value, 6)] for token, value in reply.logprobs]
        return Outcome(
            True, plain(data, where=f"the answer of `{prepared.target}`"), s.usage, s.cost_usd, s.overrun_usd, None,
            reply.finish_reason, first_token_s, _label(price), s.note, s.tokens,
        )  # fmt: skip

    def _price_served(
        self, offer: Offer, price: Price | None, served: Mapping[str, str]
    ) -> tuple[Price | None, dict[str, str], bool]:
        """Return the price of a call as it was served, how that was where it is not ordinary, and whether the price is known.

        An unknown price is replaced by the one that was reserved at. A reply that names no service was served as asked.
        """
        prices = self.runtime.models.prices
        asked = prices.asked(offer.provider)
        service = special({**asked, **served})
        if price is None or service == asked:
            return price, service, True
        if price.share != 1:  # by the batch interface, which is asked for by its address
            return price, service, service == {"service_tier": "batch"}
        found = prices.price(offer, service=service)
        return (price if found is None else found), service, found is not None

    def _note_unsent(self, prepared: Prepared, stop: BaseException) -> None:
        """Record that a cancelled call was not sent, where its provider says so."""
        if UNSENT in stop.args:
            self._said.pop(id(prepared), None)

    def _fail(self, prepared: Prepared, error: OrchError, *, is_answered: bool = False) -> Outcome:
        """Return the outcome of a failed call. It is free only if its error says so and no part of an answer was received."""
        offer = prepared.payload.offer
        info = error_info(error)
        self.runtime.availability.note(offer.provider, offer.name, info, 0.0)
        said = "".join(self._said.pop(id(prepared), ()))
        billed = bool(is_answered or getattr(error, "billed", False) or said)
        return _end_unfinished(prepared, info, said, billed=billed, why="the provider may bill this failed call")

    def cancelled(self, prepared: Prepared) -> Outcome:
        """Return the outcome of a cancelled call: free if nothing was sent, else its true cost is not known."""
        error = ErrorInfo("ORCH209", "Cancelled", "the call was interrupted", "cancelled")
        if prepared.kind != "model" or isinstance(prepared.payload, Hit):
            return Outcome(False, cost_usd=ZERO, error=error)
        said = self._said.pop(id(prepared), None)
        return _end_unfinished(
            prepared, error, "".join(said or ()), billed=said is not None, why="interrupted before its usage was sent"
        )

    async def _tool(self, prepared: Prepared) -> Outcome:
        _, call = prepared.payload
        try:
            value = await self.runtime.run_tool(call.target, call.request, self.namespace)
        except Exception as error:
            return Outcome(False, cost_usd=ZERO, error=error_info(error))
        return Outcome(True, value, cost_usd=ZERO)

    # ---------------------------------------------------------------- at a limit
    def at_limit(self, node: PlanNode, refusal: Refusal) -> str:
        """Return what the refusing budget does at its limit: "stop", "degrade" or "ask"."""
        return budget_limit.budget_at(self, node, refusal.scope).at_limit

    def degrade(self, node: PlanNode, call: Call, key: str, refused: Prepared, refusal: Refusal) -> Prepared | None:
        """Return the same call to a cheaper model that fits, or None."""
        return budget_limit.degraded(self, node, call, key, refused, refusal)

    def ask_more(self, node: PlanNode, refusal: Refusal) -> tuple[str, dict[str, str]]:
        """Return the question to a person who may raise the budget, and the figures shown with it."""
        return budget_limit.question_of(node.name, refusal), budget_limit.shown_to_person(refusal)

    def raise_limit(
        self, node: PlanNode, shown: Mapping[str, str], amount: object, now: float, *, is_trial: bool = False
    ) -> list[Event]:
        """Raise the budget that was shown; a trial only checks that `amount` is an amount."""
        if is_trial:
            budget_limit.raised_budget(shown, amount, budget_limit.budget_at(self, node, shown["scope"]))
            return []
        return budget_limit.raise_limit(self, node, shown, amount, now)

    # ---------------------------------------------------------------- the rest
    async def choose(
        self, chooser: Chooser, text: str, facts: Mapping[str, Mapping[str, Any]] | None = None
    ) -> dict[str, object]:
        """Decide `by similarity` or `by fit`, on the thread that embeds."""
        if chooser.how == "fit":
            return await self.routes.by_fit(self.plan, chooser, text, facts or {})
        made = self.runtime.chooser(chooser)
        loop = asyncio.get_running_loop()
        decision: dict[str, object] = await loop.run_in_executor(self.runtime.embed_pool, made.choose, text)
        return {"path": ".".join((chooser.read.ref, *chooser.read.path)), **decision}

    def judge(self, chooser: Chooser, text: str) -> Call:
        """Return the call that asks a judge for the next node."""
        return self.routes.judge(chooser, text)

    def verdict(self, chooser: Chooser, settled: Settled) -> dict[str, object]:
        """Return the decision of a judge's answer."""
        return self.routes.verdict(chooser, settled)

    @asynccontextmanager
    async def slot(self, name: str) -> AsyncIterator[None]:
        """Wait for a place among the concurrent calls to one provider, and take it."""
        async with self.runtime.slot(name):
            yield

    async def freed(self) -> None:
        """Wait until a hold was settled in this process, or `FREED_POLL_S` passed."""
        await self.runtime.freed(FREED_POLL_S)


def _fault(offer: Offer, error: BaseException, *, billed: bool) -> ProviderError:
    """Return an error of an adapter that is not ours as a `ProviderError`."""
    kind = ProviderUnavailable if isinstance(error, ConnectionError) else ProviderFault
    return kind(
        f"`{offer.provider}` raised {type(error).__name__}: {words_of(error)[:500]}", provider=offer.provider, model=offer.model,
        billed=billed,
    )  # fmt: skip


def _end_unfinished(prepared: Prepared, error: ErrorInfo, said: str, *, billed: bool, why: str) -> Outcome:
    """Return the outcome of a call that ended without its usage."""
    from orch_nb.catalog.billing import settle_usage

    priced: PricedRequest = prepared.payload
    s = settle_usage(None, priced, priced.price, answer=said, billed=billed, why=why)
    return Outcome(
        False, {"text": _cut(said)} if said else None, s.usage, s.cost_usd, s.overrun_usd, error, price=_label(priced.price),
        note=s.note, tokens=s.tokens,
    )  # fmt: skip


def _cut(said: str) -> str:
    """Return the text that was received before a call ended, without the beginning of a key at its end."""
    stream = StreamRedactor()
    return stream.feed(said) + stream.flush(is_cut=True)


def _activation(idempotency_key: str, run: str) -> str:
    """Return the activation's key of a call's ``run/activation/call``."""
    return idempotency_key.removeprefix(f"{run}/").rpartition("/")[0]


def _label(price: Price | None) -> str:
    return "" if price is None else price.label


def _message_data(message: Message) -> dict[str, object]:
    row: dict[str, object] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        row["tool_calls"] = [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in message.tool_calls]
    if message.tool_call_id:
        row["tool_call_id"] = message.tool_call_id
    return row


def _tool_hash(call: Call) -> str:
    from orch_nb.schema.canonical import digest

    return digest(["tool", 1, call.target, call.request])
