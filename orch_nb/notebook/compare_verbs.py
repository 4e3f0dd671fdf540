"""``%%compare`` and ``%orch matrix``: start or resume a comparison and follow it; the routing matrix and tests of pairs."""

from __future__ import annotations

import ast
import builtins
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orch_nb.errors import BadName, BadOption, OrchError, nearest
from orch_nb.lang.magic_line import is_text, value_of, whole_number
from orch_nb.notebook import live
from orch_nb.notebook.frontend import new_name
from orch_nb.schema.amount import read_amount
from orch_nb.views.bundle import Display
from orch_nb.views.format import a_

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orch_nb.lang.magic_line import Command, Pair
    from orch_nb.notebook.session import Session


class CompareDisplay(live.RunDisplay):
    """The display of a comparison."""

    def bundle(self) -> dict[str, object]:
        """Candidates, format differences and answers so far."""
        as_of = "" if self.handle.done() else f"as of {time.strftime('%H:%M:%S')}"
        from orch_nb.analysis.compare.view import compare_bundle

        return compare_bundle(self.handle, as_of=as_of)


def compare(session: Session, line: str, body: str, names: Mapping[str, object]) -> live.Pending:
    """Start what a cell describes; the cell waits for it."""
    from orch_nb.analysis.compare.comparison import compare as start
    from orch_nb.lang.compare_cell import read_compare_cell

    cell = read_compare_cell(line, body)
    _check_free(cell.name, line, names)
    made = start(session.runtime, cell, names)
    session.bind(cell.name, made)
    return follow(session, made)


def _check_free(name: str, line: str, names: Mapping[str, object]) -> None:
    """A comparison does not cover what the notebook, or Python, calls by this name: least of all the agent that it compares."""
    from orch_nb.analysis.compare.comparison import Comparison

    before = names.get(name)
    if isinstance(before, Comparison):
        return
    if before is not None or hasattr(builtins, name):
        what = "Python's own" if before is None else f"{a_(type(before).__name__)} in this notebook"
        raise BadName(
            f"`{name}` is {what}.",
            line=1,
            column=len("%%compare ") + 1,
            source=f"%%compare {line}",
            hint="choose another name",
        )


def resume(session: Session, run: str, budget: Any, names: Mapping[str, Any]) -> live.Pending | None:
    """Go on with a comparison; None where the run is something else."""
    from orch_nb.analysis.compare import comparison, pairs
    from orch_nb.analysis.compare.candidates import is_of_kind

    runtime = session.runtime
    begun = runtime.started(run)
    if is_of_kind(begun, pairs.KIND):
        return follow_pairs(session, pairs.reopen_pairs(runtime, run, names, budget=budget))
    if not is_of_kind(begun, comparison.KIND):
        return None
    made = comparison.reopen(runtime, run, names, budget=budget)
    session.bind(made.name, made)
    return follow(session, made)


def follow(session: Session, made: Any) -> live.Pending:
    """Show a comparison while it runs; afterwards its buttons, where it is blind and somebody is there."""
    shown = CompareDisplay(made, session.screen)

    def ended() -> None:
        if session.screen.can_update:
            made.on_change = lambda _: shown.refresh(now=0.0, final=True)  # picks may come at any time
            _show_picker(session, made)

    return watched(session, shown, f"comparison {made.run} `{made.name}` continues in the background.", ended)


def watched(
    session: Session, shown: live.RunDisplay, text: str, ended: Callable[[], None] = lambda: None
) -> live.Pending:
    """Show what is measured by a batch while it runs; the cell waits for it, and `ended` is called when all went well."""
    made = shown.handle
    session.displays[made.run] = shown
    shown.show()
    if session.screen.can_update:
        live.REFRESHER.add(shown)

    async def wait() -> object:
        await live.until(made, made.done, lambda: session.finish(made))
        session.finish(made)
        error = made.future.exception()
        if error is not None:
            raise error
        ended()
        return made

    return live.Pending(made, wait, text)


def _show_picker(session: Session, made: Any) -> None:
    if not (made.blind and made.to_pick and session.is_attended):
        return
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        return  # `NAME.pick(row, "A")` does the same
    from orch_nb.notebook.pick_buttons import Picker
    from orch_nb.notebook.session import widget_bundle

    bundle = {
        **widget_bundle(Picker(made).box),
        "text/plain": f'buttons, in a live notebook; `{made.name}.pick(row, "A")` does the same',
    }
    session.screen.show(bundle, new_name())


# ------------------------------------------------------------------ matrix and pairs
# `%orch matrix`: the routing matrix, its export and sign-off, and tests of pairs.

Names = dict[str, object]
PAIR_USAGE = "`%orch matrix pairs PRODUCER CONSUMER models=[small, big] inputs=tickets`"


class PairsDisplay(live.RunDisplay):
    """The display of a test of pairs."""

    def bundle(self) -> dict[str, object]:
        """Pass rates so far."""
        from orch_nb.analysis.compare.pairs_view import pairs_bundle

        return pairs_bundle(self.handle)


