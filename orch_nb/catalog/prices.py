"""What a call costs: dated prices, exact arithmetic, and an upper bound before the call.

A price comes from the user (`PriceBook.set`), else from this machine (models that run here cost nothing), else from the
price data bundled with `genai-prices`, which are read as installed and never refreshed over the network. A price that
nobody knows is None, not 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from orch_nb.errors import BadOption, UnknownPrice
from orch_nb.schema.amount import read_amount
from orch_nb.schema.service import in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orch_nb.catalog.offers import Offer
    from orch_nb.schema.messages import ModelRequest, Usage

MILLION = Decimal(1_000_000)
MAX_PRICE = Decimal(1_000_000)

MESSAGE_OVERHEAD_TOKENS = 16
"""Tokens that a chat template adds around one message (role, delimiters). Published templates add 3 to 8; twice that is kept."""

REQUEST_OVERHEAD_TOKENS = 64
"""Tokens that a template adds once: beginning, default system text, the start of the answer, tool preamble."""


@dataclass(slots=True, frozen=True)
class Rates:
    """US dollars per million tokens, for prompts of more than `above_tokens` input tokens."""

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None
    above_tokens: int = 0

    def row(self) -> tuple[Decimal | None, ...]:
        """The rates in order of their fields, without the bound."""
        return (self.input, self.output, self.cached, self.cache_write, self.reasoning)

    def times(self, share: Decimal) -> Rates:
        """Every rate multiplied."""
        return _rates([None if v is None else v * share for v in self.row()], self.above_tokens)

    @property
    def highest_input(self) -> Decimal:
        """The dearest way in which a prompt token may be billed."""
        return max(self.input, self.cached or Decimal(0), self.cache_write or Decimal(0))

    @property
    def highest_output(self) -> Decimal:
        """The dearest way in which a generated token may be billed."""
        return max(self.output, self.reasoning or Decimal(0))


@dataclass(slots=True, frozen=True)
class Price:
    """What one model costs, and where that is known from.

    Parameters
    ----------
    tiers
        At least one; in rising order of `above_tokens`. A prompt above a tier's bound is billed at that tier as a whole.
    per_call, per_image
        US dollars for each call, and for each image, besides tokens.
    batch
        What a call through the provider's batch interface costs, as a share of this price (0.5: half); None where there is
        no such interface, or nobody knows.
    share
        What this price is of the ordinary one: below 1 for a batch price.
    provenance
        Where the figure comes from, in words that can be shown.
    date
        The newest date of the figure or of the data it is from, ISO; "" when it has none.
    """

    tiers: tuple[Rates, ...]
    per_call: Decimal = Decimal(0)
    provenance: str = ""
    date: str = ""
    per_image: Decimal = Decimal(0)
    batch: Decimal | None = None
    batch_source: str = ""
    share: Decimal = Decimal(1)

    @property
    def label(self) -> str:
        """One line: the figures, how they are counted and where they come from."""
        first = self.tiers[0]
        parts = []
        if first.input or first.output or not (self.per_call or self.per_image):
            parts.append(f"${first.input} in, ${first.output} out per million tokens")
        if first.cached is not None:
            parts.append(f"${first.cached} cached")
        if self.per_call:
            parts.append(f"${self.per_call} per call")
        if self.per_image:
            parts.append(f"${self.per_image} per image")
        if len(self.tiers) > 1:
            parts.append(f"dearer above {self.tiers[1].above_tokens:,} tokens")
        return f"{', '.join(parts)} ({self.provenance}{', ' if self.date else ''}{self.date})"

    def rates(self, input_tokens: int) -> Rates:
        """The tier of a prompt of this size."""
        return next((t for t in reversed(self.tiers) if input_tokens > t.above_tokens), self.tiers[0])

    def in_batch(self) -> Price | None:
        """Return what a call through the batch interface costs; None where there is none."""
        if self.batch is None:
            return None
        tiers = tuple(t.times(self.batch) for t in self.tiers)
        named = f"batch price, {self.batch:%} of {self.provenance}"
        return replace(
            self, tiers=tiers, per_call=self.per_call * self.batch, provenance=named, batch=None, share=self.batch
        )

    def figures(self) -> dict[str, object]:
        """The figures alone, as plain data: what a run keeps of the prices it was billed at. `price_of` undoes it."""
        rates = [[None if v is None else str(v) for v in t.row()] + [t.above_tokens] for t in self.tiers]
        made: dict[str, object] = {"rates": rates, "from": self.provenance, "date": self.date}
        if self.per_call:
            made["per_call"] = str(self.per_call)
        return made


def price_of(figures: Mapping[str, Any]) -> Price:
    """The price that `Price.figures` wrote."""
    tiers = tuple(_rates([None if v is None else Decimal(v) for v in row[:-1]], row[-1]) for row in figures["rates"])
    return Price(tiers, Decimal(figures.get("per_call", 0)), figures.get("from", ""), figures.get("date", ""))


def _rates(row: Sequence[Decimal | None], above_tokens: int) -> Rates:
    """The rates of `Rates.row`."""
    given, made, cached, cache_write, reasoning = row
    return Rates(given or Decimal(0), made or Decimal(0), cached, cache_write, reasoning, above_tokens)


FREE = Price((Rates(Decimal(0), Decimal(0)),), provenance="runs on this machine")


def cost(usage: Usage, price: Price, *, images: int = 0) -> Decimal:
    """Return what these tokens (and images) cost, exactly: no rounding, so that a sum of steps is the total.

    Cached and cache-writing tokens are part of the input tokens and reasoning tokens of the output tokens (`Usage`); each is
    billed at its own rate where there is one. A provider that sells cache entries of several lifetimes does not say in one
    figure which was written: the dearest stands for all of them.
    """
    rates = price.rates(usage.input_tokens)
    cached = min(usage.cached_tokens, usage.input_tokens)
    stored = min(usage.cache_write_tokens, usage.input_tokens - cached)
    reasoning = min(usage.reasoning_tokens, usage.output_tokens)
    with localcontext() as exact:
        exact.prec = 50
        total = (usage.input_tokens - cached - stored) * rates.input
        total += stored * (rates.input if rates.cache_write is None else rates.cache_write)
        total += cached * (rates.input if rates.cached is None else rates.cached)
        total += (usage.output_tokens - reasoning) * rates.output
        total += reasoning * (rates.output if rates.reasoning is None else rates.reasoning)
        return _trim(total / MILLION + price.per_call + images * price.per_image)


def prompt_bound(request: ModelRequest) -> int:
    """An upper bound of the prompt's tokens: its UTF-8 bytes, and an allowance for the chat template.

    Notes
    -----
    Why it is a bound: the tokenizers in use (byte-level BPE, SentencePiece with byte fall-back) cut the text into pieces
    of at least one byte each, so a text has no more tokens than bytes. Words are usually 3 to 5 bytes a token, so the
    bound is about four times what is used; the rest of the reservation comes back when the call settles.
    """
    texts = [m.content for m in request.messages]
    texts += [part for m in request.messages for c in m.tool_calls for part in (c.id, c.name, c.arguments)]
    texts += [m.tool_call_id for m in request.messages]
    n_bytes = sum(_utf8_bytes(t) for t in texts)
    if request.schema is not None:
        n_bytes += _json_bytes(request.schema)
    n_bytes += sum(_utf8_bytes(t.name + t.description) + _json_bytes(t.parameters) for t in request.tools)
    units = len(request.messages) + len(request.tools) + sum(len(m.tool_calls) for m in request.messages)
    return n_bytes + units * MESSAGE_OVERHEAD_TOKENS + REQUEST_OVERHEAD_TOKENS


def bound(request: ModelRequest, price: Price) -> Decimal:
    """The most that this request may cost in US dollars: the bound of the prompt and `max_tokens`, at the dearest rates.

    "Dearest" is over plain, cached and cache-writing input, over plain and reasoning output, and over all tiers that a
    prompt of up to the bound may fall into.
    """
    return bound_usd(prompt_bound(request), request.max_tokens, price)


def bound_usd(n_prompt: int, max_tokens: int, price: Price) -> Decimal:
    """`bound` of a request whose prompt has at most `n_prompt` tokens."""
    reachable = [t for t in price.tiers if t.above_tokens < max(n_prompt, 1)] or [price.tiers[0]]
    with localcontext() as exact:
        exact.prec = 50
        input_usd = n_prompt * max(t.highest_input for t in reachable)
        output_usd = max_tokens * max(t.highest_output for t in reachable)
        return _trim((input_usd + output_usd) / MILLION + price.per_call)


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _json_bytes(value: object) -> int:
    import json

    return len(
        json.dumps(value, indent=1)
    )  # ASCII escapes and indentation: longer than any text a provider makes of it


def _trim(usd: Decimal) -> Decimal:
    """The same number without trailing zeros and without an exponent."""
    normal = usd.normalize()
    return normal.quantize(Decimal(1)) if normal.as_tuple().exponent > 0 else normal  # type: ignore[operator]


# ------------------------------------------------------------------ the book
@dataclass(slots=True)
class PriceBook:
    """Prices by model: the user's own first, then this machine's, then the bundled data.

    Examples
    --------
    >>> book = PriceBook()
    >>> book.set("my-model", input="0.50", output=2, note="of my contract")
    >>> book.find("any", "my-model").label.partition(",")[0]
    '$0.50 in'
    """

    _own: dict[str, Price] = field(default_factory=dict)
    _asked: dict[str, dict[str, str]] = field(default_factory=dict)

    def asks(self, provider: str, service: Mapping[str, str]) -> None:
        """Price the models of a provider at the service that its requests ask for (`schema.service.special`)."""
        self._asked[provider] = dict(service)

    def asked(self, provider: str) -> dict[str, str]:
        """The service that a provider's requests ask for; {} for the ordinary one."""
        return self._asked.get(provider, {})

    def set(
        self,
        model: str,
        *,
        input: object = None,  # noqa: A002  (the word of the price list)
        output: object = None,
        cached: object = None,
        cache_write: object = None,
        per_call: object = None,
        per_image: object = None,
        batch: object = None,
        note: str = "set by you",
    ) -> None:
        """Use this price for a model from now on: US dollars per million tokens, per call, per image, or several of them.

        Parameters
        ----------
        model
            The notebook's name for it, or the provider's id, or ``provider/id``.
        cached, cache_write
            Prompt tokens read from, and written to, the provider's cache; as `input` unless told.
        batch
            What the batch interface costs, as a share from 0 to 1: 0.5 is half. Unless told, what is known of the provider.
        note
            Where the price is from, for people; today's date is kept with it.

        Raises
        ------
        BadOption
            Neither tokens nor calls are priced, only one of `input` and `output` is given, or a figure is not a finite number
            from 0 up (text such as "1e3" is refused: write 1000).
        """
        if (input is None) != (output is None):
            raise BadOption(
                f"the price of `{model}` gives only one of input and output.", hint="give both, 0 if it is free"
            )
        if input is None and per_call is None and per_image is None:
            raise BadOption(
                f"the price of `{model}` is empty.",
                hint="give input and output per million tokens, or per_call, or per_image",
            )
        rates = Rates(
            check_usd(0 if input is None else input, "input"),
            check_usd(0 if output is None else output, "output"),
            None if cached is None else check_usd(cached, "cached"),
            None if cache_write is None else check_usd(cache_write, "cache_write"),
        )
        share = None if batch is None else _share(batch)
        self._own[model] = Price(
            (rates,), check_usd(0 if per_call is None else per_call, "per_call"), note, datetime.now(UTC).date().isoformat(),
            check_usd(0 if per_image is None else per_image, "per_image"), share, note if share is not None else "",
        )  # fmt: skip

    def price(
        self, offer: Offer, *, at: datetime | None = None, service: Mapping[str, str] | None = None
    ) -> Price | None:
        """Return what an offer costs at a time (now unless told), or None when nobody knows.

        Parameters
        ----------
        service
            As which it is served (`schema.service.special`); as its provider's requests ask unless told. The user's own
            price is of that service and of the ordinary one, and of no other.
        """
        asked = self.asked(offer.provider)
        service = asked if service is None else service
        found = self._price(offer, at, service, is_own=service in ({}, asked))
        return found if service else _with_batch(found, offer.price_ref.partition("/")[0] or offer.provider)

    def _price(self, offer: Offer, at: datetime | None, service: Mapping[str, str], *, is_own: bool) -> Price | None:
        names = () if offer.is_planned else (offer.name,)
        for key in (*names, offer.price_ref, f"{offer.provider}/{offer.model}", offer.model):
            if key in self._own:
                return self._own[key] if is_own else None
        if offer.is_free:
            return FREE
        provider, _, model = offer.price_ref.partition("/") if offer.price_ref else (offer.provider, "", offer.model)
        return _bundled_price(provider, model, at or datetime.now(UTC), service)

    def find(self, provider: str, model: str, *, at: datetime | None = None) -> Price | None:
        """The user's own price for a model id, else that of the bundled data; None when there is none."""
        for key in (f"{provider}/{model}", model):
            if key in self._own:
                return self._own[key]
        return _bundled_price(provider, model, at or datetime.now(UTC))

    def move(self, model: str, to: str) -> None:
        """Let the user's own price that was set for `model` be that of `to`, unless there is one; nothing where there is none."""
        if model in self._own:
            self._own.setdefault(to, self._own.pop(model))

    def own(self) -> dict[str, Price]:
        """The user's own prices, by what they were set for."""
        return dict(self._own)

    def would_cost(self, usages: Iterable[Usage], refs: Iterable[str]) -> dict[str, Decimal | None]:
        """Return what the same tokens would cost on other models (``provider/model``), None where the price is unknown."""
        used = list(usages)
        out: dict[str, Decimal | None] = {}
        for ref in refs:
            provider, _, model = ref.partition("/")
            price = self.find(provider, model)
            out[ref] = None if price is None else sum((cost(u, price) for u in used), Decimal(0))
        return out


