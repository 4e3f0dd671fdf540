"""What `%orch VERB` does: each verb is one call of the Python API with the same words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch_nb.agents.binding import is_agent, is_definition
from orch_nb.errors import MissingInput, OrchError, nearest
from orch_nb.estimates.quote import quote_batch, quote_run
from orch_nb.estimates.view import quote_bundle, quote_data
from orch_nb.lang.magic_line import Word, is_text, value_of, whole_number
from orch_nb.notebook import compare_verbs, confirm, forecast_verb, live, manual, overview, settings_verbs
from orch_nb.notebook import session as notebook_session
from orch_nb.runtime.batch import start_batch
from orch_nb.runtime.learned_routes import accept_route, propose_route, reject_route
from orch_nb.schema.amount import is_amount_like
from orch_nb.schema.events import key
from orch_nb.schema.names import check_name
from orch_nb.trace.preview import brief
from orch_nb.views.bundle import QUOTE, Display

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orch_nb.engine.plan import Plan
    from orch_nb.lang.magic_line import Command
    from orch_nb.notebook.session import Session

Names = dict[str, object]


@dataclass(slots=True, frozen=True)
class Verb:
    """One verb: how it is written, what it does, its flags (with True where a flag takes a value)."""

    usage: str
    says: str
    do: Callable[[Session, Command, Names], object]
    flags: dict[str, bool] = field(default_factory=dict)
    words: int = 9
    is_async: bool = False
    takes_pairs: bool = False


# ------------------------------------------------------------------ running
def run(session: Session, command: Command, names: Names) -> live.Pending:
    """Start a graph or an agent; the cell waits for it unless `--bg`."""
    from orch_nb.agents.binding import compile_in

    target = _target(command, names, "run")
    plan = compile_in(target, names)
    inputs, notes = _inputs(command, names, plan)
    _check_given(command, plan, inputs)

    def start() -> object:
        return session.runtime.start(
            target, inputs, plan=plan, budget=_budget(command), as_name=command.flags.get("as", ""), namespace=names,
            attended=session.is_attended, again=bool(command.flags.get("again")),
        )  # fmt: skip

    bound = confirm.bound_of(command)
    if bound is not None and (quoted := quote_run(session.runtime, target, inputs, namespace=names)).is_above(bound):
        return confirm.ask(session, command, quoted, bound, start)
    return _follow(session, command, start(), notes)


def resume(session: Session, command: Command, names: Names) -> live.Pending:
    """Go on with a run that failed, was stopped, or lost its process."""
    number = _run_word(command) or _last_unfinished(session)
    comparison = compare_verbs.resume(session, number, _budget(command), names)
    if comparison is not None:
        return comparison
    handle = session.runtime.resume(number, budget=_budget(command), namespace=names, attended=session.is_attended)
    return _follow(session, command, handle, [])


def _follow(session: Session, command: Command, handle: Any, notes: list[str]) -> live.Pending:
    """Show the run; wait for it in the cell, or leave it in the background."""
    as_name = command.flags.get("as", "")
    if as_name:
        check_name(as_name, "run")
    session.bind_run(handle, as_name)
    is_batch = handle.is_batch
    is_background = bool(command.flags.get("bg"))
    session.follow(handle, notes=notes, is_background=is_background, is_batch=is_batch)
    enough = (
        handle.done if is_batch or command.flags.get("wait") else lambda: handle.done() or handle.status == "waiting"
    )

    async def wait() -> object:
        if is_background:
            session.shown.add(id(handle))
            return handle
        await live.until(handle, enough, lambda: session.finish(handle))
        session.finish(handle)
        _raise_failure(handle)
        return handle

    what = "batch" if is_batch else "run"
    return live.Pending(handle, wait, f"{what} {handle.run} of `{handle.graph}` continues in the background.")


def _raise_failure(handle: Any) -> None:
    """A failed run fails its cell, so that what comes after it does not run on nothing. A batch has its rows to say it."""
    if handle.future.done():
        error = handle.future.exception()
        if error is not None:
            raise error
    if handle.status in ("failed", "cancelled") and not handle.is_batch:
        try:
            handle.result()
        except OrchError as error:
            raise live.with_own_frames(error) from error.__cause__


def batch(session: Session, command: Command, names: Names) -> live.Pending:
    """Run a graph or agent over the rows of a table."""
    target = _target(command, names, "batch", words=2)
    frame, mapping, shared, notes = _rows(command, names, target)
    price = "batch" if command.flags.get("batch-price") else ""

    def start() -> object:
        return start_batch(
            session.runtime,
            target,
            frame,
            mapping,
            budget=_budget(command),
            namespace=names,
            shared=shared,
            price=price,
        )

    if price:
        notes += _ordinary_notes(session, target, names)
    bound = confirm.bound_of(command)
    if bound is not None:
        quoted = quote_batch(session.runtime, target, frame, mapping, namespace=names, shared=shared, price=price)
        if quoted.is_above(bound):
            return confirm.ask(session, command, quoted, bound, start)
    return _follow(session, command, start(), notes)


def _ordinary_notes(session: Session, target: object, names: Names) -> list[str]:
    """Return which models are called as ever, at the ordinary price, although batch prices were asked for."""
    from orch_nb.agents.binding import compile_in
    from orch_nb.runtime.batch import check_batch_price

    others = check_batch_price(session.runtime, compile_in(target, names))
    return [f"`{name}` has no batch interface here: called at once, at the ordinary price" for name in others]


def _rows(
    command: Command, names: Names, target: object
) -> tuple[object, dict[str, str], dict[str, object], list[str]]:
    """A table, the columns that inputs were bound to, the inputs that are the same for every row, and what is to be said."""
    from orch_nb.agents.binding import compile_in

    frame = value_of(command.words[1].text, names, command=command, at=command.words[1])
    columns = [str(c) for c in getattr(frame, "columns", ())]
    if isinstance(frame, list):
        columns = list(dict.fromkeys(c for row in frame if isinstance(row, dict) for c in row))
    mapping: dict[str, str] = {}
    shared: dict[str, object] = {}
    for pair in command.pairs:
        plain = pair.text[1:-1] if is_text(pair.text) else pair.text
        if plain in columns:
            mapping[pair.name] = plain
        elif plain.isidentifier() and plain not in names and (near := nearest(plain, columns)):
            raise command.error(
                f"the column `{plain}` does not exist.", pair, hint=f"did you mean the column `{near}`?"
            )
        else:
            shared[pair.name] = value_of(pair.text, names, command=command, at=pair)
    notes = []
    for wanted in compile_in(target, names).inputs:
        if wanted not in columns and wanted not in mapping and wanted not in shared and is_data(names.get(wanted)):
            shared[wanted] = names[wanted]
            notes.append(f"`{wanted}` is the notebook's variable, the same for every row")
    return frame, mapping, shared, notes


def quote(session: Session, command: Command, names: Names) -> Display:
    """Return what a run, or a batch over a table, is likely to cost and to take. Nothing is sent."""
    from orch_nb.agents.binding import compile_in

    target = _target(command, names, "quote")
    if len(command.words) > 1:
        frame, mapping, shared, notes = _rows(command, names, target)
        price = "batch" if command.flags.get("batch-price") else ""
        made = quote_batch(session.runtime, target, frame, mapping, namespace=names, shared=shared, price=price)
    else:
        inputs, notes = _inputs(command, names, compile_in(target, names))
        made = quote_run(session.runtime, target, inputs, namespace=names)
    shown = quote_bundle(made, notes=notes)
    return Display(shown["text/plain"], shown["text/html"], made, QUOTE, quote_data(made))


ANSWERS = ("approve", "edit", "reject", "answer", "done", "again", "raise", "stop")
"""What a person can answer beside a quoted text and an amount; each question offers some of them."""


def answer(session: Session, command: Command, names: Names) -> live.Pending:
    """Answer what a person is asked: approve, edit VALUE, reject, or an answer in quotes."""
    _check_answer_words(command)
    handle = _asked_run(session, command, names)
    action, value = _answer_of(command, names)
    node = command.flags.get("node")
    shown_hash = command.flags.get("shown") or session.answered_hash(handle, node)
    handle.answer(action, value, node=node, shown_hash=shown_hash, comment=_comment(command, names))
    said = f"{action}: run {handle.run} of `{handle.graph}` continues"

    async def wait() -> object:
        if command.flags.get("wait"):
            await live.until(handle, lambda: handle.done() or handle.status == "waiting", lambda: None)
            _raise_failure(handle)
        done = f": {handle.status}" if handle.status != "running" else " in the background"
        asked = handle.waiting if handle.status == "waiting" else []
        if asked:
            session.note_asked(handle.run, asked)
        rows = [f"`{key(one)}` asks: {one.question} (shown: {brief(one.shown, 400)})" for one in asked]
        return Display.lines(said + done, *rows, value=handle)

    return live.Pending(handle, wait, said + " in the background.")


def _asked_run(session: Session, command: Command, names: Names) -> Any:
    """The run that waits: the one named, else the only one. A recorded one is taken up first."""
    number = str(command.flags.get("run", ""))
    waiting = [h for h in session.runtime.live_runs() if h.waiting]
    if not number and len(waiting) == 1:
        return waiting[0]
    if not number and len(waiting) > 1:
        raise _several_wait(command, waiting)
    here = next((h for h in waiting if h.run == number), None)
    if here is not None:
        return here
    rows = [r for r in session.runtime.unfinished() if r.waiting and (not number or r.run == number)]
    if not rows:
        raise command.error("no run waits for a person.", hint="`%orch runs` lists all")
    if len(rows) > 1:
        raise _several_wait(command, rows)
    handle = session.runtime.resume(rows[0].run, namespace=names, attended=True)
    session.bind_run(handle)
    return handle


def _several_wait(command: Command, waiting: Sequence[Any]) -> OrchError:
    said = command.words[0].text if command.words else "approve"
    return command.error(
        f"{len(waiting)} runs wait: {', '.join(h.run for h in waiting)}.",
        hint=f"name one: `%orch answer {said} --run {waiting[0].run}`",
    )


def _check_answer_words(command: Command) -> None:
    """Refuse a word after an answer that takes none: it would be dropped."""
    most = 2 if command.words and command.words[0].text in ("edit", "answer", "raise") else 1
    if len(command.words) > most:
        extra = command.words[most]
        raise command.error(f"Unexpected argument `{extra.text}`.", extra, hint=f"usage: `{VERBS['answer'].usage}`")


def _answer_of(command: Command, names: Names) -> tuple[str, object]:
    if not command.words:
        raise command.error("what is the answer?", hint='approve, edit "…", reject, or "…"')
    first, *rest = command.words
    if is_text(first.text):
        return "answer", value_of(first.text, names, command=command, at=first)
    if is_amount_like(first.text):
        return "raise", first.text
    if first.text == "raise":
        return "raise", rest[0].text if rest else None
    if first.text not in ANSWERS:
        near = nearest(first.text, ANSWERS)
        hint = f"did you mean `{near}`?" if near else 'approve, edit "…", reject, or an answer in quotes'
        raise command.error(
            f"the answer must be approve, edit, reject or a quoted text, got `{first.text}`.", first, hint=hint
        )
    if first.text in ("edit", "answer"):
        if not rest:
            raise command.error(
                f"`{first.text}` needs the text.", first, hint=f'`%orch answer {first.text} "…"`, or a variable'
            )
        return first.text, value_of(rest[0].text, names, command=command, at=rest[0])
    return first.text, None


def _comment(command: Command, names: Names) -> str:
    text = command.flags.get("comment", "")
    return str(value_of(text, names, command=command, at=command.words[0])) if is_text(text) else str(text)


def stop(session: Session, command: Command, names: Names) -> Display:
    """Stop a run: what was spent is booked, what is recorded stays."""
    number = _run_word(command)
    found = session.runtime.live_runs() if number == "all" else [_live_or_batch(session, number, names)]
    for handle in found:
        handle.stop()
    said = ", ".join(h.run for h in found) or "none"
    return Display.lines(f"stopping: {said}; `%orch resume RUN` continues from there", value=found)


def _live_or_batch(session: Session, number: str, names: Names) -> Any:
    """A live run, or a batch that this notebook shows."""
    for shown in session.displays.values():
        if (shown.handle.run == number or not number) and shown.handle.is_batch and not shown.handle.done():
            return shown.handle
    return session.live_run(number)


# ------------------------------------------------------------------ looking
def status(session: Session, command: Command, names: Names) -> Display:
    """Return the status of the notebook: models, keys, budget, runs under way and unfinished, the next line to type."""
    return overview.status(session.runtime, names, session.runtime.live_runs())


def runs(session: Session, command: Command, names: Names) -> Display:
    """List runs, newest first, or delete some."""
    if command.words:
        return _drop_runs(session, command)
    limit = whole_number(command, command.flags.get("limit", "20"))
    rows = session.runtime.runs(limit=limit, every_notebook=bool(command.flags.get("all")))
    return overview.runs(rows, session.runtime)


def _drop_runs(session: Session, command: Command) -> Display:
    """Delete runs for good, with the rows of a batch."""
    word, *numbers = command.words
    if word.text != "drop" or not numbers:
        raise command.error(f"`%orch runs` takes `drop RUN …`, got `{word.text}`.", word, hint="`%orch runs drop 3`")
    runtime = session.runtime
    known = {row.run for row in runtime.runs(limit=10**9, every_notebook=True)}
    for number in numbers:
        if number.text not in known:
            raise command.error(f"run `{number.text}` does not exist.", number, hint="`%orch runs` lists the runs")
        if any(handle.run == number.text for handle in runtime.live_runs()):
            raise command.error(
                f"run `{number.text}` is under way.",
                number,
                hint=f"`%orch stop {number.text}`, then `%orch runs drop {number.text}`",
            )
    dropped = [number.text for number in numbers]
    for run in dropped:
        rows = [row for row in known if row.startswith(f"{run}.")]
        for one in [*rows, run]:
            runtime.run_loop.ask(runtime.store.delete, one)
    return Display.lines(f"deleted: {', '.join(dropped)}. What they spent remains counted.", value=dropped)


def trace(session: Session, command: Command, names: Names) -> Display:
    """The trace of a run: its rows, some of them, or another reading of it."""
    from orch_nb.views import trace as views_trace

    handle = _open(session, command)
    view = handle.view
    if (view.parent or {}).get("batch"):
        return overview.batch(session.runtime, handle)
    if command.flags.get("critical"):
        return views_trace.critical(view)
    flags = {k: _unquote(command, names, k) for k in ("view", "heat", "agent", "status", "text")}
    if flags["view"]:
        return views_trace.reading(view, handle.events, flags["view"])
    if flags["heat"]:
        return views_trace.heat(view, flags["heat"])
    sought = {k: flags[k] for k in ("agent", "status", "text")}
    only = views_trace.matching(view, **sought) if any(sought.values()) else None
    return views_trace.trace(view, full=bool(command.flags.get("full")), only=only)


def _unquote(command: Command, names: Names, flag: str) -> str:
    """A flag's value as text, with or without quotes; "" where it is not there."""
    text = str(command.flags.get(flag, ""))
    return str(value_of(text, names, command=command, at=Word(text, 1))) if is_text(text) else text


