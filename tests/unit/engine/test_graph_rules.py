"""The meaning of a graph, rule by rule: each drawn in the notation, run, and read back from its events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orch_nb.errors import GraphError
from orch_nb.schema import events as ev
from tests.support import Graphlike, Performer, Scripted, plan_of, run_plan, run_text, values_of


def make(**fields):
    """A node that makes a constant mapping."""
    return lambda: dict(fields)


def test_a_chain_runs_in_order_and_each_reads_the_one_before():
    """Sequential pipeline: A's output is B's input, B's is C's."""
    state, log, performer = run_text("a -> b -> c", {"x": 1}, a=lambda x: x + 1, b=lambda a: a * 10, c=lambda b: b + 5)

    assert (state.status, state.output, performer.performed) == ("done", 25, ["a", "b", "c"])


def test_by_chooses_exactly_one_and_the_others_are_skipped():
    """`by` is exclusive: one branch runs, the others and what hangs on them alone are skipped."""
    _, log, performer = run_text(
        "t -> {billing, sales} by t.kind else general\nbilling -> deep",
        t=make(kind="sales"), billing=make(x=1), sales=make(x=2), general=make(x=3), deep=lambda billing: billing,
    )  # fmt: skip

    assert performer.performed == ["t", "sales"]


def test_by_without_a_match_takes_else():
    """The else of `by` is taken when the value names no candidate, and the decision says so."""
    _, log, performer = run_text("t -> {a, b} by t.kind else c", t=make(kind="odd"), a=make(), b=make(), c=make())
    finished = next(e for e in log.events if isinstance(e, ev.Finished) and e.node == "t")

    assert performer.performed == ["t", "c"]
    assert finished.decision["chooser"]["value"] == "odd"
    assert finished.decision["chooser"]["choice"] is None


def test_every_true_when_is_taken():
    """`when` is not exclusive: all true arrows are taken, and the values they saw are recorded."""
    _, log, performer = run_text(
        "t -> a when t.n > 1\nt -> b when t.n > 2\nt -> c when t.n > 9\nt -> d else",
        t=make(n=5),
        a=make(),
        b=make(),
        c=make(),
        d=make(),
    )
    seen = next(e for e in log.events if isinstance(e, ev.Finished) and e.node == "t").decision["predicates"]

    assert performer.performed == ["t", "a", "b"]
    assert seen["c: t.n > 9"] == {"values": {"t.n": 5}, "result": False, "exhausted": False}


def test_else_is_taken_when_nothing_else_was():
    """`else` is the exit of last resort."""
    _, _, performer = run_text("t -> a when t.n > 9\nt -> d else", t=make(n=5), a=make(), d=make())

    assert performer.performed == ["t", "d"]


def test_else_is_taken_when_at_most_is_exhausted():
    """A loop that may not go round again leaves by `else`, though its condition still holds."""
    _, log, performer = run_text(
        "draft -> qa\nqa -> draft when qa.score < 0.6 at most 2\nqa -> send when qa.score >= 0.6\nqa -> help else",
        draft=lambda qa=None: {"text": "x"}, qa=lambda draft: {"score": 0.1}, send=lambda qa: "sent", help=lambda qa: "help",
    )  # fmt: skip

    assert performer.performed == ["draft", "qa"] * 3 + ["help"]


def test_only_conditional_exits_end_at_a_person():
    """A node with only conditional exits and no else gets a human exit: never a silent done."""
    plan = plan_of("t -> a when t.n > 9", t=make(n=5), a=make())
    state, log = run_plan(plan, performer=Performer(t=make(n=5), a=make()), attended=False)

    assert plan.node("t_exit").kind == "human"
    assert state.status == "failed"
    assert "needs a person" in state.error.message


def test_a_declared_end_needs_no_person():
    """A node named in `out` may end the run when none of its conditions holds."""
    state, _, _ = run_text("t -> a when t.n > 9\nout t", t=make(n=5), a=make())

    assert (state.status, state.output) == ("done", {"n": 5})


def test_a_false_gate_passes_its_input_on():
    """`NAME: KIND when EXPR` is a gate: false means passed, not skipped; its input is its output, its exits are live."""
    state, log, performer = run_text(
        "t -> check -> send\ncheck: human when t.n < 0.8", t=make(n=0.9), send=lambda check: check
    )
    passed = next(e for e in log.events if isinstance(e, ev.Finished) and e.node == "check")

    assert (passed.status, passed.value, passed.decision["result"]) == ("passed", {"n": 0.9}, False)
    assert state.output == {"n": 0.9}


def test_a_true_gate_runs_its_node():
    """A gate whose condition holds is the node itself."""
    _, log, performer = run_text(
        "t -> check -> send\ncheck: function fix when t.n < 0.8",
        t=make(n=0.1),
        fix=lambda t: "fixed",
        send=lambda check: check,
    )

    assert values_of(log)["send"] == "fixed"


def test_skips_propagate_and_a_join_waits_for_its_active_parents():
    """A node none of whose arrows was taken is skipped, and so on; a join runs once with what ran."""
    _, log, performer = run_text(
        "t -> a when t.n > 9\nt -> b when t.n < 9\nt -> z else\na -> a2\n{a2, b} -> join",
        t=make(n=5), a=make(), b=make(v=2), z=make(), a2=lambda a: 1, join=lambda b, a2=None: [a2, b["v"]],
    )  # fmt: skip

    assert performer.performed == ["t", "b", "join"]
    assert values_of(log)["join"] == [None, 2]


def test_a_group_read_is_the_member_that_ran():
    """`specialist.x` is the answer of the one member that ran."""
    state, _, _ = run_text(
        "t -> {a, b} by t.kind\ns = {a, b}\ns -> end", t=make(kind="b"), a=make(x=1), b=make(x=2), end=lambda s: s["x"]
    )

    assert state.output == 2


def test_a_group_read_is_a_list_in_declared_order_where_several_ran():
    """Several members that ran are read as a list, in declared order, not in order of arrival."""
    state, _, _ = run_text(
        "t -> {b, a}\ns = {a, b}\ns -> end", t=make(), a=make(x=1), b=make(x=2), end=lambda s: [v["x"] for v in s]
    )

    assert state.output == [1, 2]


def test_instances_run_one_definition_under_several_names():
    """`{j1, j2, j3}: function judge` are three nodes; `with` binds their reads."""
    state, _, performer = run_text(
        "d -> {j1, j2}\n{j1, j2} -> end\n{j1, j2}: function judge with text = d.answer, weight = 3",
        d=make(answer="ok"), judge=lambda text, weight: [text, weight], end=lambda j1, j2: [j1, j2],
    )  # fmt: skip

    assert state.output == [["ok", 3], ["ok", 3]]


def test_each_maps_and_gathers_in_item_order():
    """`plan -> worker each plan.tasks as task` runs once an item; the result is a list in item order."""
    state, log, _ = run_text(
        "plan -> worker each plan.tasks as task\nworker -> end",
        plan=make(tasks=[{"n": 3}, {"n": 1}]), worker=lambda task: task["n"] * 2, end=lambda worker: worker,
    )  # fmt: skip

    assert state.output == [6, 2]
    assert [ev.key(e) for e in log.events if isinstance(e, ev.Finished) and e.item is not None] == [
        "worker[1][0]",
        "worker[1][1]",
    ]


def test_each_over_an_empty_list_is_an_empty_list():
    """A map over nothing finishes with nothing."""
    state, _, _ = run_text(
        "plan -> w each plan.tasks as task\nw -> end", plan=make(tasks=[]), w=lambda task: task, end=lambda w: w
    )

    assert state.output == []


def test_a_failed_item_fails_the_map():
    """Without a partial policy one failed item fails the run; the others' results are kept."""
    state, log, _ = run_text("p -> w each p.tasks as task", p=make(tasks=[1, 0, 2]), w=lambda task: 1 // task)

    assert state.status == "failed"
    assert sum(isinstance(e, ev.Finished) and e.item is not None for e in log.events) == 2


def test_a_failed_item_is_null_under_a_partial_policy():
    """`on_failure: skip` on a mapped node: its failed items are null, the rest is merged."""
    from orch_nb.tools.function import node

    @node(on_failure="skip")
    def w(task):
        return 6 // task

    state, _, _ = run_text("p -> w each p.tasks as task\nw -> end", p=make(tasks=[1, 0, 2]), w=w, end=lambda w: w)

    assert state.output == [6, None, 3]


def test_a_nested_graph_reads_by_with_and_gives_only_its_out():
    """A graph is a node: it reads what `with` binds, and outsiders read its `out`."""
    state, log, _ = run_text(
        "a -> inner -> end\ninner: graph sub with topic = a.t",
        a=make(t="fish"), sub=Graphlike("sub", "x -> y\nout y"), x=lambda topic: topic + "!", y=lambda x: x * 2, end=lambda inner: inner,
    )  # fmt: skip

    assert state.output == "fish!fish!"
    assert "inner/x" in values_of(log)


def test_a_nested_graph_may_be_mapped():
    """A graph as the target of `each` opens a frame an item: keys are outer/inner[round][item]."""
    state, log, _ = run_text(
        "p -> inner each p.items as topic\ninner -> end\ninner: graph sub",
        p=make(items=["a", "b"]), sub=Graphlike("sub", "x -> y\nout y"), x=lambda topic: topic + "!", y=lambda x: x * 2, end=lambda inner: inner,
    )  # fmt: skip

    assert state.output == ["a!a!", "b!b!"]
    assert "inner[1][1]/x" in values_of(log)


def test_a_loop_reopens_its_body_only():
    """Rounds re-run the nodes between target and source; what lies before and beside them runs once."""
    state, log, performer = run_text(
        "before -> a -> b\nbefore -> beside\nb -> a when b.n < 3 at most 9\nb -> end else",
        before=make(), beside=lambda before: 1, a=lambda b=None: (b or {"n": 0})["n"] + 1, b=lambda a: {"n": a}, end=lambda b: b["n"],
    )  # fmt: skip

    assert performer.performed.count("before") == performer.performed.count("beside") == 1
    assert [k for k in values_of(log) if k.startswith(("a", "b["))] == ["a", "a[2]", "b[2]", "a[3]", "b[3]"]


def test_what_does_not_belong_to_the_body_does_not_wait_for_the_loop():
    """A branch beside a loop runs to its end while the loop still goes round."""
    import asyncio

    order = []
    gate = asyncio.Event()

    async def slow(b=None):
        await gate.wait()
        order.append("loop")
        return 1

    async def beside():
        order.append("beside")
        gate.set()
        return 1

    run_text(
        "t -> a -> b\nt -> beside\nb -> a when b < 9 at most 1\nb -> end else",
        t=make(),
        a=slow,
        b=lambda a: a,
        beside=beside,
        end=lambda b: b,
    )

    assert order == ["beside", "loop", "loop"]


def test_an_exit_is_taken_once_from_the_final_round():
    """An arrow out of a body is seen when the body settles: an effect behind it cannot happen twice."""
    _, log, performer = run_text(
        "a -> b\na -> log\nb -> a when b < 3 at most 9\nb -> end else",
        a=lambda b=0: b + 1, b=lambda a: a, log=lambda a: f"final {a}", end=lambda b: b,
    )  # fmt: skip

    assert performer.performed.count("log") == 1
    assert values_of(log)["log"] == "final 3"


def test_nested_loops_count_anew_in_each_outer_round():
    """`at most n` resets per outer activation of its body."""
    _, _, performer = run_text(
        "h -> x -> y\nx -> x when true at most 2\nx -> y else\ny -> h when true at most 1\ny -> end else".replace("h -> x -> y", "h -> x"),
        h=lambda: 1, x=lambda: 1, y=lambda: 1, end=lambda: 1,
    )  # fmt: skip

    assert performer.performed == ["h", "x", "x", "x", "y"] * 2 + ["end"]


def test_a_back_read_sees_the_latest_completed_round():
    """`{{ qa.feedback? }}` is absent in round 1 and the last round's value afterwards."""
    seen = []
    run_text(
        "a -> b\nb -> a when b < 2 at most 5\nb -> end else",
        a=lambda b=None: seen.append(b) or 1, b=lambda a: len(seen), end=lambda b: b,
    )  # fmt: skip

    assert seen == [None, 1]


def test_state_keys_fold_by_their_reducer_in_canonical_order():
    """Extra keys are declared and reduced; the order is the plan's, not that of arrival."""
    from orch_nb.tools.function import node

    @node(writes={"found": "append"})
    def a():
        return {"found": ["from a"]}

    @node(writes={"found": "append"})
    async def b():
        import asyncio

        await asyncio.sleep(0)
        return {"found": ["from b"]}

    state, _, _ = run_text("t -> {b, a}\n{a, b} -> end", t=make(), a=a, b=b, end=lambda found: found)

    assert state.output == ["from b", "from a"]


def test_growth_adds_a_checked_graph_under_its_parent():
    """A node that returns a graph grows it in its place; its out becomes the node's value; it is recorded as data."""
    from orch_nb.engine.drive import Expand
    from orch_nb.lang.graph_cell import parse_graph

    grown = parse_graph("juniors", "{j1, j2} -> sum\nout sum")
    state, log, _ = run_text(
        "senior -> end", senior=lambda: Expand(grown, n=4), end=lambda senior: senior,
        j1=lambda n: n, j2=lambda n: n + 1, sum=lambda j1, j2: j1 + j2,
    )  # fmt: skip
    opened = next(e for e in log.events if isinstance(e, ev.Opened))

    assert state.output == 9
    assert [n["name"] for n in opened.plan["nodes"]] == ["j1", "j2", "sum"]
    assert "senior/j1" in values_of(log)


def test_a_barrier_joins_and_hands_on_what_ran():
    """`NAME: barrier` waits for all its parents and gives their values by name: lock-step on request."""
    state, _, performer = run_text("t -> {a, b}\n{a, b} -> all -> {c, d}\nall: barrier", t=make(), a=lambda: 1, b=lambda: 2,
                                   c=lambda all: all, d=lambda all: all)  # fmt: skip

    assert state.output == {"c": {"a": 1, "b": 2}, "d": {"a": 1, "b": 2}}


def test_similarity_chooses_by_text_with_a_threshold_and_else():
    """`by similarity(PATH) above X else NAME` asks the chooser for the candidate, recorded with all scores."""
    from orch_nb.tools.function import node

    def team(name):
        return node(lambda message: name, describe=name)

    state, log, _ = run_text(
        "route -> {cards, fees} by similarity(message) above 0.5 else other\nroute: switch", {"message": "about fees"},
        cards=team("cards"), fees=team("fees"), other=lambda message: "other",
    )  # fmt: skip
    decision = next(e for e in log.events if isinstance(e, ev.Finished) and e.node == "route").decision

    assert state.output == {"fees": "fees"}
    assert decision["chooser"]["scores"] == {"cards": 0.0, "fees": 1.0}


# ------------------------------------------------------------------ what does not compile
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a -> b\nb -> a", "a loop without a bound"),
        ("a -> b\nc -> c2\nd: human", "`d` has no arrow"),
        ("a -> nobody", "no agent, function or graph `nobody`"),
        ("a -> b at most 2", "goes back to nothing"),
        ("a -> c\nc -> b at most 1\nb -> d\nd -> b\nd -> a at most 1", "a loop without a bound"),
        ("a -> reads_c\nreads_c -> c", "does not come before it"),
        ("w1 -> end\nw2 -> end\na -> {w1, w2}", "needs a reducer"),
        ("a -> b when a.scor > 1\na -> c else", "does not make"),
        ("a -> loopread\nloopread -> back\nback -> loopread at most 2\nloopread -> c", "write `back?`"),
    ],
)
def test_what_is_wrong_is_said_before_any_spend(text, says):
    """Each mistake in a graph is named at compile time, with what to write."""
    from orch_nb.tools.function import node

    space = {
        "a": Scripted(schema={"type": "object", "properties": {"score": {"type": "number"}}}), "b": lambda: 1, "c": lambda: 1,
        "c2": lambda: 1, "d": lambda: 1, "reads_c": lambda c: 1, "end": lambda: 1, "loopread": lambda back: 1, "back": lambda: 1,
        "w1": node(writes={"k": "last"})(lambda: {"k": 1}),
        "w2": node(writes={"k": "last"})(lambda: {"k": 2}),
    }  # fmt: skip

    with pytest.raises(GraphError) as caught:
        plan_of(text, **space)

    assert says in str(caught.value)


