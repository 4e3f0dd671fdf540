"""Objects of the namespace as nodes: what each says about itself, and the callables that a plan's functions are bound to."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import sys
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeGuard

from orch_nb.engine.plan import to_data
from orch_nb.engine.user_code import contained
from orch_nb.errors import GraphError, NotDone, ReplayMismatch
from orch_nb.graph.compile import Facts, Want, compile_graph, single_node_spec
from orch_nb.schema.budget import Budget, parse_budget
from orch_nb.schema.secrets import REDACTOR, secret_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Executor

    from orch_nb.agents.agent import Agent
    from orch_nb.engine.plan import Plan, PlanNode
    from orch_nb.graph.builder import Graph
    from orch_nb.schema.graph_spec import GraphSpec

KEY_PARAMETER = "idempotency_key"
"""A function that declares an effect may take its key by this parameter and hand it on."""


def is_agent(value: object) -> TypeGuard[Agent]:
    """Return whether a value of the notebook is an agent. Imports nothing: no value is one before its class is imported."""
    module = sys.modules.get("orch_nb.agents.agent")
    return module is not None and isinstance(value, module.Agent)


def is_graph(value: object) -> TypeGuard[Graph]:
    """Return whether a value of the notebook is a graph. Imports nothing, as `is_agent`."""
    module = sys.modules.get("orch_nb.graph.builder")
    return module is not None and isinstance(value, module.Graph)


def is_definition(value: object) -> TypeGuard[Graph | Agent]:
    """Return whether a value of the notebook is a graph or an agent."""
    return is_graph(value) or is_agent(value)


def facts_of(name: str, target: object) -> Facts:
    """Return what `target` is as a node.

    Raises
    ------
    GraphError
        It can be none.
    """
    from orch_nb.agents.agent import Agent
    from orch_nb.graph.builder import Graph
    from orch_nb.tools.registry import Tool

    if isinstance(target, Graph):
        return Facts("graph", graph=target.spec())
    if isinstance(target, Agent):
        return _agent_facts(target)
    if isinstance(target, Tool):
        return _function_facts(target.function, "tool")
    if inspect.isclass(target) or not callable(target):
        raise GraphError(
            f"`{name}` is a {type(target).__name__}, which cannot be a node.",
            hint="a node is an agent, a function, a graph, or `NAME: human`",
        )
    return _function_facts(target, "function")


def _agent_facts(agent: Any) -> Facts:
    from orch_nb.agents.fingerprint import node_fingerprint

    spec, definition = agent.spec, agent.definition()
    budget = Budget() if spec.budget is None else parse_budget(spec.budget)
    return Facts(
        "agent",
        [Want(r.path[0], r.path[1:], r.optional, ".".join(r.path)) for r in agent.reads],
        dict(spec.writes),
        definition,
        agent.out.schema if agent.out is not None else None,
        fingerprint=node_fingerprint("agent", definition),
        timeout_s=spec.timeout,
        attempts=spec.retry,
        budget_usd=None if budget.usd is None else str(budget.usd),
        budget=budget.beside_usd(),
        on_failure=spec.on_failure,
        describe=spec.describe or "",
        examples=tuple(spec.examples),
    )


def _function_facts(fn: Callable[..., object], kind: str) -> Facts:
    from orch_nb.agents.fingerprint import node_fingerprint
    from orch_nb.agents.source import function_fingerprint, source_hash
    from orch_nb.tools.function import function_spec

    f = function_spec(fn)
    content, _ = function_fingerprint(fn)
    wants = [Want(p, (), False, p) for p in f.reads if p != KEY_PARAMETER]
    wants += [Want(p, (), True, p) for p in f.optional if p != KEY_PARAMETER]
    return Facts(
        kind,
        wants,
        dict(f.writes),
        {"inline": f.inline},
        source_hash=source_hash(fn),
        fingerprint=node_fingerprint(kind, {}, content) if not f.effects else "",
        effects=f.effects,
        timeout_s=f.timeout_s,
        attempts=f.attempts,
        on_failure=f.on_failure,
        describe=f.describe,
        examples=f.examples,
    )


def compile_in(target: Any, namespace: Mapping[str, object], name: str = "") -> Plan:
    """The plan of a graph (or its spec), an agent or a function, names bound in `namespace`.

    Every way into a run comes by here: a graph, a row of a batch, a call of a recording, a graph that a node grew.

    Raises
    ------
    GraphError
        Everything that is wrong with the graph, at once.
    BadOption
        There is a secret in it.
    """
    is_spec = hasattr(target, "nodes") and hasattr(target, "edges") and not hasattr(target, "spec")
    plan = _with_offers(compile_graph(target if is_spec else graph_spec(target, name), namespace, facts_of))
    refuse_secrets(plan)
    return plan


def _with_offers(plan: Plan) -> Plan:
    """The plan with what the models of its judges stand for now; those of agents are in their definitions."""
    subplans = {name: _with_offers(sub) for name, sub in plan.subplans.items()}
    nodes = tuple(map(_with_offer, plan.nodes))
    is_same = all(a is b for a, b in zip(nodes, plan.nodes, strict=True))
    is_same = is_same and all(sub is plan.subplans[name] for name, sub in subplans.items())
    return plan if is_same else replace(plan, nodes=nodes, subplans=subplans)


def _with_offer(node: PlanNode) -> PlanNode:
    from orch_nb.catalog import models
    from orch_nb.errors import UnknownModel

    if node.chooser is None or not node.chooser.model:
        return node
    try:
        offer = models.current().resolve(node.chooser.model)
    except UnknownModel:
        return node  # it can be drawn before its model is named; running it says what is missing
    kept = {**offer.definition(), "name": node.chooser.model}
    return replace(node, chooser=replace(node.chooser, offer=kept))


def refuse_secrets(plan: Plan) -> None:
    """Refuse a plan with a key or a password in it: a plan is stored, its prompts are sent to models and shared with the notebook.

    Raises
    ------
    BadOption
        The node and the part of it are named; the secret is not.
    """
    if REDACTOR.finds(to_data(plan)):
        raise secret_error(next(what for what, part in _parts(plan) if REDACTOR.finds(part)))


def _parts(plan: Plan) -> Iterator[tuple[str, object]]:
    """Return what a plan consists of, in words, and the part itself."""
    for node in plan.nodes:
        yield f"the name of a node of `{plan.name}`", node.name
        for part, value in node.spec.items():
            name = "prompt" if part in ("prompt", "persona") else f"`{part}`"
            yield f"the {name} of `{node.name}`", value
        yield f"the gate of `{node.name}`", (node.gate, node.gate_reads)
        yield f"a description or an example that `{node.name}` chooses by", node.chooser
        yield f"the definition of `{node.name}`", node
    for edge in plan.edges:
        yield f"the condition of `{edge.source} -> {edge.target}`", edge
    for sub in plan.subplans.values():
        yield from _parts(sub)
    yield f"the graph `{plan.name}`", to_data(plan)


def graph_spec(target: object, name: str = "") -> GraphSpec:
    """The spec whose plan `compile_in` makes."""
    if hasattr(target, "spec") and hasattr(target, "nx"):
        made: GraphSpec = target.spec()
        return made
    return single_node_spec(name or getattr(target, "name", "") or getattr(target, "__name__", "node"), target)


def function_key(node: PlanNode) -> str:
    """Return what a plan's function is bound by: its name in the notebook, and the hashes of its source and of what it uses."""
    return f"{node.function}#{node.source_hash}#{node.fingerprint}"


