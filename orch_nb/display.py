"""How objects look in a notebook: a registry of the functions that draw them, which the views fill.

An object asks `bundle(self)` or `figure(self)`. A view says `@draws("orch_nb.trace.diff.RunDiff")` above the function that
draws one: the name of the class, so that a view imports none of the objects until there is one. So objects know nothing of the
views, which lie above them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Draw = TypeVar("Draw", bound="Callable[..., Any]")

_drawings: dict[tuple[str, str], Callable[..., Any]] = {}
_loaders: list[Callable[[str], None]] = []


def fill_with(load: Callable[[str], None]) -> None:
    """Name a function that imports the views of a form. It is called when something is to be drawn that no view is known of."""
    _loaders.append(load)


def draws(name: str, form: str = "bundle") -> Callable[[Draw], Draw]:
    """Register the decorated function as the one that draws objects of the class of this name, as a "bundle" or a "figure"."""

    def register(draw: Draw) -> Draw:
        _drawings[form, name] = draw
        return draw

    return register


def bundle(thing: Any, **options: Any) -> dict[str, Any]:
    """Return the MIME bundle of an object: text, HTML and versioned JSON."""
    made: dict[str, Any] = _drawing(thing, "bundle")(thing, **options)
    return made


def figure(thing: Any, *arguments: Any, **options: Any) -> Any:
    """Return an object as a `matplotlib.figure.Figure` that shows itself."""
    return _drawing(thing, "figure")(thing, *arguments, **options)


def _drawing(thing: Any, form: str) -> Callable[..., Any]:
    found = _find(thing, form)
    if found is None:
        for load in _loaders:
            load(form)
        found = _find(thing, form)
    if found is None:
        raise TypeError(f"`{type(thing).__name__}` has no view of form `{form}`.")
    return found


def _find(thing: Any, form: str) -> Callable[..., Any] | None:
    names = (f"{cls.__module__}.{cls.__qualname__}" for cls in type(thing).__mro__)
    return next((_drawings[form, name] for name in names if (form, name) in _drawings), None)
