"""No writer lets a secret out: every text of every event, by the types of its fields, through everything that writes.

A new field, event or part of one is covered as soon as its type is known here; a type that is not is an error of this test.
"""

from __future__ import annotations

import json
import types
from dataclasses import MISSING, fields, is_dataclass
from decimal import Decimal
from types import NoneType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

import pytest

from orch_nb.engine.plan import Plan, PlanNode, to_data
from orch_nb.engine.ports import Hold
from orch_nb.errors import NodeFailed, OrchError, ProviderError, StoreError
from orch_nb.notebook.lab.comm import FrontEnd
from orch_nb.routing.evidence import Evidence
from orch_nb.schema import events as ev
from orch_nb.schema.messages import Usage
from orch_nb.schema.secrets import REDACTOR
from orch_nb.store.approvals import Accepted
from orch_nb.store.export import to_line
from orch_nb.store.memory import MemoryStore
from orch_nb.store.sqlite import SqliteStore
from orch_nb.views.bundle import Display, bundle
from orch_nb.views.safe_text import as_text, clean, escape, escape_line, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRETS = {
    "in use": "qz7.Kw3xTn9vRb2m-Yd5",
    "openai": "sk-proj-Ab0cdEf1GhIj2KlMn3OpQr4StUv",
    "aws": "AKIAQ7ZJ2M5XN4TB6WRC",
    "url_password": "pa55w0rd-Zx9",
}
WITHOUT_TEXT = (int, float, bool, Decimal, NoneType)
"""Types whose values hold no text. Besides them there are texts that are marked as ours, by their type."""


@pytest.fixture(params=sorted(SECRETS))
def secret(request) -> str:
    """Each secret of the list, with the key in use known to the redactor."""
    REDACTOR.know([SECRETS["in use"]])
    return SECRETS[request.param]


def text_with(secret: str) -> str:
    return f"see https://ann:{secret}@host, yes" if secret == SECRETS["url_password"] else f"it is {secret}, yes"


def holding(kind: Any, secret: str) -> Iterator[tuple[str, Any]]:
    """Values of a type with the secret in them, one for each place where it can be."""
    text = text_with(secret)
    parts, origin = get_args(kind), get_origin(kind)
    if kind in WITHOUT_TEXT or ev.OURS in getattr(kind, "__metadata__", ()):
        return
    if kind is str:
        yield "", text
    elif kind is Any or kind is object:
        pieces = [text[i : i + 3] for i in range(0, len(text), 3)]
        for value in (
            text,
            [text],
            {"k": [{"k": text}]},
            {text: 1},
            text.encode(),
            text * 400,
            [f"{n} {text}" for n in range(300)],
        ):
            yield f"={type(value).__name__}", value
        yield "=logprobs", {"text": "", "logprobs": [[piece, -0.5] for piece in pieces]}
        yield "=parts", [{"type": "text", "text": piece} for piece in pieces]
    elif origin in (Union, types.UnionType):
        for part in parts:
            yield from holding(part, secret)
    elif origin is tuple:
        for n, part in enumerate(p for p in parts if p is not Ellipsis):
            for where, value in holding(part, secret):
                yield f"[{n}]{where}", (value,)
    elif origin is dict:
        for where, key in holding(parts[0], secret):
            yield f"[key]{where}", {key: next(iter(filler(parts[1])))}
        for where, value in holding(parts[1], secret):
            yield f"[value]{where}", {"k": value}
    elif origin is list:
        for where, value in holding(parts[0], secret):
            yield f"[]{where}", [value]
    elif is_dataclass(kind):
        for where, value in instances(kind, secret):
            yield f".{where}", value
    else:
        raise AssertionError(f"{kind!r}: say what of it can hold text")


def kinds_of(cls: Any) -> dict[str, Any]:
    """The types of a dataclass's fields, those too that its module imports for type checkers only."""
    return get_type_hints(cls, localns={"Decimal": Decimal}, include_extras=True)


def filler(kind: Any) -> tuple[Any]:
    """A value of a type, without a secret."""
    parts, origin = get_args(kind), get_origin(kind)
    if origin in (Union, types.UnionType):
        return (None,) if NoneType in parts else filler(parts[0])
    if hasattr(kind, "__metadata__"):
        return filler(parts[0])
    if is_dataclass(kind):
        return (made(kind),)
    plain = {str: "n", Any: 1, object: 1, int: 1, float: 1.0, bool: False, Decimal: Decimal(1), NoneType: None}
    return ((origin or kind)() if kind not in plain else plain[kind],)


