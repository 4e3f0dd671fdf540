"""Words of the errors and cards: the nearest name is near, numbers agree with their nouns, the place is named."""

from __future__ import annotations


def test_a_key_of_later_is_not_mistaken_for_another(shell):
    """`memory` is a known word of the design, so it is not taken for a slip of another key."""
    assert "`memory` has no effect yet" in shell("%%agent a --memory notes\nx").error


def test_an_unknown_tool_shows_its_line(shell):
    """The line with the tool's name is under the message."""
    done = shell("%%agent a --model echo\n---\ntools: [nothing]\n---\nhi")
    assert "line 3: The tool `nothing` does not exist.\n    tools: [nothing]\n" in done.error


def test_a_loop_without_a_bound_names_the_line_of_its_arrow(shell):
    """Of a cycle, the arrow that goes back is named with its line."""
    shell.good("%%agent a --model echo\nx {{ t }}")
    shell.good("%%agent b --model echo\nx {{ a }}")
    shell.good("%%graph g\na -> b\nb -> a")
    done = shell("%orch run g t='x'")
    assert "1 problem with its arrows" in done.error
    assert "line 3: a loop without a bound: a -> b -> a. Write `b -> a at most n`." in done.error


def test_python_is_not_a_near_name_of_a_node(shell):
    """What is suggested for an unknown node is something of the notebook, not a function of Python."""
    shell.good("%%agent a --model echo\nx {{ t }}")
    shell.good("%%graph g\na -> nope")
    assert "run the cell that defines it" in shell("%orch run g t='x'").error


def test_an_article_fits_its_noun(shell):
    """An agent is an Agent, not a Agent."""
    shell.good("%%agent a --model echo\nx {{ t }}")
    assert "`a` is an Agent in this notebook" in shell("%%graph a\nx -> y").error


def test_the_text_of_buttons_says_what_does_the_same():
    """Where widgets do not show, their place says which line does what they do."""
    import ipywidgets

    from orch_nb.notebook.session import widget_bundle

    assert "%orch answer" in widget_bundle(ipywidgets.Button())["text/plain"]


def test_a_refusal_names_the_budget_and_the_line_that_raises_it(shell):
    """A run's limit is raised where it is resumed, the notebook's by `%orch budget`; scopes are named as a person would."""
    from orch_nb import ScriptedProvider, runtime

    runtime.current().add_provider(ScriptedProvider(lambda _: "ok", name="scripted"))
    shell.good("%orch models add house scripted/m1 input=10 output=30 context_tokens=8000")
    shell.good("%%agent ask --model house --max_tokens 100\n{{ message }}")
    done = shell('%orch run ask message="a" --budget 0.00001')
    assert "but run 1 has $0.000010 left" in done.error
    assert "`%orch resume 1` continues" not in done.out, "resuming within the same budget would fail again"
    assert "`%orch resume 1 --budget +0.01` continues" in done.out
    assert shell.good("%orch resume 1 --budget +0.01").result() == "ok"
    shell.good("%orch notebook mine\n%orch budget 0.00001")
    done = shell('%orch run ask message="a"')
    assert "but notebook mine has" in done.error
    assert "`%orch budget +0.01`, then `%orch resume 2` continues" in done.error
    shell.good("%orch budget +0.01")
    assert shell.good("%orch resume 2").result() == "ok"


def test_what_a_hint_says_can_be_typed_and_points_at_what_was_meant(shell):
    """Mistakes of a newcomer each get a hint that works: a blank, a question without quotes, a missing name, a model's name."""
    shell.good("%%agent a --model echo\nx {{ t }}")
    assert 'no blanks around `=`: `t="hello"`' in shell('%orch run a t = "hello"').error
    done = shell("%%graph g\na -> ask\nask: human Which team?")
    assert "A question must be in quotes." in done.error
    assert 'human "Which team?"' in done.error
    shell.good('%%graph g\na -> ask\nask: human "Which team?"')
    shell.good('%%graph h\na -> check\nchek: human "ok?"')
    assert "did you mean `chek`?" in shell('%orch run h t="x"').error
    assert "a forecast needs a name before `at`." in shell("%orch forecast at 1000 a day").error
    done = shell("%orch models set big=gpt-4o")
    assert "no model is called `gpt-4o`" in done.error
    assert "big" not in done.error.partition("known: ")[2], "the name was not set, so it is not known"


def test_an_error_is_pointed_once(shell):
    """A verb that points at a part of its line is not pointed again: one line number, one picture of the line."""
    shell.good("%%agent a --model echo\nx {{ t }}")
    shell.good('%orch run a t="x"')
    done = shell('%orch forecast a at 10 a day against="all on nomodel"')
    assert done.error.count("line 1: ") == 1
    assert done.error.count("%orch forecast") == 1


def test_an_answer_takes_no_words_that_it_would_ignore(shell):
    """A second word after an answer is refused, not dropped."""
    shell.good("%%agent a --model echo\nx {{ t }}")
    shell.good('%%graph g\na -> ask\nask: human "ok?"')
    shell('%orch run g t="x"')
    for line in ('"a" "b"', "approve now"):
        assert "Unexpected argument" in shell(f"%orch answer {line}").error


def test_why_of_a_batch_leads_to_its_rows(shell):
    """A batch decides nothing itself: the line that shows a row's decisions is said, and works."""
    shell.good("%%agent a --model echo\nx {{ t }}")
    shell.good('rows = [{"t": "x"}, {"t": "y"}]')
    shell("%orch batch a rows")
    assert "`%orch why --run 1.0`" in shell("%orch why").out
    assert "echo" in shell("%orch why --run 1.0").out


def test_a_table_that_does_not_fit_is_said_before_anything_is_sent(shell):
    """Rows that are not mappings, and inputs that nothing reads, are errors of the line."""
    shell.good("%%agent a --model echo\nx {{ t }}")
    assert "row 0 of the list must be a mapping, got 1." in shell("%orch batch a [1, 2]").error
    shell.good('rows = [{"t": "x"}]')
    done = shell("%orch batch a rows tt=t")
    assert "nothing in `a` reads `tt`." in done.error
    assert "did you mean `t`?" in done.error


def test_what_is_mapped_over_is_named(shell):
    """`each` needs a list: the path that is none is the subject, with what it is."""
    shell.good("def plan(t):\n    return {'parts': 'a b'}")
    shell.good("%%agent look --model echo\nx {{ part }}")
    shell.good("%%graph g\nplan -> look   each plan.parts as part")
    assert (
        "`plan.parts`, which `look` runs for each item of, must be a list, got str." in shell('%orch run g t="x"').error
    )
