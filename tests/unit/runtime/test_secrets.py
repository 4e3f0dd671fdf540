"""Secrets in values: replaced before anything is stored, folded, sent on or shown; and said, by count and kind."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orch_nb as orch
from orch_nb import runtime as current_runtime
from orch_nb.analysis.compare import fixtures
from orch_nb.catalog import models
from orch_nb.errors import BadOption, BadRequest, OrchError, ProviderTimeout, UnstorableValue
from orch_nb.providers.fakes import ScriptedProvider
from orch_nb.providers.keys import Key
from orch_nb.providers.transport.thinking_blocks import TurnMemory
from orch_nb.runtime.recording import current_recording
from orch_nb.runtime.runtime import Runtime
from orch_nb.schema import events as ev
from orch_nb.schema import secrets
from orch_nb.schema.messages import Completed, TextDelta, ToolCall, Usage
from orch_nb.schema.secrets import Redactor
from orch_nb.store.export import to_line
from orch_nb.store.sqlite import SqliteStore
from orch_nb.trace.run_view import run_view
from orch_nb.views.run import run_bundle
from tests.unit.runtime.conftest import reply

KEYS = {
    "openai": "sk-proj-Ab0cdEf1GhIj2KlMn3OpQr4StUv",
    "anthropic": "sk-ant-api03-Zz9yXw8VuTs7RqPo6NmLk",
    "aws": "AKIAQ7ZJ2M5XN4TB6WRC",
    "github": "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2,
    "google": "AIza" + "Sy0123456789abcdefghijklmnopqrstuvw",
    "slack": "xoxb-123456789012-abcdefGHIJ",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlMTIzNDU",
    "private_key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+IBAAK/CAQ\nEAx==\n-----END RSA PRIVATE KEY-----",
    "bearer": "Bearer abcdefghijklmnopqrstuvwx.yz",
}


@pytest.mark.parametrize("kind", KEYS)
def test_well_known_shapes_are_replaced_wherever_they_stand(kind):
    """In a text, in a list, in a mapping's value and key: the mark names the kind; the same secret gives the same mark."""
    secret = KEYS[kind]
    value = {"a": [f"before {secret} after", 7], f"x {secret}": None}
    made, found = Redactor().clean(value)
    assert found == {kind: 2}
    text = made["a"][0]
    assert re.fullmatch(rf"before ‹secret:{kind}(:[0-9a-f]{{8}})?› after", text)
    assert secret not in json.dumps(made, ensure_ascii=False)
    assert Redactor().clean(f"before {secret} after")[0] == text


def test_passwords_and_tokens_in_addresses_leave_the_address_readable():
    """User, host and parameter names stay; the password and the token do not."""
    made, found = Redactor().clean("see https://ann:pa55w0rd@db.host/x?api_key=0123456789&page=2")
    assert made == "see https://‹secret:url_password›@db.host/x?api_key=‹secret:url_token›&page=2"
    assert found == {"url_password": 1, "url_token": 1}


@pytest.mark.parametrize(
    "text",
    [
        "the task-list of a risk-free desk-bound clerk", "sk-short", "https://host/a:b/c@d", "key=value", "eyJust a word",
        "AKIA is a prefix", "Bearer of bad news came late yesterday", "0 = 1 - 1", "mailto:ann@host.org", "-----BEGIN CERTIFICATE-----",
        "ghp_ is how they begin", "git@github.com:owner/repository.git", "https://host/path?page=12345678&token=abc",
    ],
)  # fmt: skip
def test_ordinary_text_stays_as_it_is(text):
    """A value that only begins like a key, or is an address without a password, is the same object afterwards."""
    value = [text]
    assert Redactor().clean(value)[0] is value


texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.recursive(texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8),
       st.sampled_from(sorted(KEYS)), texts, texts)  # fmt: skip