def diff(session: Session, command: Command, names: Names) -> Any:
    """Two runs side by side; the last one unless two are named."""
    if not command.words:
        raise command.error("which runs?", hint=f"usage: `{VERBS['diff'].usage}`")
    a = session.runtime.open(command.words[0].text)
    b = session.runtime.open(command.words[1].text) if len(command.words) > 1 else session.runtime.latest()
    return a.diff(b)


def cost(session: Session, command: Command, names: Names) -> Display:
    """The bill of a run by step, agent and model, and the notebook's budget."""
    handle = _open(session, command)
    return overview.cost(session.runtime, handle, alive=_is_alive(handle))


def why(session: Session, command: Command, names: Names) -> Display:
    """Return why a node chose what it chose: models and next nodes, every candidate with its figures."""
    from orch_nb.trace.decisions import choices
    from orch_nb.trace.run_view import run_view
    from orch_nb.views.decisions import why as shown

    number = str(command.flags.get("run", ""))
    handle = session.runtime.open(number) if number else session.runtime.latest()
    view = run_view(handle.events, alive=_is_alive(handle))
    node = _run_word(command)
    if len(command.words) > 1:
        from orch_nb.views.trace import why_called

        return why_called(view, node, command.words[1].text)
    if (view.parent or {}).get("batch"):
        return Display.lines(
            f"run {handle.run} is a batch: each row decides for itself; `%orch why --run {handle.run}.0` is that of the first row",
            value=[],
        )
    made = choices(view.spans, node)
    known = {s.node for s in view.spans} | {s.key for s in view.spans}
    if node and not made and node not in known and not any(s.key.startswith(f"{node}/") for s in view.spans):
        near = nearest(node, known)
        hint = f"did you mean `{near}`?" if near else f"nodes: {', '.join(sorted({s.node for s in view.spans})[:12])}"
        raise command.error(f"run {handle.run} has no node `{node}`.", command.words[0], hint=hint)
    return shown(view, node, made)


