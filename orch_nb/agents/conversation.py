"""The conversation of one agent with one model after another: the fold of what came back, and the next call.

One call, one I/O, one event: a conversation asks for one model call or one tool call at a time. It is built from plain data,
so that a resume in another process continues in mid-conversation with the same next question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch_nb.agents.answer import live_type, read_answer
from orch_nb.agents.fingerprint import request_hash
from orch_nb.agents.prompt import either_schema, flattened, is_emulated, is_enforced, marked, split_reply, system_text
from orch_nb.engine.outcome import UNTOUCHED
from orch_nb.engine.ports import Call, Result
from orch_nb.errors import BadArguments, LimitReached, SemanticFailure, UnknownTool
from orch_nb.schema.events import ErrorInfo
from orch_nb.schema.messages import NO_FIT, REPAIR, Message, ModelRequest, ToolCall, ToolSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch_nb.lang.out_type import OutType

MAX_TURNS = 8
"""Model replies that ask for tools, in one activation. What needs more is a graph, not an agent."""

MAX_CALLS = 16
"""Tool calls of one reply that are run; the rest is answered with the limit."""

MAX_ECHO_CHARS = 8_000
"""Characters of an invalid answer that are sent back with its problems."""

MAX_PROBLEMS = 8
MAX_FAILED = 200
DEFAULT_TIMEOUT_S = 120.0
"""Deadline of one model call where the agent has no `timeout`: a long answer of a slow model, and no more."""


class AgentTask:
    """One activation of an agent: its definition and its inputs.

    Parameters
    ----------
    definition
        `Agent.definition()`, as kept in the plan.
    inputs
        Read -> value, under the read's path (``"qa.feedback"``) or its first name. Absent optional reads may be left out.
    out
        The live type of the answer, where a pydantic class validates more than its schema says; else the schema's.
    """

    def __init__(self, definition: Mapping[str, Any], inputs: Mapping[str, Any], *, out: OutType | None = None) -> None:
        self.definition = dict(definition)
        self.inputs = inputs
        self.refused: list[dict[str, object]] = []
        """Model calls whose answers did not fit `out`: their number, their model and why, in the order of the calls."""
        self._out = out
        self._prompt: str | None = None

    @property
    def prompt(self) -> str:
        """The user message, with its values in place."""
        if self._prompt is None:
            self._prompt = render(self.definition["prompt"], self.inputs)
        return self._prompt

    @property
    def out(self) -> OutType | None:
        """The type of the answer."""
        if self._out is None and self.definition.get("out") is not None:
            self._out = live_type(self.definition["out"])
        return self._out


def render(prompt: str, inputs: Mapping[str, object]) -> str:
    """The prompt with the values of its reads.

    Raises
    ------
    SemanticFailure
        A read that is not optional has no value.
    """
    from orch_nb.lang.template import Template

    def look(path: tuple[str, ...], optional: bool) -> object:
        key = ".".join(path)
        if key in inputs:
            return inputs[key]
        return _look_up(inputs, path, optional=optional)

    return Template.parse(prompt).render(look)


def _look_up(inputs: Mapping[str, object], path: tuple[str, ...], *, optional: bool) -> object:
    value: object = inputs
    for part in path:
        if (not isinstance(value, dict) and value is not inputs) or part not in value:
            if optional:
                return None
            text = ".".join(path)
            raise SemanticFailure(f"the prompt reads `{text}`, which has no value.", hint=f"write `{text}?` where it may be absent", read=text)  # fmt: skip
        value = value[part]
    return value


@dataclass(slots=True)
class _Asked:
    """A tool call of the turn under way, and its answer once there is one."""

    call: ToolCall
    arguments: object = None
    answer: str | None = None


@dataclass(slots=True)
class Conversation:
    """The fold of one conversation's outcomes.

    Parameters
    ----------
    models
        Who is asked, in turn; the agent's models unless told.
    repairs
        How often a wrong answer is sent back.
    temperature, seed
        Instead of the agent's own, for another sample of the same answer.
    because
        Why each model is asked, for the record.
    """

    task: AgentTask
    models: Sequence[dict[str, Any]] = ()
    repairs: int = 1
    temperature: float | None = None
    seed: int | None = None
    because: str = ""
    logprobs: bool = False
    scored: Sequence[Sequence[Any]] = ()
    """Of the answer: its tokens with their log-probabilities, where they were asked for and sent."""
    messages: list[Message] = field(default_factory=list)
    """After the system message, which depends on the model."""
    model: int = 0
    turns: int = 0
    repaired: int = 0
    base: int = 1
    """Messages to keep when another model takes over: the repair of the last one is not its business."""
    asked: list[_Asked] = field(default_factory=list)
    sent: str = ""
    """Hash of the request whose answer asked for tools: part of the marks around their results."""
    ended: Result | None = None
    failed: str = ""
    """What the model before the present one failed with."""
    is_stopped: bool = False
    """True if this must not be continued: it was interrupted, or the effect of a tool is not known."""
    max_tokens: int = 0
    """The answer's limit: the agent's own; doubled for the repair of an answer that was cut by it."""

    def __post_init__(self) -> None:
        self.models = self.models or self.definition["models"]
        self.max_tokens = self.max_tokens or self.definition["max_tokens"]
        if not self.messages:
            self.messages.append(Message("user", self.task.prompt))

    @property
    def definition(self) -> dict[str, Any]:
        return self.task.definition

    # ------------------------------------------------------------ what next
    def step(self) -> Call | Result:
        if self.ended is not None:
            return self.ended
        for one in self.asked:
            if one.answer is None:
                return Call("tool", one.call.name, one.arguments)
        if self.turns >= MAX_TURNS:
            return Result(error=_limit(self.definition["name"]))
        return Call("model", self.models[self.model]["name"], self.request(), self._because())

    def _because(self) -> str:
        """Return why this model is asked: the route chose it, or the one before it failed."""
        if not self.model or not self.because:
            return self.because
        return f"`{self.models[self.model - 1]['name']}` failed ({self.failed})"

    def request(self) -> ModelRequest:
        """Return what the present model is asked."""
        spec = self.definition
        model = self.models[self.model]
        system = system_text(spec, model)
        head = [Message("system", system)] if system else []
        in_words = is_emulated(spec, model)
        schema, tools = spec.get("schema"), spec.get("tools", ())
        if in_words:
            schema = either_schema(tools, schema)
        enforced = schema is not None and is_enforced(spec, model)
        return ModelRequest(
            model=model["model"],
            messages=(*head, *(flattened(self.messages) if in_words else self.messages)),
            schema=schema if enforced else None,
            enforce=spec.get("enforce", "provider") if is_enforced(spec, model) else "validate",
            tools=() if in_words else tuple(ToolSpec(t["name"], t["description"], t["parameters"]) for t in tools),
            max_tokens=self.max_tokens,
            temperature=spec["temperature"] if self.temperature is None else self.temperature,
            seed=spec.get("seed") if self.seed is None else self.seed,
            timeout_s=spec.get("timeout_s") or DEFAULT_TIMEOUT_S,
            logprobs=self.logprobs,
        )

    # ------------------------------------------------------------ what came back
    def take(self, outcome: Any) -> None:
        """One settled call, the answer to the last `step`."""
        if self.ended is not None:
            return
        waiting = next((one for one in self.asked if one.answer is None), None)
        if waiting is not None:
            self._take_tool(waiting, outcome)
        elif not outcome.ok:
            self._next_model(outcome.error or ErrorInfo("ORCH300", "ProviderError", "the call failed", "transient"))
        else:
            self._take_reply(
                outcome.reply or {}, outcome.finish_reason, getattr(outcome, "call", 0)
            )  # a quote plays outcomes

    def _take_reply(self, reply: Mapping[str, Any], finish_reason: str, call: int) -> None:
        text = reply.get("text") or ""
        self.scored = reply.get("logprobs") or ()
        calls = reply.get("tool_calls") or ()
        if not calls and is_emulated(self.definition, self.models[self.model]):
            text, calls = split_reply(text)
        if calls:
            self._ask_tools(text, calls)
            return
        value, problems = read_answer(text, finish_reason, self.task.out, self.max_tokens)
        if problems:
            because = "; ".join(problems[:MAX_PROBLEMS])[:MAX_FAILED]
            self.task.refused.append({"call": call, "model": self.models[self.model]["name"], "because": because})
            self._wrong(text, problems, finish_reason)
        else:
            self.ended = Result(value)

    def _wrong(self, text: str, problems: list[str], finish_reason: str) -> None:
        cut = finish_reason == "length"
        if self.repaired < self.repairs and not (cut and not self._raise_max_tokens()):
            self.repaired += 1
            self.messages += [Message("assistant", text[:MAX_ECHO_CHARS]), Message("user", _feedback(problems))]
            return
        self._next_model(_semantic(self.definition, problems, self.max_tokens if cut else 0))

    def _raise_max_tokens(self) -> bool:
        """Double the answer's limit, because the same limit would cut it again; return False where the model has no room."""
        window = self.models[self.model].get("context_tokens")
        if window is not None and 2 * self.max_tokens > window // 2:
            return False
        self.max_tokens *= 2
        return True

    def _next_model(self, error: ErrorInfo) -> None:
        """The next fallback model, or the end with this error. A cancellation is not a failure of the model."""
        if error.failure == "cancelled" or self.model + 1 >= len(self.models):
            self.ended = Result(error=error)
            return
        self.model += 1
        self.max_tokens = self.definition["max_tokens"]
        self.failed = f"{error.type}: {error.message}"[:MAX_FAILED]
        del self.messages[self.base :]

    # ------------------------------------------------------------ tools
    def _ask_tools(self, text: str, calls: Sequence[Mapping[str, object]]) -> None:
        self.sent = request_hash(self.request())
        self.turns += 1
        self.asked = []
        kept: list[ToolCall] = []
        for number, row in enumerate(calls):
            call = ToolCall(f"{row.get('id') or 'call'}", str(row.get("name", "")), str(row.get("arguments") or "{}"))
            if any(call.id == other.id for other in kept):
                call.id = f"{call.id}_{number}"
            kept.append(call)
            self.asked.append(self._check_call(call, number))
        self.messages.append(Message("assistant", text, tuple(kept)))
        self._close_turn()

    def _check_call(self, call: ToolCall, number: int) -> _Asked:
        """The call, answered at once where it may not be made: an unknown tool, bad arguments, one too many."""
        spec = next((t for t in self.definition.get("tools", ()) if t["name"] == call.name), None)
        if spec is None:
            known = ", ".join(t["name"] for t in self.definition.get("tools", ())) or "none"
            return _Asked(
                call, answer=_refusal(UnknownTool.code, f"the tool `{call.name[:80]}` does not exist; tools: {known}")
            )
        if number >= MAX_CALLS:
            return _Asked(
                call, answer=_refusal(LimitReached.code, f"at most {MAX_CALLS} calls in one reply; ask again")
            )
        arguments, problems = _arguments(call.arguments, spec["parameters"])
        if problems:
            return _Asked(
                call, answer=_refusal(BadArguments.code, f"bad arguments: {'; '.join(problems[:MAX_PROBLEMS])}")
            )
        return _Asked(call, arguments)

    def _take_tool(self, asked: _Asked, outcome: Any) -> None:
        if outcome.ok:
            asked.answer = self._mark(asked, outcome.reply)
        else:
            error = outcome.error or ErrorInfo("ORCH501", "ToolFailed", "the tool failed")
            was_called = error.code not in UNTOUCHED
            if error.failure == "cancelled" or (was_called and self._has_effects(asked.call.name)):
                self.ended = Result(error=_unknown_effect(asked.call.name, error))
                self.is_stopped = True
                return
            told = f"the tool failed ({error.type}): {error.message}"
            asked.answer = self._mark(asked, told)
        self._close_turn()

    def _mark(self, asked: _Asked, value: Any) -> str:
        return marked(value, tool=asked.call.name, request_hash=self.sent, call_id=asked.call.id)

    def _has_effects(self, name: str) -> bool:
        return any(t["name"] == name and t.get("effects") for t in self.definition.get("tools", ()))

    def _close_turn(self) -> None:
        """Once every call is answered, the answers become messages, in the order of the calls."""
        if any(one.answer is None for one in self.asked):
            return
        self.messages += [Message("tool", one.answer or "", tool_call_id=one.call.id) for one in self.asked]
        self.asked = []
        self.base = len(self.messages)