def test_a_near_miss_of_a_name_is_an_error_not_an_input():
    """A read of `tickets` beside a node `ticket` is taken for a slip of the pen."""
    with pytest.raises(GraphError, match="did you mean `ticket`"):
        plan_of("ticket -> b", ticket=lambda: 1, b=lambda tickets: 1)


def test_ten_thousand_nodes_compile_and_a_deep_chain_runs():
    """Size is not an error: a chain of 5,000 compiles and runs without recursion."""
    n = 5000
    text = "\n".join(f"n{i} -> n{i + 1}" for i in range(n))
    state, _, _ = run_text(text, **{f"n{i}": (lambda: 1) for i in range(n + 1)})

    assert state.status == "done"


def test_a_skip_runs_down_a_deep_chain():
    """Skips propagate iteratively: 5,000 skipped nodes need no recursion."""
    n = 5000
    text = "t -> n0 when t.x > 1\nt -> other else\n" + "\n".join(f"n{i} -> n{i + 1}" for i in range(n))
    state, _, performer = run_text(text, t=make(x=0), other=lambda: 1, **{f"n{i}": (lambda: 1) for i in range(n + 1)})

    assert performer.performed == ["t", "other"]


# ------------------------------------------------------------------ loops that wait for each other
WAITING_LOOPS = (
    "s -> {a1, b1}\na1 -> a2\nb1 -> b2\na1 -> b2\nb1 -> a2\n"
    "a2 -> a1 when false at most 2\nb2 -> b1 when false at most 2\nout a2, b2"
)
ONE_LOOP = "s -> {a1, b1}\na1 -> a2\nb1 -> b2\na1 -> b2\nb1 -> a2\n{a2, b2} -> e\ne -> s when false at most 2\nout e"
ONE_DIRECTION = WAITING_LOOPS.replace("b1 -> a2\n", "")


