"""Events to rows and back. Large values leave their event and are stored once, as blobs.

A text or bytes above `LARGE` becomes a blob of its own; a list or mapping that is still large after that is cut, from its
beginning, into pieces of about `PIECE`, each a blob. Cuts depend on what comes before them only: a list that grew at its
end shares all its full pieces with its former self, so that storing a growing state costs what was added. References
(``{"$blob": 17}``, ``{"$list": [17, 18], "tail": [...]}``, ``{"$dict": ...}``) are tags like those of `tagged_json`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from zlib import crc32

from orch_nb.errors import CorruptStore, UnstorableValue
from orch_nb.schema.events import _USER_VALUES as USER_VALUES
from orch_nb.schema.events import SCHEMA, Event, from_row, to_row
from orch_nb.store.tagged_json import SCALARS, dumps, key_text, loads, plain_key, tag, tag_rest, untag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LARGE = 4096
"""Characters (of JSON, about) above which a value leaves its event. A page of the database holds 4,096 bytes."""
PIECE = 2048
"""Size of the pieces that a large list or mapping is cut into: small enough that a tail costs little, large enough that
the references to pieces are one per cent of what they stand for."""
KNOWN_BYTES = 8_000_000
"""How much text a run's log remembers having stored, so as not to hash it again."""

JSON, TEXT, BYTES = 0, 1, 2
KEYED = {"finished": "fingerprint", "reused": "fingerprint", "sent": "request_hash"}
"""Event type -> the field that other runs find it by; it has a column and an index."""

Row = tuple[str, int, float, "str | None", "str | None", str]
"""type, schema, at, fingerprint, money, body."""
Blob = tuple[int, int, int, "str | bytes"]
"""id, kind, sum, body."""


@dataclass(slots=True)
class Packed:
    """Events as rows, the blobs that they need stored with them, and the hashes of those blobs that are new."""

    rows: list[Row] = field(default_factory=list)
    blobs: list[Blob] = field(default_factory=list)
    hashes: list[tuple[bytes, int]] = field(default_factory=list)


class Plans:
    """The texts of the plans seen last: a thousand runs of one graph bring the same object, which is written out once.

    It is known by identity; the object is kept, so that its identity stays its own. A plan is never changed.
    """

    MOST = 64

    def __init__(self) -> None:
        self._texts: OrderedDict[int, tuple[Any, str]] = OrderedDict()

    def text(self, plan: Any) -> str:
        """The plan as JSON."""
        found = self._texts.get(id(plan))
        if found is not None:
            return found[1]
        text = _plain_text(plan)
        self._texts[id(plan)] = (plan, text)
        if len(self._texts) > self.MOST:
            self._texts.popitem(last=False)
        return text