BATCH_SHARES = {
    "openai": (Decimal("0.5"), "OpenAI, Batch API: half the synchronous price (2025-07)"),
    "anthropic": (Decimal("0.5"), "Anthropic, Message Batches: half the standard price (2025-07)"),
    "google": (Decimal("0.5"), "Google, Gemini Batch Mode: half the standard price (2025-07-07)"),
}
"""Provider -> what its batch interface costs as a share of the ordinary price, and who says so. The bundled data have none."""


def _with_batch(price: Price | None, provider: str) -> Price | None:
    """The price with what is known of its provider's batch interface, unless the user's own says more."""
    if price is None or price.batch is not None or provider not in BATCH_SHARES:
        return price
    share, source = BATCH_SHARES[provider]
    return replace(price, batch=share, batch_source=source)


def _share(value: object) -> Decimal:
    share = check_usd(value, "batch")
    if share > 1:
        raise BadOption(f"`batch` is {value}; it is a share of the ordinary price.", hint="0.5 is half of it")
    return share


def check_usd(value: object, key: str) -> Decimal:
    """A finite amount from 0 to a million US dollars as Decimal.

    Raises
    ------
    BadOption
        Anything else, truth values and text with an exponent included.
    """
    return read_amount(value, f"`{key}`", most=MAX_PRICE)