def test_no_surroundings_hide_a_key(value, kind, before, after):
    """Any text around a key, any data around the text: the key is gone, what had none is equal, and cleaning again changes
    nothing."""
    redactor = Redactor({"env:X": "correct horse battery"})
    glued = f"{before} {KEYS[kind]} correct horse battery {after}"
    made, found = redactor.clean({"value": value, "text": glued})
    said = json.dumps(made, ensure_ascii=False)
    assert KEYS[kind] not in made["text"]
    assert "correct horse battery" not in said
    assert found["key_in_use"] >= 1
    assert redactor.clean(made)[0] == made


# ------------------------------------------------------------------ in runs
AWS, OPENAI = KEYS["aws"], KEYS["openai"]


def everything(run, store):
    """All that is kept of a run, as text."""
    return "\n".join(to_line(seq, event) for seq, event in store.read(run.run))


async def test_inputs_values_replies_tools_and_errors_are_cleaned_before_they_are_stored_or_sent(rt, scripted):
    """A key that comes in by an input, a function, a model, a tool or an exception is in no event, no prompt and no display."""

    @orch.tool
    def look(q: str) -> str:
        """Look.

        Parameters
        ----------
        q
            What for.
        """
        return f"found {AWS}"

    def leak(x):
        return {"text": f"{x} and {OPENAI}", "n": 1}

    def fails(b):
        raise RuntimeError(f"cannot reach https://ann:pa55w0rd@host for {AWS}")

    provider = scripted(
        lambda request: (
            reply(tool_calls=(ToolCall("c", "look", '{"q": "x"}'),))
            if len(request.messages) < 3
            else reply(f"the key is {AWS}")
        )
    )
    names = {
        "leak": leak, "b": orch.Agent("b", "{{ leak.text }}", model="m", max_tokens=50, tools=[look]), "fails": fails, "look": look,
    }  # fmt: skip
    run = await orch.run(orch.Graph("g").chain("leak", "b", "fails"), namespace=names, x=f"my {AWS}")

    assert run.status == "failed"
    kept = everything(run, rt.store)
    sent = "\n".join(m.content for request in provider.requests for m in request.messages)
    made = run_bundle(run_view(run.events))
    shown = made["text/plain"] + made["text/html"] + json.dumps(made["application/vnd.orch.trace+json"])
    for text in (kept, sent, shown, str(run["leak"]), str(run["b"])):
        for secret in (AWS, OPENAI, "pa55w0rd"):
            assert secret not in text
    assert "‹secret:aws:" in sent, "the model sees the mark"
    assert run.events[0].secrets == {"aws": 1}
    said = {(n.key, n.text) for n in run_view(run.events).notices if n.kind == "secret"}
    assert ("inputs", "1 secret replaced (aws) before it was stored") in said
    assert ("leak", "2 secrets replaced (openai) before it was stored") not in said
    assert ("leak", "1 secret replaced (openai) before it was stored") in said
    assert any("secret replaced (aws)" in e.note for e in run.events if isinstance(e, ev.Settled))
    assert "! inputs: 1 secret replaced (aws) before it was stored" in made["text/plain"]


async def test_the_very_keys_in_use_are_found_whatever_they_look_like(scripted, rt, monkeypatch):
    """The value of a provider's own key is replaced although nothing about it looks like one."""
    monkeypatch.setenv("GROQ_API_KEY", "plain-looking words")
    rt.models.environ = None
    run = await orch.run(lambda x: f"I saw {x}", x="the plain-looking words here", namespace={})
    assert "plain-looking words" not in everything(run, rt.store)
    assert run.events[0].secrets == {"key_in_use": 1}


async def test_an_answer_of_a_person_is_cleaned(rt, scripted):
    """A person's text is a value like any other."""
    graph = orch.Graph.from_cell("g", "a -> ok -> b\nok: human")
    run = await orch.run(graph, namespace={"a": lambda: "draft", "b": lambda ok: ok}, attended=True)
    run.answer("edit", f"use {AWS}")
    await run
    assert run.status == "done"
    assert AWS not in everything(run, rt.store)
    assert "‹secret:aws:" in run.output


