"""``orch demo``: the quickstart notebook executed on the embedded model, with progress, and a report of what came of it.

Everything in the report is read back from the store and from the executed notebook: nothing is kept on the side.
"""

from __future__ import annotations

import csv
import shutil
import sys
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orch_nb.errors import OrchError
from orch_nb.schema.secrets import REDACTOR

if TYPE_CHECKING:
    from orch_nb.runtime.batch import Row
    from orch_nb.schema.events import Event

NOTEBOOK = "00_quickstart.ipynb"
PRICED = (
    "openai/gpt-4o-mini",
    "openai/gpt-4o",
    "anthropic/claude-sonnet-4-0",
    "google/gemini-2.5-flash",
    "mistral/mistral-large-latest",
)
"""Well-known models of four vendors, cheap to dear: what the same tokens would cost there."""

CELL_TIMEOUT_S = 900


class Progress:
    """One line on standard error that is written over; nothing but its last state where that is not a terminal."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._shown = 0.0
        self._last = ""

    def __call__(self, done: int, total: int) -> None:
        self._last = f"{self.what}  {done / 1e6:6.1f} of {total / 1e6:.1f} MB"
        if sys.stderr.isatty() and time.monotonic() - self._shown > 0.2:
            self._shown = time.monotonic()
            print(f"\r{self._last}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Finish the line."""
        if self._last:
            print(f"\r{self._last}" if sys.stderr.isatty() else self._last, file=sys.stderr)


def run_demo(out: Path) -> int:
    """Execute the quickstart in `out` and print the report; 0 when every row is done."""
    from orch_nb.providers.local_models.install import find_model

    find_model()  # says at once how to install what is missing
    out.mkdir(parents=True, exist_ok=True)
    source = _source()
    shutil.rmtree(out / "data", ignore_errors=True)
    shutil.copytree(source.parent / "data", out / "data")
    shutil.copy(source, out / NOTEBOOK)
    seconds = _execute(out)
    _write_html(out)
    print(f"executed {NOTEBOOK} in {seconds:.0f} s\n")
    return show_demo(out)


def _source() -> Path:
    """The notebook: shipped in the wheel, or in the clone beside the package."""
    here = Path(__file__).resolve().parent
    for place in (here / "_demo" / NOTEBOOK, here.parent / "notebooks" / NOTEBOOK):
        if place.exists():
            return place
    raise OrchError(
        "the quickstart notebook is not beside the package.", hint="install orch_nb from a wheel or a clone"
    )


def _execute(out: Path) -> float:
    """Run the notebook's cells, each told as it goes; the executed notebook is written in any case."""
    import nbformat as untyped_nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    nbformat: Any = untyped_nbformat
    notebook = nbformat.read(out / NOTEBOOK, as_version=4)
    codes = [i for i, c in enumerate(notebook.cells) if c.cell_type == "code"]
    client = NotebookClient(
        notebook, timeout=CELL_TIMEOUT_S, kernel_name="python3", resources={"metadata": {"path": str(out)}}
    )
    started = time.monotonic()

    def on_start(cell: Any, cell_index: int) -> None:
        if cell_index in codes:
            first = next((line for line in cell.source.splitlines() if line.strip()), "")
            print(f"  [{codes.index(cell_index) + 1}/{len(codes)}] {first[:76]}", flush=True)

    client.on_cell_start = on_start
    try:
        with _Rows(out):
            client.execute()
        _fold(out)
    except CellExecutionError as error:
        raise OrchError(
            f"a cell of the demo failed: {str(error).strip().splitlines()[-1]}", hint=f"open {out / NOTEBOOK}"
        ) from None
    finally:
        nbformat.write(notebook, out / NOTEBOOK)
    return time.monotonic() - started


def _fold(out: Path) -> None:
    """Leave the store as one file, although it was read while the kernel closed it."""
    from orch_nb.store.sqlite import SqliteStore

    path = out / ".orch" / "runs.sqlite"
    if path.exists():
        SqliteStore(path).close()


class _Rows:
    """While the batch cell works, a line now and then that says how many rows are done (read from the store)."""

    def __init__(self, out: Path) -> None:
        import threading

        self.out = out
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        from orch_nb.store.sqlite import SqliteStore

        shown = 0
        before: set[str] = set()
        path = self.out / ".orch" / "runs.sqlite"
        if path.exists():
            with SqliteStore(path, read_only=True) as store:
                before = {r.run for r in store.runs()}
        while not self._done.wait(1.0):
            if not path.exists():
                continue
            try:
                with SqliteStore(path, read_only=True) as store:
                    done = [
                        r for r in store.runs(status="done") if (r.parent or {}).get("of_batch") and r.run not in before
                    ]
            except OrchError:
                continue  # the kernel is just making it
            if len(done) > shown:
                shown = len(done)
                print(f"          {shown} messages answered", flush=True)


