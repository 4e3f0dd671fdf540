"""The magics, through a real IPython shell, a real runtime and the echo model."""

from __future__ import annotations

import re
import subprocess
import sys
from decimal import Decimal

import pytest

from orch_nb.agents.agent import Agent
from orch_nb.graph.builder import Graph
from orch_nb.handle import RunHandle
from tests.unit.views.unpacked import rows_of

MOOD = """%%agent mood --model echo   # a comment
---
describe: hello
---
Is this friendly? {{ message }}"""
REPLY = "%%agent reply --model echo\nAnswer {{ mood }} and {{ message }}"
SUPPORT = "%%graph support\nmood -> reply -> send\nout send"
SEND = 'def send(reply):\n    return {"sent": reply[:6]}'


@pytest.fixture
def support(shell):
    """A shell in which a small graph is defined."""
    for cell in (MOOD, REPLY, SEND, SUPPORT):
        shell.good(cell)
    return shell


# ------------------------------------------------------------------ definitions
def test_cells_bind_objects_and_give_them_back(shell):
    """`%%agent` and `%%graph` bind an ordinary object under its name and return it for display."""
    made = shell.good(MOOD)
    assert isinstance(made, Agent)
    assert shell.names["mood"] is made
    assert made.spec.describe == "hello"
    shell.good(REPLY)
    shell.good(SEND)
    graph = shell.good(SUPPORT)
    assert isinstance(graph, Graph)
    assert shell.names["support"] is graph


def test_an_error_points_at_the_line_of_the_cell(shell):
    """What is wrong in a cell is shown in two parts, the line with a caret and the fix, without a traceback."""
    done = shell("%%agent mood --model echo\nIs this friendly? {{ message }} {{ oops")
    assert "BadExpression [ORCH704]  line 2:" in done.error
    assert "\n    Is this friendly? {{ message }} {{ oops\n" in done.error
    assert "hint:" in done.error
    assert "Traceback" not in done.error
    done = shell("%%agent mood --modle echo\nx {{ a }}")
    assert "line 1" in done.error
    assert "did you mean `model`" in done.error.replace("--", "")


def test_a_graph_cell_has_its_errors_too(shell):
    """A graph that cannot be read names the line; a name too many is pointed at."""
    assert "line 2" in shell("%%graph g\na -> -> b").error
    assert "Unexpected argument" in shell("%%graph g h\na -> b").error
    assert "needs a name" in shell("%%graph\na -> b").error


def test_redefinition_lists_what_it_affects(support):
    """A changed agent says which keys changed and which graphs and nodes that affects; an unchanged one says nothing."""
    from orch_nb.views.cards import agent_bundle

    again = support.good(MOOD)
    assert "affects" not in agent_bundle(again)["text/plain"]
    changed = support.good(MOOD.replace("friendly", "really friendly"))
    text = agent_bundle(changed)["text/plain"]
    assert "! redefined: prompt changed" in text
    assert "! affects graph support: mood, then reply, send" in text


def test_a_redefined_graph_says_what_is_new(support):
    """A changed graph says which nodes came and went."""
    from orch_nb.views.cards import graph_bundle

    text = graph_bundle(support.good("%%graph support\nmood -> send\nout send"))["text/plain"]
    assert "redefined: - reply" in text


def test_a_name_that_is_something_else_is_not_covered(shell):
    """A cell does not silently replace a variable that is not an agent; `--replace` does."""
    shell.good("mood = 3")
    assert "`mood` is an int" in shell(MOOD).error
    shell.good(MOOD.replace("--model echo", "--model echo --replace"))
    assert isinstance(shell.names["mood"], Agent)


def test_save_writes_a_file_that_load_reads(shell, tmp_path):
    """`--save` writes `agents/NAME.agent.md`; `%orch import` binds an equal agent, from a file or a folder."""
    made = shell.good(MOOD.replace("--model echo", "--model echo --save"))
    assert (tmp_path / "agents" / "mood.agent.md").is_file()
    del shell.names["mood"]
    shell.good("%orch import agents")
    assert shell.names["mood"] == made
    assert "no agent file is at `agents/x`" in shell("%orch import agents/x").error


def test_the_line_form_shows_a_card_again(support):
    """`%agent NAME` and `%graph NAME` give the object back; a wrong name gets the nearest."""
    assert support.good("%agent mood") is support.names["mood"]
    assert support.good("%graph support") is support.names["support"]
    assert "did you mean `mood`" in support("%agent moood").error


