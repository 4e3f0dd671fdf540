"""Tab inside of `%%agent` and `%%graph` cells, through IPython's own completer, as a front end asks it."""

from __future__ import annotations

import pytest


@pytest.fixture
def tab(shell):
    """Return what IPython offers at the end of a text: [(replaced piece, candidate)]."""
    from IPython.core.completer import provisionalcompleter

    shell.good("%%agent qa\n---\nout: {score: float, feedback: str}\n---\nScore {{ ticket }}")
    shell.good("%%agent triage\nSort {{ ticket }}")

    def offered(text: str) -> list[tuple[str, str]]:
        with provisionalcompleter():
            return [(text[c.start : c.end], c.text) for c in shell.ip.Completer.completions(text, len(text))]

    return offered


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%%agent a\n---\nmo", [("mo", "model: ")]),
        ("%%agent a\n---\nmodel: sma", [("sma", "small")]),
        ("%%agent a\n---\nmodel: small\n---\nSee {{ qa.", [("", "feedback"), ("", "score")]),
        ("%%agent a\nSee {{ tri", [("tri", "triage")]),
        ("%%graph g\ntriage -> q", [("q", "qa")]),
        ("%%graph g\ntriage -> qa   when qa.sc", [("sc", "score")]),
        ("%%graph g\ntriage -> qa   wh", [("wh", "when")]),
        ("%%graph g\nreviewer -> qa\nqa -> rev", [("rev", "reviewer")]),
    ],
)
def test_keys_models_nodes_and_fields_are_offered_in_cells(tab, text, found):
    """In front matter its keys and models, in reads and arrows the nodes that there are, after a dot their fields."""
    assert sorted(tab(text)) == sorted(found)


def test_prose_is_left_alone(tab):
    """A prompt's words are nobody's names: nothing of ours is offered outside of a read."""
    assert ("tri", "triage") not in [pair for pair in tab("%%agent a\nPlease tri") if pair[1] == "qa"]
    from types import SimpleNamespace

    from orch_nb.notebook.lab.completion import complete_cell

    assert complete_cell("%%agent a\nPlease tri", "", SimpleNamespace(shell=SimpleNamespace(user_ns={}))) == ("", [])