def made(cls: Any, **given: Any) -> Any:
    """An instance with what is given, the rest at its default or at something of its type."""
    kinds = kinds_of(cls)
    needed = {
        f.name: filler(kinds[f.name])[0] for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING
    }
    return cls(**{**needed, **given})


def instances(cls: Any, secret: str) -> Iterator[tuple[str, Any]]:
    """Instances of a dataclass with the secret in one place each."""
    kinds = kinds_of(cls)
    for f in fields(cls):
        for where, value in holding(kinds[f.name], secret):
            yield f"{f.name}{where}", made(cls, **{f.name: value})


def every_place(secret: str) -> list[tuple[str, Any]]:
    return [(f"{name}.{where}", event) for name, cls in ev.TYPES.items() for where, event in instances(cls, secret)]


def begun(run: str) -> ev.RunStarted:
    return ev.RunStarted(
        run, "g", to_data(Plan("g", (PlanNode("n", "function", function="f"),), (), out=("n",))), {}, 1.0
    )


def leaks(folder: Path, secret: str) -> list[str]:
    """Files with the secret in their bytes: the database, its write-ahead log, whatever lies beside."""
    return [p.name for p in folder.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()]


# ------------------------------------------------------------------ the test itself
def test_the_places_are_those_of_the_schema():
    """Each event with a text has places; each field of an error and of a usage that is a text is one; digests are none."""
    places = {where for where, _ in every_place("x" * 20)}
    assert {p.partition(".")[0] for p in places} == set(ev.TYPES) - {
        n for n, cls in ev.TYPES.items() if not list(instances(cls, "x" * 20))
    }
    for name in ("code", "type", "message", "failure", "hint"):
        assert f"failed.error.{name}" in places
    assert {
        "settled.usage.bad",
        "sent.idempotency_key",
        "finished.writes[key]",
        "waiting.options[0]",
        "run_started.plan[value]=str",
    } <= places
    assert not {p for p in places if "fingerprint" in p or "_hash" in p}
    with pytest.raises(AssertionError, match="say what of it can hold text"):
        list(holding(set, "x"))


# ------------------------------------------------------------------ stores
async def test_no_field_of_any_event_brings_a_secret_into_a_file(tmp_path, secret):
    """Appended, admitted or settled: neither the database nor its log has it, and what the caller folds is what is stored."""
    store = SqliteStore(tmp_path / ".orch" / "runs.sqlite")
    for where, event in every_place(secret):
        run = store.next_run()
        log = store.create(run)
        log.append([begun(run)])
        match event:
            case ev.Sent():
                assert await log.admit(event, None) is None
            case ev.Settled():
                log.settle([event], "none", Decimal(0), Decimal(0))
            case _:
                if (waiting := log.append([event])) is not None:
                    await waiting
        log.close()
        assert not REDACTOR.finds(event), where
        *_, (_, stored) = store.read(run)
        assert stored == event, where
        assert secret not in "\n".join(store.export(run)), where
    assert leaks(tmp_path, secret) == []
    store.close()
    assert leaks(tmp_path, secret) == []


def test_what_any_store_reads_and_exports_has_no_secret(store, secret):
    """Each store keeps and gives out the same, whatever it is made of."""
    for where, event in every_place(secret):
        run = store.next_run()
        log = store.create(run)
        log.append([begun(run), event])
        log.close()
        assert secret not in repr(list(store.read(run))), where
        assert secret not in "\n".join(store.export(run)), where


def test_what_an_earlier_version_stored_is_exported_without_secrets(secret):
    """A line is cleaned whatever the store holds."""
    for where, event in every_place(secret):
        assert secret not in to_line(2, event), where
        assert secret not in json.dumps(json.loads(to_line(2, event)), ensure_ascii=False), where


