"""What a view takes: in a saved notebook, and on its way to the page; and what of it is kept first."""

from __future__ import annotations

import json

import nbformat
import pytest

from orch_nb.trace.run_view import run_view
from orch_nb.views.bundle import TRACE
from orch_nb.views.columnar import HARD_BYTES, SOFT_BYTES, Names, Texts, column, saved_bytes
from orch_nb.views.run import live_bundle, run_bundle
from tests.unit.trace import histories as h
from tests.unit.views.unpacked import rows_of


def long_conversations(spans: int, words: int = 60) -> list:
    """A run of about so many spans, each call with a prompt and an answer of its own; every 40th item fails once."""
    items = (spans - 4) // 2
    r = h.Recorder(h.map_plan(), {"goal": "Position of company X"}, run="12")
    r.call("plan", "big", "Plan " + "the work " * words, {"tasks": list(range(items))}, (210, 96), "0.0041", 1.2)
    r.add(h.ev.Mapped("", "worker", 1, items, r.at))
    opened = r.at
    limited = h.ev.ErrorInfo("ORCH302", "RateLimited", "429: slow down", "transient", "wait a little")
    for i in range(items):
        if i % 40 == 7:
            r.send("worker", "small", f"Look at {i}", item=i, call=9).after(0.01)
            r.settle("worker", "", (0, 0), "0", item=i, call=9, ok=False, error=limited, note="retry")
        r.call("worker", "small", f"Look at {i}: " + f"fact{i} " * words, {"findings": f"answer{i} " * (words // 2)},
               (60, 20), "0.0003", 0.1, item=i, writes={"findings": i})  # fmt: skip
    r.finish("worker", [], started=opened)
    return r.end(output={"ok": True}).events


def on_disk(bundles: list[dict], tmp_path) -> int:
    """Bytes of a notebook with these outputs, as it is saved."""
    cells = []
    for made in bundles:
        cell = nbformat.v4.new_code_cell("%orch run market goal=goal")
        cell.outputs = [nbformat.v4.new_output("display_data", data=made)]
        cells.append(cell)
    path = tmp_path / "saved.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path.stat().st_size


@pytest.mark.parametrize("spans", [40, 200, 500])
def test_a_saved_view_takes_128_kb(spans, tmp_path):
    """A run of up to 500 spans with long prompts and answers is saved in 128 kB, all forms of it together."""
    assert on_disk([run_bundle(run_view(long_conversations(spans)))], tmp_path) < SOFT_BYTES + 2_000


def test_a_run_of_ten_thousand_spans_takes_a_megabyte(tmp_path):
    """A run of 10,000 spans is saved in at most 1 MB, with every span's figures."""
    view = run_view(long_conversations(10_000))
    assert len(view.spans) > 9_990
    made = run_bundle(view)
    assert on_disk([made], tmp_path) <= HARD_BYTES
    assert made[TRACE]["spans"]["count"] == min(10_000, len(view.spans))


def test_a_notebook_of_twenty_runs_takes_three_megabytes(tmp_path):
    """20 runs of 200 spans each are saved in less than 3 MB."""
    made = run_bundle(run_view(long_conversations(200)))
    assert on_disk([made] * 20, tmp_path) < 3_000_000


def test_a_longer_run_keeps_what_matters_and_counts_the_rest(tmp_path):
    """Of 30,000 spans 10,000 are kept: failures, the critical path, the newest, with what is around them; the rest is counted."""
    view = run_view(long_conversations(30_000, words=2))
    made = run_bundle(view)
    rows = rows_of(made[TRACE])
    assert made[TRACE]["spans_left_out"] == len(view.spans) - len(rows) > 19_000
    bad = [s for s in view.spans if s.state == "retried"]
    assert sum(row.get("state") == "retried" for row in rows) == len(bad) > 300
    assert rows[-1]["task_id"] == view.spans[-1].key
    assert any(row.get("critical") for row in rows)
    assert made[TRACE]["full"] == "`%orch trace 12 --full`"
    assert on_disk([made], tmp_path) <= HARD_BYTES


def test_details_come_in_the_order_of_what_somebody_looks_for():
    """Failures first, then the critical path, then the newest; what had no room is counted."""
    made = run_bundle(run_view(long_conversations(1_000)))[TRACE]
    rows = rows_of(made)
    told = {int(k) for k in made["details"]}
    failed = {i for i, row in enumerate(rows) if row.get("state") == "retried"}
    assert failed <= told
    assert all("RateLimited" in str(text(made, made["details"][str(i)]["error"])) for i in failed)
    critical = {i for i, row in enumerate(rows) if row.get("critical")}
    assert critical <= told
    assert made["details_left_out"] > 0
    assert len(told) + made["details_left_out"] == sum(1 for row in rows if row.get("kind") != "barrier")


def text(data: dict, value):
    """A text that is in a place of `texts`, or is itself."""
    return data["texts"][value] if isinstance(value, int) else value


def test_packed_rows_say_what_the_spans_say():
    """Columns unpack to each span's own figures: key, step, state, time, tokens, dollars."""
    for make in (*h.EVERY.values(), lambda: long_conversations(60), lambda: h.map_run(30)):
        view = run_view(make())
        rows = rows_of(run_bundle(view)[TRACE])
        for row, span, start in zip(rows, view.spans, view.starts, strict=True):
            assert (row["task_id"], row["step"], row["kind"], row["state"]) == (
                span.key,
                span.node,
                span.kind,
                span.state,
            )
            assert row.get("depth") or span.depth == 0
            assert (row.get("input_tokens") or 0) == span.input_tokens
            assert (row.get("round") or 1) == span.round
            assert row.get("item") == span.item
            assert ("cost_usd" in row) == (span.cost_usd is not None)
            assert span.cost_usd is None or float(row["cost_usd"]) == float(span.cost_usd)
            assert row.get("start_s") == (None if start is None else pytest.approx(start, abs=1e-4))
            want = None if span.latency_s is None else pytest.approx(span.latency_s * 1000, abs=0.1)
            assert row.get("latency_ms") == want


def test_a_text_is_kept_once():
    """A prompt that is in every call of a conversation is written once."""
    texts = Texts()
    first = texts.put("the same long prompt " * 10)
    assert texts.put("the same long prompt " * 10) == first == 0
    mark = texts.mark()
    texts.put("another long prompt, not kept " * 10)
    texts.go_back(mark)
    assert len(texts.kept) == 1
    assert texts.put("short") == "short"
    names = Names()
    assert [names.place(n) for n in ("a", "b", "a", "")] == [0, 1, 0, None]
    assert names.packed() == "a\nb"
    assert column([0, 0.123456, None, 2.0]) == "0,0.1235,,2"


def test_the_reckoned_size_is_that_of_the_file(tmp_path):
    """`saved_bytes` tells what a form takes in a notebook file to within 2 %."""
    made = run_bundle(run_view(long_conversations(200)))
    reckoned = sum(saved_bytes(value) for value in made.values())
    assert on_disk([made], tmp_path) == pytest.approx(reckoned, rel=0.02)


def test_an_update_of_a_run_under_way_takes_32_kb():
    """While 200 agents answer at once, or 10,000 spans are there already, an update stays within 32 kB and says its status."""
    for make, alive in (
        (lambda: h.map_run(200)[:-12], True),
        (lambda: long_conversations(10_000)[:-3], True),
        (h.waiting_run, True),
    ):
        view = run_view(make(), alive=alive)
        live = {f"worker[1][{i}]": {"text": f"word{i} " * 500, "since": float(i)} for i in range(200)}
        made = live_bundle(view, live=live, as_of="as of 12:00:00")
        assert sum(len(json.dumps(v, ensure_ascii=False).encode()) for v in made.values()) <= 32 * 1024
        assert TRACE in made
        assert "as of 12:00:00" in made["text/plain"]
        assert "and 194 more are answering" in made["text/html"]
        assert made[TRACE]["live"]["worker[1][199]"].endswith("word199")
        assert rows_of(made[TRACE])


def test_a_large_graph_gives_way_in_a_live_view():
    """The picture of 100 nodes has no room in an update: the figures stay, the picture comes at the end."""
    from orch_nb.engine.plan import Edge, Plan, PlanNode

    nodes = tuple(PlanNode(f"step_{i}", "function", function="f") for i in range(100))
    edges = tuple(Edge(f"step_{i}", f"step_{i + 1}") for i in range(99))
    r = h.Recorder(Plan("wide", nodes, edges, (), (), ("step_99",)), {})
    for i in range(50):
        r.after(0.01).finish(f"step_{i}", i, started=r.at - 0.01)
    made = live_bundle(run_view(r.events, alive=True), live={}, as_of="as of 12:00:00")
    assert sum(len(json.dumps(v, ensure_ascii=False).encode()) for v in made.values()) <= 32 * 1024
    assert "<svg" not in made["text/html"]
    assert "<svg" in run_bundle(run_view(r.events))["text/html"]


def test_a_saved_run_tells_who_said_what_to_whom_and_what_each_step_changed():
    """Messages in the order of time and the state before and after each step are in the data, so they show without a kernel."""
    data = run_bundle(run_view(h.support_run()))[TRACE]
    said = [(m["from"], m["to"], m["kind"]) for m in data["messages"]]
    assert said[0] == ("input", "triage", "flow")
    assert {"flow", "call", "reply"} <= {kind for _, _, kind in said}
    assert [m["at_s"] for m in data["messages"]] == sorted(m["at_s"] for m in data["messages"])
    changed = {(s["after"], c["field"]): (c["before"], c["after"]) for s in data["states"] for c in s["changes"]}
    assert changed["qa", "qa.score"] == ("", "0.52")
    assert changed["qa[2]", "qa.score"] == ("0.52", "0.91")
    assert (data["messages_left_out"], data["states_left_out"]) == (0, 0)


def test_of_a_long_run_the_first_messages_are_kept_and_the_others_counted():
    """What has no room is left out and counted, never silently gone."""
    data = run_bundle(run_view(long_conversations(2_000)))[TRACE]
    assert data["messages_left_out"] > 0
    assert len(data["states"]) + data["states_left_out"] > 900
