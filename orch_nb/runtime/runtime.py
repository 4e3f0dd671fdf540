"""One process's runtime: models, prices, providers, store, budget, and the runs under way."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orch_nb._version import __version__
from orch_nb.agents.binding import callables, check_sources, compile_in, graph_spec, refuse_secrets
from orch_nb.engine.drive import Driver
from orch_nb.engine.fold import fold
from orch_nb.engine.loop import RunLoop
from orch_nb.engine.plan import from_data, model_named, to_data
from orch_nb.engine.ports import Policy
from orch_nb.engine.state import RunState
from orch_nb.engine.user_code import contained
from orch_nb.errors import MissingInput, ModelNotInstalled, OrchError, RunCancelled, nearest
from orch_nb.handle import RunHandle
from orch_nb.runtime.baseline import baseline_of
from orch_nb.runtime.batch_desk import SLOT
from orch_nb.runtime.perform import Performer
from orch_nb.runtime.run_evidence import evidence_of
from orch_nb.schema import events as ev
from orch_nb.schema.budget import Budget, budget_of, parse_budget
from orch_nb.schema.secrets import REDACTOR, Redactor
from orch_nb.schema.values import plain
from orch_nb.trace.alerts import ALERT_FACTOR

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from decimal import Decimal

    from orch_nb.catalog.availability import Availability
    from orch_nb.catalog.models import ModelBook
    from orch_nb.catalog.offers import Offer
    from orch_nb.catalog.prices import Price
    from orch_nb.engine.plan import Chooser, Plan, PlanNode
    from orch_nb.engine.ports import Balance, Limit, RunLog
    from orch_nb.routing.evidence import Evidence
    from orch_nb.routing.learned.proposal import Learning
    from orch_nb.runtime.batch_desk import BatchDesk
    from orch_nb.runtime.response_cache import AnswerBook
    from orch_nb.store.approvals import Accepted

    Kept = Awaitable[None] | None
    """What to await until a run's first events are kept; None: they are."""

UNBOUNDED = 1_000_000
"""Calls that wait in a provider's batch take nobody's place."""
MAX_THREADS = 32
"""Sync functions under way at once; more would only fight for the interpreter."""
MODEL_SLOT = "model:"
"""Before a provider's name in what the concurrency of its calls is named by."""
CALLS_AT_ONCE_DEFAULT = 8


