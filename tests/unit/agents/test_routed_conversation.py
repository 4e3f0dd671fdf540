"""Routed conversations, played by hand: what is asked next follows from what was recorded, and from nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orch_nb.agents.agent import Agent
from orch_nb.catalog.models import ModelBook
from orch_nb.engine.ports import Call, Result
from tests.unit.agents.conversation import calls, failed, play, said

BOOK = ModelBook(environ={})
BOOK.set(small="openai/gpt-4o-mini", mid="openai/gpt-4.1", big="openai/gpt-4o")
GOOD = {"label": "yes"}


def definition(route, **keys):
    keys.setdefault("out", "{label: yes | no}")
    return Agent("a", "Label {{ text }}", route=route, **keys).definition(BOOK)


def chose(*order, how="rules", by="", ask="", **more):
    """A recorded decision."""
    offer = "" if ask else (order[0] if order else "")
    rows = [{"offer": name, "model": name, "expected_usd": "0.001", "refused": ""} for name in order]
    made = {"how": how, "by": by or how, "offer": offer, "because": "because", "order": list(order), "candidates": rows}
    return {"reply": {**made, **more, **({"ask": ask} if ask else {})}}


def asked(step):
    assert isinstance(step, Call), step
    return step.kind, step.target


def played(route, *outcomes, **keys):
    return play(definition(route, **keys), {"text": "hi"}, *outcomes)


RULES = {"rules": [{"when": "text == 'hi'", "model": "big"}], "else": "small"}
LADDER = {"cascade": ["small", "mid", "big"]}


def test_the_first_call_is_the_decision_and_the_second_goes_where_it_says():
    """A routed agent asks its router first; the model call says why."""
    steps = played(RULES, chose("big", "small"), said(GOOD))
    assert asked(steps[0]) == ("route", "rules")
    assert (asked(steps[1]), steps[1].because) == (("model", "big"), "because")
    assert steps[2].value == GOOD
    assert steps[2].decision["route"]["offer"] == "big"


def test_an_agent_without_a_route_asks_nobody():
    """A fixed agent's first call is its model: no further event, no further step."""
    steps = play(Agent("a", "Label {{ text }}", model="small").definition(BOOK), {"text": "hi"}, said("fine"))
    assert asked(steps[0]) == ("model", "small")
    assert steps[1] == Result("fine")


def test_a_failing_choice_gives_way_to_the_next_of_the_decision():
    """The offers of the recorded order take over in turn; who failed and how is said."""
    steps = played(RULES, chose("big", "small"), failed(kind="RateLimited"), said(GOOD))
    assert (asked(steps[2]), steps[2].because) == (("model", "small"), "`big` failed (RateLimited: it broke)")
    assert steps[3].decision["route"] == {
        "how": "rules", "by": "rules", "offer": "small", "because": "because", "failed": "RateLimited: it broke",
    }  # fmt: skip


def test_a_question_that_nobody_can_answer_is_the_agents_failure():
    """NoOffer ends the activation with its error; nothing is called."""
    steps = played(RULES, failed("catastrophic", "ORCH401", "NoOffer"))
    assert steps[1].error.type == "NoOffer"


# ------------------------------------------------------------------ ladders
def rung(*order, **more):
    return chose(*order, how="cascade", **more)


def test_a_ladder_stops_at_the_first_answer_that_fits():
    """The cheapest answer that passes is the answer: nobody else is asked."""
    steps = played(LADDER, rung("small", "mid", "big"), said(GOOD))
    assert steps[-1].value == GOOD
    assert steps[-1].decision["route"]["ladder"] == [
        {"offer": "small", "passed": True, "because": "its answer fits `out`"}
    ]


