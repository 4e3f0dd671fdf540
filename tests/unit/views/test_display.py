"""Displays: the same facts in HTML and in text, script-free, safe, the same each time."""

from __future__ import annotations

import base64
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from orch_nb.agents.agent import Agent
from orch_nb.graph.builder import Graph
from orch_nb.runtime.batch import BatchHandle, Row
from orch_nb.schema import events as ev
from orch_nb.trace.graph_state import picture
from orch_nb.trace.run_view import run_view
from orch_nb.views import batch as views_batch
from orch_nb.views.batch import batch_bundle
from orch_nb.views.bundle import GRAPH, TRACE
from orch_nb.views.cards import agent_bundle, graph_bundle, users_of
from orch_nb.views.graph_svg import svg
from orch_nb.views.html import CLASSES
from orch_nb.views.run import live_bundle, run_bundle
from orch_nb.views.trace import trace_bundle
from tests.unit.trace import histories as h
from tests.unit.views.payloads import shared_payloads

ALLOWED = {
    "div", "span", "b", "code", "table", "thead", "tbody", "tr", "td", "th", "details", "summary", "pre", "svg", "g", "rect", "path",
    "text", "tspan", "title", "foreignobject", "img",
}  # fmt: skip
VOID_STYLES = ("url(", "expression", "@import", "javascript")


