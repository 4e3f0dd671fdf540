"""The choice of a model by logged outcomes: what each offer is expected to be worth for this prompt, and what it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from orch_nb.errors import BadOption, ModelNotInstalled, UnknownModel, nearest
from orch_nb.routing.evidence import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orch_nb.routing.evidence import Evidence
    from orch_nb.routing.learned.model import CostModel, QualityModel, Reader
    from orch_nb.schema.messages import Embedder

WORTH = 0.2
"""Quality that the whole price of the dearest offer must bring at tradeoff 0.5: twenty right answers more of a hundred."""

SLOW = 100.0
"""How stiffly single new outcomes move the estimates between two fits: rows are unit vectors, so some hundred alike halve an
error. Their mean, for which `SLOW_MEAN` outcomes halve it, moves faster."""
SLOW_MEAN = 20.0


@dataclass(slots=True)
class _Drift:
    """Corrections that single outcomes brought since the last fit: recursive least squares, one matrix for each offer."""

    start: Any
    weights: Any
    own: dict[int, Any] = field(default_factory=dict)

    def __call__(self, row: object) -> Any:
        return row @ self.weights

    def learn(self, row: object, offer: int, error: float) -> None:
        """Moves one offer's correction by what it was wrong by; O(d^2)."""
        import numpy as np

        if offer not in self.own:
            self.own[offer] = self.start.copy()
        matrix = self.own[offer]
        turned = matrix @ row
        step = turned / (1.0 + float(row @ turned))
        self.weights[:, offer] += step * error
        matrix -= np.outer(step, turned)

    def doubt(self, row: object, offers: int) -> Any:
        """Leverage of the row for each offer, (offers,)."""
        import numpy as np

        out = np.full(offers, float(row @ self.start @ row))
        for offer, own in self.own.items():
            out[offer] = float(row @ own @ row)
        return out


