"""A registry of the functions that draw objects in a notebook. The views fill it.

An object calls `bundle(self)` or `figure(self)`. A view decorates its function with the name of the drawn class,
`@draws("orch_nb.trace.diff.RunDiff")`, so that it does not import the class. Objects do not import the views, which are in a
higher layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

Drawing: TypeAlias = Callable[..., Any]
Draw = TypeVar("Draw", bound=Drawing)

_drawings: dict[tuple[str, str], Drawing] = {}
_loaders: list[Callable[[str], None]] = []


def fill_with(load: Callable[[str], None]) -> None:
    """Register a function that imports the views of a form. It is called for an object without a known view."""
    _loaders.append(load)


def draws(name: str, form: str = "bundle") -> Callable[[Draw], Draw]:
    """Register the decorated function, which draws objects of the class of this name as a "bundle" or a "figure"."""

    def register(draw: Draw) -> Draw:
        _drawings[form, name] = draw
        return draw

    return register


def bundle(thing: object, **options: object) -> dict[str, Any]:
    """Return the MIME bundle of an object: text, HTML and versioned JSON."""
    made: dict[str, Any] = _drawing(thing, "bundle")(thing, **options)
    return made


def figure(thing: object, *arguments: object, **options: object) -> Any:
    """Return an object as a `matplotlib.figure.Figure` that shows itself."""
    return _drawing(thing, "figure")(thing, *arguments, **options)


def _drawing(thing: object, form: str) -> Drawing:
    found = _find(thing, form)
    if found is None:
        for load in _loaders:
            load(form)
        found = _find(thing, form)
    if found is None:
        raise TypeError(f"`{type(thing).__name__}` has no view of form `{form}`.")
    return found


def _find(thing: object, form: str) -> Drawing | None:
    names = (f"{cls.__module__}.{cls.__qualname__}" for cls in type(thing).__mro__)
    return next((_drawings[form, name] for name in names if (form, name) in _drawings), None)