def test_each_escalation_is_a_decision_of_its_own_with_the_ladder_so_far():
    """A wrong answer is not repaired below the top: the next step is asked, with what was tried."""
    steps = played(
        LADDER, rung("small", "mid", "big"), said("nonsense"), rung("mid", "big"), failed(), rung("big"), said(GOOD)
    )
    assert [asked(s) for s in steps[:-1]] == [
        ("route", "cascade"), ("model", "small"), ("route", "cascade"), ("model", "mid"), ("route", "cascade"), ("model", "big"),
    ]  # fmt: skip
    assert [row["offer"] for row in steps[4].request.tried] == ["small", "mid"]
    ladder = steps[-1].decision["route"]["ladder"]
    assert [(row["offer"], row["passed"]) for row in ladder] == [("small", False), ("mid", False), ("big", True)]
    assert "SemanticFailure" in ladder[0]["because"]
    assert "ProviderUnavailable" in ladder[1]["because"]


def test_the_top_rung_repairs_once_and_then_the_ladder_has_failed():
    """Above the top there is nobody: its answer is repaired once, then the error is the agent's."""
    steps = played(LADDER, rung("big"), said("nonsense"), said("nonsense again"))
    assert asked(steps[2]) == ("model", "big")
    assert steps[3].error.type == "SemanticFailure"


def test_what_a_tool_said_is_not_asked_again_on_the_next_rung():
    """Results of tools go up the ladder with the question, so that nothing is done twice."""
    from orch_nb import tool

    @tool
    def look(word: str) -> str:
        """Look a word up."""
        return word

    steps = played(
        LADDER, rung("small", "big"), calls(("look", {"word": "x"})), {"reply": "found"}, said("bad"), rung("big"), said(GOOD),
        tools=[look],
    )  # fmt: skip
    assert [asked(s)[0] for s in steps[:-1]] == ["route", "model", "tool", "model", "route", "model"]
    assert [m.role for m in steps[5].request.messages] == ["system", "user", "assistant", "tool"]


def test_an_effect_of_unknown_outcome_ends_the_ladder():
    """Nobody repeats what may have happened: no further step is taken."""
    from orch_nb import tool

    @tool(effects=["pay"])
    def pay(amount: int) -> str:
        """Pay."""
        return "done"

    steps = played(LADDER, rung("small", "big"), calls(("pay", {"amount": 1})), failed(), tools=[pay], effects=["pay"])
    assert steps[-1].error.failure == "catastrophic"


# ------------------------------------------------------------------ agreement and checks
AGREE = {"cascade": ["small", "big"], "by": "agreement(3)", "confidence": 0.7}


def test_agreement_asks_again_and_stops_as_soon_as_it_is_decided():
    """Of three wanted, two different answers already miss 0.70: the third is not asked, the next step is."""
    steps = played(AGREE, rung("small", "big"), said({"label": "yes"}), said({"label": "no"}), rung("big"), said(GOOD))
    assert "sample 2 of at most 3" in steps[2].because
    assert steps[2].request.temperature == 0.7
    assert asked(steps[3]) == ("route", "cascade")
    first = steps[-1].decision["route"]["ladder"][0]
    assert (first["confidence"], first["passed"], first["by"]) == (0.5, False, "agreement(3)")


def test_answers_that_agree_are_enough():
    """Three equal answers: the cheap model's answer is used, and its confidence is measured."""
    steps = played(AGREE, rung("small", "big"), said(GOOD), said(GOOD), said(GOOD))
    route = steps[-1].decision["route"]
    assert (steps[-1].value, route["confidence"], route["measured"], route["offer"]) == (
        GOOD,
        1.0,
        "agreement(3)",
        "small",
    )


def test_the_majority_is_the_answer_and_a_failed_sample_disagrees():
    """At 0.6 two of three are enough; the odd one, or a failed one, does not win."""
    route = {**AGREE, "confidence": 0.6}
    steps = played(route, rung("small", "big"), said({"label": "no"}), said(GOOD), said(GOOD))
    assert steps[-1].value == GOOD
    steps = played(route, rung("small", "big"), said(GOOD), failed(), said(GOOD))
    assert steps[-1].decision["route"]["confidence"] == 0.666667


def test_one_field_may_be_what_must_agree():
    """`agreement(2 of label)` does not ask that the reasons be word for word the same."""
    route = {"cascade": ["small", "big"], "by": "agreement(2 of label)", "confidence": 1}
    out = "{label: yes | no, reason: str}"
    steps = played(
        route,
        rung("small", "big"),
        said({"label": "yes", "reason": "a"}),
        said({"label": "yes", "reason": "b"}),
        out=out,
    )
    assert steps[-1].value == {"label": "yes", "reason": "a"}