def route(session: Session, command: Command, names: Names) -> Display:
    """The rule that was learned for an agent, with its evidence; accepted or taken back."""
    from orch_nb.views.decisions import proposal

    action = _run_word(command) if _run_word(command) in ("accept", "reject") else ""
    at = command.words[1:] if action else command.words
    if not at:
        raise command.error("which agent?", hint=f"usage: `{VERBS['route'].usage}`")
    agent = names.get(at[0].text)
    if not is_agent(agent):
        known = [n for n, v in names.items() if is_agent(v)]
        near = nearest(at[0].text, known if action else [*known, "accept", "reject"])
        raise command.error(
            f"the agent `{at[0].text}` does not exist.", at[0], hint=f"did you mean `{near}`?" if near else ""
        )
    runtime = session.runtime
    do = {"accept": accept_route, "reject": reject_route}.get(action, propose_route)
    return proposal(do(runtime, agent))


def budget(session: Session, command: Command, names: Names) -> Display:
    """The notebook's budget: shown, set (`0.50 calls=100`), raised (`+0.50`), taken away (`none`), counted again (`reset`)."""
    runtime = session.runtime
    pairs = {pair.name: pair.text for pair in command.pairs}
    alert = pairs.pop("alert", None)
    if alert is not None:
        runtime.set_alert(alert)
    text = " ".join([*(word.text for word in command.words), *(f"{name}={value}" for name, value in pairs.items())])
    if text == "reset":
        runtime.reset_budget()
    elif text:
        runtime.set_budget(None if text == "none" else text)
    return overview.budget(runtime, advice="" if runtime.notebook else notebook_session.ADVICE)


