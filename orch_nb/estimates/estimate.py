"""The estimate of a run without earlier runs: tokens, dollars and seconds from the sizes of its prompts.

The low end is certain (one short answer of every node that must run). The high end is the most that the plan allows (bounds of
prompts, `max_tokens`, all rounds, the dearest of branches that exclude one another, one repair of each typed answer, every
fallback). The expected value is that of typical texts. The high end does not include retries that a provider bills, or texts that
functions produce without input.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from orch_nb.engine.plan import topology
from orch_nb.errors import OrchError
from orch_nb.estimates.node_visits import NO_TIME, Dollars, Range, Visits, most_of, visits
from orch_nb.schema.route_spec import measure
from orch_nb.schema.values import dig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch_nb.agents.machine import AgentMachine
    from orch_nb.catalog.models import ModelBook
    from orch_nb.catalog.offers import Offer
    from orch_nb.catalog.prices import Price
    from orch_nb.engine.plan import Chooser, Plan, PlanNode, Read
    from orch_nb.schema.messages import ModelRequest

ZERO = Decimal(0)
NOTHING = Dollars(ZERO, ZERO, ZERO)
LONG_WORDS = 7
"""Most bytes per token in ordinary texts, for the fewest tokens of a prompt."""
TYPICAL_BYTES = 4
"""Bytes per token of English prose."""
TYPICAL_ANSWER = 256
"""Tokens of an answer in words, until there are earlier runs."""
TYPICAL_FIELD = 24
"""Tokens of one text field of a typed answer."""
UNKNOWN_BYTES = 400
"""Bytes of an input that is not given, or of a text that a function produces."""
TOOL_TURNS = 3
"""Replies that call tools, at the high end. An agent may take more (`agents.conversation.MAX_TURNS`), but rarely does."""
TOOL_RESULT = 500
"""Tokens of a tool's result."""
FUNCTION_S = 5.0
"""Seconds of a function at the high end."""
JUDGED_TOKENS = 60
"""Tokens of a judge's answer: a name and a reason."""
OTHERS_ASKED = 2
"""Calls to a judge or for a second opinion at the high end: one opinion, and the synthesis of two."""
LIST_ITEMS = 3
CALLS_AT_ONCE = 8
"""Items of a map that a provider answers at the same time."""
PLACEHOLDER_LIMIT = 400_000
"""Most characters of a placeholder for an unknown text; longer texts fit no model."""


class ModelSpec(TypedDict):
    """A model in an agent's recorded definition."""

    name: str


class Size(NamedTuple):
    """Bytes of an unknown text: fewest, typical, and most, where each byte counts one token."""

    low: int
    typical: int
    most: int


class Known(NamedTuple):
    """A known value."""

    value: object


@dataclass(slots=True)
class NodeSize:
    """The estimate of one agent node over a whole run.

    Attributes
    ----------
    step
        The node, inside the nodes around it: ``outer/inner``.
    model
        The notebook's name of the first model; with a route, of all that may answer: ``small → big`` in order, ``small, big``
        where one of them is chosen.
    usd
        (low, expected, high) US dollars; None where a price is unknown.
    batch_usd
        Expected US dollars at batch prices; None where one has none.
    """

    step: str
    model: str
    calls: Range
    usd: Dollars | None
    seconds: Range
    tokens: Range
    batch_usd: Decimal | None = None
    machine: AgentMachine | None = None
    """The conversation, where everything that the agent reads is known."""
    offer: Offer | None = None
    max_visits: float = 1.0
    models: frozenset[str] = frozenset()
    """``provider/model`` of every model that the node may call."""
    answerers: tuple[tuple[str, Offer | None], ...] = ()
    """Models that may answer: the named one, or every one that the route may choose."""

    def take(self, more: NodeSize) -> None:
        """Add another call of the same step."""
        self.calls, self.tokens = _after(self.calls, more.calls), _after(self.tokens, more.tokens)
        self.seconds, self.models = _after(self.seconds, more.seconds), self.models | more.models
        self.usd = (
            None
            if self.usd is None or more.usd is None
            else Dollars(*(a + b for a, b in zip(self.usd, more.usd, strict=True)))
        )
        self.batch_usd = self.machine = None


@dataclass(slots=True)
class PlanSize:
    """The estimate of a run of a plan: its agent nodes in order, and the whole."""

    nodes: list[NodeSize] = field(default_factory=list)
    usd: Dollars | None = NOTHING
    seconds: Range = NO_TIME
    out: Size | Known = field(default_factory=lambda: Size(0, 0, 0))
    notes: list[str] = field(default_factory=list)
    unpriced: list[str] = field(default_factory=list)
    """Models without a known price."""