async def test_a_key_in_a_prompt_is_refused_and_a_key_object_is_no_value(rt, scripted):
    """A prompt is stored and shared: a key in it is refused before anything; a wrapped key cannot become a node's value."""
    provider = scripted([reply()])
    with pytest.raises(BadOption, match="the prompt of `a` has what looks like a key") as caught:
        await orch.run(orch.Agent("a", f"Use {OPENAI} for {{{{ x }}}}", model="m"), x="hi")
    assert OPENAI not in str(caught.value)
    assert provider.requests == []
    with pytest.raises(UnstorableValue):
        (await orch.run(lambda: Key(OPENAI), namespace={})).result()

    @dataclass
    class Holder:
        key: Key

    with pytest.raises(UnstorableValue):
        await orch.run(lambda x: x, x=Holder(Key(OPENAI)), namespace={})


async def test_a_batch_and_a_recording_are_cleaned(rt, scripted):
    """Rows of a table and calls in ordinary Python are redacted in the same way."""
    scripted(lambda request: reply("ok"))
    agent = orch.Agent("a", "{{ x }}", model="m", max_tokens=50)
    batch = await orch.batch(agent, [{"x": f"row {AWS}"}, {"x": "clean"}])
    kept = "\n".join(everything(row, rt.store) for row in (batch, *batch.rows))
    assert AWS not in kept
    async with orch.record() as run:
        await agent(x=f"call {AWS}")
    assert AWS not in everything(run, rt.store)