# ------------------------------------------------------------------ running
def test_run_waits_and_binds_its_run(support):
    """`%orch run` ends when the run has; the run is bound as `run`, shown once, and returned."""
    done = support('%orch run support message="what now"')
    run = support.names["run"]
    assert done.raised is None
    assert isinstance(run, RunHandle)
    assert run.status == "done"
    assert run.result() == {"sent": "Answer"}
    assert done.out.count("support · run 1 · ✓ done") == 1


def test_a_result_can_be_assigned(support):
    """`x = %orch run …` gives the run; its result is a value of Python."""
    support.good('x = %orch run mood message="a" --budget 0.01 # cheap')
    assert support.names["x"].result() == "Is this friendly? a"
    assert support.names["x"].events[0].limit_usd == Decimal("0.01")


def test_an_input_left_out_is_taken_from_the_notebook_and_said(support):
    """An omitted input takes the variable of its name; that is recorded in the run and shown with it."""
    support.good("message = 'from here'")
    done = support("%orch run mood")
    assert "input `message` is the notebook's variable of that name" in done.out
    assert support.names["run"].events[0].inputs == {"message": "from here"}


def test_as_names_the_run(support):
    """`--as NAME` binds the run under that name, and a name that is none is refused before anything runs."""
    support.good('%orch run mood message="a" --as first')
    assert support.names["first"] is support.names["run"]


def test_a_user_variable_called_run_is_left_alone(support):
    """The convenience name `run` never covers what the user called so."""
    support.good("run = 'mine'")
    support.good('%orch run mood message="a"')
    assert support.names["run"] == "mine"


def test_runs_in_loops_and_conditions_are_awaited(support):
    """The verb is awaited at the top level of a cell, in its loops and conditions."""
    support.good(
        'kept = []\nfor text in ("a", "b"):\n    one = %orch run mood message=text\n    kept.append(one.status)'
    )
    assert support.names["kept"] == ["done", "done"]


def test_in_a_function_the_run_goes_on_in_the_background(support):
    """Where nothing can be awaited the run is started, and what came back says how to wait for it."""
    value = support.good('def f():\n    return get_ipython().run_line_magic("orch", "run mood message=1")\np = f()\np')
    assert "continues in the background" in repr(value)
    assert support.good("(await p).status") == "done"


def test_other_magics_and_cells_are_left_alone(support):
    """Only our own verbs are awaited: other code that looks like it, other magics and nested cells run as they are."""
    assert support.good('"%orch run mood"') == "%orch run mood"
    assert support.good("%orch budget") is not None
    assert support("%%time\n%orch run mood message='a'").raised is None
    assert support.names["run"].wait(5).status == "done"


def test_nothing_is_expanded_by_ipython(support):
    """Braces and dollars in a line stay what they are."""
    support.good("x = 5")
    support.good('%orch run mood message="{x} $x {{ mood }}"')
    assert support.names["run"].result() == "Is this friendly? {x} $x {{ mood }}"


def test_function_locals_are_seen(support):
    """In a function a value may be the name of a local variable."""
    support.good('def f(text):\n    p = %orch run mood message=text\n    return p\np = f("local")')
    assert support.good("(await p).result()") == "Is this friendly? local"


def test_a_failed_run_fails_its_cell_with_the_users_own_frames(support):
    """A node that raised fails the cell; the traceback begins in the user's code, and the run says how to continue."""
    support.good("def send(reply):\n    return 1 / 0")
    done = support('%orch run support message="a"')
    assert "ZeroDivisionError" in done.error
    assert "engine/drive.py" not in done.error.split("NodeFailed")[0]
    assert "`%orch resume 1` continues from here" in done.out
    support.good(SEND)