class Learned:
    """Estimates of every offer's quality and cost for a prompt, from outcomes, and the choice they lead to.

    Parameters
    ----------
    offers
        Names of the models to choose among. Without any outcome the first is taken to be the best.
    evidence
        Outcomes, in any order and with any gaps: not every offer need have answered every prompt. A later one with the same
        key replaces the earlier. Those of other offers are left out.
    embed
        Texts to vectors; None learns from words and counts alone, less well. `providers.embeddings.default_embedder()`.
    minimum
        Outcomes that an offer needs before it may be chosen instead of the `baseline`. 30 tell 0.6 from 0.8 in nine of ten.
    baseline
        The offer that is taken while others lack outcomes; "" is the first.
    rank
        Place of a word in a vocabulary ordered by frequency, a sign of rare words; None takes their length.

    Raises
    ------
    BadOption
        No offer, one twice, or `minimum` below 1.
    UnknownModel
        The baseline is none of the offers.
    ModelNotInstalled
        numpy is not installed.

    Notes
    -----
    The model is fitted at the first question, some seconds for 10,000 prompts and 13 offers (`routing.learned.model` says how);
    afterwards `learn` takes one outcome in below 5 ms and `refit` makes use of all. A prompt is embedded once and remembered.
    An answer costs 1 ms and less beside that. Nothing is random: the same evidence gives the same choice.

    Never knowingly worse than the static choice (each offer's mean): what a prompt changes is believed only where outcomes that
    the fit had not seen bear it out, and in full only by two standard errors.

    Examples
    --------
    >>> learned = Learned(["big", "small"])
    >>> learned.choose("hello", tradeoff=0.5, costs={"big": 0.01, "small": 0.001})
    ('big', '`big` is the baseline; `small` has 0 outcomes, 30 are needed')
    """

    def __init__(
        self,
        offers: Sequence[str],
        evidence: Sequence[Evidence] = (),
        *,
        embed: Embedder | None = None,
        minimum: int = 30,
        baseline: str = "",
        rank: Callable[[str], int] | None = None,
    ) -> None:
        _check(offers, minimum, baseline)
        from orch_nb.routing.learned.model import Reader

        self.offers = tuple(offers)
        self.minimum = minimum
        self.baseline = baseline or self.offers[0]
        self._place = {name: at for at, name in enumerate(self.offers)}
        self._log: dict[str, Evidence] = {}
        self._counts = [0] * len(self.offers)
        self._vectors: dict[str, Any] = {}
        self._embed = embed
        self._reader: Reader = Reader(self._embed_remembered if embed is not None else None, rank)
        self._model: QualityModel | None = None
        self._costs: CostModel | None = None
        self._drift: _Drift | None = None
        for row in evidence:
            self._note(row)

    @property
    def method(self) -> str:
        """Return what the estimates rest on: ``outcomes`` (they depend on the prompt), ``prior`` (means, and how hard the prompt
        looks) or ``means`` (the prompt changes nothing)."""
        return self._fit_model().evidence

    # ------------------------------------------------------------------------------------------------------- asking
    def predict(self, prompts: Sequence[str]) -> tuple[object, object]:
        """Expected quality (not clipped) and dollars (NaN: unknown) of every offer, two arrays (n_prompts, n_offers)."""
        import numpy as np

        model = self._fit_model()
        if not prompts:
            return np.zeros((0, len(self.offers))), np.zeros((0, len(self.offers)))
        features = self._reader(prompts)
        tables = model.tables(features)
        quality = model(features, tables)
        if self._drift is not None:
            quality = quality + self._drift(_rows(features))
        costs = np.full(quality.shape, np.nan) if self._costs is None else self._costs(len(features), tables)
        return quality, costs

    def estimates(self, prompt: str) -> list[Estimate]:
        """Return what is expected of each offer for one prompt, in the order of `offers`.

        The interval is that of the expectation, not of the single answer; 0 to 1 where nothing is known of the offer.
        """
        import numpy as np

        model = self._fit_model()
        features = self._reader([prompt])
        row, tables = _rows(features)[0], model.tables(features)
        quality, counts = model(features, tables)[0], np.asarray(self._counts)
        doubt = 1.0 / (counts + 1.0)
        if self._drift is not None:
            quality = quality + self._drift(row)
            doubt = doubt + self._drift.doubt(row, len(counts))
        half = 1.96 * np.sqrt(doubt) * np.maximum(np.broadcast_to(model.spread, counts.shape), 0.05)
        half = np.where(counts > 0, half, 1.0)
        costs = np.full(len(counts), np.nan) if self._costs is None else self._costs(1, tables)[0]
        return [
            Estimate(
                name, _inside(quality[m]), _inside(quality[m] - half[m]), _inside(quality[m] + half[m]), int(counts[m]),
                None if math.isnan(costs[m]) else float(costs[m]),
            )
            for m, name in enumerate(self.offers)
        ]  # fmt: skip

    def choose(self, prompt: str, *, tradeoff: float, costs: Mapping[str, float | None]) -> tuple[str, str]:
        """The offer for one prompt, and why in one clause.

        Parameters
        ----------
        prompt
            The user message.
        tradeoff
            From 0 (as cheap as possible) to 1 (as good as possible). Between, the share c of the dearest offer's price must be
            worth c x 0.2 (1 - tradeoff) / tradeoff in expected quality: at 0.5 the dearest must be right 20 times more of
            a hundred than one that costs nothing.
        costs
            Expected dollars of this call by offer. An offer without an entry, or with None, is priced by its evidence, or as the
            dearest where that is silent too: unknown is not free. Offers that are not to be chosen are left out by leaving
            them out of `offers`.

        Raises
        ------
        BadOption
            The tradeoff lies outside 0 to 1.
        """
        if not 0.0 <= tradeoff <= 1.0:
            raise BadOption(
                f"tradeoff is {tradeoff:g}.", hint="from 0 (as cheap as possible) to 1 (as good as possible)"
            )
        able = [
            name for name in self.offers if name == self.baseline or self._counts[self._place[name]] >= self.minimum
        ]
        if len(able) == 1:
            return self.baseline, self._lacking()
        found = {e.offer: e for e in self.estimates(prompt)}
        priced = {name: _first_known(costs.get(name), found[name].cost_usd) for name in able}
        value = _values({name: found[name].quality for name in able}, priced, tradeoff)
        best = max(able, key=lambda name: value[name])  # the first among equals
        return best, _because(best, found, priced, value, tradeoff)

    def _lacking(self) -> str:
        others = [f"`{name}` has {self._counts[self._place[name]]}" for name in self.offers if name != self.baseline]
        if not others:
            return f"`{self.baseline}` is the only offer"
        return f"`{self.baseline}` is the baseline; {', '.join(others)} outcomes, {self.minimum} are needed"

    # ----------------------------------------------------------------------------------------------------- learning
    def learn(self, outcome: Evidence) -> None:
        """Takes one outcome in: the offer's estimates move at once, for prompts that resemble this one most.

        Notes
        -----
        O(d^2), d some 400; 1 ms beside the embedding. It corrects the last fit; what is worth a new one `refit` does.
        """
        place = self._place.get(outcome.offer)
        if place is None or not math.isfinite(outcome.quality):
            return
        model = self._fit_model()
        is_new = outcome.key not in self._log
        self._note(outcome)
        if not is_new:
            return  # a judgement that is revised; `refit` sees it
        features = self._reader([outcome.prompt])
        row = _rows(features)[0]
        if self._drift is None:
            self._drift = _start_drift(_rows(features)[:0], row.shape[0], len(self.offers))
        expected = float(model(features, model.tables(features))[0, place]) + float(self._drift(row)[place])
        self._drift.learn(row, place, min(max(outcome.quality, 0.0), 1.0) - expected)

    def refit(self) -> None:
        """Fit again on everything that was learned; seconds where there are thousands."""
        self._model = None
        self._fit_model()

    def _note(self, row: Evidence) -> None:
        place = self._place.get(row.offer)
        if place is None or not math.isfinite(row.quality):
            return
        old = self._log.get(row.key)
        if old is not None:
            self._counts[self._place[old.offer]] -= 1
        self._log[row.key] = row
        self._counts[place] += 1

    def _fit_model(self) -> QualityModel:
        if self._model is None:
            self._model = self._fit()
        return self._model

    def _fit(self) -> QualityModel:
        from orch_nb.routing.learned.model import SLOPE, QualityModel, fit_costs, fit_quality, presumed

        self._costs = self._drift = None
        if not self._log:
            return QualityModel(presumed(len(self.offers)), SLOPE)
        prompts, quality, costs = self._tables()
        features = self._reader(prompts)
        model = fit_quality(features, quality)
        self._costs = fit_costs(costs, model.tables(features))
        rows = _rows(features)
        self._drift = _start_drift(rows, rows.shape[1], len(self.offers))
        return model

    def _tables(self) -> tuple[list[str], object, object]:
        """Prompts, and tables prompts x offers of mean quality and mean dollars with NaN in the gaps."""
        import numpy as np

        place = {prompt: at for at, prompt in enumerate(dict.fromkeys(row.prompt for row in self._log.values()))}
        shape = (len(place), len(self.offers))
        sums, counts, dollars, priced = (np.zeros(shape) for _ in range(4))
        for row in self._log.values():
            cell = place[row.prompt], self._place[row.offer]
            sums[cell] += min(max(row.quality, 0.0), 1.0)
            counts[cell] += 1
            if row.cost_usd is not None:
                dollars[cell] += float(row.cost_usd)
                priced[cell] += 1
        gap = np.full(shape, np.nan)
        return (
            list(place),
            np.divide(sums, counts, out=gap.copy(), where=counts > 0),
            np.divide(dollars, priced, out=gap, where=priced > 0),
        )

    def _embed_remembered(self, texts: list[str]) -> object:
        import numpy as np

        assert self._embed is not None, "only asked for with an embedder"
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if new:
            self._vectors.update(zip(new, self._embed.embed(new), strict=True))
        return np.stack([self._vectors[text] for text in texts])


