"""What the stores in memory and in a file share: the export, pruning, and the errors of runs that cannot be written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from orch_nb.errors import RunLocked, RunNotFound, StoreError, nearest
from orch_nb.store.export import to_line
from orch_nb.store.runs import prunable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from orch_nb.schema.events import Event
    from orch_nb.store.runs import RunRow


class BaseStore(ABC):
    """A store of runs. `SqliteStore` documents the methods that both stores have."""

    @abstractmethod
    def read(self, run: str, *, after: int = 0) -> Iterator[tuple[int, Event]]:
        """Return (seq, event) of a run, in order."""

    @abstractmethod
    def runs(
        self,
        *,
        graph: str | None = None,
        notebook: str | None = None,
        status: str | Sequence[str] | None = None,
        limit: int | None = None,
        batch_rows: bool = True,
    ) -> list[RunRow]:
        """Return the runs, newest first."""

    @abstractmethod
    def close(self) -> None:
        """Close the store."""

    @abstractmethod
    def _delete(self, runs: Sequence[str]) -> None:
        """Delete runs."""

    def export(self, run: str) -> Iterator[str]:
        """Return the run as JSON lines (`store.export`), one complete event a line."""
        return (to_line(seq, event) for seq, event in self.read(run))

    def delete(self, run: str) -> None:
        """Delete a run for good: its events, and the blobs that nothing else refers to. Freed pages are zeroed.

        What the run spent remains counted in the budgets it was taken from. Evidence from the run keeps its figures and
        loses its prompt.

        Raises
        ------
        RunNotFound, RunLocked
        """
        self._delete([run])

    def prune(
        self, *, before: float | None = None, keep_last: int | None = None, unfinished: bool = False
    ) -> list[str]:
        """Delete old runs and return their ids.

        Parameters
        ----------
        before
            Delete runs that started before this instant (UTC seconds).
        keep_last
            Delete all runs but this many of the newest.
        unfinished
            Also delete runs that did not end and that no process is writing. By default they are kept, because they can be
            resumed.

        Raises
        ------
        StoreError
            Neither `before` nor `keep_last` is given: that would delete everything.
        """
        chosen = prunable(self.runs(), before=before, keep_last=keep_last, unfinished=unfinished)
        self._delete(chosen)
        return chosen

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def taken_error(run: str) -> StoreError:
    """Return the error of creating a run whose id is in use."""
    return StoreError(f"run `{run}` already exists.", hint="`open` it, or take an id from `next_run()`")


def not_found_error(run: str, known: Sequence[str], where: str) -> RunNotFound:
    """Return the error of a run that is not in the store; it suggests the nearest of the `known` ids."""
    near = nearest(str(run), known)
    hint = f"did you mean `{near}`?" if near else "`%orch runs` lists them" if known else "nothing was run yet"
    return RunNotFound(f"run {str(run)[:80]!r} does not exist {where}.", hint=hint, run=str(run)[:80])


def locked_error(run: str, who: str, pid: int | None, host: str) -> RunLocked:
    """Return the error of opening a run that `who` is writing."""
    hint = "stop it there, or wait until it ends; reading it is possible at any time"
    return RunLocked(f"run `{run}` is being written by {who}.", hint=hint, run=run, pid=pid, host=host)


def closed_error(run: str) -> StoreError:
    """Return the error of writing to a log that was closed."""
    return StoreError(f"the log of run `{run}` was closed.", hint="`open` it again")