class Packer:
    """Turns one run's events into rows. Numbers the run's blobs.

    Parameters
    ----------
    base
        The run's number << 32: what its ids begin with.
    find
        Hash -> id of a blob that is stored already, None where it is not.
    blobs
        How many blobs the run has numbered before.
    plans
        Shared by the packers of one store.
    """

    __slots__ = ("_find", "_known", "_known_bytes", "_next", "_out", "_plans")

    def __init__(
        self, base: int, find: Callable[[bytes], int | None], blobs: int = 0, plans: Plans | None = None
    ) -> None:
        self._find = find
        self._plans = plans or Plans()
        self._next = base + blobs
        self._known: OrderedDict[Any, int] = OrderedDict()
        self._known_bytes = 0
        self._out = Packed()

    def pack(self, events: Any, money: str | None = None) -> Packed:
        """The rows of `events`; `money` belongs to the first of them.

        Raises
        ------
        UnstorableValue
            A value is no plain data. Nothing was numbered or remembered that matters.
        """
        self._out = out = Packed()
        for event in events:
            out.rows.append(self._row(event, money))
            money = None
        return out

    def forget(self) -> None:
        """Remember nothing: what was packed last did not get stored."""
        self._known.clear()
        self._known_bytes = 0

    def _row(self, event: Event, money: str | None) -> Row:
        kind = event.TYPE
        row = to_row(event)
        at = row.pop("at", 0.0)
        keyed = KEYED.get(kind)
        fingerprint = row.pop(keyed, None) if keyed is not None else None
        plan = row.pop("plan", None)
        body = dumps(row) if plan is None and self._is_plain(row) else ""
        if not body or '"$' in body:
            row = {k: self._tree(v)[0] if k in USER_VALUES else tag(v) for k, v in row.items()}
            if plan is not None:
                # The same in every run of its graph: a blob of its own, whatever its size.
                row["plan"] = {"$blob": self._number(JSON, self._plans.text(plan))}
            body = dumps(row)
        return (kind, SCHEMA, at, fingerprint, money, body)

    def _is_plain(self, row: dict[str, Any]) -> bool:
        """Whether the row can be written as it is: nothing large, nothing that needs a tag (but keys with ``$``)."""
        for name, value in row.items():
            cls = value.__class__
            if cls is str:
                if len(value) > LARGE and name in USER_VALUES:
                    return False
            elif cls not in SCALARS and room_for(value, LARGE) < 0:
                return False
        return True

    def _tree(self, value: Any) -> tuple[Any, int]:
        """`value` as JSON can hold it, large parts referred to; and its size as written, about."""
        cls = value.__class__
        if cls is str:
            return (value, len(value) + 2) if len(value) <= LARGE else (self._refer(TEXT, value), 20)
        if cls in SCALARS:
            return value, 8
        if cls is list or cls is tuple:
            return self._list(value)
        if cls is dict:
            return self._dict(value)
        if cls is bytes and len(value) * 4 > LARGE * 3:
            return self._refer(BYTES, value), 20
        rest = tag_rest(value)
        if rest.__class__ is dict and cls is not bytes and isinstance(value, dict):
            return self._dict(dict(value))
        return rest, len(value) * 2 if isinstance(value, bytes | bytearray) else 40

    def _list(self, value: Any) -> tuple[Any, int]:
        trees, total = [], 2
        sizes = []
        for item in value:
            tree, size = self._tree(item)
            trees.append(tree)
            sizes.append(size + 1)
            total += size + 1
        if total <= LARGE:
            return trees, total
        pieces, tail = _cut(trees, sizes)
        if not pieces:
            return trees, total
        ids = [self._number(JSON, dumps(piece)) for piece in pieces]
        listed, size = self._list(ids)
        return {"$list": listed, "tail": tail}, size + sum(sizes[len(trees) - len(tail) :]) + 20

    def _dict(self, value: dict[Any, Any]) -> tuple[Any, int]:
        trees, total = [], 2
        sizes = []
        for key, item in value.items():
            name = key_text(key)
            tree, size = self._tree(item)
            trees.append((name, tree))
            sizes.append(len(name) + size + 4)
            total += sizes[-1]
        if total <= LARGE:
            return dict(trees), total
        pieces, tail = _cut(trees, sizes)
        if not pieces:
            return dict(trees), total
        ids = [self._number(JSON, dumps(dict(piece))) for piece in pieces]
        listed, size = self._list(ids)
        return {"$dict": listed, "tail": dict(tail)}, size + sum(sizes[len(trees) - len(tail) :]) + 20

    def _refer(self, kind: int, content: str | bytes) -> dict[str, Any]:
        return {"$blob": self._number(kind, content)}

    def _number(self, kind: int, content: str | bytes) -> int:
        """The id of the blob with this content, stored with the events being packed unless this run did so before."""
        key: Any = (content,) if kind == JSON else content
        known = self._known.get(key)
        if known is not None:
            return known
        data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        if kind == TEXT:
            dumps(content)  # a lone surrogate is refused here, before the database meets it
        digest = sha256(b"%d:" % kind + data).digest()[:16]
        number = self._find(digest)
        if number is None:
            self._next += 1
            number = self._next
            self._out.hashes.append((digest, number))
        # Also where it is stored already: the run that did may be deleted by another process before this commit.
        self._out.blobs.append((number, kind, crc32(data, kind), content))
        self._remember(key, number, len(data))
        return number

    def _remember(self, key: Any, number: int, size: int) -> None:
        self._known[key] = number
        self._known_bytes += size
        while self._known_bytes > KNOWN_BYTES and len(self._known) > 1:
            old, _ = self._known.popitem(last=False)
            self._known_bytes -= len(old[0] if old.__class__ is tuple else old)


def _plain_text(value: Any) -> str:
    """JSON of a plan, tagged only when it needs tags: hardly ever, and every run writes one. Its keys are text by construction."""
    try:
        text = dumps(value)
    except UnstorableValue:  # bytes in a constant
        return dumps(tag(value))
    return dumps(tag(value)) if '"$' in text else text


def _cut(trees: list[Any], sizes: list[int]) -> tuple[list[list[Any]], list[Any]]:
    """Pieces of `PIECE` or a little more, from the beginning; and the rest, which is smaller."""
    pieces, start, size = [], 0, 0
    for i, one in enumerate(sizes):
        size += one
        if size >= PIECE:
            pieces.append(trees[start : i + 1])
            start, size = i + 1, 0
    return pieces, trees[start:]


def room_for(value: Any, room: int) -> int:
    """What is left of `room` characters after writing `value`, about; below zero as soon as it does not fit.

    Keys that are no text are refused here, as `tagged_json.key_text` does: every value passes this way.
    """
    cls = value.__class__
    if cls is str:
        return room - len(value)
    if cls in SCALARS:
        return room - 8
    if cls is dict:
        for key, item in value.items():
            if key.__class__ is not str:
                key_text(key)
            room -= len(key)
            room = room - 8 if item.__class__ in SCALARS else room_for(item, room)
            if room < 0:
                return room
        return room
    if cls is list or cls is tuple:
        for item in value:
            room = room - 8 if item.__class__ in SCALARS else room_for(item, room)
            if room < 0:
                return room
        return room - 2
    return -1  # bytes, amounts and the rest take the careful way