def _arguments(text: str, parameters: dict[str, Any]) -> tuple[Any, list[str]]:
    """A tool's arguments as data, or the problems with them. Checked against the schema alone: no user code runs here."""
    from orch_nb.lang.out_type import OutType

    value, problems = OutType({"type": "object", **parameters}, "").validate(text)
    if problems:
        return None, problems
    return (value, []) if isinstance(value, dict) else (None, ["one JSON object is needed"])


def _refusal(code: str, text: str) -> str:
    return f"error {code}: {text}"


def _feedback(problems: Sequence[str]) -> str:
    lines = "\n".join(f"- {problem}" for problem in problems[:MAX_PROBLEMS])
    return f"{REPAIR}\n{lines}\nAnswer again, with nothing but the corrected JSON."


def _semantic(definition: Mapping[str, Any], problems: Sequence[str], cut_at: int = 0) -> ErrorInfo:
    shown = "; ".join(problems[:MAX_PROBLEMS])
    hint = (
        f"the answer was cut at {cut_at:,} tokens: set `max_tokens: {2 * cut_at}`"
        if cut_at
        else "simplify `out`, give an example in the prompt, or name a `fallback` model"
    )
    message = f"`{definition['name']}` {NO_FIT}: {shown}"
    return ErrorInfo(SemanticFailure.code, "SemanticFailure", message, "semantic", hint)


def _limit(name: str) -> ErrorInfo:
    return ErrorInfo(
        LimitReached.code, "LimitReached", f"`{name}` asked for tools in {MAX_TURNS} replies without an answer.", "semantic",
        "say in its prompt when to stop, or split the task into nodes of a graph",
    )  # fmt: skip


def _unknown_effect(tool: str, error: ErrorInfo) -> ErrorInfo:
    if error.failure == "cancelled":
        return error
    return ErrorInfo(
        error.code, error.type, f"`{tool}` has effects and failed, so it is not known whether they happened: {error.message}",
        "catastrophic", "look at what it did, then resume or run again",
    )  # fmt: skip