def callables(plan: Plan, namespace: Mapping[str, Any], spec: GraphSpec | None = None) -> dict[str, Any]:
    """`function_key` -> callable for every function and tool node of a plan and the graphs inside it.

    Parameters
    ----------
    spec
        The edited graph where there is one: objects given in Python count before names of the namespace.
    """
    found: dict[str, Any] = {}
    for node in plan.nodes:
        given = spec.nodes[node.name].target if spec is not None and node.name in spec.nodes else None
        target = given if given is not None else namespace.get(node.function)
        if target is None:
            continue
        if node.kind in ("function", "tool"):
            found[function_key(node)] = target.function if node.kind == "tool" else target
        elif node.kind == "graph":
            found.update(callables(plan.subplans[node.name], namespace, target.spec()))
    for name, sub in plan.subplans.items():
        if spec is None and namespace.get(plan.node(name).function) is None:
            found.update(callables(sub, namespace))
    return found


def check_sources(plan: Plan, namespace: Mapping[str, Any], run: str) -> None:
    """Compare the functions at hand with those the run was started with.

    Raises
    ------
    ReplayMismatch
        A function is not defined here, or its source is not the recorded one; the node is named.
    """
    from orch_nb.agents.source import source_hash

    for node in plan.nodes:
        if node.kind not in ("function", "tool"):
            continue
        target = namespace.get(node.function)
        if target is None:
            raise ReplayMismatch(
                f"run {run} needs the function `{node.function}` for its node `{node.name}`, which is not defined here.",
                hint="run the cell that defines it, then resume",
                node=node.name,
            )
        source = source_hash(target.function if node.kind == "tool" else target)
        if node.source_hash and source != node.source_hash:
            raise ReplayMismatch(
                f"`{node.name}` is not what run {run} was started with: the source of `{node.function}` has changed.",
                hint="bring the old definition back and resume, or start a new run",
                node=node.name,
                recorded=node.source_hash,
                found=source,
            )
    for sub in plan.subplans.values():
        check_sources(sub, namespace, run)


