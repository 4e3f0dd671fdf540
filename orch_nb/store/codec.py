"""Turn events into rows and back. Large values are stored outside their event, once, as blobs.

A text or bytes above `LARGE` becomes a blob of its own; a list or mapping that is still large after that is cut, from its
beginning, into pieces of about `PIECE`, each a blob. A cut depends only on what is before it: a list that grew at its end
shares all its full pieces with its earlier version, so that storing a growing state costs what was added. References
(``{"$blob": 17}``, ``{"$list": [17, 18], "tail": [...]}``, ``{"$dict": ...}``) are tags like those of `tagged_json`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from zlib import crc32

from orch_nb.errors import CorruptStore, UnstorableValue
from orch_nb.schema.events import _USER_VALUES as USER_VALUES
from orch_nb.schema.events import SCHEMA, Event, from_row, to_row
from orch_nb.store.tagged_json import SCALARS, dumps, key_text, loads, plain_key, tag, tag_rest, untag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

LARGE = 4096
"""Characters of JSON (approximately) above which a value becomes a blob. A page of the database holds 4,096 bytes."""
PIECE = 2048
"""Size of the pieces that a large list or mapping is cut into: small enough that a tail costs little, large enough that
the references are one per cent of the pieces' size."""
KNOWN_BYTES = 8_000_000
"""Bytes of stored text that a run's log remembers, so as not to hash it again."""

JSON, TEXT, BYTES = 0, 1, 2
KEYED = {"finished": "fingerprint", "reused": "fingerprint", "sent": "request_hash"}
"""Event type -> the field by which other runs find the event. It has a column and an index."""

Row = tuple[str, int, float, "str | None", "str | None", str]
"""type, schema, at, fingerprint, money, body."""
Blob = tuple[int, int, int, "str | bytes"]
"""id, kind, sum, body."""
_Known: TypeAlias = "tuple[str] | str | bytes"
"""Content of a stored blob; JSON is in a tuple, which tells it from text."""
_T = TypeVar("_T")


@dataclass(slots=True)
class Packed:
    """Events as rows, the blobs to store with them, and the hashes of the blobs that are new."""

    rows: list[Row] = field(default_factory=list)
    blobs: list[Blob] = field(default_factory=list)
    hashes: list[tuple[bytes, int]] = field(default_factory=list)


class Plans:
    """A cache of the JSON of the latest plans: a thousand runs of one graph share one plan, which is encoded once.

    Plans are looked up by identity. The cache holds a reference to each, so that its id is not reused. A plan never changes.
    """

    MOST = 64

    def __init__(self) -> None:
        self._texts: OrderedDict[int, tuple[object, str]] = OrderedDict()

    def text(self, plan: object) -> str:
        """Return the plan as JSON."""
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
        The run's number << 32: the upper part of the ids of its events and blobs.
    find
        Hash -> id of a blob that is already stored, None for a new blob.
    blobs
        Number of blobs that the run has stored.
    plans
        The cache of plans that the packers of one store share.
    """

    __slots__ = ("_find", "_known", "_known_bytes", "_next", "_out", "_plans")

    def __init__(
        self, base: int, find: Callable[[bytes], int | None], blobs: int = 0, plans: Plans | None = None
    ) -> None:
        self._find = find
        self._plans = plans or Plans()
        self._next = base + blobs
        self._known: OrderedDict[_Known, int] = OrderedDict()
        self._known_bytes = 0
        self._out = Packed()

    def pack(self, events: Iterable[Event], money: str | None = None) -> Packed:
        """Return the rows of `events`; `money` belongs to the first of them.

        Raises
        ------
        UnstorableValue
            A value cannot be stored. Call `forget` then.
        """
        self._out = out = Packed()
        for event in events:
            out.rows.append(self._row(event, money))
            money = None
        return out

    def forget(self) -> None:
        """Clear the cache of stored blobs: the blobs of the latest `pack` were not stored."""
        self._known.clear()
        self._known_bytes = 0

    def _row(self, event: Event, money: str | None) -> Row:
        kind = event.TYPE
        row: dict[str, Any] = to_row(event)
        at = row.pop("at", 0.0)
        keyed = KEYED.get(kind)
        fingerprint = row.pop(keyed, None) if keyed is not None else None
        plan = row.pop("plan", None)
        body = dumps(row) if plan is None and self._is_plain(row) else ""
        if not body or '"$' in body:
            row = {k: self._tree(v)[0] if k in USER_VALUES else tag(v) for k, v in row.items()}
            if plan is not None:
                # It is the same in every run of its graph, so it becomes a blob, whatever its size.
                row["plan"] = {"$blob": self._number(JSON, self._plans.text(plan))}
            body = dumps(row)
        return (kind, SCHEMA, at, fingerprint, money, body)

    def _is_plain(self, row: Mapping[str, Any]) -> bool:
        """Return whether the row can be encoded as it is: nothing is large, nothing but keys with ``$`` needs a tag."""
        for name, value in row.items():
            cls = value.__class__
            if cls is str:
                if len(value) > LARGE and name in USER_VALUES:
                    return False
            elif cls not in SCALARS and room_for(value, LARGE) < 0:
                return False
        return True

    def _tree(self, value: Any) -> tuple[object, int]:
        """Return `value` as JSON, with references in place of large parts, and its approximate size in characters."""
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
        if isinstance(value, dict):
            return self._dict(dict(value))
        return tag_rest(value), len(value) * 2 if isinstance(value, bytes | bytearray) else 40

    def _list(self, value: Iterable[object]) -> tuple[object, int]:
        trees: list[object] = []
        sizes = []
        for item in value:
            tree, size = self._tree(item)
            trees.append(tree)
            sizes.append(size + 1)
        return self._container("$list", list, trees, sizes)

    def _dict(self, value: Mapping[object, object]) -> tuple[object, int]:
        trees: list[tuple[str, object]] = []
        sizes = []
        for key, item in value.items():
            name = key_text(key)
            tree, size = self._tree(item)
            trees.append((name, tree))
            sizes.append(len(name) + size + 4)
        return self._container("$dict", dict, trees, sizes)

    def _container(
        self, name: str, kind: Callable[[list[_T]], object], trees: list[_T], sizes: list[int]
    ) -> tuple[object, int]:
        """Return a list or mapping, with its full pieces as blobs if it is large."""
        total = 2 + sum(sizes)
        pieces, tail = _cut(trees, sizes) if total > LARGE else ([], trees)
        if not pieces:
            return kind(trees), total
        listed, size = self._list([self._number(JSON, dumps(kind(piece))) for piece in pieces])
        return {name: listed, "tail": kind(tail)}, size + sum(sizes[len(trees) - len(tail) :]) + 20

    def _refer(self, kind: int, content: str | bytes) -> dict[str, int]:
        return {"$blob": self._number(kind, content)}

    def _number(self, kind: int, content: str | bytes) -> int:
        """Return the id of the blob with this content. The blob is added to the output unless this run has stored it."""
        key: _Known = (str(content),) if kind == JSON else content
        known = self._known.get(key)
        if known is not None:
            return known
        data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        if kind == TEXT:
            dumps(content)  # refuses a lone surrogate, which the database would fail on
        digest = sha256(b"%d:" % kind + data).digest()[:16]
        number = self._find(digest)
        if number is None:
            self._next += 1
            number = self._next
            self._out.hashes.append((digest, number))
        # Also where it is already stored: another process may delete the run that stored it before this commit.
        self._out.blobs.append((number, kind, crc32(data, kind), content))
        self._remember(key, number, len(data))
        return number

    def _remember(self, key: _Known, number: int, size: int) -> None:
        self._known[key] = number
        self._known_bytes += size
        while self._known_bytes > KNOWN_BYTES and len(self._known) > 1:
            old, _ = self._known.popitem(last=False)
            self._known_bytes -= len(old[0] if isinstance(old, tuple) else old)


def _plain_text(value: object) -> str:
    """Return the JSON of a plan, tagged only if it needs tags, which is rare. Its keys are text by construction."""
    try:
        text = dumps(value)
    except UnstorableValue:  # bytes in a constant
        return dumps(tag(value))
    return dumps(tag(value)) if '"$' in text else text


def _cut(trees: list[_T], sizes: list[int]) -> tuple[list[list[_T]], list[_T]]:
    """Cut a list into pieces of `PIECE` or slightly more, from its beginning; return them and the rest, which is smaller."""
    pieces, start, size = [], 0, 0
    for i, one in enumerate(sizes):
        size += one
        if size >= PIECE:
            pieces.append(trees[start : i + 1])
            start, size = i + 1, 0
    return pieces, trees[start:]


def room_for(value: Any, room: int) -> int:
    """Return approximately how many of `room` characters remain after writing `value`; negative if it does not fit.

    Every value passes through here, so keys that are not text are refused here, as `tagged_json.key_text` does.
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
    return -1  # bytes, amounts and subclasses need `Packer._tree`