def _write_html(out: Path) -> None:
    from nbconvert import HTMLExporter

    from orch_nb.views.bundle import without_secrets

    exporter: Any = HTMLExporter
    body, _ = exporter().from_filename(str(out / NOTEBOOK))
    (out / "00_quickstart.html").write_text(without_secrets(body), "utf-8")


# ------------------------------------------------------------------ the report
def show_demo(out: Path) -> int:
    """Print what the last demo in `out` came to, from its store."""
    from orch_nb.runtime.batch import Row, recall
    from orch_nb.store.sqlite import SqliteStore

    path = out / ".orch" / "runs.sqlite"
    if not path.exists():
        raise OrchError(f"no demo has run in {out}.", hint="orch demo")
    with SqliteStore(path, read_only=True) as store:
        batch = next((r for r in store.runs() if (r.parent or {}).get("batch")), None)
        if batch is None:
            raise OrchError(f"the store in {out} holds no batch.", hint="orch demo")
        begun: Any = next(event for _, event in store.read(batch.run))
        rows = [Row(i, inputs) for i, inputs in zip(begun.inputs["index"], begun.inputs["rows"], strict=True)]
        events: list[list[Event]] = []
        for n, row in enumerate(rows):
            recall(store, f"{batch.run}.{n}", row)
            events.append([e for _, e in store.read(row.run)] if row.run else [])
    _print_rows(rows, _labels(out))
    _print_bill(events)
    print(f"\nnotebook  {out / NOTEBOOK}\nHTML      {out / '00_quickstart.html'}\nstore     {path}")
    return 0 if all(row.status == "done" for row in rows) else 1


def _labels(out: Path) -> dict[str, str]:
    with (out / "data" / "banking77_sample.csv").open(encoding="utf-8", newline="") as file:
        return {row["text"]: row["team"] for row in csv.DictReader(file)}


def _print_rows(rows: list[Row], labels: dict[str, str]) -> None:
    right = 0
    print(f"{'message':<46}{'team':<19}{'mood':<7}answer")
    for row in rows:
        message = row.inputs["message"]
        got = row.output or {}
        is_right = got.get("team") == labels.get(message)
        right += is_right
        mark = " " if is_right else "✗"
        print(
            f"{_cut(message, 44):<46}{mark}{got.get('team') or row.status:<18}{got.get('mood', ''):<7}{_cut(got.get('answer') or '', 60)}"
        )
    print(
        f"\nrouting: {right} of {len(rows)} messages to the team of their own label ({right / len(rows):.0%}), by embeddings"
    )
    print(
        "the language model (135 million parameters) gave only mood labels and one-sentence answers: that is what it does well"
    )
    teams = Counter((row.output or {}).get("team", row.status) for row in rows)
    print("teams: " + ", ".join(f"{team} {n}" for team, n in teams.most_common()))


def _cut(text: str, at_most: int) -> str:
    text = " ".join(REDACTOR.text(text).split())
    return text if len(text) <= at_most else text[: at_most - 1] + "…"


def _print_bill(events: list[list[Event]]) -> None:
    from orch_nb.catalog.prices import PriceBook, bundled_date
    from orch_nb.schema import events as ev

    settled = [e for run in events for e in run if isinstance(e, ev.Settled) and e.usage is not None]
    tokens_in = sum(e.usage.input_tokens for e in settled if e.usage)
    tokens_out = sum(e.usage.output_tokens for e in settled if e.usage)
    spent = sum((e.cost_usd or Decimal(0) for e in settled), Decimal(0))
    print(
        f"\nbill: ${spent} for {len(settled)} model calls, {tokens_in:,} tokens in, {tokens_out:,} out, on this machine"
    )
    print(f"the same tokens elsewhere (genai-prices of {bundled_date()}; other tokenizers count a little differently):")
    usages = [e.usage for e in settled if e.usage]
    for name, usd in PriceBook().would_cost(usages, PRICED).items():
        print(f"  {name:<32} {'price unknown' if usd is None else f'${usd:.4f}'}")
