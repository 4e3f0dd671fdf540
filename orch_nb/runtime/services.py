"""Services of one process for its runs, batches and quotes: store, models, providers, pools, embedder and evidence."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orch_nb.engine.loop import RunLoop
from orch_nb.engine.plan import model_named
from orch_nb.engine.ports import Store, dollars
from orch_nb.engine.user_code import contained
from orch_nb.errors import AuthFailed, ModelNotInstalled, UnknownModel
from orch_nb.runtime.provider_batches import SLOT
from orch_nb.schema.events import RunStarted
from orch_nb.schema.secrets import REDACTOR, Redactor
from orch_nb.trace.alerts import ALERT_FACTOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orch_nb.catalog.availability import Availability
    from orch_nb.catalog.models import ModelBook
    from orch_nb.catalog.offers import Offer
    from orch_nb.catalog.prices import Price
    from orch_nb.engine.plan import Chooser, PlanNode
    from orch_nb.engine.ports import Balance, Limit
    from orch_nb.errors import OrchError
    from orch_nb.handle import RunHandle
    from orch_nb.routing.evidence import Evidence
    from orch_nb.routing.intent.similarity import SimilarityChooser
    from orch_nb.routing.learned.proposal import Learning
    from orch_nb.runtime.provider_batches import ProviderBatchQueue
    from orch_nb.runtime.response_cache import AnswerBook
    from orch_nb.schema.events import Event
    from orch_nb.schema.messages import Embedder, Provider
    from orch_nb.schema.values import Json
    from orch_nb.store.approvals import Accepted
    from orch_nb.store.runs import RunRow


UNBOUNDED = 1_000_000
"""Concurrent calls that wait in a provider's batch: no limit."""
MAX_THREADS = 32
"""Sync functions that run at the same time; more would only compete for the interpreter."""
MODEL_SLOT = "model:"
"""Prefix of the concurrency slot of a provider's calls."""
CALLS_AT_ONCE_DEFAULT = 8


def started_by(events: Iterable[Event]) -> RunStarted:
    """Return the first of a run's events."""
    first = next(iter(events))
    assert isinstance(first, RunStarted)
    return first


class RunStore(Store, Protocol):
    """A store as the runtime uses it: its runs, its ledger, and what was measured of models."""

    def next_run(self) -> str:
        """Return the id of the next run, which no other process gets."""
        ...

    def runs(
        self, *, graph: str | None = None, notebook: str | None = None, status: str | Sequence[str] | None = None,
        limit: int | None = None, batch_rows: bool = True,
    ) -> list[RunRow]:  # fmt: skip
        """Return runs, newest first."""
        ...

    def balance(self, scope: str) -> Balance: ...
    def set_limit(self, scope: str, limit: Limit) -> None: ...
    def reset(self, scope: str) -> None: ...
    def asked_by(self, request_hash: str, *, limit: int = 20) -> list[str]:
        """Return the newest runs that made this request."""
        ...

    def effect_done(self, key: str, *, but: str = "") -> str | None:
        """Return the run, other than `but`, that performed the effect of this key."""
        ...

    def delete(self, run: str) -> None: ...
    def close(self) -> None: ...


