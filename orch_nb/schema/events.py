"""The events of a run. A run is the list of its events; everything else is computed from that list.

Events are slotted dataclasses, written once and never changed afterwards (not `frozen=True`, which costs 0.6 us an event).
`to_row` writes an event and `from_row` reads it.

Four fields say where a node ran: `frame` (the key of the enclosing activation, "" for the run itself), `node`, `round` (from
1) and `item` (from 0, None outside a map). `key_of` joins them: ``outer/inner[2][7]``.

Times are UTC seconds since 1970 (float); they are shown as aware datetimes. Money is Decimal US dollars or None (unknown). A
change of an event's fields needs a new `SCHEMA`, an upcaster and a stored history (tests/histories).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from decimal import Decimal
from operator import attrgetter
from typing import Annotated, Any, ClassVar

from orch_nb.errors import CorruptStore, SchemaTooNew
from orch_nb.schema.messages import Usage

SCHEMA = 1
"""Version of the events below."""


OURS = "made by orch_nb"
Digest = Annotated[str, OURS]
"""A hash computed by orch_nb. A text marked as `OURS` contains no data of a user, a model or a provider."""
Word = Annotated[str, OURS]
"""A word from a list of orch_nb."""


@dataclass(slots=True)
class ErrorInfo:
    """A failure as data, in `Failed` and `Settled`. `failure`: transient | semantic | catastrophic | cancelled."""

    code: str
    type: str
    message: str
    failure: str = "catastrophic"
    hint: str = ""
    retry_after_s: float | None = None


@dataclass(slots=True)
class Activation:
    """The fields of an event about one activation of a node; see above."""

    frame: str
    node: str
    round: int
    item: int | None


@dataclass(slots=True)
class RunStarted:
    """The first event. `plan` is the whole frozen plan as data, so that a resume needs nothing else.

    `limit_usd` and `limits` (`Budget.beside_usd`) are the run's own budget. `baseline` has the usual cost of the run, the
    source of that figure, and the multiple of it that causes an alert.
    """

    TYPE: ClassVar[str] = "run_started"
    run: str
    graph: str
    plan: dict[str, Any]
    inputs: dict[str, Any]
    at: float
    limit_usd: Decimal | None = None
    notebook: str = ""
    parent: dict[str, object] | None = None
    version: str = ""
    attended: bool = True
    limits: dict[str, str] | None = None
    baseline: dict[str, str] | None = None
    secrets: dict[str, int] | None = None
    """Kind -> number of secrets replaced in the inputs."""


@dataclass(slots=True)
class Finished(Activation):
    """An activation succeeded. Also the record of a gate that passed its input (`status` "passed").

    `taken` lists positions in the node's own list of out-edges: the outcome of every predicate and chooser, evaluated once,
    by the driver. None: all of them. `writes` are contributions to state keys. `decision` records how a chooser chose.
    """

    TYPE: ClassVar[str] = "finished"
    value: object
    at: float
    started_at: float
    taken: tuple[int, ...] | None = None
    writes: dict[str, object] | None = None
    attempt: int = 1
    queued_s: float = 0.0
    fingerprint: Digest = ""
    status: Word = "success"
    decision: dict[str, Any] | None = None


@dataclass(slots=True)
class Failed(Activation):
    """One attempt failed. `final` False: it is due again at `retry_at`. Final with `taken` None: the run fails. Final with a
    tuple: the run continues along those edges (empty: the node counts as skipped)."""

    TYPE: ClassVar[str] = "failed"
    error: ErrorInfo
    at: float
    started_at: float
    attempt: int = 1
    final: bool = True
    retry_at: float | None = None
    taken: tuple[int, ...] | None = None
    queued_s: float = 0.0
    fingerprint: Digest = ""


@dataclass(slots=True)
class Sent(Activation):
    """A call (of a model or a tool) or a declared effect is about to start. It is on the disk before the first byte is sent.

    `request` has the messages for a model or the arguments for a tool; `request_hash` identifies it. `reserved_usd` is an
    upper bound; None means that the price is unknown and no budget is in force.
    """

    TYPE: ClassVar[str] = "sent"
    call: int
    kind: str
    target: str
    request: object
    request_hash: Digest
    at: float
    reserved_usd: Decimal | None = Decimal(0)
    reserved_tokens: int = 0
    attempt: int = 1
    queued_s: float = 0.0
    idempotency_key: str = ""
    route: dict[str, Any] | None = None
    fingerprint: Digest = ""


BROKEN = frozenset({"retry", "cancelled"})
"""First clauses of the notes of calls that are or will be repeated."""


@dataclass(slots=True)
class Settled(Activation):
    """A call returned. `cost_usd` is its bill, capped at the reservation; the part above it is `overrun_usd`. `reply` is
    {"text", "tool_calls", ...} for a model, the result for a tool. `note` has clauses joined by "; ": the future of the call
    (`fate`), then a problem with its bill (`remark`)."""

    TYPE: ClassVar[str] = "settled"
    call: int
    at: float
    ok: bool = True
    reply: object = None
    usage: Usage | None = None
    cost_usd: Decimal | None = Decimal(0)
    overrun_usd: Decimal = Decimal(0)
    error: ErrorInfo | None = None
    finish_reason: str = ""
    first_token_s: float | None = None
    price: str = ""
    note: str = ""

    @property
    def fate(self) -> str:
        """The fate of a call that a conversation does not count, "retry" or "cancelled"; "" for all other calls."""
        first = self.note.partition("; ")[0]
        return first if first in BROKEN else ""

    @property
    def remark(self) -> str:
        """The problem with the call's bill, in one clause; "" for none."""
        return self.note.removeprefix(self.fate).removeprefix("; ")