def checksum(event_id: int, row: Row) -> int:
    """CRC-32 over an event's row, its id included, so that neither a changed nor a moved row goes unnoticed."""
    kind, schema, at, fingerprint, money, body = row
    head = f"{event_id}\x1f{kind}\x1f{schema}\x1f{at!r}\x1f{fingerprint}\x1f{money}\x1f"
    return crc32(body.encode(), crc32(head.encode()))


class Unpacker:
    """Turns rows into events, and fetches the blobs they refer to.

    Parameters
    ----------
    fetch
        Id -> (kind, sum, body) of a blob, None where there is none.
    keep_bytes
        Size of the cache of blobs: the pieces of a growing list are read once, not once for each event.
    """

    def __init__(self, fetch: Callable[[int], tuple[int, int, Any] | None], keep_bytes: int = 16_000_000) -> None:
        self._fetch = fetch
        self._kept: OrderedDict[int, tuple[Any, int]] = OrderedDict()
        self._room = keep_bytes

    def event(self, event_id: int, row: Row, total: int) -> Event:
        """The event of a row.

        Raises
        ------
        CorruptStore
            The row is damaged, or refers to a blob that is missing or damaged.
        SchemaTooNew
            A later version wrote it.
        """
        where = f"event {event_id & 0xFFFFFFFF}"
        try:
            if checksum(event_id, row) != total:
                raise CorruptStore(f"{where} is damaged: its checksum does not fit.", hint=DAMAGED)
            kind, schema, at, fingerprint, _money, body = row
            data = loads(body)
            if '"$' in body:
                data = {k: self.value(v) for k, v in data.items()}
            data["at"] = at
            if fingerprint is not None:
                data[KEYED[kind]] = fingerprint
            return from_row(kind, data, schema=schema)
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise CorruptStore(f"{where} cannot be read back: {error}.", hint=DAMAGED) from error

    def value(self, tree: Any) -> Any:
        """A written value as the user had it."""
        cls = tree.__class__
        if cls is list:
            return [self.value(v) if v.__class__ in (list, dict) else v for v in tree]
        if cls is not dict:
            return tree
        if "$blob" in tree:
            return self._blob(tree["$blob"])
        if "$list" in tree:
            return [*self._pieces(tree["$list"]), *self.value(tree["tail"])]
        if "$dict" in tree:
            out: dict[str, Any] = {}
            for number in self.value(tree["$dict"]):
                out.update(self._blob(number))
            out.update(self.value(tree["tail"]))
            return out
        if len(tree) == 1 and ("$bytes" in tree or "$decimal" in tree):
            return untag(tree)
        return {plain_key(k): self.value(v) if v.__class__ in (list, dict) else v for k, v in tree.items()}

    def _pieces(self, listed: Any) -> Iterator[Any]:
        for number in self.value(listed):
            yield from self._blob(number)

    def _blob(self, number: int) -> Any:
        kept = self._kept.get(number)
        if kept is not None:
            self._kept.move_to_end(number)
            return kept[0]
        got = self._fetch(number)
        if got is None:
            raise CorruptStore(f"blob {number >> 32}.{number & 0xFFFFFFFF} is missing.", hint=DAMAGED)
        kind, total, body = got
        data = body.encode() if isinstance(body, str) else body
        if crc32(data, kind) != total:
            raise CorruptStore(f"blob {number >> 32}.{number & 0xFFFFFFFF} is damaged.", hint=DAMAGED)
        value = body
        if kind == JSON:
            value = loads(body)
            if '"$' in body:  # nothing to untag elsewhere: a plan is read at the speed of its JSON
                value = self.value(value)
        self._keep(number, value, len(data))
        return value

    def _keep(self, number: int, value: Any, size: int) -> None:
        self._kept[number] = (value, size)
        self._room -= size
        while self._room < 0 and self._kept:
            _, (_, freed) = self._kept.popitem(last=False)
            self._room += freed


DAMAGED = "the file was damaged outside orch_nb; `export` the runs that can be read, and start a new store"


def blob_ids(tree: Any) -> Iterator[int]:
    """Ids of the blobs that a written value refers to directly, and of the pieces of its lists of pieces."""
    if tree.__class__ is list:
        for item in tree:
            if item.__class__ in (list, dict):
                yield from blob_ids(item)
        return
    if tree.__class__ is not dict:
        return
    if "$blob" in tree:
        yield tree["$blob"]
        return
    for key, item in tree.items():
        if key in ("$list", "$dict"):
            yield from _piece_ids(item)
        elif item.__class__ in (list, dict):
            yield from blob_ids(item)


def _piece_ids(listed: Any) -> Iterator[int]:
    if listed.__class__ is list:
        yield from listed
        return
    yield from _piece_ids(listed["$list"])
    yield from listed["tail"]
