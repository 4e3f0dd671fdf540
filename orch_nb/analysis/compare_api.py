"""The doors of the Python API: what ``%%compare`` and ``%orch matrix`` do, one call does. All go to the current runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.current import caller_namespace
from orch_nb.lang.compare_cell import PASSES, CompareCell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orch_nb.analysis.compare.comparison import Comparison
    from orch_nb.analysis.compare.pairs import Pairs
    from orch_nb.analysis.matrix.matrix import Matrix
    from orch_nb.runtime.runtime import Runtime


def compare(
    name: str, *, prompts: Sequence[Any] | Mapping[str, str], models: Sequence[str], inputs: Any, score: str | Sequence[str] = (),
    budget: Any = None, repeat: int = 1, blind: bool = False, seed: int = 0, task: str = "", fixtures: bool = True,
    passes: float = PASSES, namespace: Mapping[str, Any] | None = None,
) -> Comparison:  # fmt: skip
    """Compare prompts on models over inputs, as a ``%%compare`` cell does. It is started at once; ``await`` it for the end.

    Parameters
    ----------
    prompts
        Agents or their names, or a mapping from names to texts.
    inputs
        Rows: a data frame, a list of mappings, a list of texts.
    score
        Scorers as written in a cell; a function of the namespace by its name.
    namespace
        Where names are looked up; the caller's variables unless given.

    Raises
    ------
    BadOption, BadName, MissingInput, UnknownModel
        Before anything is spent.

    See Also
    --------
    orch_nb.lang.compare_cell.CompareCell : what the other words mean.
    """
    from orch_nb.analysis.compare import comparison as comparing
    from orch_nb.schema.names import check_name

    names = dict(caller_namespace() if namespace is None else namespace)
    if isinstance(prompts, dict):
        known: dict[str, str | None] = dict(prompts)
    else:
        known = {p if isinstance(p, str) else p.name: None for p in prompts}
        names |= {p.name: p for p in prompts if not isinstance(p, str)}
    texts = (score,) if isinstance(score, str) else tuple(score)
    cell = CompareCell(
        check_name(name, "name of a comparison"), known, tuple(models), inputs, texts, budget, repeat, blind, seed, task,
        fixtures, passes,
    )  # fmt: skip
    return comparing.compare(_runtime(), cell, names)


def matrix(task: str | None = None, **options: Any) -> Matrix:
    """The routing matrix of what was measured so far: of one task, or of all; or one that was written to a file.

    Parameters
    ----------
    task
        A task's name; None for all. What ends in ``.json`` is a file, whose hash is checked; what of the evidence has changed
        since it was written stands in its notes.
    **options
        `baseline`, `tolerance`, `minimum` of `Matrix.of`.

    Raises
    ------
    BadOption
        An option does not fit.
    OrchError
        The file is no matrix, or was changed since it was written.
    """
    if task is not None and task.endswith(".json"):
        return signed_matrix(_runtime(), task)
    return matrix_of(_runtime(), task, **options)


def signed_matrix(runtime: Runtime, path: str | Path) -> Matrix:
    """A matrix from its file (beside the notebook), with what of the evidence has changed since."""
    from orch_nb.analysis.matrix.matrix import Matrix

    made = Matrix.read(runtime.folder / path)
    changed = made.changed_since(runtime.evidence())
    made.notes += [f"changed since it was written: {said}" for said in changed] or [
        "the evidence is still what it was then"
    ]
    return made


def matrix_of(runtime: Runtime, task: str | None = None, **options: Any) -> Matrix:
    """The same of a runtime's evidence."""
    from orch_nb.analysis.matrix.matrix import Matrix
    from orch_nb.catalog.prices import bundled_date

    return Matrix.of(runtime.evidence(task), prices_date=bundled_date(), **options)


def pairs(
    producer: Any, consumer: Any, models: Sequence[str], inputs: Any, *, score: str | Sequence[str] = (), budget: Any = None,
    seed: int = 0, namespace: Mapping[str, Any] | None = None,
) -> Pairs:  # fmt: skip
    """Test whether a consumer can work with what a producer writes, for every ordered pair of models (see `start_pairs`).

    It is started at once; ``await`` it for the end.
    """
    from orch_nb.analysis.compare.pairs import start_pairs

    names = caller_namespace() if namespace is None else namespace
    texts = (score,) if isinstance(score, str) else tuple(score)
    return start_pairs(
        _runtime(), producer, consumer, models, inputs, names=names, score=texts, budget=budget, seed=seed
    )


def _runtime() -> Runtime:
    from orch_nb import runtime

    return runtime.current()