def help_(session: Session, command: Command, names: Names) -> Display:
    """All verbs and pages of the manual, or one of them."""
    if not command.words:
        return overview.verbs(VERBS, GROUPS, manual.TOPICS)
    word = command.words[0]
    verb = VERBS.get(word.text)
    page = manual.page_of(word.text)
    if page is not None:
        return page.shown(verb.usage if verb is not None else "")
    near = "" if verb else nearest(word.text, [*VERBS, *manual.TOPICS, *manual.ALIASES])
    if near and near not in VERBS:
        raise command.error(f"the manual has no page `{word.text}`.", word, hint=f"did you mean `{near}`?")
    return usage(word.text, find(word.text, command, word))


def usage(name: str, verb: Verb) -> Display:
    """Return how a verb is written, what it does, and the page that explains what its line takes."""
    return overview.verb(verb.usage, f"{verb.says}.", manual.VERB_TOPICS.get(name, ""))


# ------------------------------------------------------------------ what a line means
def find(text: str, command: Command, at: Word | None = None) -> Verb:
    """The verb of this name.

    Raises
    ------
    BadOption
        There is none; the nearest is named.
    """
    verb = VERBS.get(text)
    if verb is None and text in FORMER:
        rest = command.shown.strip().removeprefix("%orch").strip().removeprefix(text).strip()
        raise command.error(
            f"`%orch {text}` is now `%orch {FORMER[text]}`.",
            at,
            hint=f"`%orch {FORMER[text]} {rest}`".replace(" `", "`"),
        )
    if verb is None:
        near = nearest(text, [v for v in VERBS if v])
        raise command.error(
            f"`%orch {text}` does not exist.",
            at,
            hint=f"did you mean `{near}`?" if near else "`%orch help` lists the verbs",
        )
    return verb