@pytest.mark.parametrize(
    ("line", "says", "hint"),
    [
        ("%orch rnu support", "`%orch rnu` does not exist", "did you mean `run`?"),
        ("%orch run suport", "the graph or agent `suport` does not exist", "did you mean `support`?"),
        ("%orch run", "`run` needs a graph or an agent", "usage: `%orch run"),
        ("%orch run support mesage='a'", "nothing in `support` reads `mesage`", "did you mean `message`?"),
        ("%orch run support", "`support` needs `message`", "inputs: `message`"),
        (
            "%orch run support message=nothing",
            "The variable `nothing` does not exist",
            'a text needs quotes: `"nothing"`',
        ),
        ("%orch run support message='a' --budgt 1", "no flag `--budgt`", "did you mean `--budget`?"),
        ("%orch run support message='a' --budget x", "budget", ""),
        ("%orch run send", "`send` needs `reply`", "inputs"),
        ("%orch trace 99", "99", ""),
        ("%orch trace 1 2", "Unexpected argument `2`", "usage: `%orch trace [RUN] [--agent NAME]"),
        ("%orch stop", "no run is under way here", "`%orch runs`"),
        ("%orch resume", "no run is unfinished", "`%orch runs`"),
        ("%orch answer approve", "no run waits for a person", "`%orch runs`"),
        ("%orch answer aprove", "no run waits", ""),
        ("%orch models set small=opnai/gpt-4o", "no model is called", "openai"),
        ("%orch models frobnicate", "`models frobnicate` does not exist", ""),
        (
            "%orch models add house opnai/gpt-4o",
            "no provider is called `opnai`",
            "did you mean `openai`? A server of your own",
        ),
        (
            "%orch models add house zzz/m",
            "no provider is called `zzz`",
            "runtime.current().add_provider(providers.OpenAIChat",
        ),
        ("%orch models add house sk-abcdefghijk", "this looks like a key", "environment variable"),
        (
            "%orch notebook a/b",
            "a notebook's name must have letters, digits and `_ . -` only, got `a/b`",
            "`%orch notebook a_b`",
        ),
        ("%orch budget ten", "budget", ""),
        ("%orch help rn", "`%orch rn` does not exist", "did you mean `run`?"),
        ("%orch runs --limit 0", "`--limit` must be a whole number from 1, got `0`", ""),
    ],
)
def test_mistakes_are_told_before_anything_is_spent(support, line, says, hint):
    """Each mistake has its message and its fix, in two lines without a traceback, and starts nothing."""
    done = support(line)
    assert says in done.error
    assert hint in done.error
    assert re.match(r"\w+ \[ORCH\d\d\d\]  ", done.error)
    assert support.good("%orch runs").value == []


def test_the_place_in_the_cell_is_right(support):
    """The line number and the caret count in the cell, not in the line."""
    done = support("y = 1\n\n%orch run suport")
    assert "line 3:" in done.error
    rows = done.error.splitlines()
    assert rows[2].index("^") == rows[1].index("suport")


# ------------------------------------------------------------------ money, models, lists
def test_budget_is_set_raised_and_kept(support):
    """`%orch budget` sets, raises, shows and takes away; setting it again changes nothing."""
    support.good("%orch notebook demo")
    assert support.good("%orch budget 0.50").value.limit_usd == Decimal("0.50")
    assert support.good("%orch budget $0.50").value.limit_usd == Decimal("0.50")
    assert support.good("%orch budget +0.25").value.limit_usd == Decimal("0.75")
    assert "$0.7500: spent $0.0000, left $0.7500" in support.good("%orch budget").text
    assert support.good("%orch budget none").value.limit_usd is None


def test_without_a_name_one_clear_line_says_how_to_give_one(shell):
    """A notebook without a name is told so where it matters, with the line to type."""
    assert "`%orch notebook NAME` keeps its budget" in shell.good("%orch budget").text
    shell.good("%orch notebook demo")
    assert "NAME" not in shell.good("%orch budget 1").text


def test_cost_and_trace_are_of_the_last_run_or_the_one_named(support):
    """`%orch cost` and `%orch trace` show the last run unless one is named, and carry its bill and spans."""
    support.good('%orch run mood message="a"')
    support.good('%orch run support message="a"')
    made = support.good("%orch cost")
    assert made.text.startswith("run 2 of `support` · 2 model calls")
    assert made.value.total.calls == 2
    assert support.good("%orch cost 1").value.total.calls == 1
    assert {s.key for s in support.good("%orch trace").value} >= {"mood", "reply", "send"}
    assert [r.run for r in support.good("%orch runs").value] == ["2", "1"]


def test_models_are_named_by_the_notebook(support):
    """`models set` gives a name a meaning, `models add` a price; both show in the list."""
    support.good("%orch models set big=openai/gpt-4o-mini")
    made = support.good("%orch models add house openai/gpt-4o input=1.5 output=6 context_tokens=1000")
    assert re.search(r"big +openai/gpt-4o-mini +0\.15 +0\.60", made.text)
    assert re.search(r"house +openai/gpt-4o +1\.50 +6\.00 +1,000", made.text)


