"""`%orch help route`: how an agent's model is chosen, and the keys beside `route`."""

from __future__ import annotations

from orch_nb.errors import BadOption, NoOffer, UnknownModel
from orch_nb.notebook.manual import TOPICS
from orch_nb.notebook.manual.page import Page, Rule, Section
from orch_nb.schema.route_spec import (
    AUTO,
    CONFIDENCE,
    MAX_SAMPLES,
    MEASURES,
    MINIMUM,
    OPTIONS,
    SECOND_OPINION,
    SLA,
    TRADEOFF,
)

SETUP = (
    """def is_short(answer):
    return len(str(answer)) < 500

%orch models set small=echo big=echo""",
)
"""What the examples use. Both models stand for `echo`, which is free and needs no key."""

_WAYS = {
    "rules": (
        "rules: [{when: CONDITION, model: NAME}, …]",
        (
            "The first rule whose condition is true names the model. Conditions are those of "
            "`%orch help graph`, over what the agent reads. Needs `else`."
        ),
        'route: {rules: [{when: "len(ticket) > 2000", model: big}], else: small}',
    ),
    "keywords": (
        "keywords: {NAME: [WORD, …], …}",
        "The model one of whose words is in the prompt. Needs `else`.",
        "route: {keywords: {big: [refund, lawsuit], small: [hello]}, else: small}",
    ),
    "similar": (
        "similar: {NAME: [TEXT, …], …}",
        "The model whose texts are most like the prompt.",
        'route: {similar: {big: ["I will sue you"], small: ["Thank you"]}, above: 0.3, else: small}',
    ),
    "judge": (
        "judge: NAME",
        "A model chooses among `models`. Its call is billed to the run.",
        'route: {judge: big, models: [small, big], criteria: "long or legal: big"}',
    ),
    "cascade": (
        "cascade: [NAME, …]",
        "Asks the first model, and the next one when the answer does not fit its type or is not sure enough.",
        "route: {cascade: [small, big], confidence: 0.7, by: agreement(3)}",
    ),
    "learned": (
        "learned: [NAME, …]",
        (
            "The model that did best on prompts like this one, by what was recorded. Until there is enough evidence, and "
            "`%orch route accept AGENT` was typed, the baseline answers."
        ),
        "route: {learned: [small, big], tradeoff: 0.7, minimum: 30, baseline: big}",
    ),
}
"""Way to choose -> form, meaning and front matter."""

_OPTIONS = {
    "else": "The model that answers where none of the others is chosen.",
    "above": "The least similarity, from 0 to 1; below it `else` answers.",
    "models": "What the judge chooses from.",
    "criteria": "What the judge is told, as text.",
    "confidence": f"The least confidence at which a cascade stops, from 0 to 1. Default: {CONFIDENCE}. Needs a `by` that measures one.",
    "by": "How sure an answer is: see below. Default: `schema`.",
    "tradeoff": f"From 0 (cost only) to 1 (quality only). Default: {TRADEOFF}.",
    "minimum": f"Outcomes of each model that are needed at least. Default: {MINIMUM}.",
    "baseline": "The model that answers without enough evidence. Default: the last one.",
}
"""Further key of a way -> meaning."""

_MEASURES = {
    "schema": ("schema", "The answer fits its type, or not.", "route: {cascade: [small, big], by: schema}"),
    "agreement": (
        "agreement(3)  agreement(3 of FIELD)",
        (
            f"Asks several times, up to {MAX_SAMPLES}, and takes the share of equal answers, or of equal values of "
            "one field."
        ),
        'out: {team: billing | technical}\nroute: {cascade: [small, big], by: "agreement(3 of team)"}',
    ),
    "probability": (
        "probability",
        "The probability of the answer's tokens, from providers that send it.",
        "route: {cascade: [small, big], by: probability}",
    ),
    "check": (
        "check(FUNCTION)",
        "A function of the notebook that gets the answer and returns true or false.",
        "route: {cascade: [small, big], by: check(is_short)}",
    ),
    "stated": (
        "stated(FIELD)",
        (
            "The number that the model itself writes into a field. It is marked as stated wherever it is shown, and a cascade does not "
            "take it."
        ),
        "out: {answer: str, sure: float}\nsecond_opinion: {model: big, by: stated(sure)}",
    ),
}
"""Way to tell how sure an answer is -> form, meaning and front matter."""

_SECOND = {
    "model": "The model that gives the second opinion.",
    "below": f"It is asked where the first answer is less sure than this. Default: {CONFIDENCE}.",
    "by": "How sure the first answer is. Default: `agreement(3)`.",
}
"""Key of a second opinion -> meaning."""


def page() -> Page:
    """The page."""
    auto = Rule(
        f"route: {AUTO}",
        "A cascade over the models that the notebook has named, cheapest first; the learned choice instead, once it was accepted "
        "(`%orch route accept AGENT`).",
        _cell("route: auto"),
        (AUTO,),
    )
    ways = tuple(
        Rule(
            f"route: {{{_WAYS[way][0]}}}",
            f"{_WAYS[way][1]} Further keys: {_list(options)}.",
            _cell(_WAYS[way][2]),
            (way,),
        )
        for way, options in OPTIONS.items()
    )
    keys = dict.fromkeys(key for options in OPTIONS.values() for key in options)
    options = tuple(Rule(f"{key}:", _OPTIONS[key], words=(key,)) for key in keys)
    measures = tuple(Rule(f"by: {_MEASURES[m][0]}", _MEASURES[m][1], _cell(_MEASURES[m][2]), (m,)) for m in MEASURES)
    opinion = Rule(
        f"second_opinion: {{{': …, '.join(SECOND_OPINION)}: …}}",
        "Where the answer is not sure enough, another model answers too. Where the two differ, that model weighs both.",
        _cell("second_opinion: {model: big, below: 0.7, by: agreement(3)}"),
    )
    second = tuple(Rule(f"{key}:", _SECOND[key], words=(key,)) for key in SECOND_OPINION)
    sla = tuple(
        Rule(
            f"sla: {{{key}: 5}}",
            "Leaves out models whose recent calls took longer in the median.",
            _cell("route: {cascade: [small, big]}\nsla: {seconds: 5}"),
            (key,),
        )
        for key in SLA
    )
    sections = (
        Section("Ways to choose", (auto, *ways)),
        Section("Further keys of these ways", options),
        Section("How sure an answer is", measures),
        Section("A second opinion", (opinion, *second)),
        Section("A limit on time", sla),
    )
    lead = (
        "`route` in an `%%agent` cell chooses the model for each prompt, instead of `model`. Models that cannot take the "
        "request, have no price under a budget or no key are left out. Each decision is recorded with all candidates: "
        "`%orch why NODE` shows it."
    )
    return Page("route", TOPICS["route"], lead, sections, SETUP, (BadOption, NoOffer, UnknownModel))


def _list(options: tuple[str, ...]) -> str:
    return ", ".join(f"`{option}`" for option in options)


def _cell(yaml: str) -> str:
    return f"%%agent reply\n---\n{yaml}\n---\nAnswer:  {{{{ ticket }}}}"
