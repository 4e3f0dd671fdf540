"""`--ask-above`: a run that may be dear is shown as a quote first, with a button and the line that starts it.

Nobody is waited for: the cell ends, nothing was sent. Unattended it is refused, with the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb.catalog.prices import check_usd
from orch_nb.errors import OrchError
from orch_nb.estimates.view import quote_bundle
from orch_nb.lang.magic_line import is_text
from orch_nb.notebook import live
from orch_nb.notebook.frontend import new_name
from orch_nb.views import html
from orch_nb.views.bundle import Display
from orch_nb.views.safe_text import escape_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from orch_nb.estimates.quote import Quote
    from orch_nb.lang.magic_line import Command
    from orch_nb.notebook.session import Session

FLAG = "ask-above"


def bound_of(command: Command) -> Decimal | None:
    """The dollars above which it is to be asked; None without the flag."""
    text = command.flags.get(FLAG)
    return None if text is None else check_usd(text[1:-1] if is_text(text) else text, FLAG)


def ask(session: Session, command: Command, quote: Quote, bound: Decimal, start: Callable[[], object]) -> live.Pending:
    """Show the quote with what starts the run.

    Parameters
    ----------
    start
        Starts it, and gives its handle.

    Raises
    ------
    QuoteTooHigh
        Nobody is there to be asked.
    """
    line = line_without(command)
    if not session.is_attended:
        quote.check(bound, hint=f"`{line}` starts it all the same")
    told = f"nothing was sent: the high end is above ${bound}. `{line}` starts it"
    if quote.high_usd is None:
        told = f"nothing was sent: the price of {', '.join(f'`{m}`' for m in quote.unpriced)} is unknown. `{line}` starts it"
    made = quote_bundle(quote, notes=[told])

    async def wait() -> object:
        if not session.screen.can_update:
            return Display(made["text/plain"], made["text/html"], quote)
        name = new_name()
        session.screen.show(made, name)
        button = _button(session, quote, name, start)
        if button is not None:
            from orch_nb.notebook.session import widget_bundle

            session.screen.show(
                {**widget_bundle(button.box), "text/plain": f"a button, in a live notebook; `{line}` does the same"},
                new_name(),
            )
        return None

    return live.Pending(quote, wait, f"{told}.")


def line_without(command: Command) -> str:
    """The line as it was typed, without the flag."""
    flags = [f"--{n}" if v is True else f"--{n} {v}" for n, v in command.flags.items() if n != FLAG]
    parts = [
        "%orch",
        command.verb,
        *(w.text for w in command.words),
        *(f"{p.name}={p.text}" for p in command.pairs),
        *flags,
    ]
    return " ".join(parts)


def _button(session: Session, quote: Quote, name: str, start: Callable[[], object]) -> StartButton | None:
    try:
        return StartButton(session, quote, name, start)
    except ImportError:
        return None  # without ipywidgets the line does the same


class StartButton:
    """One button that starts what was quoted. The run's display takes the quote's place."""

    def __init__(self, session: Session, quote: Quote, name: str, start: Callable[[], object]) -> None:
        import ipywidgets

        self.session, self.name, self._start = session, name, start
        self.button = ipywidgets.Button(description="Run it", tooltip=f"Start {quote.graph}", layout={"width": "110px"})
        self.said = ipywidgets.HTML("")
        self.box = ipywidgets.HBox([self.button, self.said])
        self.handle: Any = None
        self.button.on_click(lambda _: self.start())

    def start(self) -> None:
        """Start it once; what is wrong is said beside the button."""
        if self.handle is not None:
            return
        try:
            self.handle = self._start()
        except OrchError as error:
            self._say(f"{error} {error.hint}")
            return
        self.button.disabled = True
        self._say(f"run {self.handle.run} is under way in the background")
        session, handle = self.session, self.handle
        kind = live.BatchDisplay if handle.is_batch else live.RunDisplay
        shown = kind(handle, session.screen)
        shown.name = self.name
        session.bind_run(handle)
        session.displays[handle.run] = shown
        live.REFRESHER.add(shown)

    def _say(self, text: str) -> None:
        self.said.value = f'<span class="{html.CLASSES}">{escape_line(text, 300)}</span>'
