"""Lists: the notebook's status, runs, models, money, verbs. Each as a table with its text twin."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orch_nb.agents.binding import is_agent, is_graph
from orch_nb.errors import OrchError
from orch_nb.estimates.quote import quote_resume
from orch_nb.notebook import manual
from orch_nb.views import html as markup
from orch_nb.views import run as views_run
from orch_nb.views.batch import rows_table
from orch_nb.views.bill import bill_line, bill_table, budget_text, near, savings_table, used_share
from orch_nb.views.bundle import Display
from orch_nb.views.format import COLOURS, count, glyph, places, seconds, usd, word
from orch_nb.views.safe_text import line
from orch_nb.views.table import Cell, Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from orch_nb.catalog.models import ModelBook
    from orch_nb.catalog.offers import Offer
    from orch_nb.engine.ports import Balance
    from orch_nb.runtime.runtime import Runtime

MAX_QUOTED = 5
"""Unfinished runs that are looked into when the notebook opens: each costs a read of its events."""


# ------------------------------------------------------------------ status
def status(runtime: Runtime, names: Mapping[str, object], live: Sequence[Any] = ()) -> Display:
    """Return the status of the notebook, and the next line to type."""
    table = Table([Column(), Column(wrap=True)])
    for name, text in _standing(runtime):
        table.add(Cell(name, quiet=True), text)
    for handle in live:
        table.add(Cell("under way", quiet=True), f"run {handle.run} of `{handle.graph}`: {word(handle.status)}")
    unfinished = _unfinished_lines(runtime, {h.run for h in live})
    for number, text in enumerate(unfinished):
        table.add(Cell("unfinished" if not number else "", quiet=True), text)
    table.add(Cell("next", quiet=True), next_line(runtime, names))
    text = f"orch_nb {_version()}\n{table.text()}"
    html = markup.panel(
        markup.bar(markup.strong("orch_nb"), markup.quiet(_version())), markup.section(table.html(), first=True)
    )
    return Display(text, html)


def _standing(runtime: Runtime) -> list[tuple[str, str]]:
    book = runtime.models
    keys = book.keys_found()
    rows = [("notebook", runtime.notebook or "no name yet: `%orch notebook NAME`")]
    rows.append(("models", "; ".join(f"{o.name} = {_what_is(o)}" for o in _named_offers(book))))
    rows.append(
        (
            "API keys",
            ", ".join(f"{p} ({k})" for p, k in keys.items()) or "none found (not needed for `local` and `echo`)",
        )
    )
    rows.append(("budget", budget_text(_balance(runtime))))
    if runtime.notice:
        rows.append(("store", runtime.notice))
    return rows


def _named_offers(book: ModelBook) -> list[Offer]:
    """Return the models of the notebook's own names; built-in ones only where no other name has them."""
    offers = book.offers()
    own = [o for o in offers if o.name not in ("smollm2", "echo")]
    return own or offers[:1]


def _what_is(offer: Offer) -> str:
    return offer.note or f"{offer.provider}/{offer.model}"


def _has_store(runtime: Runtime) -> bool:
    """Return whether there is a store yet: looking at an empty notebook does not make one."""
    return runtime._store is not None or (runtime.folder / ".orch").exists()


def _balance(runtime: Runtime) -> Balance | None:
    return runtime.budget() if _has_store(runtime) else None


def _unfinished_lines(runtime: Runtime, live: set[str]) -> list[str]:
    if not _has_store(runtime):
        return []
    # Without a name yet, the runs of every notebook of this folder: nobody knows whose they are, and none must be lost.
    found = runtime.unfinished() if runtime.notebook else runtime.runs(limit=200, every_notebook=True)
    rows = [r for r in found if r.status != "done" and r.run not in live]
    out = [unfinished_text(runtime, row) for row in rows[:MAX_QUOTED]]
    if len(rows) > MAX_QUOTED:
        out.append(f"and {len(rows) - MAX_QUOTED} more: `%orch runs`")
    return out