def constants(*names):
    """Nodes that read nothing."""
    return {name: (lambda: 1) for name in names}


def loops_of(plan):
    """The nodes of each loop of a plan."""
    return sorted(sorted(body.nodes) for body in plan.bodies)


def test_two_loops_that_wait_for_each_other_are_one_loop():
    """Both have the nodes between them, and the run ends with every node done."""
    plan = plan_of(WAITING_LOOPS, **constants("s", "a1", "a2", "b1", "b2"))
    assert loops_of(plan) == [["a1", "a2", "b1", "b2"]]
    state, _ = run_plan(plan, performer=Performer(**constants("s", "a1", "a2", "b1", "b2")))
    assert (state.status, state.complete) == ("done", True)
    assert loops_of(plan_of(ONE_DIRECTION, **constants("s", "a1", "a2", "b1", "b2"))) == [["a1", "a2"], ["b1", "b2"]]
    assert loops_of(plan_of(ONE_LOOP, **constants("s", "a1", "a2", "b1", "b2", "e"))) == [
        ["a1", "a2", "b1", "b2", "e", "s"]
    ]


def test_loops_that_wait_for_each_other_are_found_inside_another_loop():
    """At every nesting level: the two lie in the body of a third, and a third node lies between them."""
    text = (
        "s -> {a1, b1}\na1 -> a2\nb1 -> b2\na1 -> x -> b2\nb1 -> a2\n{a2, b2} -> e\n"
        "a2 -> a1 when false at most 2\nb2 -> b1 when false at most 2\ne -> s when false at most 1\nout e"
    )
    plan = plan_of(text, **constants("s", "a1", "a2", "b1", "b2", "x", "e"))
    assert loops_of(plan) == [["a1", "a2", "b1", "b2", "e", "s", "x"], ["a1", "a2", "b1", "b2", "x"]]