@pytest.mark.parametrize("kind", ["memory", "file"])
async def test_no_name_in_the_ledger_or_in_the_evidence_has_a_secret(kind, tmp_path, secret):
    """Scopes, holds and judgements are stored with the mark, and found again by the name that was given."""
    store: Any = MemoryStore() if kind == "memory" else SqliteStore(tmp_path / "runs.sqlite")
    scope = f"notebook:{text_with(secret)}"
    store.set_limit(scope, Decimal(1))
    log = store.create("1")
    log.append([begun("1")])
    hold = Hold(f"1:{text_with(secret)}:1", ((scope, None),), Decimal("0.25"))
    assert await log.admit(made(ev.Sent, frame="", node="n", call=1), hold) is None
    assert store.balance(scope).held_usd == Decimal("0.25")
    log.settle([made(ev.Settled, frame="", node="n", call=1)], hold.hold, Decimal("0.10"), Decimal(0))
    assert store.balance(scope).spent_usd == Decimal("0.10")
    for where, row in instances(Evidence, secret):
        store.add_evidence([row])
        assert secret not in repr(store.evidence()), where
    assert secret not in repr(store.balances())
    if secret != SECRETS["url_password"]:
        with pytest.raises(StoreError) as caught:
            store.create(secret)
        assert secret not in str(caught.value)
    log.close()
    store.close()
    assert leaks(tmp_path, secret) == []


def test_what_was_agreed_to_for_all_runs_is_kept_without_secrets(tmp_path, secret):
    """The file of accepted routes, entry and name."""
    kept = Accepted(tmp_path / "routes.json")
    kept.put("route", text_with(secret), {"why": text_with(secret)})
    assert kept.find("route", text_with(secret)) is not None
    assert leaks(tmp_path, secret) == []


# ------------------------------------------------------------------ what is shown
def test_no_form_of_a_display_has_a_secret(secret):
    """Text, HTML and data of a bundle, and each of the functions by which a text gets into one, whole or cut."""
    text = text_with(secret)
    for where, event in every_place(secret):
        row = ev.to_row(event)
        shown = as_text(row, 10**6)
        made_of = bundle(str(row), f"<p>{escape(shown, 10**6)}</p>", kind="application/x", data={"event": row})
        assert secret not in json.dumps(made_of, ensure_ascii=False, default=str), where
        assert secret not in shown, where
    for show in (clean, line, escape, escape_line, as_text):
        assert secret not in show(text)
        for limit in range(len(secret) + 1, len(text)):
            assert secret[:16] not in show(f"{text} {text}", limit)
    raw = Display(text, f"<b title='{text}'>{text}</b>", kind="application/x", data={"text": text, "rows": [[text]]})
    assert secret not in json.dumps(raw._repr_mimebundle_(), ensure_ascii=False) + repr(raw)


def test_an_image_in_a_display_is_left_as_it_is():
    """Base64 that happens to have a key's shape is an image, not a key."""
    image = "data:image/png;base64,xxAIza" + "A" * 60 + "=="
    made_of = bundle("t", f'<img src="{image}">{text_with(SECRETS["aws"])}')
    assert image in made_of["text/html"]
    assert SECRETS["aws"] not in made_of["text/html"]


def test_no_message_to_the_front_end_has_a_secret(secret):
    """Whatever is told over the comm, the answers to what was asked included."""
    sent: list[Any] = []
    front = FrontEnd(SimpleNamespace(), SimpleNamespace(send=sent.append, close=lambda: None), lambda seconds, do: None)
    for _, event in every_place(secret):
        front._tell(
            {
                "kind": "runs",
                "runs": [{"asked": [], "said": [["n", as_text(ev.to_row(event))]]}],
                "event": ev.to_row(event),
            }
        )
    front.hear({"id": text_with(secret), "ask": text_with(secret)})
    assert sent
    assert secret not in json.dumps(sent, ensure_ascii=False, default=str)


# ------------------------------------------------------------------ errors
@pytest.mark.parametrize("kind", [OrchError, NodeFailed, ProviderError, StoreError])
def test_no_error_of_ours_says_a_secret(kind, secret):
    """Message, hint, notes, arguments and the traceback of its cause."""
    text = text_with(secret)
    try:
        try:
            raise ValueError(text)
        except ValueError as cause:
            raise kind(text, hint=text) from cause
    except OrchError as error:
        said = [str(error), repr(error), error.hint, *error.__notes__, *error._render_traceback_()]
        assert secret not in "\n".join(said)


def test_usages_are_no_exception():
    """The problem with a usage is a text from the provider."""
    assert [where for where, _ in instances(Usage, "x" * 20)] == ["bad"]
