"""OpenAI's batches on the wire: questions out, answers in, and every fault one typed error."""

from __future__ import annotations

import json

import pytest

from orch_nb.errors import AuthFailed, BadRequest, MalformedReply, ProviderUnavailable
from orch_nb.providers.openai.batch import BatchState, whole_reply
from orch_nb.providers.openai.chat import OpenAIChat
from orch_nb.providers.transport.stream import ChatFault
from orch_nb.schema.messages import Message, ModelRequest, Reply, Usage
from tests.unit.providers.batch_server import BatchServer, usual_answer


@pytest.fixture
def server():
    """A server of batches."""
    made = BatchServer()
    yield made
    made.close()


def door(server, **options):
    """The way to its batches."""
    return OpenAIChat("house", server.url, key=None, has_batch=True, **options).batch_api()


def asked(text="hi", **options):
    """One question."""
    return ModelRequest("model-1", (Message("user", text),), **options)


async def ended(way, requests, mark="m"):
    """A batch that has ended."""
    state = await way.submit(requests, mark)
    while not state.has_ended:
        state = await way.look(state.id)
    return state


async def test_questions_and_answers_keep_their_names(server):
    """Answers come under the ids they were asked by, with their tokens; the batch is found again by its mark."""
    way = door(server)
    state = await ended(way, {"a": asked("one"), "b": asked("two")}, "run 7")
    found = await way.answers(state)
    assert {name: reply.text for name, reply in found.items()} == {"a": "ONE", "b": "TWO"}
    assert found["a"].usage == Usage(100, 10)
    assert [s.id for s in await way.ours("run 7")] == [state.id]
    assert await way.ours("run 8") == []


def test_a_server_without_batches_has_no_door(server):
    """Only OpenAI's own address is taken to have batches, unless told."""
    assert OpenAIChat("house", server.url, key=None).batch_api() is None
    assert OpenAIChat("openai", key="env:OPENAI_API_KEY").batch_api() is not None


async def test_the_key_is_sent_and_never_shown(server, monkeypatch):
    """The key goes with files and batches as with calls, and a refusal does not repeat it."""
    monkeypatch.setenv("HOUSE_KEY", "sk-very-secret-key-of-the-house")
    server.faults = [401]
    way = OpenAIChat("house", server.url, key="env:HOUSE_KEY", has_batch=True).batch_api()
    state = await way.submit({"a": asked()}, "m")
    with pytest.raises(AuthFailed) as caught:
        await way.look(state.id)
    assert "very-secret" not in str(caught.value)


async def test_a_refused_question_is_an_error_of_its_own(server):
    """A 400 within a batch is the error that the same call at once would have been; the others are answered."""
    server.answer = lambda body: (
        (400, {"error": {"message": "bad"}}) if body["messages"][-1]["content"] == "two" else usual_answer(body)
    )
    way = door(server)
    found = await way.answers(await ended(way, {"a": asked("one"), "b": asked("two")}))
    assert isinstance(found["a"], Reply)
    assert isinstance(found["b"], BadRequest)


async def test_a_question_that_ran_out_of_time_is_unavailable_and_not_billed(server):
    """A line without a response (an expired question) may be asked again, and nobody is billed for it."""
    way = door(server)
    row = {"custom_id": "a", "response": None, "error": {"code": "batch_expired", "message": "too late"}}
    server.files["file-9"] = json.dumps(row).encode()
    found = await way.answers(BatchState("b", "expired", errors_file="file-9"))
    assert isinstance(found["a"], ProviderUnavailable)
    assert not found["a"].billed
    assert "too late" in str(found["a"])


@pytest.mark.parametrize("line", [b"not json", b"[1]", b'{"response": {}}', b'{"custom_id": "a", "response": 5}'])
async def test_a_line_that_cannot_be_read_is_malformed(server, line):
    """Nobody would know whose answer it is: the whole file is refused, as possibly billed."""
    server.files["file-9"] = line
    with pytest.raises(MalformedReply) as caught:
        await door(server).answers(BatchState("b", "completed", answers_file="file-9"))
    assert caught.value.billed


async def test_an_answer_that_is_none_is_malformed(server):
    """A chat completion that does not say why it finished is not an answer; its neighbour is."""
    server.answer = lambda body: (
        (200, {"choices": [{"message": {"content": "x"}}]})
        if body["messages"][-1]["content"] == "two"
        else usual_answer(body)
    )
    way = door(server)
    found = await way.answers(await ended(way, {"a": asked("one"), "b": asked("two")}))
    assert isinstance(found["a"], Reply)
    assert isinstance(found["b"], MalformedReply)
    assert found["b"].billed


async def test_a_batch_without_an_id_is_malformed(server):
    """What cannot be looked at again is not a batch."""
    server._shown = lambda batch: {"status": "validating"}
    with pytest.raises(MalformedReply, match="no `id`"):
        await door(server).submit({"a": asked()}, "m")


@pytest.mark.parametrize(
    "body",
    [{}, {"choices": []}, {"choices": [{"message": 5, "finish_reason": "stop"}]}, {"choices": [{"message": {"content": 5}, "finish_reason": "stop"}]}],
)  # fmt: skip
def test_whole_replies_keep_the_rules_of_streams(body):
    """No finish, no text, another kind: the same faults as in a stream."""
    with pytest.raises(ChatFault):
        whole_reply(body)


async def test_settings_of_the_provider_hold_in_batches_too(server):
    """`extra` and the name of the bound are the same as in ordinary calls."""
    way = door(server, extra={"top_p": 0.5}, max_tokens_field="max_completion_tokens")
    await way.submit({"a": asked(max_tokens=7)}, "m")
    body = server.questions()[0]["body"]
    assert (body["top_p"], body["max_completion_tokens"]) == (0.5, 7)