class Runtime:
    """Wires everything together.

    Parameters
    ----------
    folder
        Where the notebook lies: its store is ``folder/.orch``. The working directory unless told; ``ORCH_STORE`` overrides.
    store
        A store of your own (`MemoryStore()` keeps nothing on disk).
    models
        The notebook's names of models.
    """

    def __init__(self, folder: str | Path | None = None, *, store: Any = None, models: ModelBook | None = None) -> None:
        self.folder = Path(folder or os.environ.get("ORCH_STORE") or Path.cwd())
        self.notice = ""
        self.notebook: str = ""
        self.alert_factor = ALERT_FACTOR
        """A run that costs more than so many times what its graph usually costs says so, while it goes on."""
        self.run_loop = RunLoop()
        self.run_loop.on_end = self._loop_ended
        self._store = store
        self._models = models
        if models is not None:
            models.calibration = self._calibration
        self._providers: dict[str, Any] = {}
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._caps: dict[str, int] = {}
        self._choosers: dict[str, Any] = {}
        self._availability: Availability | None = None
        self._accepted: Accepted | None = None
        self._learning: Learning | None = None
        self._embedder: Any = None
        self._handles: dict[str, RunHandle] = {}
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._embed_pool: ThreadPoolExecutor | None = None
        self._freed: asyncio.Event | None = None
        self._answers: AnswerBook | None = None
        self.desks: dict[str, BatchDesk] = {}
        """Scope of a batch -> the desk at which its calls wait for the provider's batch interface."""
        self.past: dict[str, Any] = {}
        """Run -> the figures of an ended run that quotes rest on, remembered (`past_runs`)."""

    # ---------------------------------------------------------------- parts
    @property
    def store(self) -> Any:
        """The store, opened (on the run loop's thread) at first use."""
        if self._store is None:
            self._store = self.run_loop.ask(self._open_store)
        return self._store

    def _open_store(self) -> Any:
        from orch_nb.store.location import open_store

        store, self.notice = open_store(self.folder)
        return store

    @property
    def models(self) -> ModelBook:
        """Names of models, their offers and prices."""
        if self._models is None:
            from orch_nb.catalog import models
            from orch_nb.providers.local_models.local import LocalModel

            self._models = models.ModelBook(is_local_installed=lambda: LocalModel().is_installed)
            self._models.calibration = self._calibration
            models.use(self._models)
        return self._models

    @property
    def answers(self) -> AnswerBook:
        """What models answered in the runs of this store: the response cache."""
        if self._answers is None:
            from orch_nb.runtime.response_cache import AnswerBook

            self._answers = AnswerBook(self.store)
        return self._answers

    @property
    def pool(self) -> ThreadPoolExecutor:
        """Threads of sync functions."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(MAX_THREADS, "orch_nb function")
        return self._pool

    @property
    def embed_pool(self) -> ThreadPoolExecutor:
        """The one thread that embeds."""
        if self._embed_pool is None:
            self._embed_pool = ThreadPoolExecutor(1, "orch_nb embed")
        return self._embed_pool

    def provider(self, name: str) -> Any:
        """The adapter of this name, made at first use."""
        made = self._providers.get(name)
        if made is None:
            made = self._providers[name] = self._make_provider(name)
        return made

    def _make_provider(self, name: str) -> Any:
        if name == "local":
            from orch_nb.providers.local_models.local import LocalModel

            return LocalModel()
        if name.startswith("local:"):
            return self._model_of_file(name)
        if name == "echo":
            from orch_nb.providers.fakes import EchoProvider

            return EchoProvider()
        from orch_nb.providers.vendors import vendor

        return vendor(name)

    def _model_of_file(self, name: str) -> Any:
        from orch_nb.providers.local_models.local import LocalModel

        path = self.models.file_of(name)
        if path is None:
            stem = name.partition(":")[2]
            raise ModelNotInstalled(
                f"where the model file {stem}.gguf lies is not known here.",
                hint=f"run the cell that names it: `%orch models set NAME=PATH/{stem}.gguf`",
            )
        return LocalModel(name, model=path.stem, model_path=path)

    def check_provider(self, name: str) -> None:
        """Refuse the name of a provider that could not be asked.

        Raises
        ------
        UnknownModel
            There is no adapter of this name; the nearest is named, and the line that gives one.
        """
        from orch_nb.errors import UnknownModel
        from orch_nb.providers.vendors import ADDRESSES, OWN_SERVERS, unknown_hint

        known = {*ADDRESSES, *OWN_SERVERS, "local", "echo", *self._providers}
        if name not in known and not name.startswith("local:"):
            hint = unknown_hint(name, self._providers)
            raise UnknownModel(f"no provider is called `{name}`.", hint=hint, model=name)

    def add_provider(self, provider: Any) -> None:
        """Use `provider` for the offers that name it (tests' `ScriptedProvider`, a server of your own)."""
        self._providers[provider.name] = provider
        self.models.know_provider(provider.name)
        self.models.prices.asks(provider.name, getattr(provider, "asked_service", {}))

    # ---------------------------------------------------------------- what a run's performer asks
    def slot(self, name: str) -> asyncio.Semaphore:
        """The semaphore of one provider on the run loop."""
        made = self._slots.get(name)
        if made is None:
            at_once = self._caps.get(name) or self._calls_at_once(name)
            made = self._slots[name] = asyncio.Semaphore(at_once)
        return made

    def _calls_at_once(self, slot: str) -> int:
        """How many calls a provider takes at once: what it says itself (`parallel`, of a model of this machine), or many."""
        if slot.startswith(SLOT):
            return UNBOUNDED
        if not slot.startswith(MODEL_SLOT):
            return CALLS_AT_ONCE_DEFAULT
        try:
            own = getattr(contained(self.provider, slot.removeprefix(MODEL_SLOT)), "parallel", None)
        except Exception:  # the call itself meets it again, and is settled with it
            return CALLS_AT_ONCE_DEFAULT
        return own if isinstance(own, int) and own > 0 else CALLS_AT_ONCE_DEFAULT

    def redactor(self) -> Redactor:
        """The redactor of this process, told the keys that are in use here by now."""
        from orch_nb.errors import AuthFailed
        from orch_nb.providers.keys import key_source

        known = self.models.key_values()
        for name, provider in self._providers.items():
            source = key_source(getattr(provider, "key_reference", None) or None, name)
            if source is not None:
                try:
                    known[source.reference] = source.resolve().reveal()
                except AuthFailed:
                    continue  # a key that is not there is in no value either
        REDACTOR.know(known.values())
        return REDACTOR

    def limit_calls(self, provider: str, at_once: int) -> None:
        """Cap the calls under way to one provider; the wait is recorded apart from the model's time."""
        slot = f"{MODEL_SLOT}{provider}"
        self._caps[slot] = at_once
        self._slots[slot] = asyncio.Semaphore(at_once)

    async def freed(self, at_most_s: float) -> None:
        """Until a hold was settled here, or `at_most_s` seconds passed."""
        if self._freed is None:
            self._freed = asyncio.Event()
        self._freed.clear()
        try:
            async with asyncio.timeout(at_most_s):
                await self._freed.wait()
        except TimeoutError:
            return

    def tell_freed(self) -> None:
        """A hold was settled: whoever waits for room looks again."""
        if self._freed is not None:
            self._freed.set()

    def route(self, node: PlanNode, name: str, request: Any, fixed: Any, limited: bool) -> tuple[Offer, dict[str, Any]]:
        """The offer of a call, and why. The plan's own record of the model stands for the whole run.

        Raises
        ------
        UnknownModel
            The provider of the recorded model is not known here.
        """
        offer = self.offer(node, name)
        if offer.is_planned:
            self._check_planned(offer)
        route = fixed(self.models, limited).route(name, request, offer)
        return route.offer, route.as_data()

    def offer(self, node: PlanNode, name: str) -> Offer:
        """What a model's name stands for in a plan's node: the recorded model, else what the name means now."""
        return self.models.planned(name, model_named(node, name))

    def _check_planned(self, offer: Offer) -> None:
        from orch_nb.errors import UnknownModel

        try:
            self.check_provider(offer.provider)
        except UnknownModel as error:
            raise UnknownModel(
                f"`{offer.name}` is {offer.provider}/{offer.model} in the plan of this run, and {error}",
                hint=error.hint, model=offer.name,
            ) from None  # fmt: skip

    def desk_of(self, scopes: tuple[tuple[str, Limit], ...]) -> BatchDesk | None:
        """The desk of the batch that these budgets are of; None where calls are made one by one."""
        return next((self.desks[scope] for scope, _ in scopes if scope in self.desks), None) if self.desks else None

    def price_of(self, name: str, node: PlanNode | None = None) -> Price | None:
        """Today's price of the model of this name (in a plan's node); None where nobody knows, or where it means nothing."""
        from orch_nb.errors import UnknownModel

        try:
            return self.models.prices.price(self.models.resolve(name) if node is None else self.offer(node, name))
        except UnknownModel:
            return None

    def has_limit(self, scopes: tuple[tuple[str, Limit], ...]) -> bool:
        """Whether any of these scopes has a limit in the ledger."""
        return any((b := self.store.balance(scope)) is not None and b.limit_usd is not None for scope, _ in scopes)

    def chooser(self, chooser: Chooser) -> Any:
        """The similarity chooser of a plan's node, its candidates embedded once per process."""
        candidates = {c: (chooser.describe.get(c, ""), chooser.examples.get(c, ())) for c in chooser.candidates}
        return self.similarity(candidates, chooser.threshold)

    def similarity(self, candidates: Mapping[str, tuple[str, tuple[str, ...]]], threshold: float) -> Any:
        """The chooser among these candidates, (description, examples) by name; one for each process."""
        from orch_nb.routing.intent.similarity import SimilarityChooser

        made = SimilarityChooser(self.embedder, candidates, threshold)
        return self._choosers.setdefault(made.key, made)

    @property
    def accepted(self) -> Accepted:
        """What was agreed to for all runs; kept beside the store, where that has a place."""
        if self._accepted is None:
            from orch_nb.store.approvals import NAME, Accepted

            path = getattr(self.store, "path", None)
            self._accepted = Accepted(None if path is None else Path(path).with_name(NAME))
        return self._accepted

    @property
    def learning(self) -> Learning:
        """Learned routers of this process."""
        if self._learning is None:
            from orch_nb.providers.local_models.wordpiece import word_rank
            from orch_nb.routing.learned.proposal import Learning

            self._learning = Learning(lambda: self.embedder, word_rank)
        return self._learning

    def _calibration(self, agent: str, by: str) -> Any:
        kept = self.accepted.find("calibration", f"{agent} {by}")
        return None if kept is None else kept["points"]

    @property
    def availability(self) -> Availability:
        """What was seen of providers in this process."""
        if self._availability is None:
            from orch_nb.catalog.availability import Availability

            self._availability = Availability()
        return self._availability

    @property
    def embedder(self) -> Any:
        """The embedder in process."""
        if self._embedder is None:
            from orch_nb.providers.local_models.embeddings import default_embedder

            self._embedder = default_embedder()
        return self._embedder

    async def run_tool(self, name: str, arguments: str, namespace: Mapping[str, Any]) -> Any:
        """A tool's result; sync tools run on a thread."""
        from orch_nb.tools.registry import find_tool, run_tool

        return await run_tool(find_tool(name, namespace), arguments, self.pool)

    # ---------------------------------------------------------------- evidence
    def add_evidence(self, rows: Iterable[Evidence]) -> None:
        """Keep judgements of models on tasks; one with a known key replaces the earlier one. From any thread.

        Raises
        ------
        UnstorableValue
            A row has no key, task or model, or a figure that is none; then none of `rows` is kept.
        """
        self.redactor()
        kept = list(rows)
        self.run_loop.ask(lambda: self.store.add_evidence(kept))

    def evidence(self, task: str | None = None) -> list[Evidence]:
        """What was measured of models on `task` (None: on all tasks), in order of time, then key."""
        made: list[Evidence] = self.run_loop.ask(lambda: self.store.evidence(task))
        return made

    def effect_done(self, key: str, run: str) -> str | None:
        """The earlier run in which the effect of this idempotency key was performed, or None."""
        found: str | None = self.store.effect_done(key, but=run)
        return found

    # ---------------------------------------------------------------- money
    @property
    def scope(self) -> str:
        """The ledger's name of this notebook's budget."""
        return f"notebook:{REDACTOR.text(self.notebook) or 'untitled'}"

    def budget(self) -> Balance:
        """The notebook's budget and what has come of it, over all its runs."""
        made: Balance = self.run_loop.ask(self.store.balance, self.scope)
        return made

    def set_budget(self, budget: Any) -> Balance:
        """Set the notebook's budget. Idempotent; what is not mentioned stays as it is.

        Parameters
        ----------
        budget
            In the grammar of `schema.budget`: 0.50, "0.50 tokens=200000 calls=100", "+0.50" to raise it, "0.50 ask",
            "calls=none"; None: no limit at all.

        Raises
        ------
        BadOption
            Not a budget, less than what is spent and held already, or a model to degrade to that nobody knows.
        """
        now = self.budget()
        wanted = Budget() if budget is None else parse_budget(budget, before=now.budget)
        check_room(now, wanted)
        self._check_degrade(wanted)
        self.run_loop.ask(self.store.set_limit, self.scope, wanted)
        return self.budget()

    def set_alert(self, factor: Any) -> Decimal:
        """How many times the usual cost a run may cost before that is said aloud; for the runs that start from now on.

        Raises
        ------
        BadOption
            Not a number above 1.
        """
        from orch_nb.errors import BadOption
        from orch_nb.schema.amount import read_amount

        made = read_amount(
            factor, "`alert`", most=10**9, of="a number of times", example="`alert=3`: three times the usual cost"
        )
        if made <= 1:
            raise BadOption(f"`alert` is {made}; it must be above 1.", hint="`%orch budget alert=3` is the usual")
        self.alert_factor = made
        return made

    def reset_budget(self) -> Balance:
        """Begin to count anew: nothing spent, in doubt or overrun in this notebook's budget. Its limits stay."""
        self.run_loop.ask(self.store.reset, self.scope)
        return self.budget()

    def _check_degrade(self, budget: Budget) -> None:
        if budget.degrade:
            self.models.resolve(budget.degrade)

    def _limit_of(self, given: Any, before: Budget | None = None) -> Budget:
        """The budget that was given for a run; without one, that of before."""
        made = (before or Budget()) if given is None else parse_budget(given, before=before)
        self._check_degrade(made)
        return made

    # ---------------------------------------------------------------- runs
    def check_inputs(self, plan: Plan, inputs: Mapping[str, Any]) -> None:
        """Every input there, and no other.

        Raises
        ------
        MissingInput
            One is missing, or one is given that nothing reads; the nearest name is told.
        """
        known = {*plan.inputs, *plan.optional_inputs, *plan.state}
        missing = [name for name in plan.inputs if name not in inputs]
        extra = [name for name in inputs if name not in known]
        if not missing and not extra:
            return
        parts = []
        if missing:
            parts.append(f"`{plan.name}` needs {_names(missing)}")
        if extra:
            parts.append(f"nothing in `{plan.name}` reads {_names(extra)}")
        near = nearest(extra[0], missing or known) if extra else ""
        hint = f"did you mean `{near}`?" if near else f"inputs: {_names(sorted(known)) or 'none'}"
        raise MissingInput("; ".join(parts) + ".", hint=hint, missing=missing, extra=extra)

    def check_models(self, plan: Plan, *, with_keys: bool = True) -> None:
        """Every model that the plan may call is known, its provider can be made, and its key is there.

        Parameters
        ----------
        with_keys
            False asks for the names alone: a quote needs no key.

        Raises
        ------
        UnknownModel, AuthFailed
            Before anything is spent or stored.
        """
        for node in plan.nodes:
            if node.kind == "agent":
                is_routed = "route" in node.spec  # a route leaves out what has no key, and says so
                for model in (*node.spec.get("models", ()), *node.spec.get("others", ())):
                    offer = self.offer(node, model["name"])
                    if with_keys and not is_routed:
                        self.check_key(self.provider(offer.provider))
            if node.chooser is not None and node.chooser.model:
                offer = self.offer(node, node.chooser.model)
                if with_keys:
                    self.check_key(self.provider(offer.provider))
        for sub in plan.subplans.values():
            self.check_models(sub, with_keys=with_keys)

    @staticmethod
    def check_key(provider: Any) -> None:
        """A key that is not there is said before the run begins, not at the first call.

        Raises
        ------
        AuthFailed
            It is not there.
        """
        reference = getattr(provider, "key_reference", "")
        if reference:
            from orch_nb.providers.keys import key_source

            source = key_source(reference, provider.name)
            if source is not None:
                source.resolve()

    def start(
        self,
        target: Any,
        inputs: Mapping[str, Any],
        *,
        budget_usd: Any = None,
        as_name: str = "",
        namespace: Mapping[str, Any] | None = None,
        attended: bool = False,
        again: bool = False,
        on_change: Callable[[RunHandle], None] | None = None,
        plan: Plan | None = None,
        run: str = "",
        parent: dict[str, Any] | None = None,
        scopes: tuple[tuple[str, Limit], ...] = (),
    ) -> RunHandle:
        """Start a graph, an agent or a function; the handle is there at once.

        Parameters
        ----------
        inputs
            By name, plain data.
        budget_usd
            The run's own limit, inside the notebook's: US dollars, or the grammar of `schema.budget`. An input called `budget`
            that the graph does not read means the same.
        namespace
            Where names are bound; the caller's notebook.
        attended
            Whether a person can be asked.
        again
            Perform declared effects even where an earlier run has performed the same.

        Raises
        ------
        GraphError, MissingInput, UnstorableValue, UnknownModel, …
            Before anything is spent or stored.
        """
        namespace = {} if namespace is None else namespace
        redactor = self.redactor()
        if plan is None:
            plan = compile_in(target, namespace)
        if "budget" in inputs and budget_usd is None and not _reads(plan, "budget"):
            budget_usd, inputs = inputs["budget"], {name: v for name, v in inputs.items() if name != "budget"}
        self.check_inputs(plan, inputs)
        self.check_models(plan)
        refuse_secrets(plan)
        given, replaced = redactor.clean({n: plain(value, where=f"input `{n}`") for n, value in inputs.items()})
        limit = self._limit_of(budget_usd)
        bound = callables(plan, namespace, graph_spec(target) if target is not None else None)
        policy = Policy(attended=attended, again=again)
        store = self.store
        of_batch = (parent or {}).get("of_batch")
        baseline = None if of_batch else baseline_of(self, plan, given)

        def begin() -> tuple[RunHandle, RunLog, RunState, Kept]:
            if not of_batch:
                self.availability.try_again()
            name = run or store.next_run()
            log = store.create(name)
            event = ev.RunStarted(
                name,
                plan.name,
                to_data(plan),
                given,
                policy.clock.now(),
                limit.usd,
                self.notebook,
                parent,
                __version__,
                attended,
                limit.beside_usd(),
                baseline,
                dict(replaced) or None,
            )
            kept = append_first(log, [event])
            handle = RunHandle(name, plan, [event], self.run_loop)
            return handle, log, fold(plan, RunState(), event), kept

        handle, log, state, kept = self.run_loop.ask(begin)
        handle.name, handle.on_change = as_name, on_change
        around = (*((self.scope, None),), *scopes, (f"run:{handle.run}", limit))
        self._launch(handle, log, state, plan, bound, namespace, around, policy, kept=kept)
        return handle

    async def run_here(
        self, plan: Plan, inputs: dict[str, Any], bound: Mapping[str, Any], *, policy: Policy | None = None
    ) -> RunState:
        """Drive one run of a compiled plan on the caller's own loop: for programs that have one, and for benchmarks.

        Parameters
        ----------
        bound
            `callables(plan, namespace)`: worked out once for many runs of one plan.

        Returns
        -------
        RunState
            As it is at the end; ``state.output`` is the output.
        """
        store, policy = self.store, policy or Policy(attended=False)
        run = store.next_run()
        log = store.create(run)
        try:
            event = ev.RunStarted(
                run, plan.name, to_data(plan), inputs, policy.clock.now(), None, self.notebook, None, __version__, False
            )
            pending = log.append([event])
            scopes = ((self.scope, None), (f"run:{run}", None))
            performer = Performer(self, plan, bound, {}, run=run, scopes=scopes, now=policy.clock.now)
            state = fold(plan, RunState(), event)
            if pending is not None:
                await pending
            return await Driver(plan, log, performer, state, policy).run()
        finally:
            log.close()

    async def resume_here(self, run: str, namespace: Mapping[str, Any], *, policy: Policy | None = None) -> RunState:
        """Go on with a run on the caller's own loop; the plan is read from its log, functions are bound in `namespace`."""
        policy = policy or Policy(attended=False)
        events = [event for _, event in self.store.read(run)]
        plan = from_data(events[0].plan)
        log = self.store.open(run)
        try:
            resumed = ev.Resumed(policy.clock.now(), policy.attended)
            pending = log.append([resumed])
            scopes = ((self.scope, None), (f"run:{run}", None))
            performer = Performer(self, plan, {}, namespace, run=run, scopes=scopes, now=policy.clock.now)
            performer.cache.remember(events)
            state = fold_events(plan, [*events, resumed])
            if pending is not None:
                await pending
            return await Driver(plan, log, performer, state, policy).run()
        finally:
            log.close()

    def _launch(
        self, handle: RunHandle, log: RunLog, state: RunState, plan: Plan, bound: Mapping[str, Any],
        namespace: Mapping[str, Any], scopes: tuple[tuple[str, Limit], ...], policy: Policy,
        raised: Mapping[str, Limit] | None = None, *, kept: Kept = None,
    ) -> None:  # fmt: skip
        performer = Performer(
            self, plan, bound, namespace, run=handle.run, scopes=scopes, on_text=handle._on_text,
            on_call_end=handle._on_call_end, now=policy.clock.now,
        )  # fmt: skip
        performer.raised.update(raised or {})
        performer.cache.remember(handle._events)
        with self._lock:
            self._handles[handle.run] = handle

        def launch() -> None:
            driver = Driver(plan, _Telling(log, self), performer, state, policy, handle._on_events)
            driver.on_waiting = handle._on_waiting
            handle._driver = driver
            handle._task = asyncio.get_running_loop().create_task(
                _drive(driver, handle, log, self, kept), name=f"run {handle.run}"
            )

        self.run_loop.post(launch)

    def resume(
        self,
        run: str,
        *,
        budget_usd: Any = None,
        namespace: Mapping[str, Any] | None = None,
        attended: bool = False,
        on_change: Callable[[RunHandle], None] | None = None,
    ) -> RunHandle:
        """Go on with a run that failed, was stopped or interrupted. What is recorded is not done again.

        Raises
        ------
        RunNotFound, RunLocked
            There is no such run; another process (or this one) is driving it.
        ReplayMismatch
            A function's source is not the recorded one, or is not defined here.
        """
        namespace = {} if namespace is None else namespace
        open_here = self._handles.get(run)
        if open_here is not None and not open_here.done():
            return open_here
        events = self.run_loop.ask(lambda: [event for _, event in self.store.read(run)])
        begun = events[0]
        if begun.parent and begun.parent.get("batch"):
            raise OrchError(f"run {run} is a batch.", hint="`orch_nb.resume` resumes its rows")
        plan = from_data(begun.plan)
        bound = callables(plan, namespace)
        check_sources(plan, namespace, run)
        self.redactor()
        policy = Policy(attended=attended)
        limits = _limits_set(events)
        limit = self._limit_of(budget_usd, limits.pop("", Budget()))

        def begin() -> tuple[RunLog, RunState, list[Any], Kept]:
            self.availability.try_again()
            log = self.store.open(run)
            new: list[Any] = [ev.Resumed(policy.clock.now(), attended)]
            if budget_usd is not None:
                new.append(ev.LimitChanged(limit.usd, policy.clock.now(), limit.beside_usd()))
            kept = append_first(log, new)
            return log, fold_events(plan, [*events, *new]), new, kept

        log, state, new, kept = self.run_loop.ask(begin)
        handle = RunHandle(run, plan, [*events, *new], self.run_loop)
        handle.on_change = on_change
        for event in events:
            if isinstance(event, ev.Opened) and event.plan is not None:
                bound = {**bound, **callables(from_data(event.plan), namespace)}
        around = ((self._scope_of(begun), None), *_batch_scope(begun), (f"run:{run}", limit))
        self._launch(handle, log, state, plan, bound, namespace, around, policy, limits, kept=kept)
        return handle

    def _scope_of(self, begun: ev.RunStarted) -> str:
        return f"notebook:{begun.notebook or 'untitled'}"

    def open(self, run: str) -> RunHandle:
        """A run of this store: the live handle where it is under way here, else its record."""
        live = self._handles.get(run)
        if live is not None:
            return live
        events = self.run_loop.ask(lambda: [event for _, event in self.store.read(run)])
        return RunHandle(run, from_data(events[0].plan), events, None)

    def latest(self) -> RunHandle:
        """The newest run of this notebook."""
        rows = self.runs(limit=1)
        if not rows:
            raise OrchError("no run yet in this notebook.", hint="`%orch run GRAPH`")
        return self.open(rows[0].run)

    def runs(self, *, limit: int = 20, status: str | None = None, every_notebook: bool = False) -> list[Any]:
        """Runs of this notebook, newest first; a batch is one row with the money of all its own, which are not listed."""
        notebook = None if every_notebook else REDACTOR.text(self.notebook)
        rows: list[Any] = self.run_loop.ask(
            lambda: self.store.runs(notebook=notebook, status=status, limit=limit, batch_rows=False)
        )
        return rows

    def unfinished(self) -> list[Any]:
        """Runs that can be resumed: failed, stopped, interrupted or waiting for a person."""
        return [r for r in self.runs(limit=200) if r.status != "done"]

    def live_runs(self) -> list[RunHandle]:
        """Runs under way in this process."""
        return [h for h in self._handles.values() if not h.done()]

    def _loop_ended(self, ended: OrchError) -> None:
        """Nobody drives the runs under way any more: they can be resumed, on the loop that the next call starts."""
        for handle in self.live_runs():
            if handle._driver is not None:
                with suppress(Exception):  # the run stays locked to this process where its log cannot be closed
                    handle._driver.log.close()
            handle._broke(ended)
        self._slots, self._freed, self._availability = {}, None, None
        self.desks.clear()

    def close(self) -> None:
        """Stop all runs and close the store."""
        self.run_loop.check_may_wait("`close`")
        for handle in self.live_runs():
            handle.stop()
        for handle in list(self._handles.values()):
            if not handle.future.done():
                handle.future.exception(10.0)
        if self._store is not None:
            self.run_loop.ask(self._store.close)
        for provider in self._providers.values():
            self.run_loop.submit(provider.aclose()).result(5.0)
        self.run_loop.close()


class _Telling:
    """A run's log that tells the runtime when a hold was settled."""

    def __init__(self, log: RunLog, runtime: Runtime) -> None:
        self.run, self._log, self._runtime = log.run, log, runtime
        self.append, self.admit, self.sync, self.doubt, self.close = (
            log.append,
            log.admit,
            log.sync,
            log.doubt,
            log.close,
        )

    def settle(self, events: Any, hold: str, spent_usd: Decimal, overrun_usd: Decimal, used: Any = None) -> Any:
        made = self._log.settle(events, hold, spent_usd, overrun_usd, used)
        self._runtime.tell_freed()
        return made


async def _drive(driver: Driver, handle: RunHandle, log: RunLog, runtime: Runtime, kept: Kept) -> None:
    """Drive one run to its end and tell its handle. What the engine itself raises goes to whoever waits.

    `kept` is awaited first: a run whose beginning could not be stored does nothing.
    """
    try:
        if kept is not None:
            await kept
        await driver.run()
        if rows := evidence_of(handle.run, to_data(driver.plan), handle._events):
            runtime.store.add_evidence(rows)
    except BaseException as error:
        log.close()
        cut = RunCancelled(f"run {handle.run} was broken off by {type(error).__name__}; what it recorded is kept.")
        handle._broke(error if isinstance(error, Exception) else cut)
        if not isinstance(error, Exception):
            raise
        return
    log.close()
    node = next((e.node for e in reversed(handle._events) if isinstance(e, ev.RunEnded)), "")
    handle._ended(driver.exceptions.get(node))


def append_first(log: RunLog, events: list[Any]) -> Kept:
    """Append what a run begins or goes on with; where that fails, others may open the run."""
    try:
        return log.append(events)
    except BaseException:
        log.close()
        raise


def fold_events(plan: Plan, events: list[Any]) -> RunState:
    """The state after `events`."""
    state = RunState()
    for event in events:
        state = fold(plan, state, event)
    return state


def _limits_set(events: list[Any]) -> dict[str, Budget]:
    """Scope -> its budget as the events of a run last set it; "" is the run's own."""
    limits = {}
    for event in events:
        if isinstance(event, ev.RunStarted):
            limits[""] = budget_of(event.limit_usd, event.limits)
        elif isinstance(event, ev.LimitChanged):
            limits[event.scope] = budget_of(event.limit_usd, event.limits)
    return limits


def _reads(plan: Plan, name: str) -> bool:
    return name in plan.inputs or name in plan.optional_inputs or name in plan.state


def check_room(now: Balance, wanted: Budget) -> None:
    """Refuse limits below what is used already.

    Raises
    ------
    BadOption
        The unit, the limit and what is used of it are named.
    """
    from orch_nb.errors import BadOption

    for unit, quota in now.each().items():
        limit, bound = wanted.limit(unit), quota.spent + quota.held + quota.in_doubt
        if limit is not None and limit < bound:
            sign, of = ("$", "") if unit == "usd" else ("", f" {unit}")
            raise BadOption(
                f"the budget cannot be {sign}{limit}{of}: {sign}{bound} of it is spent, held or in doubt already.",
                hint=f"at least {bound}, or `%orch budget reset` to count anew",
            )


def _batch_scope(begun: ev.RunStarted) -> tuple[tuple[str, Limit], ...]:
    batch = (begun.parent or {}).get("of_batch")
    return ((f"batch:{batch}", None),) if batch else ()


def _names(names: Any) -> str:
    return ", ".join(f"`{n}`" for n in names)
