"""`%orch quote` and `--ask-above`, through a real IPython shell."""

from __future__ import annotations

import pytest

from orch_nb import ScriptedProvider, runtime
from orch_nb.estimates.quote import Quote
from orch_nb.lang.magic_line import read_command
from orch_nb.notebook.confirm import StartButton, line_without


@pytest.fixture
def priced(shell):
    """A shell with an agent on a scripted model at a known price; gives the shell and the provider."""
    provider = ScriptedProvider(lambda _: "fine", name="scripted")
    runtime.current().add_provider(provider)
    shell.good("%orch models add house scripted/m1 input=10 output=30 context_tokens=8000")
    shell.good("%%agent ask --model house --max_tokens 100\nSay it: {{ message }}")
    return shell, provider


class RecordingScreen:
    """A front end that can update its displays, and keeps what it was shown."""

    can_update = True

    def __init__(self):
        self.shown, self.updated = [], []

    def show(self, bundle, name):
        self.shown.append((name, bundle))

    def update(self, bundle, name):
        self.updated.append((name, bundle))


def session_of(shell):
    """The session behind the shell's magics."""
    return shell.ip.magics_manager.registry["OrchMagics"].session


def test_a_quote_shows_its_range_and_each_node_in_text_html_and_data(priced):
    """The head line has the range in dollars and seconds, each node has a row, and the three forms have the same figures."""
    shell, provider = priced
    made = shell.good('%orch quote ask message="hello"').value
    assert isinstance(made, Quote)
    bundle = made._repr_mimebundle_()
    text, html, data = bundle["text/plain"], bundle["text/html"], bundle["application/vnd.orch.quote+json"]
    assert text.startswith("quote ask: $0.0")
    assert " · from prompt size" in text
    assert "Baseline (one call to `house` with all inputs): about $0.00" in text
    assert [n["step"] for n in data["nodes"]] == ["ask"]
    assert data["usd"][2] == str(made.high_usd)
    for figure in (f"{made.high_usd:.6f}", "prompt size", "house"):
        assert figure in text
        assert figure in html
    assert "<script" not in html
    assert provider.requests == []


def test_a_quote_takes_variables_and_tables(priced):
    """Inputs are found as in a run; with a table it is the whole batch that is quoted."""
    shell, _ = priced
    shell.good("message = 'hello there'")
    assert "input `message` is the notebook's variable" in repr(shell.good("%orch quote ask"))
    shell.good("rows = [{'message': 'a'}, {'message': 'b'}]")
    assert "quote ask, 2 rows: $" in repr(shell.good("%orch quote ask rows"))
    assert "did you mean `ask`?" in shell("%orch quote asj message='x'").error


@pytest.mark.parametrize(
    ("route", "said"),
    [("{cascade: [house, dear]}", "house → dear"), ("{judge: house, models: [house, dear]}", "house, dear")],
)
def test_all_models_that_a_route_may_ask_are_named(priced, route, said):
    """The model column has a ladder's steps in their order, and every candidate of another route: not the first alone."""
    shell, _ = priced
    shell.good("%orch models add dear scripted/m2 input=100 output=300 context_tokens=8000")
    shell.good(f"%%agent routed --max_tokens 100\n---\nroute: {route}\n---\nSay it: {{{{ message }}}}")
    bundle = shell.good('%orch quote routed message="hello"').value._repr_mimebundle_()
    assert f" {said} " in bundle["text/plain"]
    assert said in bundle["text/html"]
    assert [n["model"] for n in bundle["application/vnd.orch.quote+json"]["nodes"]] == [said]


def test_above_the_bound_a_person_is_asked_and_nothing_is_sent(priced, monkeypatch):
    """Attended, the cell ends with the quote and the line to type; the same line without the flag runs."""
    monkeypatch.setattr("orch_nb.notebook.session.is_attended", lambda _: True)
    shell, provider = priced
    shown = repr(shell.good('%orch run ask message="hello" --ask-above 0.00001 --budget 0.50'))
    assert provider.requests == []
    assert "nothing was sent: the high end is above $0.00001" in shown
    line = '%orch run ask message="hello" --budget 0.50'
    assert f"`{line}` starts it" in shown
    assert shell.good(line).status == "done"
    assert len(provider.requests) == 1


def test_below_the_bound_it_just_runs(priced):
    """Where the high end stays below, nothing is asked, attended or not."""
    shell, _ = priced
    assert shell.good('%orch run ask message="hello" --ask-above $0.50').status == "done"
    shell.good("rows = [{'message': 'a'}, {'message': 'b'}]")
    assert shell.good("%orch batch ask rows --ask-above 0.50").status == "done"