def test_the_last_rung_is_not_measured():
    """Nobody could be asked after it: further samples would be money for nothing."""
    steps = played(AGREE, rung("big"), said(GOOD))
    assert steps[-1].value == GOOD


def test_the_surest_answer_stands_where_no_further_rung_fits():
    """The budget refuses the escalation: the answer at hand is kept, and the record says that nothing passed."""
    none = chose(how="cascade", because="no step is left")
    steps = played(AGREE, rung("small", "big"), said(GOOD), said({"label": "no"}), none)
    route = steps[-1].decision["route"]
    assert (steps[-1].value, route["offer"], route["confidence"]) == (GOOD, "small", 0.5)
    assert "no step passed" in route["because"]


CHECK = {"cascade": ["small", "mid", "big"], "by": "check(passes)"}


def test_the_smallest_model_that_passes_is_found_by_a_test():
    """A function of the notebook tests each step; the ladder that was tried is the record."""
    steps = played(
        CHECK, rung("small", "mid", "big"), said(GOOD), {"reply": {"passed": False}}, rung("mid", "big"), said(GOOD),
        {"reply": {"passed": True}},
    )  # fmt: skip
    assert (asked(steps[2]), steps[2].request["answer"]) == (("check", "passes"), GOOD)
    ladder = steps[-1].decision["route"]["ladder"]
    assert [(r["offer"], r["passed"], r["because"]) for r in ladder] == [
        ("small", False, "`passes` said no"), ("mid", True, "`passes` said yes"),
    ]  # fmt: skip


def test_no_model_that_passes_is_a_semantic_failure_with_the_ladder():
    """An answer that a test refutes does not stand for want of a better one."""
    no = {"reply": {"passed": False}}
    steps = played(CHECK, rung("small", "big"), said(GOOD), no, rung("big"), said(GOOD), no)
    assert steps[-1].error.type == "SemanticFailure"
    assert "`small`: `passes` said no; `big`: `passes` said no" in steps[-1].error.message


# ------------------------------------------------------------------ probabilities and calibration
PROBABLE = {"cascade": ["small", "big"], "by": "probability", "confidence": 0.8}


def scored(text, *tokens):
    made = said(text)
    return {**made, "reply": {**made["reply"], "logprobs": [list(row) for row in tokens]}}


def label(logprob):
    """An answer whose form is improbable, as constrained decoding makes it, and whose value has this log-probability."""
    return scored(GOOD, ('{"', -9.0), ("label", -4.0), ('": "', -3.0), ("ye", logprob), ("s", 0.0), ('"}', -7.0))


def test_the_probability_of_a_label_is_that_of_its_tokens():
    """Asked for log-probabilities, those of the value decide, not those of the form: 0.9 passes 0.8, 0.5 does not."""
    steps = played(PROBABLE, rung("small", "big"), label(-0.105))
    assert steps[1].request.logprobs is True
    route = steps[-1].decision["route"]
    assert (round(route["confidence"], 2), route["measured"], route["calibrated"]) == (0.9, "probability", False)
    steps = played(PROBABLE, rung("small", "big"), label(-0.7))
    assert asked(steps[-1]) == ("route", "cascade")


def test_free_text_is_judged_by_the_mean_of_its_tokens():
    """No wording of a paragraph is probable as a whole: the geometric mean of its tokens counts."""
    steps = played(PROBABLE, rung("small", "big"), scored("a long answer", *[("word ", -0.05)] * 100), out="str")
    assert round(steps[-1].decision["route"]["confidence"], 2) == 0.95


def test_without_probabilities_nothing_is_sure():
    """An interface that sends none measures nothing: the next step is asked, and the record says why."""
    steps = played(PROBABLE, rung("small", "big"), said(GOOD), rung("big"), said(GOOD))
    assert steps[2].request.tried[0]["because"] == "`small` sent no probabilities"