def test_three_loops_in_a_ring_are_one_loop():
    """A ring of three: each waits for the next, no two for each other."""
    ring = "s -> {a1, b1, c1}\na1 -> a2\nb1 -> b2\nc1 -> c2\na1 -> b2\nb1 -> c2\nc1 -> a2\n"
    back = "".join(f"{x}2 -> {x}1 when false at most 1\n" for x in "abc")
    plan = plan_of(f"{ring}{back}out a2, b2, c2", **constants("s", "a1", "a2", "b1", "b2", "c1", "c2"))
    assert loops_of(plan) == [["a1", "a2", "b1", "b2", "c1", "c2"]]


def unjoined(plan):
    """A plan as an older version stored it: each of its loops is a body of its own, though they wait for each other."""
    from orch_nb.engine.plan import Body

    bodies = tuple(
        Body(edge.target, (edge.target, edge.source), (e,))
        for e, edge in enumerate(plan.edges)
        if edge.at_most is not None
    )
    return replace(plan, bodies=bodies)


def test_a_run_with_nothing_due_and_nodes_left_is_our_fault_not_done():
    """Such a run ends `failed`, says which nodes never ran and asks for a report; a resume says the same."""
    plan = unjoined(plan_of(WAITING_LOOPS, **constants("s", "a1", "a2", "b1", "b2")))
    performer = Performer(**constants("s", "a1", "a2", "b1", "b2"))
    state, log = run_plan(plan, performer=performer)
    for _ in range(2):
        assert (state.status, state.error.type, state.error.code) == ("failed", "InternalError", "ORCH212")
        assert "`a2`, `b2` never ran" in state.error.message
        assert "report" in state.error.hint
        state, log = run_plan(plan, log=log, performer=performer)
    assert performer.performed == ["s", "a1", "b1"]