def bound_call(node: PlanNode, target: Callable[..., object], pool: Executor) -> Callable[..., object]:
    """Return what the driver calls: ``call(values, key=None)``, a value or an awaitable.

    Coroutine functions run on the loop. Sync functions run in the pool with the context copied, unless they ask to run
    inline; a Stop or a time-out abandons the thread, and its late result is ignored.
    """
    call = _call(node, target, pool)
    return _entering(node, target, call) if node.effects else call


def _entering(node: PlanNode, target: Callable[..., object], call: Callable[..., object]) -> Callable[..., object]:
    """The call of a function with effects: what keeps it from being entered says that nothing was done."""

    def entered(values: dict[str, object], key: str | None = None) -> object:
        given = {**values, KEY_PARAMETER: key} if _nature(target)[0] else values
        try:
            inspect.signature(target).bind(**given)
        except (TypeError, ValueError) as error:
            raise NotDone(
                f"`{node.name}` was not entered: {error}", hint="see the parameters of the function"
            ) from error
        return call(values, key)

    return entered


def _call(node: PlanNode, target: Callable[..., object], pool: Executor) -> Callable[..., object]:
    takes_key, is_async = _nature(target)
    if is_async or node.spec.get("inline"):

        def direct(values: dict[str, object], key: str | None = None) -> object:
            return target(**values, **{KEY_PARAMETER: key}) if takes_key else target(**values)

        return direct

    def threaded(values: dict[str, object], key: str | None = None) -> object:
        if takes_key:
            values = {**values, KEY_PARAMETER: key}
        context = contextvars.copy_context()
        return asyncio.get_running_loop().run_in_executor(pool, lambda: context.run(contained, target, **values))

    return threaded


@lru_cache(maxsize=4096)
def _nature(target: Callable[..., object]) -> tuple[bool, bool]:
    """Return whether a function takes an idempotency key, and whether it is a coroutine function."""
    try:
        parameters: Mapping[str, object] = inspect.signature(target).parameters
    except (TypeError, ValueError):
        parameters = {}
    return KEY_PARAMETER in parameters, inspect.iscoroutinefunction(target)