def test_labelled_answers_say_what_a_confidence_means():
    """Calibrated, full agreement of three is right in 6 of 10 cases only: it does not pass 0.7 any more."""
    made = {**definition(AGREE), "calibration": {"agreement(3)": [[0.33, 0.2], [1.0, 0.6]]}}
    steps = play(made, {"text": "hi"}, rung("small", "big"), said(GOOD))
    assert asked(steps[-1]) == ("route", "cascade")
    generous = {**made, "calibration": {"agreement(3)": [[0.33, 0.5], [0.667, 0.8], [1.0, 0.95]]}}
    steps = play(generous, {"text": "hi"}, rung("small", "big"), said(GOOD), said(GOOD))
    route = steps[-1].decision["route"]
    assert (round(route["confidence"], 2), round(route["raw"], 2), route["calibrated"]) == (0.8, 0.67, True)


# ------------------------------------------------------------------ judges
JUDGE = {"judge": "big", "models": ["small", "mid"], "criteria": "hard: mid"}


def test_the_judges_call_is_a_call_and_its_word_is_decided_upon():
    """Filter, judge, decision, answer: four calls, of which two are paid."""
    steps = played(
        JUDGE, chose("small", "mid", how="judge", ask="big"), said({"choice": "mid", "reason": "hard"}),
        chose("mid", "small", how="judge"), said(GOOD),
    )  # fmt: skip
    assert [asked(s) for s in steps[:-1]] == [
        ("route", "judge"),
        ("model", "big"),
        ("route", "judge"),
        ("model", "mid"),
    ]
    assert "hard: mid" in steps[1].request.messages[0].content
    assert steps[2].request.said == {"choice": "mid", "reason": "hard"}


def test_a_judge_that_fails_is_said_to_have_failed():
    """Its error goes into the question of the decision that follows."""
    steps = played(JUDGE, chose("small", "mid", how="judge", ask="big"), failed(kind="AuthFailed"))
    assert steps[2].request.said == {"problem": "AuthFailed: it broke"}


# ------------------------------------------------------------------ second opinions
SECOND = {"model": "big", "below": 0.7, "by": "agreement(3)"}


def opined(*outcomes, second=SECOND, **keys):
    keys.setdefault("out", "{label: yes | no}")
    made = Agent("a", "Label {{ text }}", model="small", second_opinion=second, **keys).definition(BOOK)
    return play(made, {"text": "hi"}, *outcomes)


def second_asked(*order):
    return chose(*order, how="second_opinion", by="cascade")


def test_a_sure_answer_asks_nobody_else():
    """Three of three agree: the first answer is used, its confidence is in the record."""
    steps = opined(said(GOOD), said(GOOD), said(GOOD))
    assert steps[-1].value == GOOD
    assert steps[-1].decision["route"] == {
        "offer": "small", "confidence": 1.0, "measured": "agreement(3)", "calibrated": False,
    }  # fmt: skip


def test_an_unsure_answer_is_weighed_with_a_second_one():
    """Below 0.7 the other model answers, then weighs both without being told whose they are; all three are recorded."""
    steps = opined(said({"label": "no"}), said(GOOD), second_asked("big"), said(GOOD), said(GOOD))
    assert [asked(s) for s in steps[:-1]] == [
        ("model", "small"), ("model", "small"), ("route", "second_opinion"), ("model", "big"), ("model", "big"),
    ]  # fmt: skip
    weighing = steps[4].request.messages[-1].content
    assert '{"label":"no"}' in weighing.replace(" ", "")
    assert "small" not in weighing
    made = steps[-1].decision["route"]["second_opinion"]
    assert (made["first"]["answer"], made["first"]["confidence"]) == ({"label": "no"}, 0.5)
    assert (made["second"]["answer"], made["agreed"], made["synthesis"]["answer"]) == (GOOD, False, GOOD)
    assert steps[-1].value == GOOD


def test_two_models_that_agree_need_no_synthesis():
    """The second answer is the first one: nothing is weighed, nothing more is paid."""
    steps = opined(said(GOOD), said({"label": "no"}), second_asked("big"), said(GOOD))
    assert steps[-1].value == GOOD
    assert steps[-1].decision["route"]["second_opinion"]["agreed"] is True


