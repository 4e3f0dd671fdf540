"""What a notebook shows of a secret: nothing. Tracebacks, cards, widgets."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from types import SimpleNamespace

import pytest

from orch_nb.schema import events as ev
from orch_nb.schema.secrets import REDACTOR

AWS = "AKIAQ7ZJ2M5XN4TB6WRC"
USED = "correct-horse-battery"


@pytest.fixture
def traced(shell):
    """``traced(cell)``: all that the shell writes and hands on of a cell's error, as a kernel does."""
    before = shell.ip._orch_nb._show_traceback
    told = []

    def told_to(kind, error, rows):
        told.append((str(error), list(rows)))
        return before(kind, error, rows)

    shell.ip._orch_nb._show_traceback = told_to

    def run(cell):
        told.clear()
        out = io.StringIO()
        with redirect_stdout(out):
            result = shell.ip.run_cell(cell, store_history=False)
        assert result.error_in_exec or result.error_before_exec, out.getvalue()
        assert told, out.getvalue()
        return out.getvalue() + "\n".join(message + "\n".join(rows) for message, rows in told)

    yield run
    shell.ip._orch_nb._show_traceback = before


CHAIN = f"""
def inner():
    key = "{AWS}"
    raise ValueError("bad " + key)
def outer():
    try:
        inner()
    except ValueError as error:
        raise KeyError("no {USED}") {{how}}
outer()
"""


@pytest.mark.parametrize("mode", ["Context", "Verbose", "Plain"])
@pytest.mark.parametrize("how", ["from error", ""])
def test_no_traceback_of_a_cell_has_a_secret(traced, shell, how, mode):
    """Messages, the cause and the context, source lines and (verbose) the values of variables."""
    REDACTOR.know([USED])
    shell.ip.run_line_magic("xmode", mode)
    shown = traced(CHAIN.format(how=how))
    assert "ValueError" in shown
    assert "‹secret:aws:" in shown
    assert "‹secret:key_in_use:" in shown
    assert AWS not in shown
    assert USED not in shown
    shell.ip.run_line_magic("xmode", "Context")


def test_no_traceback_below_an_error_of_ours_has_a_secret(traced, shell):
    """A node's own exception: its message, and the line of the cell that raised it."""
    shell.good("import orch_nb as orch")
    shell.good(f"def fails(x):\n    raise ValueError('cannot use {AWS}')\n")
    shell.good("%%graph g\nfails")
    shown = traced("%orch run g x=1")
    assert "raise ValueError" in shown
    assert "‹secret:aws:" in shown
    assert AWS not in shown


def test_a_cell_that_defines_with_a_key_is_refused_and_shown_without_it(traced):
    """The line is shown as it may be kept; nothing is bound."""
    for cell in (f"%%agent a\nUse {AWS} for {{{{ x }}}}", f"%%graph g\na -> b when a == '{AWS}'"):
        shown = traced(cell)
        assert "has what looks like a key or a password in it" in shown
        assert "line 2" in shown
        assert "‹secret:aws:" in shown
        assert AWS not in shown


def test_the_shell_shows_tracebacks_as_before_once_the_extension_is_gone(shell):
    """Unloading takes the redactor away from other people's tracebacks."""
    assert shell.ip._showtraceback == shell.ip._orch_nb.show_traceback
    before = shell.ip._orch_nb._show_traceback
    shell.ip.run_line_magic("unload_ext", "orch_nb")
    assert shell.ip._showtraceback == before


def test_no_widget_has_a_secret(shell):
    """What a person is shown to edit, and the question."""
    pytest.importorskip("ipywidgets")
    from orch_nb.notebook.answer_buttons import Form

    for shown in (f"send {AWS}", {"to": AWS}):
        asked = ev.Waiting("", "ok", 1, None, f"Send {AWS}?", shown, "00", 1.0)
        form = Form(SimpleNamespace(run="1"), "ok", asked)
        assert "‹secret:aws:" in form.text.value.encode().decode(
            "unicode-escape" if isinstance(shown, dict) else "utf-8"
        )
        said = form.text.value + "".join(child.value for child in form.box.children if hasattr(child, "value"))
        assert AWS not in said


def test_a_card_of_what_was_defined_before_its_key_was_known_has_no_secret(shell):
    """The card of an agent and of a graph: every form of it."""
    shell.good(f"%%agent a\nSay {USED} to {{{{ x }}}}")
    shell.good("%%graph g\na -> ok\nok: human")
    REDACTOR.know([USED])
    for name in ("a", "g"):
        made = shell.names[name]._repr_mimebundle_()
        assert USED not in repr(made)
    assert "‹secret:key_in_use:" in shell.names["a"]._repr_mimebundle_()["text/plain"]
