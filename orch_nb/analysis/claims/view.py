"""The view of a claim cell: one row a claim, both figures, the verdict with glyph and word, and why."""

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


def claim_html(claim: Claim) -> str:
    """Return the panel of a claim."""
    head = html.bar(html.strong(claim.title or "claim"), right=html.strong(_count_held(claim)))
    return html.panel(head, html.section(_table(claim).html(), first=True))


def claim_text(claim: Claim) -> str:
    """Return the same in plain text."""
    return f"{line(claim.title or 'claim')} · {_count_held(claim)}\n{_table(claim).text()}"


def _count_held(claim: Claim) -> str:
    held = sum(f.verdict == "holds" for f in claim.findings)
    return f"{held} of {len(claim.findings)} hold{'s' if held == len(claim.findings) == 1 else ''}"


def _table(claim: Claim) -> Table:
    table = Table(
        [Column("claim"), Column("verdict"), Column("computed", "r"), Column("stated", "r"), Column("why", wrap=True)]
    )
    for finding in claim.findings:
        why = Cell(finding.why, quiet=True)
        table.add(line(finding.claim, 200), _verdict(finding), Cell(finding.ours, strong=True), finding.stated, why)
    return table.without_empty()


def _verdict(finding: Finding) -> Cell:
    mark = MARKS[finding.verdict]
    shown = f'<span style="color:{COLOURS[finding.verdict]}">{mark}</span> {html.strong(finding.summary)}'
    return Cell(f"{mark} {finding.summary}", shown)


@draws("orch_nb.analysis.claims.claim.Claim")
def claim_bundle(claim: Claim) -> Bundle:
    """Draw a claim cell: each claim with both figures, the verdict and why."""
    return bundle(claim_text(claim), claim_html(claim))