def check(verb: Verb, command: Command) -> None:
    """Refuse flags and words that the verb does not take.

    Raises
    ------
    BadOption
        The nearest flag is named.
    """
    for flag in command.flags:
        if flag not in verb.flags:
            near = nearest(flag, verb.flags)
            hint = f"did you mean `--{near}`?" if near else f"usage: `{verb.usage}`"
            raise command.error(f"`{command.verb}` has no flag `--{flag}`.", hint=hint)
    if len(command.words) > verb.words:
        extra = command.words[verb.words]
        after = [word.text for word in command.words[verb.words + 1 :][:2]]
        spaced = verb.takes_pairs and extra.text.isidentifier() and len(after) == 2 and after[0] == "="
        hint = f"no blanks around `=`: `{extra.text}={after[1]}`" if spaced else f"usage: `{verb.usage}`"
        raise command.error(f"Unexpected argument `{extra.text}`.", extra, hint=hint)
    if command.pairs and not verb.takes_pairs:
        raise command.error(f"`{command.verb}` takes no inputs.", command.pairs[0], hint=f"usage: `{verb.usage}`")


def _target(command: Command, names: Names, verb: str, words: int = 1) -> object:
    """The graph, agent or function that is to run."""
    usage = VERBS[verb].usage
    if len(command.words) < words:
        raise command.error(
            f"`{verb}` needs {'a graph or an agent' if words == 1 else 'a graph and a table'}.",
            hint=f"usage: `{usage}`",
        )
    word = command.words[0]
    target = names.get(word.text)
    if target is None:
        known = [n for n, v in names.items() if is_definition(v) and not n.startswith("_")]
        near = nearest(word.text, known)
        hint = (
            f"did you mean `{near}`?"
            if near
            else f"there are: {', '.join(known[:12])}"
            if known
            else "define it with `%%graph` or `%%agent`"
        )
        raise command.error(f"the graph or agent `{word.text}` does not exist.", word, hint=hint)
    if not (is_definition(target) or callable(target)):
        raise command.error(
            f"`{word.text}` is a {type(target).__name__}, which cannot run.",
            word,
            hint="a graph, an agent or a function",
        )
    return target


