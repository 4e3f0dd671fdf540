"""The look of 33 objects, frozen: one file for each object and form (`NAME.txt`, `.html`, `.json`) in this folder.

A change of a display shows in review as a change of these files. `make snapshots` (``--snapshot-update``) writes them again.
"""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import orch_nb as orch
from orch_nb.errors import NodeFailed
from tests.frozen.world import Notebook, notebook

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent

STEPS = (
    "hybrid = [{'step': 'classify', 'usd': 0.001}, {'step': 'draft', 'usd': 0.015}]\n"
    "five = [{'step': 'call', 'usd': 0.03, 'calls': 5}]"
)
COMPARE = "%%compare teams\nprompts: [triage]\nmodels: [small, big]\ninputs: rows\nscore: exact(category)\n"
CLAIM = "%%claim hybrid saves\ngiven: hybrid at 10000 a day\nagainst: five\nsaving >= 60 %\nsaving >= 95 %\n"

WRONG = {
    "quote": "$7: the expected value is a sum of medians",
    "run_repaired": "M13: an answer that failed its type is shown as `success`",
    "run_cancelled": "$3, R2: a call that was broken off is booked at the visible text",
    "run_waiting": "M4: the question shows what the last arrow carries, not what is sent",
    "why": "P3: the decision log has no decision of a person",
    "trace": "$14: figures of one run are rounded differently in three places",
    "bill": "$14: rounded parts do not add",
}
"""Snapshots that show what FINDINGS.md calls wrong: mended, they change, and their line here goes."""


ENDS = {"text/plain": "txt", "text/html": "html"}
"""Form -> end of the file's name; data is ``.json``."""


def scenes(book: Notebook) -> Iterator[tuple[str, Any]]:
    """Every object by name, in the order in which they are made."""
    cell, run = book.cell, book.run
    yield "agent", cell("%agent triage")
    yield "graph", cell("%graph support")
    yield "tool", orch.tool(price_of)
    yield "quote", cell("%orch quote support ticket='My payment failed'")
    yield "run_done", run("%orch run support ticket='My payment failed'")
    yield "run_other", run("%orch run support ticket='The screen is broken'")
    yield "trace", cell("%orch trace 1 --full")
    yield "messages", cell("%orch trace 1 --view messages")
    yield "critical", cell("%orch trace 1 --critical")
    yield "bill", cell("%orch cost 1")
    yield "why", cell("%orch why --run 1")
    yield "diff", cell("%orch diff 1 2")
    yield "run_map", run("%orch run digest text='one; two; three'")
    yield "run_loop", run("%orch run counting")
    yield "run_failed", run("%orch run story topic='fail here'")
    yield "run_repaired", run("%orch run triage ticket='This is nonsense'")
    yield "run_refused", run("%orch run story topic='spring' --budget 0.0001")
    yield "run_waiting", run("run = orch.run_sync(press, topic='spring', attended=True)")
    book.runtime.open("8").answer("edit", "Spring is here", by="ann", comment="shorter")
    book.runtime.open("8").future.result(10)
    yield "run_answered", book.runtime.open("8")
    yield "why_person", cell("%orch why --run 8")
    yield "run_cancelled", _stopped(book)
    yield "run_routed", run("%orch run careful ticket='My payment failed'")
    yield "route", cell("%orch why careful")
    yield "batch", cell("%orch batch triage rows")
    yield "comparison", cell(COMPARE)
    yield "matrix", cell("%orch matrix")
    yield "forecast", cell("%orch forecast support at 1000 a day")
    cell(STEPS)
    yield "claim", cell(CLAIM)
    yield "runs", cell("%orch runs")
    yield "models", cell("%orch models")
    yield "prices", cell("%orch models prices")
    yield "budget", cell("%orch budget")
    yield "errors", _errors(book)


def price_of(name: str) -> str:
    """Looks up a price."""
    return f"${len(name)}"


def _stopped(book: Notebook) -> Any:
    """A run that was stopped in its second call."""
    book.cell("%orch run story topic='hold on' --bg")
    made = book.shell.user_ns["run"]
    assert book.models.is_held.wait(10)
    made.stop()
    return made.future.result(10)


def _errors(book: Notebook) -> str:
    """Errors of cells, of magics and of Python, as they are shown."""
    shown = [
        book.error(text)
        for text in (
            "%%graph bad\na -> -> b",
            "%%graph bad\ntriage -> billing at most none",
            "%%agent bad --modle small\nHi {{ x }}",
            "%%agent bad --model small\nHi {{ x }} {{ oops",
            "%orch run support tickt=3",
            "%orch run suport ticket='x'",
            "%orch rnu support",
            "%orch diff 1 99",
            "%orch budget 0.000001",
            "%orch models add x nobody/x",
            "%orch batch triage rows ticket=tickt",
        )
    ]
    try:
        book.runtime.open("5").result()
    except NodeFailed as error:
        shown.append(f"{error}\n  hint: {error.hint}")
    return "\n\n".join(shown)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The MIME bundle of every scene."""
    made = {}
    with (
        contextlib.chdir(tmp_path_factory.mktemp("snapshots")),
        notebook(Path.cwd(), store=orch.MemoryStore()) as book,
    ):
        for name, scene in scenes(book):
            made[name] = {"text/plain": scene} if isinstance(scene, str) else dict(scene._repr_mimebundle_())
    return made


NAMES = (
    "agent", "graph", "tool", "quote", "run_done", "run_other", "trace", "messages", "critical", "bill", "why", "diff", "run_map",
    "run_loop", "run_failed", "run_repaired", "run_refused", "run_waiting", "run_answered", "why_person", "run_cancelled",
    "run_routed", "route", "batch", "comparison", "matrix", "forecast", "claim", "runs", "models", "prices", "budget", "errors",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_objects_look_as_they_did(name: str, shown: dict[str, dict[str, Any]], request: pytest.FixtureRequest) -> None:
    """Text, HTML and data of an object are those of the committed files, letter for letter."""
    assert list(shown) == list(NAMES)
    files = {f"{name}.{ENDS.get(mime, 'json')}": readable(mime, content) for mime, content in shown[name].items()}
    if request.config.getoption("--snapshot-update"):
        for old in HERE.glob(f"{name}.*"):
            old.unlink()
        for file, text in files.items():
            (HERE / file).write_text(text, encoding="utf-8")
    assert {p.name: p.read_text(encoding="utf-8") for p in sorted(HERE.glob(f"{name}.*"))} == dict(
        sorted(files.items())
    )


def test_every_file_is_the_snapshot_of_an_object() -> None:
    """The folder has no files of objects without a test, and each mark of FINDINGS is at an object."""
    assert {p.stem for p in HERE.iterdir() if p.suffix != ".py" and p.is_file()} == set(NAMES)
    assert set(WRONG) <= set(NAMES)


def readable(mime: str, content: Any) -> str:
    """A form as it is reviewed: a tag or a key a line, and no date of today or of the price data."""
    if mime.endswith("json"):
        text = json.dumps(content, indent=1, ensure_ascii=False)
    else:
        text = content.replace("><", ">\n<") if mime == "text/html" else content
    return re.sub(r"\b(?!2026-01-01)20\d\d-\d\d-\d\d\b", "DATE", text).rstrip("\n") + "\n"