def unfinished_text(runtime: Runtime, row: Any) -> str:
    """``run 7 failed at 5/7 draft, 02:03, 429; $0.31 kept; `%orch resume 7`, about $0.02``."""
    what = "batch" if _is_batch(row) else "run"
    done, of = _batch_progress(runtime, row) if _is_batch(row) else (0, 0)
    where = f" at {done}/{of} rows" if of else _ended_where(runtime, row)
    parts = [f"{what} {row.run} of `{line(row.graph, 40)}` {_ended_word(row)}{where}"]
    when = row.ended_at or row.started_at
    if when is not None:
        parts.append(time.strftime("%H:%M" if time.time() - when < 86400 else "%d %b %H:%M", time.localtime(when)))
    if row.error is not None:
        parts.append(line(row.error.message or row.error.type, 70))
    kept = [f"{usd(row.spent_usd)} kept"]
    if row.in_doubt_usd:
        kept.append(f"at most {usd(row.in_doubt_usd)} in doubt")
    if row.waiting:
        do = f"`%orch answer approve --run {row.run}`"
    else:
        do = f"`%orch resume {row.run}`{_quote(runtime, row.run, of - done if of else 1)}"
    return f"{', '.join(parts)}; {', '.join(kept)}; {do}"


def _is_batch(row: Any) -> bool:
    return bool((row.parent or {}).get("batch"))


def _batch_progress(runtime: Runtime, row: Any) -> tuple[int, int]:
    """Return how many rows of a batch are done, of how many; (0, 0) where its end was not recorded."""
    from orch_nb.trace.run_view import run_view

    counts = run_view(runtime.open(row.run).events).output
    numbers = counts if isinstance(counts, dict) else {}
    return int(numbers.get("done", 0)), sum(map(int, numbers.values()))


def _ended_word(row: Any) -> str:
    if row.waiting:
        return f"waits for a person at {', '.join(row.waiting[:3])}"
    if row.status == "running":
        return "is being run by another process" if row.live else "was interrupted"
    return {"cancelled": "was stopped"}.get(row.status, word(row.status))


def _ended_where(runtime: Runtime, row: Any) -> str:
    """`` at 5/7 draft``: how many of its nodes are done, and where it ended."""
    if row.waiting or not row.nodes:
        return ""
    from orch_nb.trace.run_view import run_view

    try:
        view = run_view(runtime.open(row.run).events)
    except OrchError:
        return f" at {row.node}" if row.node else ""
    done = sum(1 for n in view.picture.nodes.values() if n.state in ("success", "passed", "reused"))
    return f" at {done + 1 if row.node else done}/{row.nodes}{f' {row.node}' if row.node else ''}"


def _quote(runtime: Runtime, run: str, times: int = 1) -> str:
    try:
        amount = quote_resume(runtime, run)
    except OrchError:
        return ""
    return "" if amount is None else f", about {usd(amount * times)}"


def next_line(runtime: Runtime, names: Mapping[str, object]) -> str:
    """The line to type next."""
    graphs = [n for n, v in names.items() if not n.startswith("_") and is_graph(v)]
    agents = [n for n, v in names.items() if not n.startswith("_") and is_agent(v)]
    if not agents and not graphs:
        return "`%%agent NAME` and a prompt with `{{ inputs }}` below it; `%orch help` lists the verbs"
    target = (graphs or agents)[-1]
    return f"`%orch run {target} {' '.join(f'{i}=…' for i in _inputs_of(names[target], names))}`".replace(" `", "`")


def _inputs_of(target: object, names: Mapping[str, object]) -> Sequence[str]:
    from orch_nb.agents.binding import compile_in

    try:
        return [i for i in compile_in(target, names).inputs if i not in names]
    except OrchError:
        return []


def _version() -> str:
    from orch_nb._version import __version__

    return __version__


# ------------------------------------------------------------------ money
def budget(runtime: Runtime, *, advice: str = "") -> Display:
    """The notebook's budget."""
    balance = runtime.budget()
    text = f"{runtime.notebook or 'this notebook'}: budget {budget_text(balance)}"
    rows = [text, *near(balance, "the notebook").values(), *([advice] if advice else [])]
    used = used_share(balance)
    share = "" if used is None else markup.meter(used)
    made = Display.lines(*rows, value=balance)
    made.html = made.html.replace("</div>", f"{share}</div>", 1)
    return made


def renamed(runtime: Runtime) -> Display:
    """The notebook under its new name: its budget, and which of its runs are unfinished."""
    made = budget(runtime)
    left = _unfinished_lines(runtime, {h.run for h in runtime.live_runs()})
    if not left:
        return made
    return Display.lines(made.text, *(f"unfinished: {text}" for text in left), value=made.value)