@dataclass(slots=True)
class Mapped:
    """A map started: its node will be activated `count` times, items 0 .. count-1."""

    TYPE: ClassVar[str] = "mapped"
    frame: str
    node: str
    round: int
    count: int
    at: float


@dataclass(slots=True)
class Opened(Activation):
    """An activation became a frame: a nested graph, or (with `plan`) a graph that a node built at run time.

    The frame's key is the activation's key; its nodes are activations inside it.
    """

    TYPE: ClassVar[str] = "opened"
    inputs: dict[str, object]
    at: float
    plan: dict[str, object] | None = None
    started_at: float = 0.0
    fingerprint: Digest = ""


@dataclass(slots=True)
class Waiting(Activation):
    """The activation waits for a person. `shown` is the data shown to them; `shown_hash` ties the answer to it."""

    TYPE: ClassVar[str] = "waiting"
    question: str
    shown: Any
    shown_hash: Digest
    at: float
    options: tuple[str, ...] = ("approve", "edit", "reject")
    fingerprint: Digest = ""


@dataclass(slots=True)
class Answered(Activation):
    """A person answered. `value` is the result: the shown value (approve), the edited one (edit), the typed one (answer)."""

    TYPE: ClassVar[str] = "answered"
    action: str
    value: object
    by: str
    at: float
    shown_hash: Digest = ""
    taken: tuple[int, ...] | None = None
    comment: str = ""
    diff: str = ""


@dataclass(slots=True)
class Reused(Activation):
    """An activation's result was taken from an earlier run, for $0. `saved_usd` is its cost in that run."""

    TYPE: ClassVar[str] = "reused"
    value: object
    at: float
    source: dict[str, object]
    taken: tuple[int, ...] | None = None
    writes: dict[str, object] | None = None
    saved_usd: Decimal | None = None
    fingerprint: Digest = ""
    decision: dict[str, object] | None = None


@dataclass(slots=True)
class Refused(Activation):
    """A budget refused a call: nothing was sent. The figures are in `unit`, whatever their names say."""

    TYPE: ClassVar[str] = "refused"
    scope: str
    limit_usd: Decimal
    spent_usd: Decimal
    held_usd: Decimal
    asked_usd: Decimal
    at: float
    unit: str = "usd"


@dataclass(slots=True)
class LimitChanged:
    """The budget of the run, or of the `scope` inside it, was changed."""

    TYPE: ClassVar[str] = "limit_changed"
    limit_usd: Decimal | None
    at: float
    limits: dict[str, str] | None = None
    scope: str = ""


@dataclass(slots=True)
class Resumed:
    """A process resumed the run. Calls that were sent and not settled are in doubt from now on."""

    TYPE: ClassVar[str] = "resumed"
    at: float
    attended: bool = True


@dataclass(slots=True)
class RunEnded:
    """The run ended: `done`, `failed` or `cancelled`. A later `Resumed` opens it again."""

    TYPE: ClassVar[str] = "run_ended"
    status: Word
    at: float
    output: object = None
    error: ErrorInfo | None = None
    node: str = ""


Event = (
    RunStarted | Finished | Failed | Sent | Settled | Mapped | Opened | Waiting | Answered | Reused | Refused
    | LimitChanged | Resumed | RunEnded
)  # fmt: skip

TYPES: dict[str, type] = {
    cls.TYPE: cls
    for cls in (
        RunStarted, Finished, Failed, Sent, Settled, Mapped, Opened, Waiting, Answered, Reused, Refused, LimitChanged,
        Resumed, RunEnded,
    )
}  # fmt: skip


def key_of(frame: str, node: str, round: int, item: int | None = None) -> str:  # noqa: A002  (the word in the log)
    """Return the activation's key: ``node``, ``node[2]`` (round 2), ``node[1][7]`` (item 7), after its frame's key."""
    name = node if round == 1 and item is None else f"{node}[{round}]" if item is None else f"{node}[{round}][{item}]"
    return f"{frame}/{name}" if frame else name


def key(event: Event) -> str:
    """Return the key of the event's activation, "" for an event of the whole run."""
    if isinstance(event, Activation):
        return key_of(event.frame, event.node, event.round, event.item)
    return key_of(event.frame, event.node, event.round) if isinstance(event, Mapped) else ""