async def test_nothing_in_a_store_has_a_secret_in_any_form(tmp_path, shared):
    """The secret scanner finds no key in the files of a store, in no encoding, compressed or cut."""
    canary = "sk-canary-Q7ZJ2M5XN4TB6WRC81"
    book = models.ModelBook(environ={})
    models.use(book)
    runtime = Runtime(store=SqliteStore(tmp_path / ".orch" / "runs.sqlite"), models=book)
    before = current_runtime.use(runtime)
    try:
        runtime.add_provider(ScriptedProvider(lambda request: reply(f"{canary} it is"), name="vendor"))
        book.add("m", "model-1", "vendor", price={"input": 100, "output": 100})
        names = {"a": orch.Agent("a", "{{ x }}", model="m", max_tokens=50), "b": lambda a: {"seen": [a, canary]}}
        run = await orch.run(orch.Graph("g").chain("a", "b"), namespace=names, x=f"{canary} " * 400)
        assert run.status == "done"
    finally:
        runtime.close()
        current_runtime.use(before)
    scan = shared / "tools" / "faults" / "secretscan.py"
    found = subprocess.run(
        [sys.executable, str(scan), "--secret", canary, str(tmp_path / ".orch")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout
    assert json.loads(found.stdout)["files"] >= 1


# ------------------------------------------------------------------ in definitions
def conditions():
    return orch.Graph("g").edge("a", "b", when=f"a == '{AWS}'").edge("a", "c", else_=True)


def constants():
    return orch.Graph("g").node("a", "a", kind="function", with_={"x": [f"use {AWS}"]})


def questions():
    return orch.Graph("g").chain("a", "ask").node("ask", kind="human", question=f"Is {AWS} right?")


def gates():
    return orch.Graph("g").chain("a", "b").node("b", when=f"a != '{AWS}'")


def descriptions():
    return (
        orch.Graph("g")
        .chain("a", ["described", "c"])
        .edge("a", "described", by="similarity(a)")
        .edge("a", "c", by="similarity(a)")
    )


@orch.node(describe=f"takes {AWS}", examples=[f"example {AWS}"])
def described(a):
    return a


@orch.node(describe="takes the rest")
def c(a):
    return a


NAMES = {"a": lambda x="": x, "b": lambda a: a, "c": c, "described": described}


async def by_run(graph):
    await orch.run(graph, namespace=NAMES, x="hi")


async def by_batch(graph):
    await orch.batch(graph, [{"x": "hi"}], namespace=NAMES)


async def by_record(graph):
    async with orch.record():
        await current_recording.get().call(graph, {"x": "hi"}, NAMES)


async def by_growing(graph):
    run = await orch.run(
        orch.Graph("outer").chain("grow"), namespace={**NAMES, "grow": lambda: orch.Expand(graph, x="hi")}
    )
    run.result()


@pytest.mark.parametrize("where", [conditions, constants, questions, gates, descriptions])
@pytest.mark.parametrize("way", [by_run, by_batch, by_record, by_growing])
async def test_no_way_into_a_run_takes_a_definition_with_a_key(rt, way, where):
    """Whatever part of a graph has it, and however the graph is run: refused before anything of it is stored, and the part named."""
    graph = where()
    with pytest.raises(OrchError, match=r"has what looks like a key or a password in it") as caught:
        await way(graph)
    assert AWS not in str(caught.value)
    kept = "\n".join(line for row in rt.store.runs() for line in rt.store.export(row.run))
    assert "‹secret:" not in kept.replace(str(caught.value), "")
    assert AWS not in kept
    runs = {by_run: 0, by_batch: 0, by_record: 1, by_growing: 1}[way]
    assert len(rt.store.runs()) == runs


@pytest.mark.parametrize("part", ["prompt", "role", "goal", "backstory", "describe", "examples", "out"])
def test_an_agent_with_a_key_is_not_made(part, tmp_path):
    """In Python, from a cell, from a file: refused where it is defined, the line shown as it may be kept."""
    keys = {"examples": [f"say {AWS}"], "out": f'one of "{AWS}" | other'}
    with pytest.raises(OrchError) as caught:
        orch.Agent(
            "a",
            f"Say {AWS}" if part == "prompt" else "Say it",
            **({} if part == "prompt" else {part: keys.get(part, f"as {AWS}")}),
        )
    assert AWS not in str(caught.value)
    head = "" if part == "prompt" else f"---\n{part}: {json.dumps(keys.get(part, f'as {AWS}'))}\n---\n"
    body = f"{head}Say {AWS if part == 'prompt' else 'it'}\n"
    path = tmp_path / "a.agent.md"
    path.write_text(f"%%agent a\n{body}")
    for define in (lambda: orch.Agent.from_cell("a", body), lambda: orch.Agent.from_file(path)):
        with pytest.raises(OrchError) as caught:
            define()
        assert AWS not in str(caught.value)
        if part != "out":
            assert re.search(r"line \d+: the `?\w+`? of `a` has what looks like a key", str(caught.value))
            assert "‹secret:aws:" in str(caught.value)


def test_a_graph_s_cell_with_a_key_is_not_made():
    """Its line is shown without the key."""
    with pytest.raises(BadOption, match=r"line 2: the cell of `g` has what looks like a key") as caught:
        orch.Graph.from_cell("g", f"%%graph g\na -> b when a == '{AWS}'")
    assert AWS not in str(caught.value)


# ------------------------------------------------------------------ said and sent
async def test_what_is_sent_has_the_mark_also_where_a_secret_comes_about_by_joining(rt, scripted):
    """A prompt around a value, a tool's description, a form that names a key in use: the provider gets the mark, and the record
    says what the provider got."""

    @orch.tool
    def look(q: str) -> str:
        """Look with correct-horse-battery.

        Parameters
        ----------
        q
            What for.
        """
        return "found"

    provider = scripted(lambda request: reply("ok"))
    agent = orch.Agent("a", "key: sk-{{ rest }}", model="m", max_tokens=50, tools=[look])
    run = await orch.run(orch.Graph("g").chain("a"), namespace={"a": agent}, rest=OPENAI.removeprefix("sk-"))
    assert run.status == "done"
    said = repr(provider.requests)
    assert OPENAI not in said
    assert "‹secret:openai:" in said
    assert OPENAI not in everything(run, rt.store)
    (sent,) = [e for e in run.events if isinstance(e, ev.Sent)]
    assert [m["content"] for m in sent.request["messages"]] == [m.content for m in provider.requests[0].messages]

    secrets.REDACTOR.know(["correct-horse-battery"])
    again = await orch.run(
        orch.Graph("g").chain("b"),
        namespace={"b": orch.Agent("b", "Go. {{ x }}", model="m", max_tokens=50)},
        x="correct-horse-battery",
    )
    assert again.status == "done"
    assert "correct-horse-battery" not in repr(provider.requests[1:])


def test_what_a_vendor_wants_back_as_it_came_is_not_kept_with_a_key_in_it():
    """A turn with thoughts that said a key goes back as our own messages say it, with the mark."""
    memory, calls = TurnMemory(), [ToolCall("1", "look", "{}")]
    memory.keep(calls, [{"type": "text", "text": OPENAI[:9]}, {"type": "text", "text": OPENAI[9:]}])
    assert memory.recall(calls) is None
    memory.keep(calls, [{"type": "text", "text": "no key"}])
    assert memory.recall(calls) == [{"type": "text", "text": "no key"}]


async def test_log_probabilities_do_not_give_a_replaced_key_back(rt, scripted):
    """The tokens of an answer say together what its redacted text says."""
    text = f'{{"key": "{OPENAI}"}}'
    tokens = tuple((text[i : i + 4], -0.1) for i in range(0, len(text), 4))
    scripted([(TextDelta(text), Completed("stop", Usage(50, 50), logprobs=tokens))])
    run = await orch.run(orch.Agent("a", "{{ x }}", model="m", max_tokens=50), x="hi")
    (settled,) = [e for e in run.events if isinstance(e, ev.Settled)]
    assert "".join(token for token, _ in settled.reply["logprobs"]) == settled.reply["text"]
    assert "‹secret:openai:" in settled.reply["text"]
    assert len(settled.reply["logprobs"]) == len(tokens)


async def test_no_moment_of_a_stream_shows_a_key(rt, scripted):
    """Whatever the pieces are, neither the live text nor what is told of it has more than the record."""
    text = f"the key is {OPENAI}, and correct-horse-battery too"
    secrets.REDACTOR.know(["correct-horse-battery"])
    scripted([(*(TextDelta(text[i : i + 3]) for i in range(0, len(text), 3)), Completed("stop", Usage(9, 9)))])
    seen = []

    def look(handle):
        seen.extend(row["text"] for row in handle.live.values())

    handle = rt.start(orch.Agent("a", "{{ x }}", model="m", max_tokens=50), {"x": "hi"}, on_change=look)
    run = await handle
    assert run.status == "done"
    assert seen[-1] == run.output
    assert all(run.output.startswith(text) for text in seen)
    assert "‹secret:openai:" in run.output
    assert "‹secret:key_in_use:" in run.output


async def test_an_answer_that_broke_off_within_a_key_keeps_nothing_of_it(rt, scripted):
    """A stream that ends in the middle of a key in use: what is kept ends before it."""
    secrets.REDACTOR.know(["correct-horse-battery"])
    scripted([(TextDelta("it is correct-hor"), ProviderTimeout("too slow", provider="vendor", model="m"))])
    run = await orch.run(orch.Agent("a", "{{ x }}", model="m", max_tokens=50, retry=1), x="hi")
    (settled,) = [e for e in run.events if isinstance(e, ev.Settled)]
    assert settled.reply == {"text": "it is "}


async def test_a_provider_s_error_and_a_user_s_are_kept_and_raised_without_keys(rt, scripted):
    """Whatever class it is: recorded, shown and raised with the mark, also where the message is cut."""
    scripted([BadRequest(f"bad header {OPENAI}", provider="vendor", model="m", hint=f"not {AWS}")])

    def fails(x):
        raise ValueError(f"{'x' * 1990} {OPENAI}")

    for target, names in (
        (orch.Agent("a", "{{ x }}", model="m", max_tokens=50), {}),
        (orch.Graph("g").chain("fails"), {"fails": fails}),
    ):
        run = await orch.run(target, namespace=names, x="hi")
        assert run.status == "failed"
        assert "sk-proj" not in everything(run, rt.store)
        assert AWS not in everything(run, rt.store)
        with pytest.raises(OrchError) as caught:
            run.result()
        assert "sk-proj" not in "\n".join(caught.value._render_traceback_())


async def test_what_is_logged_has_no_key(rt, caplog):
    """A log is shown below the cell and kept with it: message and traceback of a callback that raised are cleaned."""

    def broken(handle):
        raise ValueError(f"cannot draw {OPENAI}") from KeyError(AWS)

    await rt.start(lambda x: x, {"x": 1}, on_change=broken)
    assert "cannot draw" in caplog.text
    assert OPENAI not in caplog.text
    assert AWS not in caplog.text


# ------------------------------------------------------------------ files
def test_no_file_that_is_written_for_people_has_a_key(tmp_path):
    """Fixtures, agents, what is made known later included."""
    secrets.REDACTOR.forget()
    agent = orch.Agent("a", "Say correct-horse-battery")
    secrets.REDACTOR.know(["correct-horse-battery"])
    agent.save(tmp_path)
    fixtures.keep(tmp_path, "t", {"text": f"{AWS} correct-horse-battery"}, expected={"x": AWS}, note=AWS, came_from=AWS)
    written = "\n".join(p.read_text() for p in tmp_path.rglob("*") if p.is_file())
    assert "‹secret:aws:" in written
    assert "‹secret:key_in_use:" in written
    assert AWS not in written
    assert "correct-horse-battery" not in written


async def test_nothing_that_a_run_leaves_behind_has_a_secret(tmp_path, shared):
    """Store, exports, displays, tracebacks and fixtures of runs, a batch and a recording: the scanner finds no key in them, in no
    encoding, compressed or cut to twelve characters."""
    canary = "sk-canary-Q7ZJ2M5XN4TB6WRC81"
    book = models.ModelBook(environ={})
    models.use(book)
    runtime = Runtime(tmp_path, store=SqliteStore(tmp_path / ".orch" / "runs.sqlite"), models=book)
    before = current_runtime.use(runtime)
    secrets.REDACTOR.know([canary])

    def answer(request):
        if "fail" in request.messages[-1].content:
            return BadRequest(f"no access with {canary}", provider="vendor", model="m")
        pieces = (TextDelta(canary[:7]), TextDelta(canary[7:]), TextDelta(" it is"))
        return (*pieces, Completed("stop", Usage(9, 9), logprobs=tuple((c, -0.1) for c in f"{canary} it is")))

    left = []
    try:
        runtime.add_provider(ScriptedProvider(answer, name="vendor"))
        book.add("m", "model-1", "vendor", price={"input": 100, "output": 100})
        agent = orch.Agent("a", "{{ x }}", model="m", max_tokens=50)
        names = {"a": agent, "b": lambda a: {"seen": [a, canary.encode(), f"{'x' * 3000}{canary}"]}}
        runs = [await orch.run(orch.Graph("g").chain("a", "b"), namespace=names, x=x) for x in (canary, "fail")]
        batch = await orch.batch(agent, [{"x": f"row {canary}"}, {"x": f"fail {canary}"}])
        async with orch.record() as recording:
            await agent(x=canary)
        for n, run in enumerate((*runs, recording)):
            left += [
                f"{n}.json",
                json.dumps(run._repr_mimebundle_(), ensure_ascii=False),
                *runtime.store.export(run.run),
            ]
        left.append(json.dumps(batch._repr_mimebundle_(), ensure_ascii=False))
        with pytest.raises(OrchError) as caught:
            runs[1].result()
        left += caught.value._render_traceback_()
        fixtures.keep(tmp_path, "t", {"x": canary})
    finally:
        runtime.close()
        current_runtime.use(before)
    (tmp_path / "shown.txt").write_text("\n".join(left))
    scan = shared / "tools" / "faults" / "secretscan.py"
    found = subprocess.run(
        [sys.executable, str(scan), "--secret", canary, "--part", "12", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout
    assert json.loads(found.stdout)["files"] >= 3