def _check(offers: Sequence[str], minimum: int, baseline: str) -> None:
    if not offers or len(set(offers)) < len(offers):
        raise BadOption(
            f"`Learned` needs different offers; these are {len(offers)}, {len(set(offers))} of them different.",
            hint="Learned(['big', 'small'], evidence)",
        )
    if minimum < 1:
        raise BadOption(f"minimum is {minimum}.", hint="at least 1 outcome; 30 tell 0.6 from 0.8")
    if baseline and baseline not in offers:
        raise UnknownModel(
            f"the baseline `{baseline}` is none of the {len(offers)} offers.",
            hint=f"did you mean `{nearest(baseline, offers) or offers[0]}`?",
        )
    if find_spec("numpy") is None:
        raise ModelNotInstalled(
            "numpy is not installed; the learned router needs it.", hint="pip install 'orch_nb[local]'"
        )


def _rows(features: Any) -> Any:
    """Return what single outcomes are learned on: the vector (or the counts) and a constant."""
    import numpy as np

    base = features.signs / 10.0 if features.vectors is None else features.vectors
    constant = np.full((len(features), 1), math.sqrt(SLOW / SLOW_MEAN))
    return np.hstack([np.asarray(base, np.float64), constant])


def _start_drift(rows: Any, width: int, offers: int) -> _Drift:
    import numpy as np

    start = np.linalg.inv(rows.T @ rows + SLOW * np.eye(width))
    return _Drift(start, np.zeros((width, offers)))


def _inside(value: float) -> float:
    return float(min(max(value, 0.0), 1.0))


def _first_known(*values: float | None) -> float | None:
    return next((v for v in values if v is not None and math.isfinite(v) and v >= 0), None)


def _values(quality: Mapping[str, float], priced: Mapping[str, float | None], tradeoff: float) -> dict[str, float]:
    """Quality less the price of money; with tradeoff 0 only money counts, and quality among equals."""
    known = [cost for cost in priced.values() if cost is not None]
    dearest = max(known, default=0.0)
    share = {name: (dearest if cost is None else cost) / dearest if dearest else 0.0 for name, cost in priced.items()}
    price = WORTH * (1.0 - tradeoff) / max(tradeoff, 1e-6)
    return {name: quality[name] - price * share[name] for name in quality}


def _because(
    best: str,
    found: Mapping[str, Estimate],
    priced: Mapping[str, float | None],
    value: Mapping[str, float],
    tradeoff: float,
) -> str:
    def said(name: str) -> str:
        cost = priced[name]
        return f"`{name}` {found[name].quality:.2f} for {'an unknown price' if cost is None else f'${cost:.6f}'}"

    rivals = sorted((name for name in value if name != best), key=lambda name: -value[name])
    return f"{said(best)} ({found[best].n} outcomes) before {said(rivals[0])}, at tradeoff {tradeoff:g}"