def cost(runtime: Runtime, handle: Any, *, alive: bool = False) -> Display:
    """A run's bill by step, agent and model, and the notebook's budget below. A batch's bill is that of all its rows."""
    from orch_nb.trace.run_view import run_view

    view = run_view(handle.events, alive=alive)
    money, what = view.bill, f"run {handle.run} of `{handle.graph}`"
    if (view.parent or {}).get("batch"):
        money, number = _batch_bill(runtime, handle.run)
        what = f"batch {handle.run} of `{handle.graph}`, {count(number, 'row')}"
    head = f"{what} · {bill_line(money)}"
    tables = [bill_table(money.steps, "step", money.total), bill_table(money.models, "model")]
    if {a.name for a in money.agents} != {s.name for s in money.steps}:
        tables.insert(1, bill_table(money.agents, "agent"))
    if (saved := savings_table(money)) is not None:
        tables.append(saved)
    balance = runtime.budget()
    after = "; ".join([f"notebook: budget {budget_text(balance)}", *near(balance, "the notebook").values()])
    text = "\n\n".join([head, *(t.text() for t in tables), after])
    inner = '<div style="height:10px"></div>'.join(t.html() for t in tables)
    html = markup.panel(
        markup.bar(f"<b>{markup.prose(head)}</b>"),
        markup.section(inner, first=True),
        markup.section(markup.quiet(after)),
    )
    return Display(text, html, money)


def batch(runtime: Runtime, handle: Any) -> Display:
    """The rows of a recorded batch, each a run of its own."""
    from orch_nb.runtime.batch import Row
    from orch_nb.trace.run_view import run_view

    begun = handle.events[0]
    rows = [Row(i, inputs) for i, inputs in zip(begun.inputs["index"], begun.inputs["rows"], strict=True)]
    for number, row in enumerate(rows):
        try:
            view = run_view(runtime.open(f"{handle.run}.{number}").events)
        except OrchError:
            continue  # it has not begun: it is pending
        row.run, row.status, row.output, row.usd = view.run, view.status, view.output, view.bill.spent_usd
        row.seconds, row.error = view.wall_s, "" if view.error is None else view.error.message
    view = run_view(handle.events)
    view.bill = replace(_batch_bill(runtime, handle.run)[0], limit_usd=view.bill.limit_usd)
    head = f"{views_run.head_line(view)} · {views_run.batch_line(view).partition(';')[0]}"
    return Display.of_table(head, rows_table(rows), value=rows)


def _batch_bill(runtime: Runtime, run: str) -> tuple[Any, int]:
    """One bill over all rows of a batch, and how many have begun."""
    from orch_nb.trace.bill import bill_of
    from orch_nb.trace.spans import spans

    rows: list[Any] = []
    number = 0
    while True:
        try:
            rows += spans(runtime.open(f"{run}.{number}").events)
        except OrchError:
            return bill_of(rows), number
        number += 1


# ------------------------------------------------------------------ lists
def runs(rows: Sequence[Any], runtime: Runtime) -> Display:
    """Runs, newest first."""
    digits = places(row.spent_usd for row in rows)
    table = Table(
        [
            Column("run"),
            Column("graph"),
            Column("state"),
            Column("started"),
            Column("seconds", "r"),
            Column("$", "r"),
            Column("", rest=True),
        ]
    )
    for row in rows:
        took = None if row.ended_at is None or row.started_at is None else row.ended_at - row.started_at
        state = "interrupted" if row.status == "running" and not row.live else row.status
        at = "" if row.started_at is None else time.strftime("%d %b %H:%M", time.localtime(row.started_at))
        what = f"{row.node}: {row.error.message or row.error.type}" if row.error is not None else ", ".join(row.waiting)
        table.add(
            row.run, line(row.graph, 40), Cell(f"{glyph(state)} {word(state)}", colour=COLOURS.get(state, "") if state != "done" else ""),
            at, seconds(took), usd(row.spent_usd, digits).removeprefix("$"), Cell(line(what, 100), quiet=True),
        )  # fmt: skip
    after = ["" if rows else "`%orch run GRAPH` starts one", *([runtime.notice] if runtime.notice else [])]
    return Display.of_table(count(len(rows), "run"), table, *after, value=list(rows))


def models(book: ModelBook) -> Display:
    """The notebook's names of models, what they are, what they cost."""
    table = Table(
        [
            Column("name"),
            Column("model"),
            Column("$ per Mtok in", "r"),
            Column("out", "r"),
            Column("context", "r"),
            Column("", rest=True),
        ]
    )
    keys = book.keys_found()
    for offer in book.offers():
        price = book.prices.price(offer)
        low, high = _rates(price)
        context = "" if offer.context_tokens is None else f"{offer.context_tokens:,}"
        table.add(
            offer.name,
            f"{offer.provider}/{offer.model}",
            low,
            high,
            context,
            Cell(_remark(offer, book, keys), quiet=True),
        )
    after = "`%orch models set small=openai/gpt-4o-mini` gives a name; cells and graphs only know names"
    return Display.of_table("models", table, after, value=book)