def checksum(event_id: int, row: Row) -> int:
    """Return the CRC-32 of an event's row and its id, which detects changed and moved rows."""
    kind, schema, at, fingerprint, money, body = row
    head = f"{event_id}\x1f{kind}\x1f{schema}\x1f{at!r}\x1f{fingerprint}\x1f{money}\x1f"
    return crc32(body.encode(), crc32(head.encode()))


class Unpacker:
    """Turns rows into events, and fetches the blobs they refer to.

    Parameters
    ----------
    fetch
        Id -> (kind, sum, body) of a blob, None for a missing blob.
    keep_bytes
        Size of the cache of blobs: the pieces of a growing list are read once, not once for each event.
    """

    def __init__(
        self, fetch: Callable[[int], tuple[int, int, str | bytes] | None], keep_bytes: int = 16_000_000
    ) -> None:
        self._fetch = fetch
        self._kept: OrderedDict[int, tuple[object, int]] = OrderedDict()
        self._room = keep_bytes

    def event(self, event_id: int, row: Row, total: int) -> Event:
        """Return the event of a row.

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
        """Return the value that `Packer` wrote."""
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
            out: dict[str, object] = {}
            for number in self.value(tree["$dict"]):
                out.update(self._blob(number))
            out.update(self.value(tree["tail"]))
            return out
        if len(tree) == 1 and ("$bytes" in tree or "$decimal" in tree):
            return untag(tree)
        return {plain_key(k): self.value(v) if v.__class__ in (list, dict) else v for k, v in tree.items()}

    def _pieces(self, listed: object) -> Iterator[object]:
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
        if kind == JSON and isinstance(body, str):
            value = loads(body)
            if '"$' in body:  # other bodies have nothing to untag
                value = self.value(value)
        self._keep(number, value, len(data))
        return value

    def _keep(self, number: int, value: object, size: int) -> None:
        self._kept[number] = (value, size)
        self._room -= size
        while self._room < 0 and self._kept:
            _, (_, freed) = self._kept.popitem(last=False)
            self._room += freed


DAMAGED = "the file was damaged outside orch_nb; `export` the runs that can be read, and start a new store"


def blob_ids(tree: object) -> Iterator[int]:
    """Yield the ids of the blobs that a written value refers to directly, and of the pieces of its lists of pieces."""
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