# ------------------------------------------------------------------ the bundled data
_KNOWN_KEYS = {
    "input_mtok": "input", "output_mtok": "output", "cache_read_mtok": "cached", "cache_write_mtok": "cache_write",
    "output_reasoning_mtok": "reasoning",
}  # fmt: skip


@lru_cache(maxsize=1)
def bundled_data() -> tuple[Any, str]:
    """The price data as installed, and their version. Loaded when first asked for (about 0.2 s)."""
    from importlib.metadata import version

    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot

    return DataSnapshot(providers=providers, from_auto_update=False), version("genai-prices")


@lru_cache(maxsize=1)
def bundled_date(today: object = None) -> str:
    """The newest date in the bundled data that is not in the future: they know of price changes up to there."""
    snapshot, _ = bundled_data()
    limit = today or datetime.now(UTC).date()
    dates = [
        c.constraint.start_date
        for p in snapshot.providers
        for m in p.models
        for c in (m.prices if isinstance(m.prices, list) else ())
        if hasattr(c.constraint, "start_date") and c.constraint.start_date <= limit
    ]
    return max(dates).isoformat() if dates else ""


def _bundled_price(provider: str, model: str, at: datetime, service: Mapping[str, str] | None = None) -> Price | None:
    found = _bundled_model(provider, model)
    if found is None:
        return None
    version = bundled_data()[1]
    if not service:
        return _convert(found.get_prices(at), version)
    if not _has_variants(found, at, service):
        return None
    return _convert(found.get_prices(at, dict(service)), f"{version}, {in_words(service)}")