def test_a_second_opinion_that_cannot_be_had_leaves_the_first_answer():
    """No budget, no key, or a failing model: the first answer is used, and why is recorded."""
    none = chose(how="second_opinion", by="cascade", because="it may cost $1, and $0 is left")
    steps = opined(said(GOOD), said({"label": "no"}), none)
    assert (steps[-1].value, steps[-1].decision["route"]["second_opinion"]) == (
        GOOD,
        {"refused": "it may cost $1, and $0 is left"},
    )
    steps = opined(said(GOOD), said({"label": "no"}), second_asked("big"), failed())
    assert steps[-1].value == GOOD
    assert "ProviderUnavailable" in steps[-1].decision["route"]["second_opinion"]["second"]["failed"]


def test_a_failed_synthesis_leaves_the_second_answer():
    """Both answers are there: the second model's is used when it cannot weigh them."""
    steps = opined(said(GOOD), said({"label": "no"}), second_asked("big"), said({"label": "no"}), failed())
    assert steps[-1].value == {"label": "no"}
    assert "the second answer is used" in steps[-1].decision["route"]["second_opinion"]["synthesis"]["failed"]


def test_a_stated_number_is_used_where_told_and_marked():
    """`stated(FIELD)` takes the model's own word, at its own risk: the record says that it is stated."""
    second = {"model": "big", "by": "stated(confidence)"}
    out = "{label: yes | no, confidence: float}"
    sure, unsure = {"label": "yes", "confidence": 0.9}, {"label": "yes", "confidence": 0.2}
    assert opined(said(sure), second=second, out=out)[-1].decision["route"]["measured"] == "stated(confidence)"
    steps = opined(said(unsure), second_asked("big"), said(sure), said(sure), second=second, out=out)
    assert "stated by the model, below 0.70" in steps[-1].decision["route"]["second_opinion"]["because"]


def test_a_ladders_own_confidence_is_what_the_second_opinion_goes_by():
    """What a ladder measured is not measured again."""
    made = definition(
        {"cascade": ["small", "mid"], "by": "agreement(2)", "confidence": 0.9}, second_opinion={"model": "big"}
    )
    none = chose(how="cascade", because="no step is left")
    steps = play(
        made,
        {"text": "hi"},
        rung("small", "mid"),
        said(GOOD),
        said({"label": "no"}),
        none,
        second_asked("big"),
        said(GOOD),
    )
    assert [asked(s) for s in steps[3:-1]] == [("route", "cascade"), ("route", "second_opinion"), ("model", "big")]
    assert steps[-1].value == GOOD


# ------------------------------------------------------------------ properties
OUTCOMES = st.lists(
    st.sampled_from(
        [said(GOOD), said({"label": "no"}), said("nonsense"), failed(), failed("cancelled"), {"reply": {"passed": True}},
         {"reply": {"passed": False}}, calls(("nothing", {}))]
    ),
    max_size=12,
)  # fmt: skip


@given(OUTCOMES, st.sampled_from(["schema", "agreement(3)", "check(passes)"]))
def test_any_record_of_a_ladder_gives_one_next_step_in_any_process(outcomes, by):
    """Whatever came back, a machine built again from recorded data asks the same next (`play` compares at each step);
    decisions come from the record alone, and the number of model calls is bounded."""
    plain = definition({"cascade": ["small", "mid", "big"], "by": by})
    left = ["small", "mid", "big"]
    given_outcomes = []
    answers = list(outcomes)
    while True:
        step = play(plain, {"text": "hi"}, *given_outcomes)[-1]
        if isinstance(step, Result):
            break
        if step.kind == "route":
            left = left[1:] if step.request.tried else left
            given_outcomes.append(rung(*left) if left else chose(how="cascade"))
        elif step.kind == "check" or answers:
            outcome = answers.pop() if answers else {"reply": {"passed": True}}
            fits = ("passed" in str(outcome)) == (step.kind == "check")
            given_outcomes.append(
                outcome if fits else {"reply": {"passed": True}} if step.kind == "check" else said(GOOD)
            )
        else:
            given_outcomes.append(said(GOOD))
        assert len(given_outcomes) < 40