_Layout = tuple[Callable[[object], tuple[Any, ...]], tuple[str, ...], tuple[object, ...], dict[str, object]]
_LAYOUTS: dict[type, _Layout] = {}
_USUAL: dict[str, object] = {"frame": "", "round": 1, "item": None}
"""Fields without a default that are omitted from a row at this usual value, which most events have."""
_DECIMALS = frozenset(
    {"limit_usd", "reserved_usd", "cost_usd", "overrun_usd", "saved_usd", "spent_usd", "held_usd", "asked_usd"}
)
_USER_VALUES = frozenset({"value", "writes", "plan", "inputs", "shown", "request", "reply", "output"})
"""Fields with data of users or models. They may be large, and are stored as blobs above a size."""


def _layout_of(cls: type) -> _Layout:
    """Return a getter of all fields (in C), their names, the values at which each is left out, and the values to fill in."""
    got = _LAYOUTS.get(cls)
    if got is None:
        names = tuple(f.name for f in fields(cls))
        usual = {f.name: _USUAL[f.name] for f in fields(cls) if f.default is MISSING and f.name in _USUAL}
        defaults = tuple(usual.get(f.name, f.default) for f in fields(cls))
        got = _LAYOUTS[cls] = (attrgetter(*names), names, defaults, usual)
    return got


def _parts(value: object) -> dict[str, object]:
    getter, names, defaults, _ = _layout_of(value.__class__)
    return {n: v for n, v, d in zip(names, getter(value), defaults, strict=True) if v != d}


def to_row(event: Event) -> dict[str, object]:
    """Return the event as plain data, without fields at their default or usual value. Decimals become text."""
    out: dict[str, object] = {}
    getter, names, defaults, _ = _layout_of(event.__class__)
    for name, value, default in zip(names, getter(event), defaults, strict=True):
        if value is default:
            continue
        cls = value.__class__
        if cls is default.__class__ and value == default:
            continue
        if cls is Decimal:
            value = str(value)  # noqa: PLW2901  (the hot path of every append)
        elif cls is tuple:
            value = list(value)  # noqa: PLW2901
        elif cls is Usage or cls is ErrorInfo:
            value = _parts(value)  # noqa: PLW2901
        out[name] = value
    return out


def from_row(type_name: str, row: dict[str, Any], *, schema: int = SCHEMA) -> Event:
    """Return the event that `to_row` wrote, upcast if an earlier version wrote it.

    Raises
    ------
    SchemaTooNew
        A later version wrote it.
    CorruptStore
        The row is not an event of this version.
    """
    if schema > SCHEMA:
        raise SchemaTooNew(f"an event has schema {schema}; this version reads up to {SCHEMA}.", hint="upgrade orch_nb")
    for version in range(schema, SCHEMA):
        type_name, row = UPCASTERS[version](type_name, row)
    cls = TYPES.get(type_name)
    if cls is None:
        raise CorruptStore(f"schema {SCHEMA} has no event `{type_name}`.")
    got = {**_layout_of(cls)[3], **row}
    for name in _DECIMALS & got.keys():
        if got[name] is not None:
            got[name] = Decimal(got[name])
    if got.get("taken") is not None:
        got["taken"] = tuple(got["taken"])
    if "options" in got:
        got["options"] = tuple(got["options"])
    for name, made in (("usage", Usage), ("error", ErrorInfo)):
        if got.get(name) is not None:  # a usage of no tokens is written as {}
            got[name] = made(**got[name])
    try:
        event: Event = cls(**got)
    except TypeError as error:
        raise CorruptStore(f"an event `{type_name}` cannot be read back: {error}") from None
    return event


UPCASTERS: dict[int, Callable[[str, dict[str, object]], tuple[str, dict[str, object]]]] = {}
"""Version -> function that turns a row of that version into one of the next. Empty while there is only one version."""


# ------------------------------------------------------------------ replies from the cache
# A cached answer is marked in the call's `reply`, so that the log itself shows which calls cost nothing, and why.

CACHED = "cached"
"""The key in the reply, and the note of the call."""


def mark(run: str, at: float, usd: Decimal | None) -> dict[str, object]:
    """Return the mark of a cached answer: the run and time of the original call, and its bill (None: unknown)."""
    return {"run": run, "at": at, "saved_usd": None if usd is None else str(usd)}


def source_of(settled: Settled) -> dict[str, Any] | None:
    """Return the source of a call's cached answer, None for a call that was made."""
    reply = settled.reply
    found = reply.get(CACHED) if isinstance(reply, dict) and CACHED in settled.note else None
    return found if isinstance(found, dict) else None


def saved_by(settled: Settled) -> Decimal | None:
    """Return the bill of a cached answer's original call; None if it is unknown, and for a call that was made."""
    found = source_of(settled)
    return None if found is None or found["saved_usd"] is None else Decimal(found["saved_usd"])
