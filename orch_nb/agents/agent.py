"""`Agent`: a prompt, a model and the form of the answer, as one object of the notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_nb import current, display
from orch_nb.agents.answer import remember, request_schema
from orch_nb.agents.prompt import persona, system_text
from orch_nb.catalog import abilities
from orch_nb.errors import BadExpression, BadName, BadOption, BadType, CellError, OrchError, nearest
from orch_nb.lang.agent_cell import build_spec, parse_agent_cell, read_cell, save_cell, to_cell
from orch_nb.schema import route_spec
from orch_nb.schema.agent_spec import duration_s
from orch_nb.schema.names import option_problem
from orch_nb.schema.secrets import REDACTOR, secret_error
from orch_nb.tools.registry import Tool, ToolSet, find_tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from orch_nb.catalog.models import ModelBook
    from orch_nb.catalog.offers import Offer
    from orch_nb.lang.out_type import OutType
    from orch_nb.lang.template import TemplateRead
    from orch_nb.schema.agent_spec import AgentSpec
    from orch_nb.schema.messages import Message

MISREAD = 0.82
"""Least likeness of a misspelt read: one letter too few, too many or swapped. `ticket_id` beside `ticket` is an input."""


class Agent:
    """One specialised agent. Awaiting a call of it runs it: ``await triage(ticket="…")``.

    Parameters
    ----------
    name
        An identifier: the name it has in graphs.
    prompt
        The user message. ``{{ name }}`` and ``{{ node.field }}`` are its declared reads.
    **keys
        The keys of a cell (`AgentSpec`), with the same meaning. `tools` takes `@tool` objects as well as names, `out`
        takes a pydantic class as well as its name.

    Raises
    ------
    UnknownKey, BadOption, BadName, BadType, BadExpression
        The definition cannot act: a key, a value, the type of `out`, a read, an effect of a tool that is not declared.
    UnknownTool
        A tool of this name is not there.

    Examples
    --------
    >>> mood = Agent("mood", "Is this friendly? {{ message }}", out="{mood: friendly | angry}")
    >>> [read.text for read in mood.reads], mood.schema["required"]
    (['message'], ['mood'])
    """

    def __init__(self, name: str, prompt: str, **keys: Any) -> None:
        tools = keys.get("tools", ())
        given = [tools] if isinstance(tools, str | Tool) else list(tools)
        own = {one.name: one for one in given if isinstance(one, Tool)}
        keys["tools"] = [one.name if isinstance(one, Tool) else one for one in given]
        namespace = dict(own)
        if isinstance(keys.get("out"), type):
            namespace[keys["out"].__name__] = keys["out"]
        self._setup(build_spec({"name": name, "prompt": prompt, **keys}), namespace, "")

    def _setup(self, spec: AgentSpec, namespace: Mapping[str, object], source: str) -> None:
        _refuse_secrets(spec, source)
        self.spec = spec
        self.source = source
        self.reads: tuple[TemplateRead, ...] = _with_rules(_reads(spec, source), spec, source)
        _check_option_names(self.reads, source)
        self.out: OutType | None = _out_type(spec, namespace, source)
        if self.out is not None:
            remember(self.out)
        self._check = _check_hash(spec, namespace)
        self.tools = ToolSet.of(_tool(name, namespace, source) for name in spec.tools)
        self._check_effects()
        self._check_cache()

    def _check_cache(self) -> None:
        if self.spec.cache is not None and self.spec.effects:
            raise BadOption(
                f"`{self.name}` has `cache` and the effects {', '.join(self.spec.effects)}: an answer out of the cache would have "
                "them again, and nobody asked.",
                line=_line_with(self.source, "cache"), source=self.source, hint="take one of the two away",
            )  # fmt: skip

    def _check_effects(self) -> None:
        missing = self.tools.undeclared_effects(self.spec.effects)
        if missing:
            tool, effect = missing[0]
            needed = ", ".join(dict.fromkeys(e for _, e in missing))
            declared = ", ".join((*self.spec.effects, needed))
            raise BadOption(
                f"the tool `{tool}` has the effect `{effect}`, which `{self.name}` does not declare.",
                line=_line_with(self.source, "tool"), source=self.source,
                hint=f"add `effects: [{declared}]`, or take the tool away", tool=tool, effect=effect,
            )  # fmt: skip

    # ------------------------------------------------------------ what it is
    @property
    def name(self) -> str:
        """Its name in graphs and bills."""
        return self.spec.name

    @property
    def schema(self) -> dict[str, Any] | None:
        """The JSON Schema of its answer; None for text."""
        return None if self.out is None else self.out.schema

    @property
    def inputs(self) -> tuple[str, ...]:
        """First names of what it reads, in order of mention."""
        return tuple(dict.fromkeys(read.path[0] for read in self.reads))

    @property
    def model_names(self) -> tuple[str, ...]:
        """The models that may answer, in the order in which they are asked (or named by its route)."""
        return self._model_names(None)

    def _model_names(self, book: ModelBook | None) -> tuple[str, ...]:
        from orch_nb.catalog import models

        spec = self.spec
        if spec.route is None:
            return tuple(dict.fromkeys((spec.model, *spec.fallback)))
        known = (book or models.current()).chosen() if spec.route == route_spec.AUTO else []
        return tuple(dict.fromkeys((*route_spec.candidates(spec.route, known), *spec.fallback)))

    def offers(self, book: ModelBook | None = None) -> tuple[Offer, ...]:
        """Return what its models stand for today.

        Raises
        ------
        UnknownModel
            The notebook has no model of a name.
        """
        from orch_nb.catalog import models

        return tuple((book or models.current()).resolve(name) for name in self.model_names)

    def definition(self, book: ModelBook | None = None) -> dict[str, Any]:
        """Plain data that suffices to run it, in another process too: what a plan keeps.

        Parameters
        ----------
        book
            Resolves the names of its models; the runtime's unless told. A name that means nothing yet is kept as it is,
            so that a graph can be drawn before its models are named; running it says what is missing.
        """
        spec = self.spec
        described = self.out.describe() if self.out is not None else ""
        made = {
            "name": spec.name,
            "prompt": spec.prompt,
            "persona": persona(spec.role, spec.goal, spec.backstory),
            "out": self.schema,
            "schema": request_schema(self.schema),
            "answer": described if request_schema(self.schema) is self.schema else f'{{"value": {described}}}',
            "enforce": spec.enforce,
            "models": [self._model(name, book) for name in self._model_names(book)],
            "max_tokens": spec.max_tokens,
            "temperature": spec.temperature,
            "seed": spec.seed,
            "timeout_s": spec.timeout,
            **({} if spec.cache is None else {"cache_s": duration_s(spec.cache)}),
            "tools": [
                {"name": t.name, "description": t.description, "parameters": t.parameters, "effects": list(t.effects)}
                for t in self.tools
            ],
        }
        return {**made, **self._routing(book)} if spec.route is not None or spec.second_opinion is not None else made

    def _routing(self, book: ModelBook | None) -> dict[str, object]:
        """Return what a plan keeps of how models are chosen, and of those that answer something else than the task."""
        spec = self.spec
        made = {} if spec.route is None else self._route(book)
        others = [made["route"]["judge"]] if "judge" in made.get("route", ()) else []
        if spec.second_opinion is not None:
            made["second_opinion"] = route_spec.complete_second_opinion(spec.second_opinion)
            others.append(made["second_opinion"]["model"])
        if others:
            made["others"] = [self._model(name, book) for name in dict.fromkeys(others)]
        if self._check:
            made["check"] = self._check
        if points := self._calibrations(made, book):
            made["calibration"] = points
        return made

    def _calibrations(self, made: Mapping[str, Any], book: ModelBook | None) -> dict[str, Any]:
        """Return what labelled answers of this agent said that its confidences mean, by how they are measured."""
        from orch_nb.catalog import models

        ways = {part["by"] for part in (made.get("route"), made.get("second_opinion")) if part and "by" in part}
        known = (book or models.current()).calibration
        return {by: points for by in sorted(ways) if (points := known(self.name, by))}

    def _route(self, book: ModelBook | None) -> dict[str, Any]:
        """The route completed, its candidates named, so that nothing is looked up later."""
        spec = self.spec
        route = route_spec.complete(spec.route)
        route["models"] = [name for name in self._model_names(book) if name not in spec.fallback] or list(spec.fallback)
        made: dict[str, object] = {"route": route, "fallback": list(spec.fallback)}
        if spec.sla is not None:
            made["sla_s"] = spec.sla["seconds"]
        return made

    def _model(self, name: str, book: ModelBook | None) -> dict[str, object]:
        from orch_nb.catalog import models
        from orch_nb.errors import UnknownModel

        try:
            return {**(book or models.current()).resolve(name).definition(), "name": name}
        except UnknownModel:
            return {"name": name, "provider": "", "model": name, "json": True, "tools": True, "context_tokens": None}

    def fingerprint_parts(self) -> dict[str, object]:
        """Return what a function that awaits this agent depends on."""
        return {k: v for k, v in self.definition().items() if k not in ("name", "timeout_s")}

    # ------------------------------------------------------------ what it says
    def system_prompt(self, model: str = "", *, book: ModelBook | None = None) -> str:
        """The exact system prompt that is sent to its model (or to another one of its models); "" when there is none."""
        definition = self.definition(book)
        found = next(
            (m for m in definition["models"] if m["name"] == (model or self.model_names[0])), definition["models"][0]
        )
        return system_text(definition, found)

    def request(
        self, values: Mapping[str, object] | None = None, *, book: ModelBook | None = None
    ) -> tuple[Message, ...]:
        """The messages of its first request for these inputs.

        Raises
        ------
        SemanticFailure
            A read that is not optional has no value.
        """
        from orch_nb.agents.machine import AgentMachine
        from orch_nb.engine.ports import Call

        definition = {k: v for k, v in self.definition(book).items() if k not in ("route", "second_opinion")}
        step = AgentMachine(definition, dict(values or {}), out=self.out).next(())
        assert isinstance(step, Call)
        messages: tuple[Message, ...] = step.request.messages
        return messages

    def warnings(self, book: ModelBook | None = None) -> list[str]:
        """Return what is known to go wrong with this task on these models, each with the line to change."""
        from orch_nb.catalog import models

        out = self.misread()
        for key, name in self._model_keys(book):
            try:
                offer = (book or models.current()).resolve(name)
            except OrchError as error:
                out.append(f"`{key}: {name}`: {error} {error.hint}")
                continue
            if key == "judge":
                continue  # it answers with a name, whatever this task needs
            out += abilities.warnings(self, offer.family, name)
            if self.spec.tools and not offer.tools:
                out.append(f"`tools`: the interface of `{name}` takes none; they are asked for in the prompt instead.")
            if offer.context_tokens is not None and self.spec.max_tokens >= offer.context_tokens:
                out.append(
                    f"`max_tokens: {self.spec.max_tokens}` fills the {offer.context_tokens:,} tokens of `{name}`."
                )
        return list(dict.fromkeys(out))

    def misread(self) -> list[str]:
        """Return what a condition of the route reads that is nearly a read of the prompt: as written, it is an input of its own."""
        asked = list(dict.fromkeys(read.name for read in self.reads if read.column))
        rules = dict.fromkeys(read.name for read in self.reads if not read.column and read.name not in asked)
        near = {name: nearest(name, asked, alike=MISREAD) for name in rules}
        return [
            f"`route` reads `{name}`, which the prompt does not: it is an input of its own. did you mean `{found}`?"
            for name, found in near.items()
            if found
        ]

    def _model_keys(self, book: ModelBook | None) -> Iterator[tuple[str, str]]:
        """(key of the cell, model) of all that it may call: to answer, to judge, for a second opinion."""
        route = self.spec.route
        for name in self._model_names(book):
            yield "model" if route is None else "route", name
        if isinstance(route, dict) and "judge" in route:
            yield "judge", route["judge"]
        if self.spec.second_opinion is not None:
            yield "second_opinion", self.spec.second_opinion["model"]

    # ------------------------------------------------------------ as text
    def to_cell(self) -> str:
        """The cell that defines it: `from_cell` of it gives an equal agent."""
        return to_cell(self.spec, self.out.to_text() if self.out is not None else "")

    @classmethod
    def from_cell(cls, line: str, body: str, namespace: Mapping[str, object] | None = None) -> Agent:
        """The agent of a ``%%agent`` cell. `namespace` holds its tools and the class of its `out`.

        Raises
        ------
        CellError
            With the line in the cell; line 1 is the magic's.
        """
        made = cls.__new__(cls)
        source = f"%%agent {line}\n{body}"
        made._setup(parse_agent_cell(line, body), namespace or {}, source)
        return made

    @classmethod
    def from_file(cls, path: Path | str, namespace: Mapping[str, object] | None = None) -> Agent:
        """The agent of an ``agents/NAME.agent.md`` file, which has the text of its cell.

        Raises
        ------
        CellError
            The file cannot be read, or its cell is wrong.
        """
        line, body = read_cell(path)
        return cls.from_cell(line, body, namespace)

    def save(self, folder: Path | str = ".") -> Path:
        """Write ``agents/NAME.agent.md`` below `folder`; `from_file` reads it back."""
        return save_cell(self.to_cell(), self.name, folder)

    # ------------------------------------------------------------ running and showing
    async def __call__(self, **inputs: object) -> Any:
        """Run it once and give its answer: within `orch.record()` as part of that run, else as a run of its own."""
        return await current.api().call(self, inputs, {t.name: t for t in self.tools})

    def quote(self, **inputs: object) -> current.Estimate:
        """Return what one answer to these inputs is likely to cost and to take. Nothing is sent."""
        return current.api().quote(self, namespace={t.name: t for t in self.tools}, **inputs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Agent):
            return False
        alike = {"out": None}  # `out` counts by its schema: there is more than one way to write a type
        return self.spec.model_copy(update=alike) == other.spec.model_copy(update=alike) and self.schema == other.schema

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        reads = ", ".join(read.text for read in self.reads) or "nothing"
        out = self.out.to_text() if self.out is not None else "str"
        model = f"model={self.spec.model!r}" if self.spec.route is None else f"route={self.spec.route!r}"
        return f"Agent({self.name!r}, {model}, reads=({reads}), out={out!r})"

    def _repr_mimebundle_(self, **_: object) -> object:
        return display.bundle(self)


def _reads(spec: AgentSpec, source: str) -> tuple[TemplateRead, ...]:
    from orch_nb.lang.template import Template

    offset = max(0, len(source.splitlines()) - len(source[_prompt_start(spec, source) :].splitlines())) if source else 0
    try:
        return Template.parse(spec.prompt, offset).reads
    except BadExpression as error:
        raise _in_source(error, source) from None


def _with_rules(reads: tuple[TemplateRead, ...], spec: AgentSpec, source: str) -> tuple[TemplateRead, ...]:
    """The prompt's reads and those of the route's conditions: what decides about an agent, it reads."""
    from orch_nb.lang.condition import Predicate
    from orch_nb.lang.template import TemplateRead

    found = {read.path: read for read in reads}
    line = _line_with(source, "route")
    for text in route_spec.conditions(spec.route):
        try:
            paths = Predicate.parse(text).paths
        except BadExpression as error:
            raise _in_source(error, source, line=line) from None
        for path in paths:
            found.setdefault(path.parts, TemplateRead(path.parts, path.optional, line, 0))
    return tuple(found.values())


def _check_option_names(reads: tuple[TemplateRead, ...], source: str) -> None:
    """Refuse a read that is called as an option of `run`: ``budget=`` in a call is always the budget."""
    for read in reads:
        problem, hint = option_problem(read.path[0])
        if problem:
            raise BadName(problem, line=read.line if source else 0, column=read.column, source=source, hint=hint)


def _check_hash(spec: AgentSpec, namespace: Mapping[str, object]) -> dict[str, str]:
    """The function that checks answers, and the hash of its source where it is at hand: another check, another answer."""
    from orch_nb.agents.source import function_fingerprint

    ways = [part["by"] for part in (spec.route, spec.second_opinion) if isinstance(part, dict) and "by" in part]
    name = next((found for by in ways if (found := route_spec.measure(by).name)), "")
    if not name:
        return {}
    target = namespace.get(name)
    return {"name": name, "hash": (function_fingerprint(target)[0] or "") if callable(target) else ""}


def _refuse_secrets(spec: AgentSpec, source: str) -> None:
    """Refuse a definition with a key in it where it is made: before it is shown, saved, run or sent."""
    for name in type(spec).model_fields:
        if REDACTOR.finds(getattr(spec, name)):
            part = name if name == "prompt" else f"`{name}`"
            raise secret_error(f"the {part} of `{spec.name}`", source)
    if REDACTOR.is_in(source):
        raise secret_error(f"the cell of `{spec.name}`", source)


def _prompt_start(spec: AgentSpec, source: str) -> int:
    found = source.rfind(spec.prompt)
    return found if found >= 0 else len(source)


def _out_type(spec: AgentSpec, namespace: Mapping[str, object], source: str) -> OutType | None:
    if spec.out is None:
        return None
    from orch_nb.lang.out_type import OutType

    try:
        return OutType.parse(spec.out, dict(namespace))
    except BadType as error:
        raise _in_source(error, source, line=error.line or _line_with(source, "out")) from None


def _tool(name: str, namespace: Mapping[str, object], source: str) -> Tool:
    try:
        return find_tool(name, namespace)
    except OrchError as error:
        line = _line_with(source, "tool")
        if line:
            shown = source.splitlines()[line - 1]
            raise type(error)(f"line {line}: {error}\n    {shown}", hint=error.hint, line=line, **error.facts) from None
        raise


def _line_with(source: str, key: str) -> int:
    """The line of the cell on which a key is given, as a flag or in the front matter; 0 without a cell."""
    for number, row in enumerate(source.splitlines(), 1):
        if row.lstrip().startswith((key, f'"{key}')) or (number == 1 and f"--{key}" in row):
            return number
    return 1 if source else 0


def _in_source(error: CellError, source: str, *, line: int = 0) -> CellError:
    """The same error, pointing into the cell."""
    import re

    text = re.sub(r"^line \d+: ", "", str(error.args[0]).split("\n    ", 1)[0])
    facts = {k: v for k, v in error.facts.items() if k not in ("line", "column")}
    if not source:
        return error
    column = 0 if line else error.column
    return type(error)(text, line=line or error.line, column=column, source=source, hint=error.hint, **facts)
