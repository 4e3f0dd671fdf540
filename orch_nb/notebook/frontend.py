"""Where displays go: a kernel's front end, which can update what it shows, or a terminal, which cannot."""

from __future__ import annotations

import os
import sys
import uuid
from typing import Any, Protocol


class Screen(Protocol):
    """One display that can be shown once and then updated, from any thread."""

    can_update: bool

    def show(self, bundle: dict[str, object], name: str) -> None: ...
    def update(self, bundle: dict[str, object], name: str) -> None: ...


class KernelScreen:
    """A Jupyter front end. Updates address the display's name, so that they land in their cell whichever cell runs now."""

    can_update = True

    def __init__(self, shell: Any) -> None:
        self._publisher = shell.display_pub

    def show(self, bundle: dict[str, Any], name: str) -> None:
        """A new display below the running cell."""
        self._publisher.publish(bundle, {}, transient={"display_id": name})

    def update(self, bundle: dict[str, object], name: str) -> None:
        """The display of this name, wherever it is."""
        self._publisher.publish(bundle, {}, transient={"display_id": name}, update=True)


class TerminalScreen:
    """A terminal: nothing can be taken back, so only what is final is shown."""

    can_update = False

    def show(self, bundle: dict[str, object], name: str) -> None:
        """Print the text."""
        print(bundle["text/plain"])  # noqa: T201  (a terminal is printed to)

    def update(self, bundle: dict[str, object], name: str) -> None:
        """Nothing: a terminal keeps what it has shown."""


def screen_of(shell: object) -> Screen:
    """The screen that this shell writes to."""
    return KernelScreen(shell) if getattr(shell, "kernel", None) is not None else TerminalScreen()


def new_name() -> str:
    """A name for one display."""
    return uuid.uuid4().hex


def is_attended(shell: object) -> bool:
    """Return whether a person can be asked: the client takes input (a front end does, `nbconvert --execute` does not), and
    ``ORCH_UNATTENDED`` is not set."""
    if os.environ.get("ORCH_UNATTENDED", "").strip().lower() not in ("", "0", "false", "no"):
        return False
    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        return bool(getattr(kernel, "_allow_stdin", False))
    return sys.stdin is not None and sys.stdin.isatty()