class Inspector(HTMLParser):
    """Collects what a page is made of, and checks that tags are closed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.images: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "img":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def inspect(html: str) -> Inspector:
    """Parse a display and check that it is inert."""
    made = Inspector()
    made.feed(html)
    made.close()
    assert not made.open
    for tag, attrs in made.tags:
        assert tag in ALLOWED, tag
        for name, value in attrs.items():
            assert not name.startswith("on")
            assert name not in ("href", "srcdoc", "id")
            assert name != "class" or value == CLASSES
            assert name != "src" or value.startswith("data:image/svg+xml;base64,")
            assert name in ("title", "aria-label", "alt") or not any(
                bad in (value or "").lower() for bad in VOID_STYLES
            )
        if tag == "img":
            made.images.append(base64.b64decode(attrs["src"].partition(",")[2]).decode())
    return made


def names() -> dict:
    made = {
        "triage": Agent(
            "triage", "Classify. {{ qa.feedback? }}\nMessage: {{ ticket }}", out="{category: a | b}", role="Clerk"
        )
    }
    made["qa"] = Agent("qa", "Score {{ triage.category }}", out="{score: float, feedback: str}")
    made["review"] = (
        Graph("review")
        .chain("triage", "qa")
        .edge("qa", "triage", when="qa.score < 0.6", at_most=2)
        .edge("qa", "person", else_=True)
        .node("person", kind="human")
        .out("person")
    )
    return made


@pytest.mark.parametrize("name", sorted(h.EVERY))
@pytest.mark.parametrize("alive", [True, False])
def test_every_run_has_a_bundle_at_every_moment(name, alive):
    """After any event a run has inert HTML, a text twin and versioned JSON."""
    events = h.EVERY[name]()
    for n in range(1, len(events) + 1):
        made = run_bundle(run_view(events[:n], alive=alive))
        inspect(made["text/html"])
        assert json.loads(json.dumps(made[TRACE]))["v"] == 1
        assert made["text/plain"]


def test_html_and_text_have_the_same_facts():
    """What the HTML says of steps, money, conditions and people, the text says too."""
    for make in (h.support_run, h.waiting_run, h.failed_run, h.doubtful_run, h.edited_run, h.map_run):
        made = run_bundle(run_view(make(), alive=False))
        html = " ".join(" ".join(inspect(made["text/html"]).words).split())
        text = made["text/plain"]
        for fact in ("support", "$0.0121", "saved $0.0002", "0.52 → yes", "RateLimited", "in doubt", "overrun $0.0004",
                     "Send this answer?", "%orch answer approve", "ProviderUnavailable", "findings", "item 2"):  # fmt: skip
            assert (fact in html) == (fact in text), (make.__name__, fact)


def test_the_text_of_a_run():
    """The text twin is aligned, complete and stable: this is all of it."""
    text = run_bundle(run_view(h.support_run()))["text/plain"]
    assert text.splitlines()[:13] == [
        "support · run 7 · ✓ done · 3.2 s · 2,184 tokens · $0.0121 of $0.0500 · saved $0.0002 (1 reused)",
        "",
        "step                    state      seconds  queued  tokens in  out         $  model  what",
        "triage                  ↻ reused      0.00                                           reused from run 5",
        'billing                 ✓ success     1.37    0.02        706  206  0.006100  mid    {answer: "The first charge is a pending hold."}',
        "  model mid             ↺ retried     0.21    0.02                  0.000000  mid    RateLimited: 429: slow down, try again in 0.2 s",
        "  model mid, attempt 2  ✓ success     0.96                706  206  0.006100  mid",
        'qa                      ✓ success     0.44                330   72  0.001600  mid    {score: 0.52, feedback: "does not say when"}',
        'triage round 2          ✓ success     0.24                 96   22  0.000020  small  {category: "billing", confidence: 0.93}',
        'billing round 2         ✓ success     0.68                310   84  0.002800  mid    {answer: "A pending hold, released after 7 days."}',
        'qa round 2              ✓ success     0.40                300   58  0.001600  mid    {score: 0.91, feedback: "none"}',
        "approve                 ✓ passed      0.00                                           gate passed",
        "send                    ✓ success     0.01                                           {sent: true}",
    ]
    assert "  qa -> triage when qa.score < 0.6 at most 2: taken once; round 1: 0.52 → yes; round 2: 0.91 → no" in text


def test_displays_are_deterministic():
    """The same run gives the same bytes, so that a notebook that is run again does not churn."""
    for make in h.EVERY.values():
        assert run_bundle(run_view(make())) == run_bundle(run_view(make()))


def test_status_is_said_by_glyph_and_word():
    """No state is told by colour alone: wherever a state is shown, its word is beside its glyph."""
    drawn = svg(run_view(h.support_run()).picture)
    assert "</tspan> success</text>" in drawn
    assert "– skipped</text>" in drawn
    assert "</tspan> passed</text>" in drawn


def test_the_picture_needs_no_stylesheet():
    """The SVG uses presentation attributes only: no style element, class, id, script, link or marker that a sanitiser drops."""
    drawn = svg(run_view(h.support_run()).picture)
    for word in ("<style", "class=", "id=", "<script", "href", "marker", "url(", "var("):
        assert word not in drawn
    assert "currentColor" in drawn
    assert 'role="img"' in drawn
    assert "aria-label" in drawn


def test_money_is_not_typeset_as_mathematics():
    """Between two dollar signs front ends set formulas; every display tells them not to."""
    for made in (run_bundle(run_view(h.support_run())), agent_bundle(names()["qa"], names=names())):
        assert made["text/html"].startswith(f'<div class="{CLASSES}"')
        assert "mathjax_ignore" in CLASSES
        assert "tex2jax_ignore" in CLASSES


def test_without_inline_svg_an_image_of_the_picture_is_left():
    """A sanitiser that takes SVG elements away leaves an image of the same picture, on paper of its own, inert like the rest."""
    html = run_bundle(run_view(h.support_run()))["text/html"]
    (image,) = inspect(html).images
    inspect(image)
    assert "billing" in image
    assert 'fill="#ffffff"' in image
    ET.fromstring(image)


PUBLISHED = {
    "tags": {
        "h1", "h2", "h3", "h4", "h5", "h6", "br", "b", "i", "strong", "em", "a", "pre", "code", "img", "tt", "div",
        "ins", "del", "sup", "sub", "p", "ol", "ul", "table", "thead", "tbody", "tfoot", "blockquote", "dl", "dt",
        "dd", "kbd", "q", "samp", "var", "hr", "ruby", "rt", "rp", "li", "tr", "td", "th", "s", "strike", "summary",
        "details", "caption", "figure", "figcaption", "abbr", "bdo", "cite", "dfn", "mark", "small", "span", "time",
        "wbr",
    },
    "attributes": {"title", "alt", "aria-label", "role", "width", "height", "align", "colspan", "rowspan", "open", "href", "src"},
    "sources": ("data:image/png;base64,", "data:image/jpeg;base64,", "https://"),
}  # fmt: skip
"""What a hosting site leaves of a notebook's HTML (GitHub's list): no SVG, no style, no class, no script; images as PNG."""


class Sanitiser(HTMLParser):
    """Leaves of a page what `PUBLISHED` lists; of other elements their text, of scripts and styles nothing."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.images: list[tuple[str, str]] = []
        self.kept: set[str] = set()
        self.silent = 0

    def handle_starttag(self, tag, attrs):
        self.silent += tag in ("script", "style")
        if tag not in PUBLISHED["tags"]:
            return
        left = {k: v for k, v in attrs if k in PUBLISHED["attributes"]}
        if tag == "img" and left.get("src", "").startswith(PUBLISHED["sources"]):
            self.images.append((left["src"], left.get("alt", "")))
        self.kept.add(tag)

    def handle_endtag(self, tag):
        self.silent -= tag in ("script", "style")

    def handle_data(self, data):
        if not self.silent:
            self.words.append(data)


