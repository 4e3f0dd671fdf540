"""A claim cell as it is shown: one row a claim, both figures, the verdict with glyph and word, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch_nb.display import draws
from orch_nb.views import html
from orch_nb.views.bundle import bundle
from orch_nb.views.format import BAD, OK, WARN
from orch_nb.views.safe_text import line
from orch_nb.views.table import Cell, Column, Table

if TYPE_CHECKING:
    from orch_nb.analysis.claims.claim import Claim
    from orch_nb.analysis.claims.verdict import Finding
    from orch_nb.views.bundle import Bundle

MARKS = {"holds": "✓", "off by": "≠", "impossible": "✕"}
COLOURS = {"holds": OK, "off by": WARN, "impossible": BAD}


def claim_html(made: Claim) -> str:
    """The claim's panel."""
    head = html.bar(html.strong(made.title or "claim"), right=html.strong(_count_held(made)))
    return html.panel(head, html.section(_table(made).html(), first=True))


def claim_text(made: Claim) -> str:
    """The same in plain text."""
    return f"{line(made.title or 'claim')} · {_count_held(made)}\n{_table(made).text()}"


def _count_held(made: Claim) -> str:
    held = sum(f.verdict == "holds" for f in made.findings)
    return f"{held} of {len(made.findings)} hold{'s' if held == len(made.findings) == 1 else ''}"


def _table(made: Claim) -> Table:
    table = Table(
        [Column("claim"), Column("verdict"), Column("computed", "r"), Column("stated", "r"), Column("why", wrap=True)]
    )
    for finding in made.findings:
        why = Cell(finding.why, quiet=True)
        table.add(line(finding.claim, 200), _verdict(finding), Cell(finding.ours, strong=True), finding.stated, why)
    return table.without_empty()


def _verdict(finding: Finding) -> Cell:
    mark = MARKS[finding.verdict]
    shown = f'<span style="color:{COLOURS[finding.verdict]}">{mark}</span> {html.strong(finding.said)}'
    return Cell(f"{mark} {finding.said}", shown)


@draws("orch_nb.analysis.claims.claim.Claim")
def claim_bundle(made: Claim) -> Bundle:
    """A claim cell: each claim with both figures, the verdict and why."""
    return bundle(claim_text(made), claim_html(made))
