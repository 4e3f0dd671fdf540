"""A page of the manual: rules with examples, written once and shown as text and as HTML."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orch_nb.views import html
from orch_nb.views.bundle import Display
from orch_nb.views.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orch_nb.errors import OrchError

WIDTH = 100


@dataclass(slots=True, frozen=True)
class Rule:
    """One rule.

    Parameters
    ----------
    form
        How it is written.
    says
        What it means.
    example
        A cell that shows it and runs as it is, after the page's `setup`.
    words
        What the parser's table calls that which is explained: words, keys, marks.
    """

    form: str
    says: str
    example: str = ""
    words: tuple[str, ...] = ()


@dataclass(slots=True, frozen=True)
class Section:
    """Rules under one heading, or a table."""

    title: str
    rules: tuple[Rule, ...] = ()
    table: Table | None = None


@dataclass(slots=True, frozen=True)
class Page:
    """One page.

    Parameters
    ----------
    name
        What follows `%orch help`.
    title, lead
        What it is about, in a few words and in a few sentences.
    sections
        In the order in which they are read.
    setup
        Cells that define what the examples use.
    errors
        Errors that are raised when something on this page is written wrongly.
    """

    name: str
    title: str
    lead: str
    sections: tuple[Section, ...]
    setup: tuple[str, ...] = ()
    errors: tuple[type[OrchError], ...] = ()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule of the page."""
        return tuple(rule for section in self.sections for rule in section.rules)

    @property
    def words(self) -> tuple[str, ...]:
        """Every word, key and mark that the page explains."""
        return tuple(word for rule in self.rules for word in rule.words)

    def shown(self, usage: str = "") -> Display:
        """The page as text and as HTML.

        Parameters
        ----------
        usage
            How the verb of the same name is written, where there is one.
        """
        return Display(self._text(usage), self._html(usage), self)

    def _parts(self) -> Iterable[Section]:
        yield from self.sections
        if self.errors:
            yield Section("Errors", table=error_table(self.errors))

    def _text(self, usage: str) -> str:
        lines = [f"{self.name}: {self.title}", *_wrap(self.lead, "")]
        if usage:
            lines += ["", usage]
        if self.setup:
            lines += ["", "The examples use what this defines:", *_indent(self.setup)]
        for section in self._parts():
            lines += ["", section.title.upper()]
            for rule in section.rules:
                lines += [
                    "",
                    rule.form,
                    *_wrap(rule.says, "    "),
                    *_indent((rule.example,) if rule.example else ()),
                ]
            if section.table is not None:
                lines += ["", section.table.text()]
        return "\n".join(lines)

    def _html(self, usage: str) -> str:
        lead = _paragraph(self.lead) + (_paragraph(f"`{usage}`") if usage else "")
        parts = [html.section(lead, first=True)]
        if self.setup:
            cells = "".join(html.code(cell, len(cell)) for cell in self.setup)
            parts.append(html.folded("The examples use what these cells define", cells))
        for section in self._parts():
            inner = "".join(_rule_html(rule) for rule in section.rules)
            inner += "" if section.table is None else section.table.html()
            parts.append(html.section(inner, title=section.title))
        return html.panel(html.bar(html.strong(self.name), html.quiet(self.title)), *parts)


def error_table(errors: Iterable[type[OrchError]]) -> Table:
    """Codes, names and causes of errors, from the first sentence of each class."""
    table = Table([Column("code"), Column("error"), Column("raised when", wrap=True)])
    for error in errors:
        table.add(error.code, error.__name__, " ".join((error.__doc__ or "").split("\n\n")[0].split()))
    return table


def _wrap(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _indent(cells: Iterable[str]) -> list[str]:
    """Cells below the text, each with an empty line above it."""
    return [row for cell in cells for row in ("", *textwrap.indent(cell, "        ").split("\n"))]


def _paragraph(text: str) -> str:
    return f'<div style="margin:2px 0">{html.prose(text, len(text))}</div>'


def _rule_html(rule: Rule) -> str:
    example = html.code(rule.example, len(rule.example)) if rule.example else ""
    return f'<div style="margin-top:8px">{html.prose(f"`{rule.form}`", len(rule.form) + 2)}</div>{_paragraph(rule.says)}{example}'