def test_batch_binds_columns_by_name_or_as_told(support):
    """`%orch batch` runs over rows; a column binds by its name or as told, a variable is shared and said."""
    support.good("rows = [{'message': 'a'}, {'message': 'b'}, {'message': 'c'}]")
    done = support("b = %orch batch mood rows")
    table = support.names["b"].table
    assert [r["output"] for r in table] == [f"Is this friendly? {t}" for t in "abc"]
    assert "3 rows: 3 done" in done.out
    support.good("other = [{'body': 'x'}]")
    support.good("c = %orch batch mood other message=body")
    assert support.names["c"].table[0]["output"] == "Is this friendly? x"
    assert support.good("%orch cost").value.total.calls == 1
    assert [r.output for r in support.good("%orch trace 1").value] == [f"Is this friendly? {t}" for t in "abc"]
    assert "a batch of 3 rows: 3 done" in support.good("%orch trace 1").text
    assert "needs `message`, which the table does not have" in support("%orch batch mood other").error


def test_help_lists_every_verb_and_tells_one(shell):
    """`%orch help` has every verb, `%orch help VERB` its usage, `%orch?` the docstring."""
    from orch_nb.notebook.verbs import VERBS

    text = shell.good("%orch help").text
    assert all(f"%orch {verb}" in text for verb in VERBS)
    assert "[--budget USD]" in shell.good("%orch help run").text
    assert "%orch help" in shell.ip.object_inspect_text("%orch")


def test_a_bare_orch_says_how_the_notebook_stands(support):
    """`%orch` shows models, keys by name only, budget, and the next line to type."""
    text = support.good("%orch").text
    for part in ("notebook", "models", "API keys", "budget", "`%orch run support message=…`"):
        assert part in text


def test_unfinished_runs_come_with_the_line_that_resumes_them(support):
    """A failed run is listed with where and why it ended, what is kept, and the line that continues; which then works."""
    support.good("def send(reply):\n    raise ValueError('no mail today')")
    support('%orch run support message="a"')
    text = support.good("%orch").text
    assert re.search(
        r"run 1 of `support` failed at 3/3 send, \d\d:\d\d, no mail today; \$0\.0000 kept; `%orch resume 1`", text
    )


def test_loading_is_light_and_twice_is_once():
    """`%load_ext orch_nb` in a fresh process imports no heavy package, and no more than 300 modules in all."""
    code = (
        "import sys, io, contextlib\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "ip = InteractiveShell.instance()\n"
        "before = set(sys.modules)\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    ip.run_line_magic('load_ext', 'orch_nb')\n"
        "new = set(sys.modules) - before\n"
        "ip.extension_manager.load_extension('orch_nb')\n"
        "assert len([t for t in ip.input_transformers_post if 'transform' in getattr(t, '__name__', '')]) == 1\n"
        "print(len(new), *{name.partition('.')[0] for name in new})\n"
    )
    count, *packages = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"matplotlib", "networkx", "numpy", "pandas", "onnxruntime", "jupyterlab", "nbval"}.isdisjoint(packages)
    assert int(count) < 300


def test_unloading_takes_everything_away(shell):
    """After `%unload_ext` no magic, transformer or matcher of ours is left."""
    shell.good("%unload_ext orch_nb")
    assert shell.ip.find_line_magic("orch") is None
    assert not [t for t in shell.ip.input_transformers_post if "orch_nb" in getattr(t, "__module__", "")]
    shell.good("%load_ext orch_nb")


# ------------------------------------------------------------------ completion
@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("%orch ru", "run"),
        ("%orch run su", "support"),
        ("%orch run support me", "message="),
        ("%orch run support --bu", "--budget"),
        ("x = %orch re", "resume"),
        ("%orch answer ap", "approve"),
        ("%orch models s", "set"),
        ("%orch help ba", "batch"),
        ("%%agent triage --mo", "--model"),
        ("%%agent triage --max", "--max-tokens"),
        ("%%graph sup", "support"),
    ],
)
def test_tab_completes_verbs_names_flags_and_inputs(support, text, has):
    """The tab key knows the verbs, the graphs and agents, their inputs, and the flags of each verb."""
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        found = [c.text for c in support.ip.Completer.completions(text, len(text))]
    assert has in found


def test_other_lines_are_completed_as_before(support):
    """Our completion is silent on lines that are not ours."""
    from orch_nb.notebook.lab.completion import complete

    session = support.ip._orch_nb.session
    assert complete("x = ru", session) == ("", [])
    assert complete("%time ru", session) == ("", [])


def test_stop_takes_a_running_batch_or_run(support):
    """`%orch stop` stops the run under way: it ends as cancelled, and can be resumed."""
    support.good(
        "import asyncio, threading\nbegan = threading.Event()\n"
        "async def send(reply):\n    began.set()\n    await asyncio.sleep(30)"
    )
    support.good('%orch run support message="a" --bg')
    handle = support.names["run"]
    assert support.names["began"].wait(5)
    assert "stopping: 1" in support.good("%orch stop").text
    handle.future.result(5)
    assert handle.status == "cancelled"


