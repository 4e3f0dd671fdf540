"""What every store promises of evidence: judged again replaces, order does not matter, a forgotten run leaves no prompt."""

from __future__ import annotations

import math
import random
import sqlite3
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orch_nb.errors import UnstorableValue
from orch_nb.routing.evidence import Evidence
from orch_nb.store.evidence import MAX_PROMPT
from orch_nb.store.sqlite import SqliteStore
from tests.contract.facts import started

if TYPE_CHECKING:
    from tests.contract.conftest import Shelf


def judged(key: str, *, task: str = "reply", at: float = 1.0, **facts: Any) -> Evidence:
    """One judgement."""
    known: dict[str, Any] = {
        "offer": "small", "model": "m-1", "provider": "scripted", "prompt": "hello", "quality": 1.0,
        "cost_usd": Decimal("0.00012300"), "seconds": 0.5, "source": "compare", "by": "exact", "run": "", "node": "",
    }  # fmt: skip
    return Evidence(task=task, at=at, key=key, **{**known, **facts})


def test_what_was_kept_is_read_back_as_it_was(shelf: Shelf) -> None:
    """Every field comes back as it was given, money to its last digit, unknown figures as unknown, in a new process too."""
    rows = [
        judged("a", quality=0.25, by="judge(big)", run="7", node="reply"),
        judged("b", at=2.0, cost_usd=None, seconds=None, prompt="é😀\n{{ x }}"),
    ]
    shelf.store.add_evidence(rows)
    assert shelf.store.evidence() == rows
    if shelf.kind != "memory":
        assert shelf.again().evidence() == rows


def test_judged_again_replaces(store: Any) -> None:
    """A key is one judgement: written again it replaces the earlier one, however often, also within one call."""
    store.add_evidence([judged("a", quality=0.0), judged("b")])
    for _ in range(3):
        store.add_evidence([judged("a", quality=0.5), judged("a", quality=1.0, at=3.0)])
    assert [(r.key, r.quality) for r in store.evidence()] == [("b", 1.0), ("a", 1.0)]


@pytest.mark.parametrize("seed", range(3))
def test_order_of_writing_does_not_matter(store: Any, seed: int) -> None:
    """Whatever order judgements arrive in, one by one or together, they are read in order of time, then key."""
    rows = [judged(f"k{i:02}", at=float(i // 3), quality=(i % 5) / 4) for i in range(20)]
    shuffled = random.Random(seed).sample(rows, len(rows))
    for i in range(0, len(rows), 7):
        store.add_evidence(shuffled[i : i + 7])
    assert store.evidence() == rows


def test_evidence_is_read_by_task(store: Any) -> None:
    """A task's name picks its rows and nothing else; it is only ever a value, never a part of a query."""
    store.add_evidence([judged("a"), judged("b", task="triage")])
    assert [r.key for r in store.evidence("triage")] == ["b"]
    assert [r.key for r in store.evidence()] == ["a", "b"]
    assert store.evidence("x' OR '1'='1") == store.evidence("") == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"quality": 1.01}, {"quality": -0.1}, {"quality": math.nan}, {"quality": True}, {"quality": "1"},
        {"cost_usd": 0.1}, {"cost_usd": Decimal("NaN")}, {"cost_usd": Decimal(-1)}, {"seconds": math.inf}, {"seconds": -1.0},
        {"at": math.nan}, {"task": ""}, {"offer": ""}, {"model": ""},
    ],
)  # fmt: skip
def test_nonsense_is_refused_and_nothing_is_kept(store: Any, wrong: dict[str, Any]) -> None:
    """A row without a task or model, or with a figure that is none, is a typed error that names it; no row of the call stays."""
    bad = replace(judged("bad"), **wrong)
    with pytest.raises(UnstorableValue, match="'bad'"):
        store.add_evidence([judged("good"), bad])
    assert store.evidence() == []


def test_a_long_prompt_is_cut(store: Any) -> None:
    """A prompt is stored up to its limit, so that evidence does not copy documents."""
    store.add_evidence([judged("a", prompt="x" * (MAX_PROMPT + 5))])
    assert store.evidence()[0].prompt == "x" * MAX_PROMPT


def test_a_deleted_run_leaves_figures_and_no_prompt(store: Any) -> None:
    """Deleting a run takes the prompts of its evidence away for good; what was measured stays."""
    for run in ("gone", "kept"):
        log = store.create(run)
        log.append([started(run)])
        log.close()
    store.add_evidence([judged("a", run="gone"), judged("b", run="kept")])
    store.delete("gone")
    assert [(r.key, r.prompt, r.quality) for r in store.evidence()] == [("a", "", 1.0), ("b", "hello", 1.0)]


def test_a_store_of_an_earlier_version_gains_evidence(tmp_path: Path) -> None:
    """A file without the table has no evidence when it is only read, and has the table once it was opened for writing."""
    path = tmp_path / "runs.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    first = Path(__file__).parents[1] / "histories" / "v1" / "store.sql"
    connection.executescript(first.read_text(encoding="utf-8"))
    connection.close()
    with SqliteStore(path, read_only=True) as old:
        assert old.evidence() == []
    with SqliteStore(path) as store:
        store.add_evidence([judged("a")])
        assert [r.key for r in store.evidence()] == ["a"]
