"""Hostile texts in a real Chromium: nothing of what a model, a tool or a file says runs, loads or leaves."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from orch_nb.schema import events as ev
from orch_nb.trace.run_view import run_view
from orch_nb.views.cards import agent_bundle
from orch_nb.views.run import run_bundle
from orch_nb.views.trace import trace_bundle
from tests.browser.lab import FLAGS, chromium
from tests.unit.trace import histories as h
from tests.unit.views.test_display import Agent, shared_payloads


def displays(payload: str) -> list[str]:
    """Every kind of display with the payload at every place that can contain foreign text."""
    r = h.Recorder(h.support_plan(), {"ticket": payload, "policy": payload})
    r.call("triage", "small", payload, {"category": payload}, (1, 1), "0.1", 0.1, taken=(0,),
           decision={"chooser": {"choice": payload, "value": payload}})  # fmt: skip
    error = ev.ErrorInfo("ORCH305", payload, payload, "transient", payload)
    r.add(ev.Failed("", "billing", 1, None, error, r.at, r.at)).end("failed", payload, error, "billing")
    view = run_view(r.events)
    asked = h.waiting_run()
    asked[-1].question, asked[-1].shown = payload, payload
    text = payload.encode("utf-8", "replace").decode().replace("{", "(") or "x"
    bundles = [run_bundle(view, notes=[payload]), trace_bundle(view), run_bundle(run_view(asked))]
    bundles.append(agent_bundle(Agent("a", text, role=text, describe=text), names={}))
    return [b["text/html"] for b in bundles]


@pytest.mark.browser
def test_nothing_runs_and_nothing_leaves():
    """With every payload of the corpus in every place: no script runs, no dialog opens, no request is made, no handler exists."""
    path = chromium()
    if path is None:
        pytest.skip("no chromium on this machine (as root: apt-get install chromium)")
    if find_spec("playwright") is None:
        pytest.skip("playwright is not installed (the extra [dev])")
    from playwright.sync_api import sync_playwright

    page_text = "".join(html.replace("<details", "<details open") for p in shared_payloads() for html in displays(p))
    asked: list[str] = []
    dialogs: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page()
        page.on("dialog", lambda d: (dialogs.append(d.message), d.dismiss()))
        page.on("request", lambda r: asked.append(r.url))
        page.set_content(f"<!doctype html><meta charset=utf-8><body>{page_text}</body>")
        pwned = page.evaluate("window.__pwned === undefined")
        handlers = page.evaluate(
            "[...document.querySelectorAll('.orch-nb *')].filter(e => [...e.attributes].some(a => /^on|href/i.test(a.name))"
            " || /^(script|iframe|object|embed|base|form|meta|style|link|a|button)$/i.test(e.tagName)).map(e => e.outerHTML)"
        )
        count = page.evaluate("document.querySelectorAll('.orch-nb').length")
        browser.close()
    assert count == 4 * len(shared_payloads())
    assert (pwned, handlers, dialogs) == (True, [], [])
    assert [u for u in asked if not u.startswith("data:image/svg+xml;base64,")] == []