def prices(book: ModelBook) -> Display:
    """Return what every model of the notebook costs, and where and when each figure is from."""
    heads = ["$ per Mtok in", "out", "cached", "cache write", "batch", "per call", "per image"]
    table = Table([Column("name"), Column("model"), *(Column(h, "r") for h in heads), Column("from", wrap=True)])
    notes = []
    for offer in book.offers():
        price = book.prices.price(offer)
        table.add(
            offer.name, f"{offer.provider}/{offer.model}", *_price_cells(price), Cell(_price_from(price), quiet=True)
        )
        if price is not None and len(price.tiers) > 1:
            notes.append(f"{offer.name}: dearer for prompts above {price.tiers[1].above_tokens:,} tokens")
        if price is not None and price.batch_source and price.batch_source != price.provenance:
            notes.append(f"batch: {price.batch_source}")
    table.notes = list(dict.fromkeys(notes))
    after = "`%orch models price NAME input=USD output=USD` sets your own; a run keeps the prices it was billed at"
    return Display.of_table("prices", table.without_empty(), after, value=book.prices)


def _price_cells(price: Any) -> list[str]:
    if price is None:
        return ["?", "?", "", "", "", "", ""]
    first = price.tiers[0]
    rates = [_rate(v) for v in (first.input, first.output, first.cached, first.cache_write)]
    batch = "" if price.batch is None else f"{price.batch * 100:.0f} %"
    return [*rates, batch, *("" if not v else usd(v) for v in (price.per_call, price.per_image))]


def _rate(amount: Decimal | None) -> str:
    """Dollars per million tokens: two digits at least, all that there are at most."""
    if amount is None:
        return ""
    text = format(amount.normalize(), "f")
    return f"{amount:.2f}" if len(text.partition(".")[2]) < 2 else text


def _price_from(price: Any) -> str:
    if price is None:
        return "unknown: under a budget it is refused"
    return f"{price.provenance}{', ' if price.date else ''}{price.date}"


def _rates(price: Any) -> tuple[str, str]:
    """Dollars per million tokens in and out; "?" where nobody knows."""
    if price is None:
        return "?", "?"
    first = price.tiers[0]
    call = f" + {usd(price.per_call)} a call" if price.per_call else ""
    return f"{first.input:.2f}{call}", f"{first.output:.2f}"


def _remark(offer: Offer, book: ModelBook, keys: Mapping[str, str]) -> str:
    if offer.note:
        return offer.note
    needed = book.providers().get(offer.provider, "")
    return f"key: {needed} {'found' if offer.provider in keys else 'not set'}" if needed else ""


# ------------------------------------------------------------------ help
MONEY_WORDS = (
    "price: US dollars per million tokens · quote: a run's cost before it starts · budget: a limit that a call is checked against "
    "before it is sent · bill: a run's cost after it · forecast: the cost of many runs, a day to a year"
)


def verbs(known: Mapping[str, Any], groups: Mapping[str, Sequence[str]], topics: Mapping[str, str]) -> Display:
    """List all verbs by group with what they do, and the pages of the manual."""
    table = Table([Column(""), Column("verb"), Column("does", wrap=True)])
    for group, names in groups.items():
        for n, name in enumerate(names):
            says = known[name].says.partition(";")[0].partition(". ")[0]
            table.add(Cell("" if n else group, quiet=True), f"%orch {name}".strip(), says)
    for n, (topic, about) in enumerate(topics.items()):
        table.add(Cell("" if n else "Manual", quiet=True), f"%orch help {topic}", about)
    cells = (
        "`%%agent NAME --model small` and `%%graph NAME` define, `%%claim` checks figures; `%orch help VERB` says more"
    )
    return Display.of_table("orch_nb", table, cells, MONEY_WORDS, value=list(known))


def verb(usage: str, says: str, topic: str = "") -> Display:
    """A verb or a magic: how it is written, what it does, and where more is said."""
    more = f"`%orch help {topic}`: {manual.TOPICS[topic]}" if topic else "`%orch help` lists the verbs and the pages"
    return Display.lines(usage, f"  {says}", f"  {more}", value=usage)