def published(html: str) -> Sanitiser:
    made = Sanitiser()
    made.feed(html)
    made.close()
    return made


def test_a_published_run_keeps_picture_and_facts_on_a_hosting_site():
    """Where SVG, styles and classes are taken away, the graph is left as a PNG, and every figure, state and answer as text."""
    left = published(run_bundle(run_view(h.support_run()), is_published=True)["text/html"])
    ((source, said),) = left.images
    assert base64.b64decode(source.partition(",")[2]).startswith(b"\x89PNG")
    assert said == "Graph support: 9 nodes, 13 arrows; 4 success, 4 skipped, 1 passed."
    words = " ".join(" ".join(left.words).split())
    for fact in ("$0.0121", "✓ success", "↻ reused", "429: slow down", "0.52", "0.91", "saved $0.0002", "Answer the billing question",
                 "706", "round 2", "mid", "gate passed", "{sent: true}", "output"):  # fmt: skip
        assert fact in words, fact
    assert "billing ✓ success mid · ×2 $0.0089" in words, "what is left of the drawing's words is apart"
    assert {"table", "tr", "td", "details", "img", "pre"} <= left.kept


def test_a_run_seen_by_a_person_needs_no_matplotlib():
    """The PNG is drawn where nobody waits for it: a notebook that is executed to be read elsewhere."""
    made = run_bundle(run_view(h.support_run()))["text/html"]
    assert "data:image/png" not in made
    assert published(made).images == []
    size = len(run_bundle(run_view(h.support_run()), is_published=True)["text/html"]) - len(made)
    assert size < 20_000


def test_the_svg_is_well_formed():
    """The picture is XML as it is, whatever names and conditions it shows."""
    for make in h.EVERY.values():
        for view in run_view(make()).graphs:
            ET.fromstring(svg(view) or "<svg/>")


def test_shapes_tell_kinds():
    """Each kind of node has its own shape before anything has run."""
    drawn = svg(picture(h.support_plan()))
    assert drawn.count('rx="7"') == 6
    assert 'rx="0"' in drawn  # the function
    assert "category</text>" in drawn  # the choice
    assert "if triage.confidence &lt; 0.8" in drawn


def test_a_graph_that_does_not_compile_is_drawn_with_what_is_wrong():
    """Unknown names are drawn dashed and named; every problem is said."""
    made = graph_bundle(Graph("draft").chain("triagge", "qa"), names=names())
    assert 'stroke-dasharray="5 3"' in made["text/html"]
    assert "did you mean `triage`" in made["text/plain"]
    assert "not defined: triagge" in made["text/plain"]


def test_a_graph_card_has_picture_text_and_data():
    """A graph shows its picture, its inputs, its cell, and carries coordinates for an interactive view."""
    made = graph_bundle(names()["review"], names=names())
    inspect(made["text/html"])
    data = made[GRAPH]
    assert data["v"] == 1
    assert data["kind"] == "graph"
    (drawn,) = data["pictures"]
    assert {n["name"] for n in drawn["nodes"]} >= {"triage", "qa", "person"}
    assert all(len(e["points"]) >= 2 for e in drawn["edges"])
    assert "qa -> triage   when qa.score < 0.6   at most 2" in made["text/plain"]
    assert "inputs ticket" in made["text/plain"]


def test_an_agent_card_shows_what_is_sent_and_who_uses_it():
    """The card has inputs, answer, the compiled system prompt, and the graphs that use the agent."""
    made = agent_bundle(names()["triage"], names=names())
    words = " ".join(" ".join(inspect(made["text/html"]).words).split())
    for part in ("qa.feedback?, ticket", "{category: a | b}", "You are Clerk", "review"):
        assert part in made["text/plain"]
        assert part in words
    assert users_of("qa", names()) == ["review"]


