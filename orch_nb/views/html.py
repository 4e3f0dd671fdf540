"""Pieces of HTML: escaped by construction, styled inline, in the theme's own colours."""

from __future__ import annotations

import base64
import re

from orch_nb.views.format import COLOURS, RUN, glyph, word
from orch_nb.views.safe_text import as_text, escape, escape_line

BORDER = "1px solid var(--jp-border-color2, rgba(127,127,127,.35))"
MONO = "var(--jp-code-font-family, ui-monospace, SFMono-Regular, Menlo, Consolas, monospace)"
ROOT = (
    "font-family:var(--jp-ui-font-family, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif);"
    "font-size:var(--jp-ui-font-size1, 13px);line-height:1.5;color:var(--jp-ui-font-color1, inherit);"
    "font-variant-numeric:tabular-nums"
)
PANEL = f"{ROOT};border:{BORDER};border-radius:4px;max-width:1100px;margin:2px 0"


CLASSES = "orch-nb mathjax_ignore tex2jax_ignore"
"""Front ends typeset what is between two dollar signs, money too, unless told not to."""


def panel(*parts: str) -> str:
    """One calm box around a whole display."""
    return f'<div class="{CLASSES}" style="{PANEL}">{"".join(p for p in parts if p)}</div>'


def bar(*left: str, right: str = "") -> str:
    """The head line: facts at the left, money at the right."""
    cells = "".join(f'<span style="display:inline-block;margin-right:16px">{part}</span>' for part in left if part)
    end = f'<span style="float:right">{right}</span>' if right else ""
    return f'<div style="padding:7px 12px;border-bottom:{BORDER};overflow:hidden">{end}{cells}</div>'


def section(inner: str, *, title: str = "", first: bool = False) -> str:
    """A block of a panel."""
    head = f'<div style="font-weight:600;opacity:.75;margin-bottom:2px">{escape_line(title)}</div>' if title else ""
    border = "" if first else f"border-top:{BORDER};"
    return f'<div style="{border}padding:8px 12px;overflow-x:auto">{head}{inner}</div>'


def folded(title: str, inner: str, *, is_open: bool = False) -> str:
    """A block that opens and closes without any script."""
    return (
        f'<details style="border-top:{BORDER};padding:5px 12px"{" open" if is_open else ""}>'
        f'<summary style="cursor:pointer"><span style="opacity:.8">{escape_line(title)}</span></summary>'
        f'<div style="padding:4px 0 6px;overflow-x:auto">{inner}</div></details>'
    )


def drawing(svg: str, *, twin: bool = False, image: bytes = b"") -> str:
    """A picture that scrolls sideways.

    Parameters
    ----------
    twin
        Whether it has to be seen where a sanitiser takes inline SVG away (an untrusted notebook, a hosting site): then it
        carries itself a second time as an image, inside an element of the SVG that takes no room. With the SVG gone the
        image takes its place; the picture's words, which the sanitiser leaves behind, have size 0.
    image
        A PNG of the picture: the twin then, because hosting sites show no SVG even as an image.
    """
    if not svg:
        return ""
    if twin or image:
        body, _, _ = svg.rpartition("</svg>")
        svg = f'{body}<foreignObject width="0" height="0">{_image(svg, image)}</foreignObject></svg>'
    return f'<div style="overflow-x:auto;padding:4px 8px;font-size:0">{svg}</div>'


def _image(svg: str, image: bytes) -> str:
    """The picture as an image on white paper: an image cannot know the theme around it."""
    head, _, rest = svg.partition(">")
    found = re.search(r'aria-label="([^"]*)"', head)
    paper = f'{head} color="#1f1f1f"><rect width="100%" height="100%" rx="6" fill="#ffffff"/>{rest}'
    kind, data = ("png", image) if image else ("svg+xml", paper.encode())
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return f'<img alt="{found[1] if found else ""}" style="max-width:100%" src="{source}">'


_CODE = re.compile("`([^`]+)`")


def prose(text: str, limit: int = 600) -> str:
    """A line of text in which what is to be typed, `between backticks`, is set as code."""
    style = f"font-family:{MONO};font-size:92%;background:rgba(127,127,127,.13);border-radius:3px;padding:1px 4px;color:inherit"
    return _CODE.sub(rf'<code style="{style}">\1</code>', escape_line(text, limit))


def strong(text: str) -> str:
    """Bold."""
    return f"<b>{escape_line(text)}</b>"


def quiet(text: str) -> str:
    """Pale."""
    return f'<span style="opacity:.7">{prose(text, 400)}</span>'


def state(name: str) -> str:
    """Glyph and word; the glyph in its colour."""
    colour = COLOURS.get(name, "")
    mark = f'<span style="color:{colour}">{glyph(name)}</span>' if colour else glyph(name)
    return f'<span style="white-space:nowrap">{mark} <b>{escape_line(word(name))}</b></span>'


def meter(share: float, width: int = 90) -> str:
    """A small bar: how much of a limit is used."""
    share = max(0.0, min(1.0, share))
    return (
        f'<span style="display:inline-block;width:{width}px;height:6px;border-radius:3px;background:rgba(127,127,127,.22);'
        f'vertical-align:middle;margin:0 6px"><span style="display:block;width:{share * 100:.1f}%;height:6px;'
        f'border-radius:3px;background:{RUN}"></span></span>'
    )


def code(value: object, limit: int = 8192) -> str:
    """A value as text to read: escaped, in a fixed-width font, wrapped."""
    style = (
        f"margin:2px 0 8px;padding:6px 8px;border:{BORDER};border-radius:3px;font:12px/1.5 {MONO};white-space:pre-wrap;"
        "overflow-wrap:anywhere;background:transparent;color:inherit"
    )
    return f'<pre style="{style}">{escape(as_text(value, limit), limit + 80)}</pre>'