def _inputs(command: Command, names: Names, plan: Plan) -> tuple[dict[str, object], list[str]]:
    """The inputs as given; what was left out and has a variable of its name is taken from there, and that is said."""
    inputs = {pair.name: value_of(pair.text, names, command=command, at=pair) for pair in command.pairs}
    notes = []
    for wanted in plan.inputs:
        if wanted not in inputs and is_data(names.get(wanted)) and not wanted.startswith("_"):
            inputs[wanted] = names[wanted]
            notes.append(f"input `{wanted}` is the notebook's variable of that name")
    return inputs, notes


def _check_given(command: Command, plan: Plan, inputs: Names) -> None:
    """An input that is missing is said with the line that gives it."""
    missing = [name for name in plan.inputs if name not in inputs]
    if missing and inputs.keys() <= {*plan.inputs, *plan.optional_inputs}:
        line = " ".join([*(word.text for word in command.words), *(f"{p.name}={p.text}" for p in command.pairs)])
        given = " ".join(f'{name}="…"' for name in missing)
        raise MissingInput(
            f"`{plan.name}` needs {', '.join(f'`{name}`' for name in missing)}.",
            hint=f"inputs: {', '.join(f'`{name}`' for name in plan.inputs)}; `%orch {command.verb} {line} {given}`",
            missing=missing,
        )