def matrix(session: Session, command: Command, names: Names) -> live.Pending:
    """The routing matrix, or that of a file; `export FILE` writes it, `pairs A B` tests pairs of models."""
    word = command.words[0].text if command.words else ""
    if word == "pairs":
        return _pairs(session, command, names)
    if command.pairs:
        raise command.error("the matrix takes no inputs.", command.pairs[0], hint=PAIR_USAGE)
    made = _export(session, command) if word == "export" else _matrix(session, command, word)

    async def at_once() -> object:
        return made

    return live.Pending(made, at_once, "the routing matrix is there.")


def _matrix(session: Session, command: Command, task: str) -> object:
    from orch_nb.api import matrix_of, signed_matrix

    if len(command.words) > 1:
        raise command.error(
            f"Unexpected argument `{command.words[1].text}`.", command.words[1], hint="one task, or none for all"
        )
    if task.endswith(".json"):
        return signed_matrix(session.runtime, _text(task))
    if task:
        known = {e.task for e in session.runtime.evidence()}
        if task not in known:
            near = nearest(task, [*known, "export", "pairs"])
            there = f"tasks: {', '.join(sorted(known))}" if known else "`%%compare NAME` makes evidence"
            raise command.error(
                f"nothing was measured of a task `{task}`.",
                command.words[0],
                hint=f"did you mean `{near}`?" if near else there,
            )
    return matrix_of(session.runtime, task or None, **_options(command))


def _options(command: Command) -> dict[str, Any]:
    out: dict[str, object] = {}
    flags = command.flags
    if "baseline" in flags:
        out["baseline"] = _text(flags["baseline"])
    if "minimum" in flags:
        out["minimum"] = whole_number(command, flags["minimum"])
    if "tolerance" in flags:
        try:
            out["tolerance"] = float(read_amount(flags["tolerance"], "the tolerance", most=1, of="a share", example=""))
        except BadOption as error:
            hint = error.hint or "a number from 0 to 1, e.g. `--tolerance 0.05`"
            raise command.error(f"the tolerance is `{flags['tolerance']}`.", hint=hint) from None
    return out


def _text(value: str) -> str:
    return value[1:-1] if is_text(value) else value


def _export(session: Session, command: Command) -> Display:
    from orch_nb.api import matrix_of

    if len(command.words) != 2:
        raise command.error("which file?", hint='`%orch matrix export routing_matrix.json --sign "A. Analyst"`')
    made = matrix_of(session.runtime, **_options(command))
    if not made.rows:
        raise OrchError("nothing was measured yet, so the matrix is empty.", hint="`%%compare NAME` with a `score:`")
    sign = _text(command.flags.get("sign", ""))
    target = Path(_text(command.words[1].text))
    path = made.write(target if target.is_absolute() else session.runtime.folder / target, sign=sign)
    who = f"signed by {sign}" if sign else 'not signed: `--sign "NAME"`'
    said = f"written to {target}: {len(made.rows)} tasks, {made.count} judgements, {who}; `%orch matrix {target}` checks its hash"
    return Display.lines(said, value=path)


# ------------------------------------------------------------------ pairs
def _pairs(session: Session, command: Command, names: Names) -> live.Pending:
    from orch_nb.analysis.compare.pairs import start_pairs

    if len(command.words) != 3:
        raise command.error("pairs of which two agents?", hint=PAIR_USAGE)
    producer, consumer = (_agent(command, word, names) for word in command.words[1:])
    given = {pair.name: pair for pair in command.pairs}
    for name, pair in given.items():
        if name not in ("models", "inputs", "score", "seed"):
            raise command.error(f"pairs take no `{name}`.", pair, hint=PAIR_USAGE)
    for name in ("models", "inputs"):
        if name not in given:
            raise command.error(f"pairs need `{name}=`.", hint=PAIR_USAGE)
    score = (
        [given["score"].text if not is_text(given["score"].text) else _text(given["score"].text)]
        if "score" in given
        else []
    )
    made = start_pairs(
        session.runtime, producer, consumer, _models(command, given["models"]), _inputs(command, given["inputs"], names),
        names=names, score=score, budget=command.flags.get("budget"),
        seed=value_of(given["seed"].text, names, command=command, at=given["seed"]) if "seed" in given else 0,
    )  # fmt: skip
    return follow_pairs(session, made)


def _agent(command: Command, word: Any, names: Names) -> Any:
    from orch_nb.agents.agent import Agent

    found = names.get(word.text)
    if not isinstance(found, Agent):
        near = nearest(word.text, [n for n, v in names.items() if isinstance(v, Agent)])
        raise command.error(
            f"the agent `{word.text}` does not exist.",
            word,
            hint=f"did you mean `{near}`?" if near else "`%%agent NAME` defines one",
        )
    return found


def _models(command: Command, pair: Pair) -> list[str]:
    """Names of models, with or without quotes: ``[small, big]``."""
    inner = pair.text.strip().removeprefix("[").removesuffix("]")
    names = [_text(part.strip()) for part in inner.split(",") if part.strip()]
    if not names:
        raise command.error("`models` is empty.", pair, hint="`models=[small, big]`")
    return names


def _inputs(command: Command, pair: Pair, names: Names) -> object:
    """Rows: a literal, or an expression that a comparison takes as well."""
    try:
        return ast.literal_eval(pair.text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return pair.text


def follow_pairs(session: Session, made: Any) -> live.Pending:
    """Show the test while it runs; the cell waits for it."""
    shown = PairsDisplay(made, session.screen)
    return watched(session, shown, f"pairs {made.run} of {made.graph} continue in the background.")