# ------------------------------------------------------------------ found by using it
@pytest.mark.parametrize("text", ["'single'", '"double"', "'''three'''", "[\"it's\", 'x']"])
def test_whatever_quotes_the_line_has_its_run_is_awaited(support, text):
    """The cell ends when the run has, however its text is quoted: IPython writes the line down in either quotes."""
    assert support.good(f"%orch run mood message={text}").status == "done"
    assert support.good(f"x = %orch run mood message={text}\nx.status") == "done"


@pytest.mark.parametrize("name", ["print", "sum", "get_ipython"])
def test_a_name_of_python_is_not_covered(shell, name):
    """A cell that would take `print` away from every other cell is refused; `--replace` insists."""
    before = shell.names.get(name)
    done = shell(f"%%agent {name} --model echo\nx {{{{ a }}}}")
    assert f"`{name}` is Python's own" in done.error
    assert shell.names.get(name) is before
    shell.good(f"%%agent {name} --model echo --replace\nx {{{{ a }}}}")
    del shell.names[name]
    if before is not None:
        shell.names[name] = before


@pytest.mark.parametrize(
    ("line", "at", "hint"),
    [
        ("%orch run support mesage='a'", "mesage", "did you mean `message`?"),
        ("%orch run support", "support", '`%orch run support message="…"`'),
        ("%orch run support message=thing", "message", "plain data"),
        ("%orch run support message='a' --budget lots", "lots", "digits"),
        ("%orch budget lots", "lots", "digits"),
        ("%orch resume 99", "99", "nothing was run yet"),
        ("%orch stop 99", "99", "%orch runs"),
        ("%orch models add my openai/x input=abc", "abc", "a number"),
        ("%orch batch mood rows message=boddy", "boddy", "did you mean the column `body`?"),
    ],
)
def test_every_mistake_of_a_line_points_into_the_cell(support, line, at, hint):
    """Whoever finds the mistake, parser or engine, the error shows the cell's line with a caret below the word."""
    support.good("thing = object()\nrows = [{'body': 'x'}]")
    done = support(f"y = 1\n{line}")
    assert "line 2: " in done.error
    rows = done.error.splitlines()
    shown = next(i for i, row in enumerate(rows) if row.strip() == line)
    assert rows[shown + 1].index("^") == rows[shown].index(at)
    assert hint in done.error


def test_a_failure_without_code_of_the_user_has_no_traceback(shell):
    """A model's failure is told in two lines: frames of ours would say nothing about it."""
    from orch_nb import ScriptedProvider, runtime
    from orch_nb.errors import BadRequest

    runtime.current().add_provider(ScriptedProvider([BadRequest("no such thing")], name="scripted"))
    shell.good("%orch models add house scripted/m1 input=1 output=1 context_tokens=1000")
    shell.good("%%agent ask --model house --max_tokens 10\n{{ message }}")
    done = shell("%orch run ask message='a'")
    assert "`ask` failed: BadRequest: no such thing" in done.error
    assert "Traceback" not in done.error
    assert ".py" not in done.error


def test_a_batch_shows_its_rows_money_wherever_it_is_listed(shell):
    """Lists, the trace's head and the unfinished runs count what the rows of a batch cost, and what the rest will."""
    from orch_nb import ScriptedProvider, runtime

    runtime.current().add_provider(ScriptedProvider(lambda _: "word " * 40, name="scripted"))
    shell.good("%orch models add house scripted/m1 input=10 output=30 context_tokens=8000")
    shell.good("%%agent ask --model house --max_tokens 100\n{{ message }}")
    shell.good("rows = [{'message': c} for c in 'abcdefgh']")
    done = shell("b = %orch batch ask rows --budget 0.008")
    spent = shell.names["b"].spent_usd
    assert shell.names["b"].progress == {"done": 3, "pending": 5}
    assert "`%orch resume 1 --budget …`" in done.out
    assert f"{spent:.4f}" in shell.good("%orch runs").text
    assert f"${spent:.4f}" in shell.good("%orch trace").text.splitlines()[0]
    text = shell.good("%orch").text
    assert "batch 1 of `ask` failed at 3/8 rows" in text
    assert f"${spent:.4f} kept" in text
    assert f"about ${5 * spent / 3:.4f}" in text


def test_without_a_name_the_folders_unfinished_runs_are_listed(support):
    """After a restart the runs of this folder are there before the notebook has its name again."""
    support.good("%orch notebook mine")
    support.good("def send(reply):\n    raise ValueError('no mail today')")
    support('%orch run support message="a"')
    from orch_nb import runtime

    runtime.current().notebook = ""
    assert "run 1 of `support` failed at 3/3 send" in support.good("%orch").text


