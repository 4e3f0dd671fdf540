"""The notebook's names for models: cells, files and graphs say "small"; the book says what that is today."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orch_nb.catalog.offers import Offer
from orch_nb.catalog.prices import PriceBook
from orch_nb.catalog.vendors import VENDORS
from orch_nb.errors import BadOption, ModelNotInstalled, UnknownModel, nearest
from orch_nb.schema.names import check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GGUF = ".gguf"

LOCAL_CONTEXT_TOKENS = 4096
"""Of models on this machine: what `providers.local_models.local.LocalModel` gives them unless told otherwise."""

SMOLLM2 = Offer(
    "smollm2", "smollm2", "local", context_tokens=LOCAL_CONTEXT_TOKENS, json=True, tools=False, family="smollm2-135m",
    note="SmolLM2-135M on this machine",
)  # fmt: skip
ECHO = Offer("echo", "echo", "echo", context_tokens=1_000_000, note="answers with its own input: for trying out")
DEFAULT = "small"


@dataclass(slots=True)
class ModelBook:
    """Names of models, their offers and prices.

    Parameters
    ----------
    is_local_installed
        Tells whether the local model's file and runtime are on this machine. Asked when "small" is resolved, so that
        installing it takes effect at once.
    environ
        Where keys are looked for; the process's environment unless told.
    prices
        The price book; its own unless told.
    calibration
        ``calibration(agent, by)``: what labelled answers said that an agent's confidences mean, as points; None for nothing.

    Examples
    --------
    >>> book = ModelBook(environ={})
    >>> book.resolve("small").provider, book.resolve("small").note
    ('echo', 'the local model is not installed: echo answers')
    >>> book.set(big="openai/gpt-4o-mini")
    >>> book.resolve("big").model
    'gpt-4o-mini'
    """

    is_local_installed: Callable[[], bool] = lambda: False
    environ: Mapping[str, str] | None = None
    prices: PriceBook = field(default_factory=PriceBook)
    calibration: Callable[[str, str], object] = lambda *_: None
    _own: dict[str, Offer | str] = field(default_factory=dict)
    _providers: dict[str, str] = field(default_factory=lambda: {name: vendor.key for name, vendor in VENDORS.items()})
    _files: dict[str, Path] = field(default_factory=dict)

    def add(
        self,
        name: str,
        model: str,
        provider: str,
        *,
        price: Mapping[str, Any] | None = None,
        context_tokens: int | None = None,
        json: bool = True,
        tools: bool = True,
        family: str = "",
        price_ref: str = "",
    ) -> Offer:
        """A new name for a model, with what is known of it; the old meaning of the name is replaced.

        Parameters
        ----------
        price
            ``{"input": …, "output": …, "cached": …}`` in dollars per million tokens, or ``{"per_call": …}``; None: the
            bundled price data, if they know it. A price that was set for the name holds on for the same model only.

        Raises
        ------
        BadName, BadOption
            The name is not an identifier, or the price is not an amount.
        """
        check_name(name, "name of a model")
        if not model or not provider:
            raise BadOption(
                f"the model `{name}` needs a provider and the provider's id of the model.", hint="openai/gpt-4o-mini"
            )
        before = self._meaning(name)
        offer = Offer(name, model, provider, price_ref, context_tokens, json, tools, family)
        self.know_provider(provider)
        self._move_price(name, before, offer)
        if price is not None:
            self.prices.set(name, **dict(price))
        self._own[name] = offer
        return offer

    def _meaning(self, name: str) -> Offer | None:
        """Return the model of a name so far; None for an unknown name."""
        try:
            return self.resolve(name)
        except UnknownModel:
            return None

    def _move_price(self, name: str, before: Offer | None, now: Offer) -> None:
        """Take a name's own price away where it names another model now: that price stays with the model before, which
        runs that were planned with it may still call."""
        if before is not None and (before.provider, before.model) != (now.provider, now.model):
            self.prices.move(name, f"{before.provider}/{before.model}")

    def know_provider(self, provider: str, key: str = "") -> None:
        """Let ``provider/model`` name models of this provider; `key` is the environment variable of its key."""
        self._providers.setdefault(provider, key)

    def set(self, **names: str | Offer) -> None:
        """Let names stand for models: ``small="openai/gpt-4o-mini"``, another name, a GGUF file's path, or an `Offer`.

        Raises
        ------
        UnknownModel
            The text is neither ``provider/model`` of a known provider nor a known name, or would refer to itself.
        ModelNotInstalled
            The GGUF file is not there.
        """
        for name, target in names.items():
            check_name(name, "name of a model")
            meant = target if isinstance(target, Offer) else target.strip()
            if isinstance(meant, str) and meant.lower().endswith(GGUF):
                meant = self._of_file(name, Path(meant))
            if isinstance(meant, str) and meant != name:
                self.resolve(meant)  # before the name exists: it is not to be among the names that an error lists
            before, meaning = self._own.get(name), self._meaning(name)
            self._own[name] = replace(meant, name=name) if isinstance(meant, Offer) else meant
            try:
                self._move_price(name, meaning, self.resolve(name))
            except UnknownModel:
                self._own.pop(name)
                if before is not None:
                    self._own[name] = before
                raise

    def _of_file(self, name: str, path: Path) -> Offer:
        """The offer of a GGUF file. Plans keep the file's name; where it lies is this machine's own business."""
        path = path.expanduser().absolute()
        if not path.is_file():
            raise ModelNotInstalled(
                f"the model file `{path}` is not there.", hint="the path of a GGUF file of a chat model"
            )
        self._files[f"local:{path.stem}"] = path
        return Offer(
            name,
            path.stem,
            f"local:{path.stem}",
            context_tokens=LOCAL_CONTEXT_TOKENS,
            tools=False,
            note=f"{path.name} on this machine",
        )

    def file_of(self, provider: str) -> Path | None:
        """The GGUF file of the provider ``local:NAME``; None where no cell has named it yet."""
        return self._files.get(provider)

    def resolve(self, name: str) -> Offer:
        """The offer that a name stands for.

        Raises
        ------
        UnknownModel
            Nothing of this name; the nearest one is given.
        """
        return self._resolve(name, ())

    def planned(self, name: str, kept: Mapping[str, Any]) -> Offer:
        """The offer that a plan means by a name: the recorded model, whatever the name stands for now.

        Parameters
        ----------
        kept
            What the plan recorded (`Offer.definition`); where it recorded nothing, the name is resolved.

        Raises
        ------
        UnknownModel
            Nothing was recorded, and the name means nothing.
        """
        if not kept.get("provider"):
            return self.resolve(name)
        now = self._meaning(name)
        if now is not None and (now.provider, now.model) == (kept["provider"], kept["model"]):
            return now
        offer = Offer(
            name, kept["model"], kept["provider"], kept.get("price_ref", ""), kept.get("context_tokens"),
            kept.get("json", True), kept.get("tools", True), note=f"as the plan has it: {kept['provider']}/{kept['model']}",
            is_planned=True,
        )  # fmt: skip
        known = next((o for o in self.offers() if (o.provider, o.model) == (offer.provider, offer.model)), None)
        if known is None:
            return offer
        ref = known.name if known.name in self.prices.own() else offer.price_ref or known.price_ref
        return replace(offer, price_ref=ref, family=known.family)

    def _resolve(self, name: str, seen: tuple[str, ...]) -> Offer:
        if name in seen:
            raise UnknownModel(
                f"the model names {' -> '.join((*seen, name))} refer to each other.", hint="`%orch models set`"
            )
        target = self._own.get(name)
        if isinstance(target, Offer):
            return target
        if target is not None:
            return self._alias(name, self._resolve(target, (*seen, name)))
        if name == DEFAULT:
            return self._default()
        if name in (SMOLLM2.name, ECHO.name):
            return SMOLLM2 if name == SMOLLM2.name else ECHO
        provider, slash, model = name.partition("/")
        if slash and model and provider in self._providers:
            return Offer(name, model, provider)
        raise self._unknown(name)

    def _alias(self, name: str, offer: Offer) -> Offer:
        """The offer under another name; a price that was set for the first name goes with it."""
        ref = offer.name if offer.name in self.prices.own() else offer.price_ref
        return replace(offer, name=name, price_ref=ref)

    def _default(self) -> Offer:
        if self.is_local_installed():
            return replace(SMOLLM2, name=DEFAULT)
        return replace(ECHO, name=DEFAULT, note="the local model is not installed: echo answers")

    def _unknown(self, name: str) -> UnknownModel:
        known = self.names()
        provider, slash, _ = name.partition("/")
        if slash:
            near = nearest(provider, self._providers)
            known = [f"{p}/…" for p in sorted(self._providers)]
            near = f"{near}/{name.partition('/')[2]}" if near else ""
        else:
            near = nearest(name, known)
        hint = f"did you mean `{near}`?" if near else f"known: {', '.join(known)}"
        return UnknownModel(
            f"no model is called `{name}` in this notebook.",
            hint=f"{hint}{'' if near else ';'} `%orch models` lists them",
            model=name,
        )

    def names(self) -> list[str]:
        """All names that resolve, the default first."""
        return list(dict.fromkeys([DEFAULT, *sorted(self._own), SMOLLM2.name, ECHO.name]))

    def chosen(self) -> list[str]:
        """The names that the user gave, one for each model behind them; "small" where there are none.

        These are the candidates of `route: auto`: nothing is called that the notebook does not name.
        """
        found: dict[tuple[str, str], str] = {}
        for name in sorted(self._own):
            offer = self.resolve(name)
            found.setdefault((offer.provider, offer.model), name)
        return list(found.values()) or [DEFAULT]

    def offers(self) -> list[Offer]:
        """Return what every name stands for."""
        return [self.resolve(name) for name in self.names()]

    def providers(self) -> dict[str, str]:
        """Known remote providers and the environment variable of each one's key ("" when it has none)."""
        return dict(self._providers)

    def key_values(self) -> dict[str, str]:
        """``env:NAME`` -> value of the keys that are in the environment: to be looked for in values, and for nothing else."""
        environ = os.environ if self.environ is None else self.environ
        return {f"env:{k}": value for k in self._providers.values() if k and (value := environ.get(k))}

    def keys_found(self) -> dict[str, str]:
        """Provider -> name of the environment variable in which a key lies. Values are never touched."""
        environ = os.environ if self.environ is None else self.environ
        return {provider: key for provider, key in self._providers.items() if key and environ.get(key)}


_CURRENT: list[ModelBook] = []


def current() -> ModelBook:
    """The book of the runtime in force; without one, a book of its own that knows the defaults."""
    if not _CURRENT:
        _CURRENT.append(ModelBook())
    return _CURRENT[-1]


def use(book: ModelBook | None) -> None:
    """Make `book` the one that definitions are resolved by; None: a new one with the defaults. The runtime calls this."""
    _CURRENT[:] = [] if book is None else [book]