@pytest.mark.parametrize("line", ['run ask message="hello"', "batch ask rows"])
def test_unattended_it_is_refused_with_the_figures(priced, line):
    """Where nobody can be asked the cell fails before anything is sent, and says what it would have cost at most."""
    shell, provider = priced
    shell.good("rows = [{'message': 'a'}, {'message': 'b'}]")
    done = shell(f"%orch {line} --ask-above 0.00001")
    assert "QuoteTooHigh [ORCH211]" in done.error
    assert "it may cost up to $0.0" in done.error
    assert f"`%orch {line}` starts it all the same" in done.error
    assert provider.requests == []


def test_a_button_starts_what_was_quoted_in_the_quotes_place(priced, monkeypatch):
    """In a front end a button starts the run once, in the background; its display replaces the quote's."""
    monkeypatch.setattr("orch_nb.notebook.session.is_attended", lambda _: True)
    shell, provider = priced
    session = session_of(shell)
    screen = session.screen = RecordingScreen()
    buttons = []
    init = StartButton.__init__

    def keep(self, *args):
        init(self, *args)
        buttons.append(self)

    monkeypatch.setattr(StartButton, "__init__", keep)
    assert shell.good('%orch run ask message="hello" --ask-above 0.00001') is None
    (name, quote), (_, widget) = screen.shown
    assert "nothing was sent" in quote["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in widget
    assert provider.requests == []
    buttons[0].button.click()
    buttons[0].button.click()
    handle = buttons[0].handle
    handle.wait(10)
    assert handle.status == "done"
    assert len(provider.requests) == 1
    assert shell.names["run"] is handle
    session.displays[handle.run].finish()
    assert screen.updated[-1][0] == name
    assert "run 1" in screen.updated[-1][1]["text/plain"]


def test_a_bound_that_is_no_money_is_refused(priced):
    """The flag takes dollars, and says so."""
    shell, _ = priced
    assert "must be an amount in dollars, got 'cheap'" in shell('%orch run ask message="x" --ask-above cheap').error


def test_the_line_to_type_is_the_line_without_the_flag():
    """Words, inputs and the other flags stay as they were typed."""
    line = 'run support ticket="a b" --budget 0.5 --ask-above 0.05 --bg  # later'
    command = read_command(line, values=("budget", "ask-above"))
    assert line_without(command) == '%orch run support ticket="a b" --budget 0.5 --bg'


def test_batch_prices_need_a_batch_interface(priced):
    """`--batch-price` on a model without a batch interface is refused before anything is sent, with the way out."""
    shell, provider = priced
    shell.good("rows = [{'message': 'a'}, {'message': 'b'}]")
    done = shell("%orch batch ask rows --batch-price")
    assert "`house` must have a batch interface, and has none here" in done.error
    assert "leave the batch price out" in done.error
    assert provider.requests == []
    assert "not every model has a batch price" in repr(shell.good("%orch quote ask rows --batch-price"))


def test_a_batch_at_batch_price_from_a_cell(shell, monkeypatch):
    """The flag sends the rows through the provider's batches, and the bill of a row says what that saved."""
    from orch_nb import OpenAIChat
    from orch_nb.runtime import provider_batches
    from tests.unit.providers.batch_server import BatchServer

    options = {"resumes": False, "gather_s": 0.25, "poll_s": 0.005}
    monkeypatch.setattr(provider_batches.ProviderBatchQueue.__init__, "__kwdefaults__", options)
    server = BatchServer()
    runtime.current().add_provider(OpenAIChat("depot", server.url, key=None, has_batch=True))
    shell.good("%orch models add slow depot/m1 input=10 output=30 batch=0.5")
    shell.good("%%agent ask --model slow --max_tokens 100\nSay it: {{ message }}")
    shell.good("rows = [{'message': 'a'}, {'message': 'b'}]")
    assert "at the providers' batch prices" in repr(shell.good("%orch quote ask rows --batch-price"))
    made = shell.good("%orch batch ask rows --batch-price --ask-above 0.50")
    server.close()
    assert [row.output for row in made.rows] == ["SAY IT: A", "SAY IT: B"]
    assert len(server.batches) == 1
    assert "batch price" in shell.good(f"%orch cost {made.run}.0").text


def test_another_model_behind_a_name_changes_the_whole_graphs_quote(shell):
    """One line gives the name another model; the quote of the graph that uses it twice follows, and nothing else is edited."""
    shell.good("%orch models add dear echo/dear input=30 output=60")
    shell.good("%orch models add cheap echo/cheap input=3 output=6")
    shell.good("%orch models set writer=dear")
    shell.good("%%agent draft --model writer --max-tokens 50\nWrite about {{ topic }}")
    shell.good("%%agent check --model writer --max-tokens 50\nCheck {{ draft }}")
    shell.good("%%graph both\ndraft -> check")
    before = shell.good('%orch quote both topic="tea"').value
    shell.good("%orch models set writer=cheap")
    after = shell.good('%orch quote both topic="tea"').value
    assert [n.step for n in before.nodes] == [n.step for n in after.nodes] == ["draft", "check"]
    assert before.high_usd == 10 * after.high_usd > 0