class Services:
    """Models, providers and the store of one process, each made at first use. The parameters are those of `Runtime`."""

    def __init__(
        self, folder: str | Path | None = None, *, store: RunStore | None = None, models: ModelBook | None = None
    ) -> None:
        self.folder = Path(folder or os.environ.get("ORCH_STORE") or Path.cwd())
        self.notice = ""
        self.notebook: str = ""
        self.alert_factor = ALERT_FACTOR
        """How many times its usual cost a run may reach before an alert."""
        self.run_loop = RunLoop()
        self.run_loop.on_end = self._loop_ended
        self._handles: dict[str, RunHandle] = {}
        self._store = store
        self._models = models
        if models is not None:
            models.calibration = self._calibration
        self._providers: dict[str, Provider] = {}
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._caps: dict[str, int] = {}
        self._choosers: dict[str, SimilarityChooser] = {}
        self._availability: Availability | None = None
        self._accepted: Accepted | None = None
        self._learning: Learning | None = None
        self._embedder: Embedder | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._embed_pool: ThreadPoolExecutor | None = None
        self._freed: asyncio.Event | None = None
        self._answers: AnswerBook | None = None
        self.batch_queues: dict[str, ProviderBatchQueue] = {}
        """Scope of a batch -> the queue of its calls for the provider's batch interface."""
        self.past: dict[str, object] = {}
        """Run -> its figures for quotes (`orch_nb.estimates.history`), cached."""

    def _loop_ended(self, ended: OrchError) -> None:
        """Forget what belongs to a run loop that has ended; the next call starts another."""
        self._slots, self._freed, self._availability = {}, None, None
        self.batch_queues.clear()

    @property
    def scope(self) -> str:
        """The ledger's name of this notebook's budget."""
        return f"notebook:{REDACTOR.text(self.notebook) or 'untitled'}"

    @property
    def store(self) -> RunStore:
        """The store, opened (on the run loop's thread) at first use."""
        if self._store is None:
            self._store = self.run_loop.ask(self._open_store)
        return self._store

    def events(self, run: str) -> list[Event]:
        """Return the recorded events of a run. From any thread.

        Raises
        ------
        RunNotFound
            The store has no such run.
        """
        return self.run_loop.ask(lambda: [event for _, event in self.store.read(run)])

    def started(self, run: str) -> RunStarted:
        """Return the first event of a run; see `events`."""
        return self.run_loop.ask(lambda: started_by(event for _, event in self.store.read(run)))

    def _open_store(self) -> RunStore:
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
        return self._models

    @property
    def answers(self) -> AnswerBook:
        """The response cache: answers of models in the runs of this store."""
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

    def provider(self, name: str) -> Provider:
        """Return the adapter of this name, made at first use."""
        made = self._providers.get(name)
        if made is None:
            made = self._providers[name] = self._make_provider(name)
        return made

    def _make_provider(self, name: str) -> Provider:
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

    def _model_of_file(self, name: str) -> Provider:
        from orch_nb.providers.local_models.local import LocalModel

        path = self.models.file_of(name)
        if path is None:
            stem = name.partition(":")[2]
            raise ModelNotInstalled(
                f"the path of the model file {stem}.gguf is not known here.",
                hint=f"run the cell that names it: `%orch models set NAME=PATH/{stem}.gguf`",
            )
        return LocalModel(name, model=path.stem, model_path=path)

    def check_provider(self, name: str) -> None:
        """Refuse the name of an unknown provider.

        Raises
        ------
        UnknownModel
            No adapter has this name; the hint has the nearest name, and the line that adds one.
        """
        from orch_nb.catalog.vendors import VENDORS
        from orch_nb.providers.vendors import unknown_hint

        known = {*VENDORS, "local", "echo", *self._providers}
        if name not in known and not name.startswith("local:"):
            hint = unknown_hint(name, self._providers)
            raise UnknownModel(f"no provider is called `{name}`.", hint=hint, model=name)

    def add_provider(self, provider: Provider) -> None:
        """Use `provider` for the offers that name it, such as a `ScriptedProvider` or a server of your own."""
        self._providers[provider.name] = provider
        self.models.know_provider(provider.name)
        self.models.prices.asks(provider.name, getattr(provider, "asked_service", {}))

    def slot(self, name: str) -> asyncio.Semaphore:
        """Return the semaphore of one provider on the run loop."""
        made = self._slots.get(name)
        if made is None:
            at_once = self._caps.get(name) or self._calls_at_once(name)
            made = self._slots[name] = asyncio.Semaphore(at_once)
        return made

    def _calls_at_once(self, slot: str) -> int:
        """Return how many calls a provider takes at once: its own `parallel` (of a model on this machine), or the default."""
        if slot.startswith(SLOT):
            return UNBOUNDED
        if not slot.startswith(MODEL_SLOT):
            return CALLS_AT_ONCE_DEFAULT
        try:
            own = getattr(contained(self.provider, slot.removeprefix(MODEL_SLOT)), "parallel", None)
        except Exception:  # the call raises it again, and is settled with it
            return CALLS_AT_ONCE_DEFAULT
        return own if isinstance(own, int) and own > 0 else CALLS_AT_ONCE_DEFAULT

    def redactor(self) -> Redactor:
        """Return the redactor of this process, with the keys that are in use by now."""
        from orch_nb.providers.keys import key_source

        known = self.models.key_values()
        for name, provider in self._providers.items():
            source = key_source(getattr(provider, "key_reference", None) or None, name)
            if source is not None:
                try:
                    known[source.reference] = source.resolve().reveal()
                except AuthFailed:
                    continue  # a key that is not found is in no value either
        REDACTOR.know(known.values())
        return REDACTOR

    def limit_calls(self, provider: str, at_once: int) -> None:
        """Limit the concurrent calls to one provider; the wait is recorded apart from the model's time."""
        slot = f"{MODEL_SLOT}{provider}"
        self._caps[slot] = at_once
        self._slots[slot] = asyncio.Semaphore(at_once)

    async def freed(self, at_most_s: float) -> None:
        """Wait until a hold was settled here, or `at_most_s` seconds passed."""
        if self._freed is None:
            self._freed = asyncio.Event()
        self._freed.clear()
        try:
            async with asyncio.timeout(at_most_s):
                await self._freed.wait()
        except TimeoutError:
            return

    def notify_released(self) -> None:
        """Wake the calls that wait for room in a budget, after a settlement."""
        if self._freed is not None:
            self._freed.set()

    def offer_to_call(self, node: PlanNode, name: str) -> Offer:
        """Return the offer of a call: the model that the plan recorded stands for the whole run.

        Raises
        ------
        UnknownModel
            The provider of the recorded model is not known here.
        """
        offer = self.offer(node, name)
        if offer.is_planned:
            self._check_planned(offer)
        return offer

    def offer(self, node: PlanNode, name: str) -> Offer:
        """Return the offer of a model's name in a plan's node: the recorded model, else what the name means now."""
        return self.models.planned(name, model_named(node, name))

    def _check_planned(self, offer: Offer) -> None:
        try:
            self.check_provider(offer.provider)
        except UnknownModel as error:
            raise UnknownModel(
                f"`{offer.name}` is {offer.provider}/{offer.model} in the plan of this run, and {error}",
                hint=error.hint, model=offer.name,
            ) from None  # fmt: skip

    def batch_queue_of(self, scopes: tuple[tuple[str, Limit], ...]) -> ProviderBatchQueue | None:
        """Return the queue of the batch that has one of these budgets; None where calls are made directly."""
        return (
            next((self.batch_queues[scope] for scope, _ in scopes if scope in self.batch_queues), None)
            if self.batch_queues
            else None
        )

    def price_of(self, name: str, node: PlanNode | None = None) -> Price | None:
        """Return today's price of the model of this name (in a plan's node); None where the price or the name is unknown."""
        try:
            return self.models.prices.price(self.models.resolve(name) if node is None else self.offer(node, name))
        except UnknownModel:
            return None

    def has_limit(self, scopes: tuple[tuple[str, Limit], ...]) -> bool:
        """Return whether any of these scopes has a limit in dollars, its own or in the ledger."""
        return any(dollars(own) is not None or self.store.balance(scope).limit_usd is not None for scope, own in scopes)

    def chooser(self, chooser: Chooser) -> SimilarityChooser:
        """Return the similarity chooser of a plan's node; its candidates are embedded once per process."""
        candidates = {c: (chooser.describe.get(c, ""), chooser.examples.get(c, ())) for c in chooser.candidates}
        return self.similarity(candidates, chooser.threshold)

    def similarity(self, candidates: Mapping[str, tuple[str, tuple[str, ...]]], threshold: float) -> SimilarityChooser:
        """Return the chooser among these candidates, (description, examples) by name; one per process."""
        from orch_nb.routing.intent.similarity import SimilarityChooser

        made = SimilarityChooser(self.embedder, candidates, threshold)
        return self._choosers.setdefault(made.key, made)

    @property
    def accepted(self) -> Accepted:
        """Acceptances and calibrations for all runs, in a file beside the store."""
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

    def _calibration(self, agent: str, by: str) -> Json:
        kept = self.accepted.find("calibration", f"{agent} {by}")
        return None if kept is None else kept["points"]

    @property
    def availability(self) -> Availability:
        """The availability of providers, as seen in this process."""
        if self._availability is None:
            from orch_nb.catalog.availability import Availability

            self._availability = Availability()
        return self._availability

    @property
    def embedder(self) -> Embedder:
        """The embedder of this process."""
        if self._embedder is None:
            from orch_nb.providers.local_models.embeddings import default_embedder

            self._embedder = default_embedder()
        return self._embedder

    async def run_tool(self, name: str, arguments: str, namespace: Mapping[str, object]) -> object:
        """Run a tool and return its result; sync tools run on a thread."""
        from orch_nb.tools.registry import find_tool, run_tool

        return await run_tool(find_tool(name, namespace), arguments, self.pool)

    def add_evidence(self, rows: Iterable[Evidence]) -> None:
        """Store judgements of models on tasks; one with a known key replaces the earlier one. From any thread.

        Raises
        ------
        UnstorableValue
            A row has no key, task or model, or a bad figure; then none of `rows` is stored.
        """
        self.redactor()
        kept = list(rows)
        self.run_loop.ask(lambda: self.store.add_evidence(kept))

    def evidence(self, task: str | None = None) -> list[Evidence]:
        """Return the evidence about models on `task` (None: on all tasks), in order of time, then key."""
        return self.run_loop.ask(lambda: self.store.evidence(task))

    def effect_done(self, key: str, run: str) -> str | None:
        """Return the earlier run in which the effect of this idempotency key was performed, or None."""
        return self.store.effect_done(key, but=run)
