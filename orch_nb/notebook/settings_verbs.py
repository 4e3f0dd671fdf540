"""Verbs that set the notebook up: its models, its name, agents from files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orch_nb.catalog.prices import check_usd
from orch_nb.errors import BadOption, nearest
from orch_nb.lang.magic_line import is_text, whole_number
from orch_nb.notebook import overview
from orch_nb.notebook import session as notebook_session
from orch_nb.schema.amount import PLAIN
from orch_nb.schema.names import check_name
from orch_nb.views.bundle import Display

if TYPE_CHECKING:
    from orch_nb.lang.magic_line import Command, Word
    from orch_nb.notebook.session import Session

Names = dict[str, object]
PRICES = ("input", "output", "cached", "cache_write", "per_call", "per_image", "batch")
MODELS_ACTIONS = ("set", "add", "price", "prices")
"""What `%orch models` does beside listing them."""


def models(session: Session, command: Command, names: Names) -> Display:
    """The notebook's models; `set NAME=MODEL` gives a name, `add NAME PROVIDER/MODEL` one with its own price."""
    book = session.runtime.models
    words = [w.text for w in command.words]
    if words[:1] == ["set"]:
        if not command.pairs:
            raise command.error(
                "which name stands for which model?", hint="`%orch models set small=openai/gpt-4o-mini`"
            )
        for pair in command.pairs:
            book.set(**{pair.name: _model_text(command, pair, pair.text)})
    elif words[:1] == ["add"]:
        _add_model(session, command, book)
    elif words[:1] == ["price"]:
        _set_price(command, book)
        return overview.prices(book)
    elif words == ["prices"]:
        return overview.prices(book)
    elif words:
        near = nearest(words[0], MODELS_ACTIONS)
        raise command.error(
            f"`models {words[0]}` does not exist.", command.words[0], hint=f"did you mean `models {near or 'set'}`?"
        )
    return overview.models(book)


def _add_model(session: Session, command: Command, book: Any) -> None:
    if len(command.words) != 3:
        raise command.error(
            "a name and a model are needed.", hint="`%orch models add house openai/gpt-4o-mini input=0.15 output=0.60`"
        )
    _, given, model = command.words
    provider, slash, identity = _model_text(command, model, model.text).partition("/")
    if not slash:
        raise command.error(f"`{model.text}` does not say whose model it is.", model, hint="PROVIDER/MODEL")
    session.runtime.check_provider(provider)
    price = _figures(command, {*PRICES, "context_tokens"})
    context = price.pop("context_tokens", None)
    tokens = None if context is None else whole_number(command, context)
    book.add(check_name(given.text, "model"), identity, provider, price=price or None, context_tokens=tokens)


def _set_price(command: Command, book: Any) -> None:
    if len(command.words) != 2 or not command.pairs:
        raise command.error(
            "which model costs what?",
            hint="`%orch models price big input=2 output=8`; also cached, cache_write, batch, per_call",
        )
    name = command.words[1].text
    book.resolve(name)
    book.prices.set(name, **_figures(command, set(PRICES)))


def _figures(command: Command, known: set[str]) -> dict[str, object]:
    """Return what is said of a model by ``name=number``."""
    price: dict[str, object] = {}
    for pair in command.pairs:
        if pair.name not in known:
            near = nearest(pair.name, known)
            raise command.error(
                f"`{pair.name}` is not a known property of a model.",
                pair,
                hint=f"did you mean `{near}`?" if near else ", ".join(sorted(known)),
            )
        try:
            price[pair.name] = pair.text if pair.name == "context_tokens" else check_usd(pair.text, pair.name)
        except BadOption as error:
            hint = error.hint if error.hint != PLAIN else "a number: dollars per million tokens, 0 if it is free"
            raise command.error(str(error), pair, hint=hint) from None
    return price


def _model_text(command: Command, at: Any, text: str) -> str:
    """A model's name as typed. Keys are refused: a cell is saved, shared and committed."""
    plain = text[1:-1] if is_text(text) else text
    if plain.startswith(("sk-", "sk_", "gsk_", "AIza", "xai-")) or len(plain) > 200:
        raise command.error(
            "this looks like a key, which must not be in a cell.",
            at,
            hint="put it into the provider's environment variable",
        )
    return plain


def notebook(session: Session, command: Command, names: Names) -> Display:
    """The notebook's name: its budget and its runs are kept under it."""
    runtime = session.runtime
    if command.words:
        text = command.words[0].text
        plain = text[1:-1] if is_text(text) else text
        given = notebook_session.as_name(plain)
        if given != plain:
            raise command.error(
                f"a notebook's name must have letters, digits and `_ . -` only, got `{plain}`.",
                command.words[0],
                hint=f"`%orch notebook {given or 'NAME'}`",
            )
        runtime.notebook = given
        return overview.renamed(runtime)
    return overview.budget(runtime, advice="" if runtime.notebook else notebook_session.ADVICE)


def import_agents(session: Session, command: Command, names: Names) -> Display:
    """Read agents from files: `agents/NAME.agent.md`, or every one of a folder."""
    from orch_nb.agents.agent import Agent

    if not command.words:
        raise command.error("which file?", hint="`%orch import agents/triage.agent.md`, or a folder")
    paths = [p for word in command.words for p in _agent_files(command, word)]
    found = [Agent.from_file(path, names) for path in paths]
    for agent in found:
        session.bind(agent.name, agent)
    return Display.lines(*(f"{a.name}: {a!r}" for a in found), value=found)


def _agent_files(command: Command, word: Word) -> list[Path]:
    path = Path(word.text[1:-1] if is_text(word.text) else word.text)
    files = sorted(path.glob("*.agent.md")) if path.is_dir() else [path] if path.is_file() else []
    if not files:
        raise command.error(f"no agent file is at `{path}`.", word, hint="a `.agent.md` file, or a folder of them")
    return files