def test_conditional_exits_alone_are_marked(support):
    """A node that may find no exit true is marked on the card, with the line that would say where to go."""
    from orch_nb.views.cards import graph_bundle

    made = graph_bundle(support.good("%%graph g\nmood -> reply when mood == 'x'"))
    for kind in ("text/plain", "text/html"):
        assert "has no exit where none of its conditions is true" in made[kind]
        assert "mood -&gt; NAME else" in made[kind] or "mood -> NAME else" in made[kind]


def test_a_run_without_output_says_so(support):
    """A graph that ends without reaching its `out` does not end silently."""
    support.good("%%graph g\nmood -> reply when mood == 'x'\nmood -> send2 else\nout reply")
    support.good("def send2(mood):\n    return mood")
    assert "output: none, `reply` was skipped" in support('%orch run g message="a"').out


def test_several_waiting_runs_come_with_lines_to_type(support, monkeypatch):
    """Where two runs wait, the error has the line that answers one of them."""
    from orch_nb.notebook.session import Session

    monkeypatch.setattr(Session, "is_attended", True)
    support.good('%%graph g\nmood -> ok\nok: human "fine?"')
    support.good('%orch run g message="a"')
    support.good('%orch run g message="b"')
    assert "`%orch answer approve --run 1`" in support("%orch answer approve").error


# ------------------------------------------------------------------ routes
def test_a_route_is_defined_run_and_explained(shell):
    """One cell routes; the card shows how, `why` shows what was chosen and why not the others, in text, HTML and data."""
    shell.good("%orch models add big echo/big input=1 output=1")
    card = shell.good(
        "%%agent a\n---\nroute: {rules: [{when: 'len(t) > 3', model: big}], else: echo}\n---\nsay {{ t }}"
    )
    assert "one of big, echo" in repr(card._repr_mimebundle_()["text/plain"])
    run = shell.good('%orch run a t="hello"')
    shown = shell.good("%orch why a")
    assert "model by rules: `big`, because rule 1 is true: len(t) > 3 (len(t) = 5)" in shown.text
    assert "it answers where nothing else is true" in shown.text
    assert "it answers where nothing else is true" in shown.html
    assert shown.value[0].options[0].verdict == "chosen"
    bundle = run._repr_mimebundle_()
    assert "rule 1 is true" in bundle["text/html"]
    data = bundle["application/vnd.orch.trace+json"]
    told = data["details"][
        str(next(i for i, row in enumerate(rows_of(data)) if row["step"] == "a" and row["kind"] == "agent"))
    ]
    assert told["choices"][0]["chosen"] == "big"
    assert told["decisions"][0]["target"] == "big"
    assert "rule 1 is true" in shell.good("%orch trace").text


def test_why_of_a_node_that_is_not_there_names_the_nearest(shell):
    """A slip is told with the name that exists; a node without a choice says so."""
    shell.good("%%agent alpha --model echo\nsay {{ t }}")
    shell.good('%orch run alpha t="hello"')
    assert "did you mean `alpha`?" in shell("%orch why alfa").error
    assert "named by the agent" in shell.good("%orch why alpha").text


def test_the_bill_shows_each_models_share_of_calls_and_of_dollars(shell):
    """Two models answered: who took how many of the calls, and how much of the money."""
    shell.good("%orch models add big echo/big input=300 output=300")
    shell.good("%orch models add small echo/small input=100 output=100")
    shell.good("%%agent a\n---\nroute: {rules: [{when: 'len(t) > 3', model: big}], else: small}\n---\n{{ t }}")
    shell.good("%%agent c --model small\n{{ a }}")
    shell.good("%%graph g\na -> c")
    shell.good('%orch run g t="hello"')
    text = shell.good("%orch cost").text
    head = next(r.split() for r in text.splitlines() if r.startswith("model"))
    big = next(r.split() for r in text.splitlines() if r.startswith("big"))
    assert head[-5:-1] == ["of", "calls", "of", "dollars"]
    assert big[-3:-1] == ["50%", "75%"]


