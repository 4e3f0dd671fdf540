"""A test of pairs as it is shown: pass rates of every ordered pair of models, why pairs fail, in HTML and in text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.analysis.matrix.view import TD, TH, _pair_counts, _pair_html, failures_table
from orch_nb.display import draws
from orch_nb.views import html
from orch_nb.views.bundle import bundle
from orch_nb.views.format import glyph, usd, word
from orch_nb.views.safe_text import escape_line, line
from orch_nb.views.table import Column, Table

if TYPE_CHECKING:
    from orch_nb.analysis.compare.pairs import Pairs
    from orch_nb.views.bundle import Bundle


@draws("orch_nb.analysis.compare.pairs.Pairs")
def pairs_bundle(made: Any) -> Bundle:
    """A test of pairs: pass rates, why pairs fail."""
    return bundle(pairs_text(made), pairs_html(made))


# ------------------------------------------------------------------ pairs
def pairs_html(made: Pairs) -> str:
    """A test of pairs: producers down, consumers across."""
    head = html.bar(
        html.strong(made.graph), html.quiet(f"pairs {made.run}"), html.state(made.status),
        html.quiet(_pair_counts(made)), right=html.strong(usd(made.spent_usd)),
    )  # fmt: skip
    names = [f"{made.consumer} on {m}" for m in made.models]
    heads = "".join(
        f'<th style="{TH}"><span style="opacity:.75">{escape_line(h, 48)}</span></th>' for h in ("", *names)
    )
    body = ""
    for i, a in enumerate(made.models):
        cells = "".join(f'<td style="{TD}">{_pair_html(made.cell(a, b))}</td>' for b in made.models)
        shade = "rgba(127,127,127,.07)" if i % 2 else "transparent"
        body += f'<tr style="background:{shade}"><td style="{TD}">{escape_line(made.producer, 40)} on <b>{escape_line(a, 40)}</b></td>{cells}</tr>'
    grid = (
        '<table style="border-collapse:collapse;border:none;margin:0;font-size:inherit;color:inherit">'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    )
    parts = [head, html.section(grid, first=True)]
    failures = failures_table(made)
    if failures is not None:
        parts.append(html.section(failures.html(), title="why pairs fail"))
    return html.panel(*parts)


def pairs_text(made: Pairs) -> str:
    """The same in plain text."""
    head = f"{made.graph} · pairs {made.run} · {glyph(made.status)} {word(made.status)} · {_pair_counts(made)} · {usd(made.spent_usd)}"
    table = Table(
        [
            Column(f"{made.producer} on"),
            Column(f"{made.consumer} on"),
            Column("passes"),
            Column("n", "r"),
            Column("$", "r"),
        ]
    )
    for p in made.pairs():
        table.add(
            line(p.producer_model, 40),
            line(p.consumer_model, 40),
            p.passed.text,
            str(p.passed.n),
            usd(p.usd).removeprefix("$"),
        )
    parts = [head, table.text()]
    failures = failures_table(made)
    if failures is not None:
        parts.append(f"why pairs fail\n{failures.text()}")
    return "\n\n".join(parts)