def _has_variants(model: Any, at: datetime, service: Mapping[str, str]) -> bool:
    """Return whether the bundled data have a price for every part of a service; where they have none, they give the ordinary one."""
    active = [v for v in model.price_variants or () if v.constraint is None or v.constraint.active(at)]
    fitting = [v.when for v in active if all(service.get(name) == word for name, word in v.when.items())]
    return all(any(name in when for when in fitting) for name in service)


def context_tokens(provider: str, model: str) -> int | None:
    """The context window that the bundled data give for a model; None when they do not."""
    found = _bundled_model(provider, model)
    return None if found is None else found.context_window


@lru_cache(maxsize=1024)
def _bundled_model(provider: str, model: str) -> Any:
    if not provider or not model:
        return None
    snapshot, _ = bundled_data()
    try:
        return snapshot.find_provider_model(model, None, provider, None)[1]
    except LookupError:
        return None


def _convert(prices: object, version: str) -> Price | None:
    """A model's prices as ours. None unless text in and text out are priced per token: anything else we could not bound."""
    values = {ours: getattr(prices, key, None) for key, ours in _KNOWN_KEYS.items()}
    if values["input"] is None or values["output"] is None:
        return None
    longer_cache = getattr(prices, "cache_write_1h_mtok", None)
    starts = sorted({0, *(t.start for v in (*values.values(), longer_cache) for t in getattr(v, "tiers", ()))})
    tiers = []
    for start in starts:
        rates = {name: _at(value, start) for name, value in values.items()}
        writes = [w for w in (rates["cache_write"], _at(longer_cache, start)) if w is not None]
        rates["cache_write"] = max(writes) if writes else None
        tiers.append(Rates(**rates, above_tokens=start))
    per_thousand = getattr(prices, "requests_kcount", None)
    per_call = _at(per_thousand, 0) / 1000 if per_thousand is not None else Decimal(0)
    return Price(tuple(tiers), per_call, f"genai-prices {version}", bundled_date())


def _at(value: Any, start: int) -> Any:
    if value is None or isinstance(value, Decimal):
        return value
    return next((t.price for t in reversed(value.tiers) if t.start <= start and start), value.base)


def unknown_price(offer: Offer, service: Mapping[str, str] | None = None) -> UnknownPrice:
    """The refusal of an offer without a price (at the service that is asked for), with the way out."""
    name = f"{offer.provider}/{offer.model}" if offer.is_planned else offer.name
    as_what = f", {in_words(service)}" if service else ""
    return UnknownPrice(
        f"the price of `{offer.name}` ({offer.provider}/{offer.model}{as_what}) is unknown, and a budget is in force.",
        hint=f"`%orch models price {name} input=0.15 output=0.60` gives one, in dollars per million tokens (in Python: "
        f"`orch.models().prices.set({name!r}, input=0.15, output=0.60)`); 0 if it is free",
        model=offer.name,
    )