# ------------------------------------------------------------------ budgets
def test_a_budget_is_set_shown_raised_and_counted_anew_in_every_unit(shell):
    """`%orch budget` takes dollars, tokens, calls, seconds and what happens at the limit, shows them, and keeps the rest."""
    text = shell.good("%orch budget 0.50 tokens=200000 calls=100 seconds=600 ask").text
    assert (
        "budget $0.5000: spent $0.0000, left $0.5000; 200,000 tokens: used 0, left 200,000; 100 calls: used 0" in text
    )
    assert "600 seconds: used 0, left 600; a person is asked at the limit" in text
    assert "$0.7500: spent" in shell.good("%orch budget +0.25, 120 calls").text
    assert "120 calls" in shell.good("%orch budget").text
    assert "calls" not in shell.good("%orch budget calls=none").text
    assert "$0.7500" in shell.good("%orch budget reset").text
    assert "none; spent $0.0000" in shell.good("%orch budget none").text


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("budget 0,50", "write 0.50"),
        ("budget 0.05 0.50", "keep one of the two"),
        ("budget 10 calls 20 calls", "keep one of the two"),
        ("budget calls=10 20 calls", "keep one of the two"),
        ("budget alert=1,5", "write 1.5"),
        ('run a x="1" --budget 0,02', "write 0.02"),
        ('run a x="1" --budget 1 --budget 2', "keep one of the two"),
        ('run a x="1" --ask-above 0,02', "write 0.02"),
        ('run a x="1" --ask-above $$1', "write 1"),
        ("models price echo input=0,15 output=1", "write 0.15"),
        ("models add house echo/x input=0,15 output=1", "write 0.15"),
        ("models add house echo/x input=1 output=1 context_tokens=8,000", "write 8000"),
        ("matrix --tolerance 0,05", "write 0.05"),
        ("runs --limit 1,000", "write 1000"),
    ],
)
def test_no_line_takes_an_amount_with_a_comma_or_a_second_amount(shell, line, hint):
    """Each says what to write instead, and nothing is set, priced or started."""
    shell.good("%%agent a --model echo\nSay {{ x }}")
    assert f"hint: {hint}" in shell(f"%orch {line}").error
    assert "budget none" in shell.good("%orch budget").text
    assert shell.good("%orch runs").text.startswith("0 runs")


def test_a_budget_that_cannot_be_meant_points_at_its_word(shell):
    """A wrong unit, an exponent or an unknown model: the error names it and says what was meant."""
    assert "did you mean `calls`" in shell("%orch budget 0.50 cals=3").error
    assert "write 1000" in shell("%orch budget 1e3").error
    assert "did you mean `small`" in shell("%orch budget 0.5 degrade=smal").error
    assert "must be a number greater than 1, got 1" in shell("%orch budget alert=1").error


def test_four_fifths_of_the_notebooks_budget_are_said_with_the_run_that_crossed_them(shell):
    """The run's own cell says it once; `%orch budget`, bare `%orch` and `%orch cost` say it as long as it is so."""
    shell.good("%orch budget calls=2")
    shell.good("%%agent a --model echo\nSay {{ x }}")
    assert "has used" not in shell('%orch run a x="1"').out
    assert "! the notebook has used 100% of its budget: 2 of 2 calls" in shell('%orch run a x="2"').out
    assert "! the notebook has used 100%" in shell.good("%orch budget").text
    assert "the notebook has used 100%" in shell.good("%orch cost").text


def test_a_budget_that_asks_is_answered_with_an_amount(shell, monkeypatch):
    """The waiting cell shows the figures and the line to type; `%orch answer 1` raises the limit and the run continues."""
    monkeypatch.setattr("orch_nb.notebook.session.is_attended", lambda shell: True)
    shell.good("%%agent a --model echo\nSay {{ x }}")
    shell.good("%%agent b --model echo\nAgain {{ a }}")
    shell.good("%%graph two\na -> b")
    out = shell('%orch run two x="1" --budget "1 call, ask"').out
    assert "has 0 calls left of 1 call; `b` asks for up to 1 call. How much more?" in out
    assert "`%orch answer raise 10`, `%orch answer stop`" in out
    assert "must be a number of calls, got 'plenty'" in shell("%orch answer raise plenty").error
    assert "write 1000" in shell("%orch answer 1,000").error
    shell.good("%orch answer 1 --wait")
    assert shell.names["run"].status == "done"


def test_a_number_that_a_model_states_is_linted_where_it_guards_an_arrow(shell):
    """A confidence in `out` that guards an arrow or a gate gets a mark on the card, and `why` says stated, not measured."""
    shell.good("%%agent t --model echo\n---\nout: {kind: a | b, confidence: float}\n---\n{{ x }}")
    shell.good("%%agent s --model echo\n{{ t.kind }}")
    card = shell.good("%%graph g\nt -> s when t.confidence > 0.8\nt -> p else\np: human")
    text = card._repr_mimebundle_()["text/plain"]
    assert "`t -> s when t.confidence > 0.8` rests on `t.confidence`, which the model states about itself" in text
    shell("%orch run g x=1")
    assert "t.confidence: stated by the model, not measured" in shell.good("%orch why t").text
    fine = shell.good("%%graph h\nt -> s when t.kind == 'a'\nt -> p else\np: human")
    assert "states about itself" not in fine._repr_mimebundle_()["text/plain"]