def plan_size(
    plan: Plan, inputs: Mapping[str, object], book: ModelBook, answers: Mapping[str, object] | None = None
) -> PlanSize:
    """Estimate a run of `plan` on these inputs. O(nodes), with a few rendered prompts for each agent.

    Parameters
    ----------
    inputs
        The given inputs; a missing one counts as 100 tokens, which a note says.
    answers
        Step -> its answer, where that is known (from the response cache).
    """
    given: dict[str, Size | Known] = {name: Known(value) for name, value in inputs.items()}
    made = _Sizing(plan, given, book, answers or {}, "").whole()
    missing = [name for name in plan.inputs if name not in inputs]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        made.notes.insert(0, f"{names} not given: {UNKNOWN_BYTES // TYPICAL_BYTES} tokens each assumed")
    made.notes = list(dict.fromkeys(made.notes))
    return made


class _Sizing:
    """One walk over a plan, nodes in topological order."""

    def __init__(
        self, plan: Plan, given: Mapping[str, Size | Known], book: ModelBook, answers: Mapping[str, object], frame: str
    ) -> None:
        self.plan, self.given, self.book, self.answers, self.frame = plan, given, book, answers, frame
        self.values: dict[str, Size | Known] = {}
        self.ends: dict[str, Range] = {}
        self.out = PlanSize()
        self._usd: list[Dollars] = []

    def whole(self) -> PlanSize:
        """Walk the plan and return its estimate."""
        often = visits(self.plan, self._items)
        if often.is_guessed:
            self.out.notes.append("the number of items of an unknown list is assumed: 3, at most 10")
        for node, times in zip(self.plan.nodes, often.each, strict=True):
            self._usd.append(NOTHING)
            seconds = self._node(node, times)
            if node.chooser is not None and node.chooser.how == "judge":
                seconds = _after(seconds, self._judge(node, node.chooser, times))
            self.ends[node.name] = _after(self._before(node), seconds)
        self._total(often)
        self.out.out = self._output()
        return self.out

    def _total(self, often: Visits) -> None:
        usd = self._usd
        if self.out.usd is not None:
            high = most_of([u.high for u in usd], often.choices) if usd else ZERO
            self.out.usd = Dollars(sum((u.low for u in usd), ZERO), sum((u.expected for u in usd), ZERO), high)
        ends = list(self.ends.values()) or [NO_TIME]
        self.out.seconds = Range(*(max(end[k] for end in ends) for k in range(3)))

    def _before(self, node: PlanNode) -> Range:
        """Return the time at which all nodes before a node have ended."""
        ends = [self.ends[source] for source in self._sources(node) if source in self.ends]
        return Range(*(max((end[k] for end in ends), default=0.0) for k in range(3)))

    def _sources(self, node: PlanNode) -> list[str]:
        """Return the nodes whose forward arrows lead to a node."""
        topo = topology(self.plan)
        return [self.plan.nodes[topo.source[e]].name for e in topo.incoming[topo.index[node.name]]]

    # ------------------------------------------------------------ nodes
    def _node(self, node: PlanNode, times: Range) -> Range:
        match node.kind:
            case "agent":
                return self._agent(node, times)
            case "graph":
                return self._inner(node, times)
            case "function" | "tool":
                self.values[node.name] = self._output_size(node)
                return Range(0.0, 0.01 * times.expected, (node.timeout_s or FUNCTION_S) * times.high)
            case _:  # a person's time is not counted, and a switch takes none
                self.values[node.name] = self._incoming(node)
                return NO_TIME

    def _inner(self, node: PlanNode, times: Range) -> Range:
        sub = self.plan.subplans[node.name]
        given = {read.name: self._read(read) for read in node.reads}
        made = _Sizing(sub, given, self.book, self.answers, f"{self.frame}{node.name}/").whole()
        for inner in made.nodes:
            inner.calls, inner.tokens = inner.calls.times(times), inner.tokens.times(times)
            inner.usd, inner.seconds = None if inner.usd is None else inner.usd.times(times), inner.seconds.times(times)
            inner.batch_usd = None if inner.batch_usd is None else inner.batch_usd * _decimal(times.expected)
            inner.max_visits *= times.high
        self.out.nodes += made.nodes
        self.out.notes += made.notes
        self.out.unpriced += made.unpriced
        self._count(None if made.usd is None else made.usd.times(times))
        self.values[node.name] = made.out if node.each is None else _many(made.out)
        return made.seconds.times(times)

    def _agent(self, node: PlanNode, times: Range) -> Range:
        use = _Use(node, [self._read(read) for read in node.reads], self.book)
        step = f"{self.frame}{node.name}"
        usd = None if use.usd is None else use.usd.times(times)
        if usd is None:
            self.out.unpriced += use.unpriced
        self._count(usd)
        side_by_side = min(CALLS_AT_ONCE, max(1.0, times.expected)) if node.each is not None else 1
        at_once = Range(1.0, 1.0 / side_by_side, 1.0)
        seconds = use.seconds.times(times).times(at_once)
        self.out.nodes.append(
            NodeSize(
                step, use.name, use.calls.times(times), usd, seconds, use.tokens.times(times),
                None if use.batch_usd is None else use.batch_usd * _decimal(times.expected),
                use.machine, use.offer, times.high, use.ids, use.answerers,
            )
        )  # fmt: skip
        if step in self.answers:
            self.values[node.name] = Known(self.answers[step])
        else:
            made = answer_size(node.spec.get("out"), node.spec["max_tokens"])
            self.values[node.name] = made if node.each is None else _many(made)
        return seconds

    def _judge(self, node: PlanNode, chooser: Chooser, times: Range) -> Range:
        """Estimate the call of a judge that chooses the next node; it is part of the node's own step."""
        use = _Verdict(chooser, _size(self.values.get(node.name, _UNKNOWN)), self.book)
        self.out.unpriced += use.unpriced
        usd = None if use.usd is None else use.usd.times(times)
        step, before = f"{self.frame}{node.name}", self._usd[-1]
        self._count(None if usd is None else Dollars(*(a + b for a, b in zip(before, usd, strict=True))))
        mine = NodeSize(step, chooser.model, times, usd, use.seconds.times(times), use.tokens.times(times), None, None, use.offer,
                        times.high, use.ids)  # fmt: skip
        own = next((n for n in self.out.nodes if n.step == step), None)
        if own is None:
            self.out.nodes.append(mine)
        else:
            own.take(mine)
        return mine.seconds

    def _count(self, usd: Dollars | None) -> None:
        if usd is None:
            self.out.usd = None
        else:
            self._usd[-1] = usd

    # ------------------------------------------------------------ values
    def _items(self, node: PlanNode) -> int | None:
        assert node.each is not None
        found = self._read(node.each) if node.each.source in ("input", "const") else None
        return len(found.value) if isinstance(found, Known) and isinstance(found.value, list) else None

    def _read(self, read: Read) -> Size | Known:
        found = self._source(read)
        if isinstance(found, Known):
            try:
                return Known(dig(found.value, read.path)) if read.path else found
            except KeyError:
                return Known(None)
        if read.path and read.source == "node":
            return self._part(read)
        return Size(0, found.typical // 2, found.most) if read.optional else found

    def _part(self, read: Read) -> Size:
        """Return the size of a field of an unknown answer."""
        node = self.plan.node(read.ref)
        schema: object = node.spec.get("out") if node.kind == "agent" else None
        for name in read.path:
            schema = schema.get("properties", {}).get(name) if isinstance(schema, dict) else None
        whole = self.values.get(read.ref)
        most = whole.most if isinstance(whole, Size) else UNKNOWN_BYTES
        made = answer_size(schema, most) if schema is not None else Size(0, min(UNKNOWN_BYTES, most), most)
        return Size(0, made.typical // 2, made.most) if read.optional or read.back else made

    def _source(self, read: Read) -> Size | Known:
        match read.source:
            case "input":
                return self.given.get(read.ref) or (Known(None) if read.optional else _UNKNOWN)
            case "const":
                return Known(read.value)
            case "node":
                return self.values.get(read.ref) or self._later(read)
            case "group":
                return _one_of([self.values[m] for m in read.members if m in self.values] or [_UNKNOWN])
            case "item":
                return self._item(read)
        return _UNKNOWN

    def _later(self, read: Read) -> Size:
        """Return the size of a value that a loop brings back, from a later node: it is missing in the first round."""
        node = self.plan.node(read.ref)
        if node.kind != "agent":
            return Size(0, UNKNOWN_BYTES // 2, UNKNOWN_BYTES * 4)
        made = answer_size(node.spec.get("out"), node.spec["max_tokens"])
        return Size(0, made.typical // 2, made.most)

    def _item(self, read: Read) -> Size | Known:
        each = self.plan.node(read.ref).each
        assert each is not None
        found = self._read(each)
        if isinstance(found, Known) and isinstance(found.value, list) and found.value:
            sizes = [bytes_of(value) for value in found.value]
            return Size(min(sizes), sum(sizes) // len(sizes), max(sizes))
        whole = found if isinstance(found, Size) else _UNKNOWN
        return Size(0, whole.typical // LIST_ITEMS, whole.most)

    def _incoming(self, node: PlanNode) -> Size | Known:
        found = [self.values[source] for source in self._sources(node) if source in self.values]
        return _one_of(found) if found else _UNKNOWN

    def _output_size(self, node: PlanNode) -> Size:
        """Assume the size of a function's result: that of its inputs, or a paragraph."""
        read = [_size(self._read(r)) for r in node.reads]
        typical = max(UNKNOWN_BYTES, sum(size.typical for size in read))
        return Size(0, typical, max(4 * typical, sum(size.most for size in read)))

    def _output(self) -> Size | Known:
        found = [self.values[name] for name in self.plan.out if name in self.values]
        if len(found) == 1:
            return found[0]
        sizes = [_size(one) for one in found]
        return Size(0, sum(s.typical for s in sizes), sum(s.most for s in sizes))


_UNKNOWN = Size(0, UNKNOWN_BYTES, UNKNOWN_BYTES * 4)


class _Use:
    """The estimate of one visit of an agent node."""

    def __init__(self, node: PlanNode, read: Sequence[Size | Known], book: ModelBook) -> None:
        self.spec, self.book = node.spec, book
        self.names = [r.name for r in node.reads]
        self.read = read
        self.models = [(m, self._offer(m)) for m in node.spec["models"]]
        first = self.models[:1] if not node.spec.get("route") else self.models
        self.name, self.offer = _names(first, node.spec.get("route")), first[0][1]
        self.answerers = tuple((model["name"], offer) for model, offer in first)
        is_typed, has_tools = node.spec.get("schema") is not None, bool(node.spec.get("tools"))
        most_turns = TOOL_TURNS if has_tools else 0
        self.others = [(m, self._offer(m)) for m in node.spec.get("others", ())]
        self.samples = max(_samples(node.spec.get(key)) for key in ("route", "second_opinion"))
        asked = [offer for _, offer in (*self.models, *self.others) if offer is not None]
        self.ids = frozenset(f"{offer.provider}/{offer.model}" for offer in asked)
        self.calls = Range(
            1.0,
            2.0 if has_tools else 1.0,
            float(len(self.models) * self.samples + OTHERS_ASKED * len(self.others) + is_typed + most_turns),
        )
        self.unpriced: list[str] = []
        self.usd = self._dollars(first, is_typed, most_turns)
        self.batch_usd = self._batch(first[0][1])
        self.machine = self._machine(node) if self._is_known else None

    def _offer(self, model: ModelSpec) -> Offer | None:
        try:
            return self.book.resolve(model["name"])
        except OrchError:
            return None

    def _price(self, offer: Offer | None, name: str) -> Price | None:
        price = None if offer is None else self.book.prices.price(offer)
        if price is None:
            self.unpriced.append(name)
        return price

    @property
    def _is_known(self) -> bool:
        return all(isinstance(one, Known) for one in self.read)

    def _machine(self, node: PlanNode) -> AgentMachine:
        """Return the conversation of one visit; the choice of a route is not predicted."""
        from orch_nb.agents.machine import AgentMachine

        return AgentMachine(
            node.spec,
            {name: one.value for name, one in zip(self.names, self.read, strict=True) if isinstance(one, Known)},
        )

    def _dollars(
        self, first: Sequence[tuple[ModelSpec, Offer | None]], is_typed: bool, most_turns: int
    ) -> Dollars | None:
        from orch_nb.catalog.prices import bound, cost
        from orch_nb.schema.messages import Usage

        most = self.spec["max_tokens"]
        likely = likely_tokens(self.spec.get("out"), most)
        lows, means, high = [], [], ZERO
        tokens = []
        for number, (model, offer) in enumerate(self.models):
            least, typical, longest = self._requests(model)
            price = self._price(offer, model["name"])
            fewest = sum(len(m.content.encode()) for m in least.messages) // LONG_WORDS
            usual = -(-_prompt_bound(typical) // TYPICAL_BYTES)
            if number < len(first):
                tokens.append(Range(fewest + 1, usual + likely, _prompt_bound(longest) + most))
            if price is None:
                continue
            if number < len(first):
                turns = 1 + (1 if most_turns else 0)
                lows.append(cost(Usage(fewest, 1), price))
                means.append(turns * self.samples * cost(Usage(usual + (turns - 1) * TOOL_RESULT // 2, likely), price))
            high += self.samples * bound(longest, price)
            if number == 0:
                for turn in range(1, most_turns + 1 + is_typed):
                    more = "x" * (turn * (most + TOOL_RESULT))
                    is_repair = turn > most_turns  # of an answer that was cut, with twice the tokens
                    high += bound(_longer(longest, more, most * (1 + is_repair)), price)
        judged = ZERO
        for model, offer in self.others:
            price = self._price(offer, model["name"])
            if price is not None:
                judged += cost(Usage(usual, JUDGED_TOKENS), price)
                high += OTHERS_ASKED * bound(longest, price)
        self.tokens = Range(
            min(t.low for t in tokens), sum(t.expected for t in tokens) / len(tokens), sum(t.high for t in tokens)
        )
        self.seconds = self._seconds(likely, self.tokens)
        if self.unpriced:
            return None
        return Dollars(min(lows), sum(means, ZERO) / len(means) + judged, high)

    def _batch(self, offer: Offer | None) -> Decimal | None:
        """Return the expected dollars of one visit at batch prices."""
        if self.usd is None or offer is None:
            return None
        price = self.book.prices.price(offer)
        return None if price is None or price.batch is None else self.usd.expected * price.batch

    def _seconds(self, likely: int, tokens: Range) -> Range:
        """Return the seconds of the calls. Fake models of this process answer at once."""
        provider = self.offer.provider if self.offer is not None else ""
        most = self.spec["max_tokens"]
        if provider in ("echo", "scripted"):
            return Range(0.0, 0.01, 1.0)
        if self.offer is not None and self.offer.is_local:
            return Range(0.0, 0.2 + likely / 40 + tokens.expected / 400, 5.0 + most / 8 + tokens.high / 100).times(
                self.calls
            )
        timeout = self.spec.get("timeout_s") or 120.0
        return Range(0.0, 0.8 + likely / 60, min(timeout, 10.0 + most / 12)).times(self.calls)

    def _stand_ins(self, k: int) -> list[object]:
        """Return the values of the reads, or texts of their low (0), typical (1) or highest (2) size."""
        return [
            one.value
            if isinstance(one, Known)
            else "x" * min(PLACEHOLDER_LIMIT, (one.low, one.typical, max(one.most, one.typical))[k])
            for one in self.read
        ]

    def _requests(self, model: ModelSpec) -> list[ModelRequest]:
        """Return the first request at its low, typical and highest size; all are the same where everything is known."""
        if self._is_known:
            return [self._request(model, self._stand_ins(0))] * 3
        return [self._request(model, self._stand_ins(k)) for k in range(3)]

    def _request(self, model: ModelSpec, values: Sequence[object]) -> ModelRequest:
        """Return the first request of a conversation with these values."""
        from orch_nb.agents.machine import AgentMachine
        from orch_nb.engine.ports import Call

        spec = {key: value for key, value in self.spec.items() if key not in ("route", "second_opinion")}
        spec["models"] = [model]
        step = AgentMachine(spec, dict(zip(self.names, values, strict=True))).next(())
        assert isinstance(step, Call)  # a conversation begins with a call
        request: ModelRequest = step.request
        return request


def _samples(route: object) -> int:
    """Return how many answers a route compares of each model: ``by: agreement(3)`` asks three times."""
    by = route.get("by") if isinstance(route, dict) else None
    return max(1, measure(by).k) if by else 1


def _names(models: Sequence[tuple[ModelSpec, Offer | None]], route: object) -> str:
    """Return the names of the models that may answer, in order."""
    is_cascade = isinstance(route, dict) and "cascade" in route
    return (" → " if is_cascade else ", ").join(model["name"] for model, _ in models)


class _Verdict:
    """The estimate of one call of a judge on a node's value."""

    def __init__(self, chooser: Chooser, size: Size, book: ModelBook) -> None:
        from orch_nb.catalog.prices import bound, cost
        from orch_nb.routing.judge import judge_request
        from orch_nb.schema.messages import Usage

        try:
            self.offer: Offer | None = book.resolve(chooser.model)
        except OrchError:
            self.offer = None
        price = None if self.offer is None else book.prices.price(self.offer)
        self.ids = frozenset() if self.offer is None else frozenset({f"{self.offer.provider}/{self.offer.model}"})
        choices = [(name, chooser.describe.get(name, "")) for name in chooser.candidates]
        texts = ["x" * min(PLACEHOLDER_LIMIT, n) for n in (size.low, size.typical, max(size.most, size.typical))]
        least, typical, longest = (judge_request(chooser.model, text, choices, "", what="step") for text in texts)
        fewest = sum(len(m.content.encode()) for m in least.messages) // LONG_WORDS
        usual = -(-_prompt_bound(typical) // TYPICAL_BYTES)
        self.tokens = Range(fewest + 1, usual + JUDGED_TOKENS, _prompt_bound(longest) + longest.max_tokens)
        self.seconds = Range(0.0, 1.0, longest.timeout_s)
        self.unpriced = [] if price is not None else [chooser.model]
        self.usd = None
        if price is not None:
            low, likely = cost(Usage(fewest, 1), price), cost(Usage(usual, JUDGED_TOKENS), price)
            self.usd = Dollars(low, likely, bound(longest, price))


def answer_size(schema: object, max_tokens: int) -> Size:
    """Return the size of an answer of this JSON Schema (None: of a text), at most `max_tokens` tokens."""
    typical = min(likely_tokens(schema, max_tokens), max_tokens) * TYPICAL_BYTES
    return Size(1, max(1, typical), max_tokens)


def likely_tokens(schema: object, max_tokens: int) -> int:
    """Return the expected number of tokens of an answer of this schema.

    Examples
    --------
    >>> likely_tokens(None, 1024), likely_tokens({"type": "boolean"}, 1024)
    (256, 2)
    """
    if schema is None:
        return min(max_tokens, TYPICAL_ANSWER)
    return max(1, min(max_tokens, _schema_tokens(schema, 0)))


def _schema_tokens(schema: object, depth: int) -> int:
    if not isinstance(schema, dict) or depth > 6:
        return TYPICAL_FIELD
    if "enum" in schema:
        labels = [len(str(label)) for label in schema["enum"]] or [1]
        return 1 + sum(labels) // len(labels) // TYPICAL_BYTES
    if parts := schema.get("anyOf") or schema.get("oneOf"):
        return max(_schema_tokens(part, depth + 1) for part in parts)
    kind = schema.get("type")
    if kind == "object":
        fields = schema.get("properties", {})
        return 2 + sum(
            3 + len(name) // TYPICAL_BYTES + _schema_tokens(part, depth + 1) for name, part in fields.items()
        )
    if kind == "array":
        return 2 + LIST_ITEMS * _schema_tokens(schema.get("items"), depth + 1)
    return 2 if kind in ("boolean", "integer", "number", "null") else TYPICAL_FIELD


# ------------------------------------------------------------------ small arithmetic
def _after(before: Range, seconds: Range) -> Range:
    return Range(*(a + b for a, b in zip(before, seconds, strict=True)))


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value))


def _prompt_bound(request: ModelRequest) -> int:
    from orch_nb.catalog.prices import prompt_bound

    return prompt_bound(request)


def _longer(request: ModelRequest, more: str, max_tokens: int) -> ModelRequest:
    from dataclasses import replace

    from orch_nb.schema.messages import Message

    return replace(request, messages=(*request.messages, Message("user", more)), max_tokens=max_tokens)


def bytes_of(value: object) -> int:
    """Return the bytes of a value as text in a prompt."""
    from orch_nb.schema.values import compact

    text = value if isinstance(value, str) else compact(value)
    return len(text.encode("utf-8", "surrogatepass"))


def _size(one: Size | Known) -> Size:
    if isinstance(one, Size):
        return one
    n_bytes = bytes_of(one.value)
    return Size(n_bytes, n_bytes, n_bytes)


def _one_of(found: Sequence[Size | Known]) -> Size | Known:
    """Return the size of the one value, or of a list of all."""
    if len(found) == 1:
        return found[0]
    sizes = [_size(one) for one in found]
    return Size(min(s.low for s in sizes), sum(s.typical for s in sizes) // len(sizes), sum(s.most for s in sizes))


def _many(made: Size | Known) -> Size:
    """Return the size of a map's list."""
    one = _size(made)
    return Size(0, one.typical * LIST_ITEMS, one.most * 10)


__all__ = ["Known", "NodeSize", "PlanSize", "Size", "answer_size", "likely_tokens", "plan_size"]