def is_data(value: object) -> bool:
    """Return whether a variable can be an input that nobody named: data, not an agent, a function, a module, or None."""
    return value is not None and not callable(value) and not is_definition(value) and type(value).__name__ != "module"


def _budget(command: Command) -> Any:
    text = command.flags.get("budget")
    return text[1:-1] if text is not None and is_text(text) else text


def _run_word(command: Command) -> str:
    return command.words[0].text if command.words else ""


def _last_unfinished(session: Session) -> str:
    rows = session.runtime.unfinished()
    if not rows:
        raise OrchError("no run is unfinished.", hint="`%orch runs` lists all")
    return str(rows[0].run)


def _open(session: Session, command: Command) -> Any:
    number = _run_word(command)
    return session.runtime.open(number) if number else session.runtime.latest()


def _is_alive(handle: Any) -> bool:
    return not handle.done() and getattr(handle, "_driver", None) is not None


_BUDGET = {"budget": True}
VERBS: dict[str, Verb] = {
    "": Verb("%orch", "Show models, keys, budget, unfinished runs, and the next line to type", status, words=0),
    "run": Verb(
        "%orch run GRAPH|AGENT name=value … [--budget USD] [--ask-above USD] [--bg] [--wait] [--as NAME] [--again]",
        "Run a graph or one agent; inputs that are left out are taken from variables of that name. The cell ends when the run has, or "
        "when only a person is due (`--wait` waits for them); `--bg` ends it at once. `--ask-above` shows the quote and asks first where its high end is above; `--again` repeats effects done before",
        run, {**_BUDGET, "ask-above": True, "bg": False, "wait": False, "as": True, "again": False}, words=1, is_async=True, takes_pairs=True,
    ),
    "batch": Verb(
        "%orch batch GRAPH|AGENT TABLE input=column … [--budget USD] [--batch-price] [--ask-above USD] [--bg] [--as NAME]",
        "Run over the rows of a data frame or a list of mappings; columns bind by name, or as given; at the budget the rest is pending. `--batch-price` sends the calls through the providers' batch interfaces: half the price, answers within a day",
        batch, {**_BUDGET, "batch-price": False, "ask-above": True, "bg": False, "as": True}, words=2, is_async=True, takes_pairs=True,
    ),
    "quote": Verb(
        "%orch quote GRAPH|AGENT name=value …, or GRAPH|AGENT TABLE input=column … [--batch-price]",
        "Estimate the cost and time of a run, in all and for each node, before it is started; nothing is sent",
        quote, {"batch-price": False}, words=2, takes_pairs=True,
    ),
    "resume": Verb(
        "%orch resume [RUN] [--budget USD] [--bg] [--wait] [--as NAME]",
        "Resume a failed, stopped or interrupted run; finished steps are not called again",
        resume, {**_BUDGET, "bg": False, "wait": False, "as": True}, words=1, is_async=True,
    ),
    "answer": Verb(
        '%orch answer approve | edit "…" | reject | "…" | AMOUNT | stop [--node KEY] [--run RUN] [--comment "…"] [--shown HASH] [--wait]',
        "Answer a question to a person, as it was shown here last: a question that was not shown yet is refused, and shown. The run continues in "
        "the background. AMOUNT: by how much a budget that ran out is raised; `--shown`: the hash of the question (`shown_hash`)",
        answer, {"node": True, "run": True, "comment": True, "shown": True, "wait": False}, words=2, is_async=True,
    ),
    "stop": Verb("%orch stop [RUN|all]", "Stop a run; its costs are booked, its recorded steps are kept", stop, words=1),
    "runs": Verb("%orch runs [--limit N] [--all] | drop RUN …", "List the runs of this notebook (`--all`: of every one), newest first; `drop` deletes runs for good, what they spent remains counted", runs, {"limit": True, "all": False}),
    "trace": Verb(
        '%orch trace [RUN] [--agent NAME] [--status failed] [--text "…"] [--full] [--view messages|conversation|state|decisions] [--heat usd|tokens|seconds] [--critical]',
        "Show a run's steps (default: latest); filter by agent, status or text; `--full` shows every one. `--view`: messages, the "
        "conversation, the state after each step, or the decisions. `--heat`: where dollars, tokens or seconds went. `--critical`: the critical path, queue time listed separately",
        trace, {"agent": True, "status": True, "text": True, "full": False, "view": True, "heat": True, "critical": False}, words=1,
    ),
    "diff": Verb("%orch diff RUN [RUN]", "Compare two runs (default of the second: latest): path, outputs as text, tokens, dollars, time", diff, words=2),
    "why": Verb(
        "%orch why [NODE [NODE]] [--run RUN]",
        "Explain why a node chose its model or the next node, and why not the others; of two nodes: why the first called the second",
        why, {"run": True}, words=2,
    ),
    "route": Verb(
        "%orch route [accept|reject] AGENT", "Show what was learned about an agent's models, with its evidence; let it choose, or take that back",
        route, words=2,
    ),
    "cost": Verb("%orch cost [RUN]", "Show the bill of a run by step, agent and model", cost, words=1),
    "forecast": Verb(
        forecast_verb.USAGE,
        "Forecast the cost of a day, a month and a year: from stored runs with an interval, or from a step table typed by hand; "
        f"options: {', '.join(forecast_verb.OPTIONS)}",
        forecast_verb.project, words=9, takes_pairs=True,
    ),
    "budget": Verb(
        "%orch budget [USD | +USD] [tokens=N] [calls=N] [seconds=N] [stop | ask | degrade=MODEL] [alert=N] | none | reset",
        "Show, set, raise, remove or reset the notebook's budget; `--budget` and an agent's `budget` take the same. "
        "`alert=3`: a run that costs three times what its graph usually does says so",
        budget, words=9, takes_pairs=True,
    ),
    "models": Verb(
        "%orch models [set NAME=MODEL … | add NAME PROVIDER/MODEL input=USD output=USD context_tokens=N | price NAME input=USD output=USD … | prices]",
        "List, set or add the notebook's names of models; prices are dollars per million tokens; `prices` shows all of them with their sources", settings_verbs.models, words=3, takes_pairs=True,
    ),
    "matrix": Verb(
        "%orch matrix [TASK|FILE.json] [--baseline MODEL] [--tolerance 0.05] [--minimum 8] | export FILE.json [--sign NAME] "
        "| pairs PRODUCER CONSUMER models=[…] inputs=TABLE [score=…] [--budget USD]",
        "Show the routing matrix of what was compared: quality, cost, the chosen model by task; sign it off as a file; test which "
        "model can read what another writes",
        compare_verbs.matrix, {**_BUDGET, "baseline": True, "tolerance": True, "minimum": True, "sign": True}, words=3,
        is_async=True, takes_pairs=True,
    ),
    "notebook": Verb("%orch notebook [NAME]", "Show or set the name under which the budget and the runs are kept", settings_verbs.notebook, words=1),
    "import": Verb("%orch import FILE|FOLDER …", "Read agents from `.agent.md` files", settings_verbs.import_agents),
    "help": Verb(f"%orch help [VERB | {' | '.join(manual.TOPICS)}]", "Show the verbs, one verb, or one page of the manual", help_, words=1),
}  # fmt: skip
"""Every verb; "" is the bare `%orch`."""

GROUPS = {
    "Write": ("import",),
    "Before": ("quote", "forecast"),
    "Run": ("run", "batch", "resume", "stop", "answer"),
    "Look": ("", "runs", "trace", "cost", "why", "diff"),
    "Nouns": ("budget", "models", "route", "matrix", "notebook", "help"),
}
"""Verbs as the help shows them."""

FORMER = {"load": "import", "critical": "trace --critical", "delete": "runs drop", "prune": "runs drop"}
"""Former names of verbs, and what is written instead."""

ASYNC = tuple(v for v, verb in VERBS.items() if verb.is_async)

__all__ = ["ANSWERS", "ASYNC", "VERBS", "Verb", "check", "find", "help_", "usage"]