def test_an_agent_card_shows_model_tools_effects_and_every_graph_that_uses_it():
    """One definition serves two graphs, and its card names both, its model, its tools with their effects, and its own."""
    from orch_nb.tools.registry import tool

    @tool(effects="payment")
    def refund(order: str) -> str:
        """Pay an order back."""
        return order

    made = Agent("clerk", "Help. {{ ticket }}", model="echo", tools=[refund], effects="payment")
    here = {
        "clerk": made,
        "first": Graph("first").chain("clerk", "done"),
        "second": Graph("second").chain("pre", "clerk"),
    }
    shown = agent_bundle(made, names=here)
    words = " ".join(" ".join(inspect(shown["text/html"]).words).split())
    assert "echo = answers with its own input" in words
    for kind in (shown["text/plain"], words):
        assert re.search(r"tools +refund \(effect: payment\)", kind)
        assert re.search(r"effects +payment", kind)
        assert re.search(r"used by +first, second", kind)


@pytest.mark.parametrize("payload", shared_payloads())
def test_hostile_text_is_inert_wherever_it_comes_from(payload):
    """A hostile text as input, prompt, answer, error, question, output, state, row or description stays text."""
    safe = payload.encode("utf-8", "replace").decode()
    r = h.Recorder(h.support_plan(), {"ticket": payload, "policy": payload})
    value = {"category": payload, "confidence": 0.1}
    r.call("triage", "small", payload, value, (1, 1), "0.1", 0.1, taken=(0,),
           decision={"chooser": {"choice": "billing", "value": payload, "because": payload}})  # fmt: skip
    error = ev.ErrorInfo("ORCH305", payload, payload, "transient", payload)
    r.add(ev.Failed("", "billing", 1, None, error, r.at, r.at)).end("failed", payload, error, "billing")
    view = run_view(r.events)
    made = [run_bundle(view, notes=[payload]), trace_bundle(view)]
    made.append(live_bundle(view, live={"triage": {"text": payload}}, as_of="now", notes=[payload]))
    asked = h.waiting_run()
    asked[-1].question, asked[-1].shown = payload, {"a": payload}
    made.append(run_bundle(run_view(asked)))
    made.append(
        agent_bundle(Agent("a", safe.replace("{", "(") or "x", role=safe or "x", describe=safe or "x"), names={})
    )
    rows = [Row(0, {"t": payload}, "failed", error=payload), Row(1, {"t": payload}, "done", output={"a": payload})]
    made.append(batch_bundle(BatchHandle("1", "g", rows)))
    for one in made:
        words = "".join(inspect(one["text/html"]).words)
        assert "\x1b" not in words
        assert "\u202e" not in words
        assert not any(ord(c) < 32 and c not in "\n\t" for c in one["text/plain"])
        for name in (TRACE, GRAPH):
            assert "\x1b" not in json.dumps(one.get(name, ""), ensure_ascii=False)


def test_large_runs_are_cut_and_say_so():
    """A run of 10,000 steps is shown by its most telling rows, with how many are left out and how to see more."""
    made = run_bundle(run_view(h.long_run(10_000)))
    assert "… 9,968 more" in made["text/plain"]
    assert "32 of 10,000 rows: `%orch trace 7` shows more" in made["text/plain"]
    assert len(made["text/html"]) < 100_000
    full = trace_bundle(run_view(h.long_run(1_000)), full=True)
    assert "more" not in full["text/plain"]
    assert "300 of 1,000 rows: `%orch trace 7 --full`" in trace_bundle(run_view(h.long_run(1_000)))["text/plain"]


def test_long_texts_are_cut_in_every_form():
    """A reply of a megabyte makes no display of a megabyte; each field is cut at 8 kB, and says so."""
    r = h.Recorder(h.support_plan(), {"ticket": "x" * 1_000_000, "policy": ""})
    r.call("triage", "small", "y" * 1_000_000, {"category": "z" * 1_000_000}, (1, 1), "0.1", 0.1, taken=())
    made = run_bundle(run_view(r.events))
    assert sum(len(json.dumps(v)) for v in made.values()) < 90_000
    assert "cut:" in made["text/html"]
    assert max(map(len, made[TRACE]["texts"])) < 8_300
    assert "… (cut: 8,192 of 1,000,000 characters)" in "".join(made[TRACE]["texts"])