def test_a_misspelt_action_on_a_route_is_told_from_an_agent(shell):
    """`%orch route acept NAME` names the action that was meant."""
    shell.good("%%agent a\n---\nroute: {learned: [echo]}\n---\n{{ x }}")
    assert "did you mean `accept`?" in shell("%orch route acept a").error


@pytest.mark.parametrize(
    ("before", "flag"),
    [("", ' --budget "0.008 ask"'), ("%orch budget 0.008 ask", "")],
)
def test_a_batch_says_that_it_asks_nobody_at_its_limit(shell, before, flag):
    """A budget that would `ask` leaves the rows of a batch pending, and the batch's text and its error say so."""
    from orch_nb import ScriptedProvider, runtime

    runtime.current().add_provider(ScriptedProvider(lambda _: "word " * 40, name="scripted"))
    shell.good("%orch models add house scripted/m1 input=10 output=30 context_tokens=8000")
    shell.good("%%agent ask --model house --max_tokens 100\n{{ message }}")
    shell.good("rows = [{'message': c} for c in 'abcdefgh']")
    if before:
        shell.good(before)
    done = shell(f"b = %orch batch ask rows{flag}")
    assert shell.names["b"].progress["pending"] > 0
    said = "stopped: the budget is used up; a batch cannot `ask` for more, so its rows are pending"
    assert said in done.out
    assert said in repr(shell.names["b"]._repr_mimebundle_()["text/plain"])


def test_a_word_in_the_place_of_the_alerts_factor_is_no_dollars(shell):
    """`alert=` counts times the usual cost: what is not a number of times is refused in those words."""
    said = shell("%orch budget alert=x").error
    assert "`alert` must be a number greater than 1, got 'x'" in said
    assert "dollars" not in said


def test_a_rules_misspelt_read_is_marked_on_the_graphs_card(shell):
    """The graph has an input more than was meant: its card names the agent, the read, and what was meant."""
    shell.good(
        '%%agent mood\n---\nroute: {rules: [{when: "len(tex) > 20", model: echo}], else: small}\n---\nSay: {{ text }}'
    )
    shell.good("%%graph feel\nmood")
    said = shell.good("feel._repr_mimebundle_()")["text/plain"]
    assert "`mood`: `route` reads `tex`" in said
    assert "did you mean `text`?" in said


def test_runs_are_dropped_by_number_and_what_they_spent_remains_counted(shell):
    """`%orch runs drop` deletes runs for good, a batch with its rows; an unknown number deletes nothing."""
    shell.good("%%agent a --model echo\nx {{ t }}")
    shell.good('%orch run a t="x"')
    shell.good('rows = [{"t": "x"}, {"t": "y"}]')
    shell.good("%orch batch a rows")
    shell.good('%orch run a t="z"')
    assert "run `9` does not exist." in shell("%orch runs drop 3 9").error
    assert len(shell("%orch runs").value.value) == 3
    assert "deleted: 2, 3" in shell.good("%orch runs drop 2 3").text
    assert [row.run for row in shell("%orch runs --all").value.value] == ["1"]
    assert "takes `drop RUN …`, got `3`" in shell("%orch runs 3").error


def test_the_former_name_of_a_verb_gives_the_line_to_type(shell):
    """`load` and `critical` name their successors, with the user's own arguments."""
    assert "hint: `%orch import agents/a.agent.md`" in shell("%orch load agents/a.agent.md").error
    assert "hint: `%orch trace --critical 7`" in shell("%orch critical 7").error
    assert "hint: `%orch runs drop 3`" in shell("%orch delete 3").error
    assert "hint: `%orch runs drop 3 --all`" in shell("%orch prune 3 --all").error


def test_help_groups_the_verbs_and_explains_the_words_of_money(shell):
    """Every verb is in one group; its line begins with an imperative; price, quote, budget, bill and forecast are told apart."""
    from orch_nb.notebook.verbs import GROUPS, VERBS

    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(VERBS)
    assert all(verb.says[0].isupper() for verb in VERBS.values())
    text = shell.good("%orch help").text
    for words in (
        "price: US dollars per million tokens",
        "quote: a run's cost before it starts",
        "forecast: the cost of many runs",
    ):
        assert words in text