def test_a_batch_shows_progress_and_rows():
    """A batch says how many rows are where, what they cost, why it stopped, and how to continue."""
    rows = [Row(i, {"ticket": f"t{i}"}, "done", str(i), {"team": "a"}, seconds=0.5) for i in range(3)]
    rows += [Row(3, {"ticket": "t3"}, "failed", error="ProviderTimeout"), Row(4, {"ticket": "t4"})]
    batch = BatchHandle("12", "support", rows, stopped="the budget is used up")
    batch.future.set_result(batch)
    made = batch_bundle(batch)
    inspect(made["text/html"])
    assert "5 rows: 3 done, 1 failed, 1 pending" in made["text/plain"]
    assert "stopped: the budget is used up" in made["text/plain"]
    assert "`%orch resume 12`" in made["text/plain"]


def test_a_narrow_page_scrolls_a_picture_before_it_gets_too_small():
    """A picture shrinks with its page to seven tenths at most, where its smallest words can still be read."""
    from orch_nb.views.graph_svg import svg

    head = svg(picture(h.support_plan())).partition(">")[0]
    natural = float(re.search(r'width="([\d.]+)"', head)[1])
    least = float(re.search(r"min-width:([\d.]+)px", head)[1])
    assert least == pytest.approx(0.7 * natural, abs=1)


def test_a_line_to_be_typed_is_never_cut_off():
    """In the notebook's status the lines wrap: an ellipsis would swallow the command that resumes a run."""
    from orch_nb.views.table import Column, Table

    html = Table([Column(), Column(wrap=True)]).add("unfinished", "x " * 200 + "`%orch resume 7`").html()
    assert "ellipsis" not in html
    assert "white-space:normal" in html


def test_a_batchs_rows_show_what_tells_them_apart():
    """An input that is the same for all rows is named once below; each row shows its own."""
    rows = [Row(i, {"policy": "the same " * 20, "ticket": f"t{i}"}, "done", str(i), "ok") for i in range(3)]
    text = views_batch.rows_table(rows).text()
    assert [f"t{i}" in row for i, row in enumerate(text.splitlines()[1:4])] == [True] * 3
    assert text.count("the same") <= 12, "once, cut"
    assert "the same for all rows: policy" in text


def test_a_persons_reason_stands_beside_the_answer():
    """Who edits or rejects says why, and the trace's row shows it with the answer."""
    assert "edited by ada: shorter" in run_bundle(run_view(h.edited_run()))["text/plain"]


def _contrast(ink: tuple[int, int, int], opacity: float, paper: int) -> float:
    """WCAG 2.2's contrast of ink at an opacity on grey paper."""

    def light(channels) -> float:
        made = [v / 255 for v in channels]
        made = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in made]
        return 0.2126 * made[0] + 0.7152 * made[1] + 0.0722 * made[2]

    mixed = [v * opacity + paper * (1 - opacity) for v in ink]
    a, b = light(mixed), light((paper, paper, paper))
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


def test_words_and_glyphs_stand_out_on_light_and_dark():
    """The palest words have 4.5 : 1 (AA) on white and near-black in JupyterLab's own ink; coloured glyphs, which have a word beside
    them, 3 : 1."""
    from orch_nb.views.format import COLOURS
    from orch_nb.views.graph_svg import PALE

    for ink, paper in ((0, 255), (255, 17)):
        assert _contrast((ink, ink, ink), 0.87 * PALE, paper) >= 4.5
        for colour in set(COLOURS.values()):
            made = tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
            assert _contrast(made, 1.0, paper) >= 3.0, colour


def test_a_coloured_cell_keeps_its_words_in_the_themes_ink():
    """Colour marks the glyph; the words beside it are as readable as all others."""
    from orch_nb.views.table import Cell, Column, Table

    html = Table([Column("state")]).add(Cell("✕ failed", colour="#d64545")).html()
    assert '<span style="color:#d64545">✕</span> failed' in html


def test_an_agent_card_shows_whom_it_asks_besides():
    """A second opinion and a promised latency cost calls and refuse models: the card shows both."""
    agent = Agent("a", "{{ x }}", model="echo", second_opinion="echo", sla={"seconds": 5})
    text = agent_bundle(agent)["text/plain"]
    assert "second opinion  of echo, where confidence by agreement(3) is below 0.7" in text
    assert "latency         at most 5 s" in text
