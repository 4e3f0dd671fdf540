"""What a loop means: its body, what runs again, what is read, and how its bounds count; each drawn, run and read back."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random

import pytest

from orch_nb.engine.plan import from_data, to_data
from orch_nb.engine.state import DONE, SKIPPED
from orch_nb.errors import GraphError, SemanticFailure
from orch_nb.graph.compile import compile_graph
from orch_nb.graph.loops import Bodies, ancestors, members
from orch_nb.schema import events as ev
from orch_nb.schema.graph_spec import EdgeSpec, GraphSpec, NodeSpec
from orch_nb.tools.function import node
from tests.support import (
    Graphlike,
    ListLog,
    Performer,
    Scripted,
    Shuffled,
    driver_for,
    facts_of,
    plan_of,
    run_plan,
    run_text,
)

ROUTES = {
    "type": "object",
    "properties": {"next": {"type": "string", "enum": ["w1", "w2", "w3", "w4", "w5", "finish"]}},
}
MANY = {"type": "object", "properties": {"next": {"type": "array", "items": {"enum": ["w1", "w2", "finish"]}}}}


class Says:
    """A function node that gives its results one after the other, the last for ever."""

    def __init__(self, *results):
        self.results, self.calls = results, 0

    def function(self):
        def says():
            self.calls += 1
            return self.results[min(self.calls, len(self.results)) - 1]

        return says


def says(*results):
    return Says(*results).function()


def agent(schema, *results, reads=()):
    """An agent of that type which gives its results one after the other."""
    left = list(results)
    return Scripted(*reads, schema=schema, answer=lambda values, replies: left.pop(0) if len(left) > 1 else left[0])


def ran(log):
    """The keys of what ended, in order."""
    return [ev.key(e) for e in log.events if isinstance(e, ev.Finished)]


def loops_of(plan):
    return sorted(sorted(body.nodes) for body in plan.bodies)


# ------------------------------------------------------------------ bodies
def test_a_supervisor_with_five_workers_is_one_loop_of_four_lines():
    """It chooses a worker, reads what it made and chooses again, until it finishes; each worker is run only when it is chosen."""
    seen = []

    def finish(workers=None):
        seen.append(workers)
        return "end"

    boss = agent(ROUTES, {"next": "w2"}, {"next": "w5"}, {"next": "w2"}, {"next": "finish"}, reads=("workers?",))
    text = (
        "boss -> {w1, w2, w3, w4, w5, finish}   by boss.next   at most 6   else finish\n"
        "workers = {w1, w2, w3, w4, w5}\n"
        "workers -> boss\n"
        "out finish"
    )
    state, log, _ = run_text(text, boss=boss, finish=finish, **{f"w{k}": says(k, k * 10) for k in range(1, 6)})
    assert (state.status, state.output) == ("done", "end")
    assert ran(log) == ["boss", "w2", "boss[2]", "w5[2]", "boss[3]", "w2[3]", "boss[4]", "finish"]
    assert seen == [[20, 5]], "the latest of each worker that ran, in declared order"


def test_a_critic_sends_any_subset_back_and_the_rest_keep_their_results():
    """Only what was sent back, and what follows from it, runs again."""
    asks = says({"redo1": True, "redo3": True}, {"redo1": False, "redo3": True}, {"redo1": False, "redo3": False})
    text = (
        "start -> {r1, r2, r3} -> critic\n"
        "critic -> r1 when critic.redo1 == true at most 3\n"
        "critic -> r3 when critic.redo3 == true at most 3\n"
        "critic -> out else\nout critic"
    )
    state, _, performer = run_text(
        text, start=says(0), r1=says("a", "b"), r2=says("c"), r3=says("d", "e", "f"), critic=asks
    )
    assert state.status == "done"
    ran = [key.partition("[")[0] for key in performer.performed]
    assert [ran.count(name) for name in ("start", "r1", "r2", "r3", "critic")] == [1, 2, 1, 3, 3]


def test_writer_and_critic_end_done_at_out():
    """`critic -> out else` ends the graph when the bound is used up; what was written is its output."""
    text = "writer -> critic\ncritic -> writer when critic.score < 0.8 at most 2\ncritic -> out else\nout writer"
    state, log, _ = run_text(text, writer=says("1", "2", "3", "4"), critic=says({"score": 0.1}))
    assert (state.status, state.output) == ("done", "3")
    assert ran(log) == ["writer", "critic", "writer[2]", "critic[2]", "writer[3]", "critic[3]"]


def test_loops_that_contain_each_other_nest_and_others_that_overlap_are_one():
    """`plan -> draft -> check` with two arrows back nests; arrows back that cross make one loop of all their nodes."""
    names = {n: says(1) for n in "abcd"}
    nested = plan_of("a -> b -> c\nc -> b when c > 1 at most 3\nc -> a when c > 2 at most 1\nc -> out else", **names)
    assert loops_of(nested) == [["a", "b", "c"], ["b", "c"]]
    crossed = plan_of(
        "a -> b -> c -> d\nc -> a when c > 1 at most 2\nd -> b when d > 1 at most 2\nc -> out else\nd -> out else",
        **names,
    )
    assert loops_of(crossed) == [["a", "b", "c", "d"]]


def test_an_inner_loop_that_is_entered_again_counts_from_zero():
    """Its bound holds for each round of the loop around it."""
    text = "a -> b\nb -> b when b > 0 at most 2\nb -> c else\nc -> a when c > 0 at most 1\nc -> out else\nout c"
    _, _, performer = run_text(text, a=says(1), b=says(1), c=says(1))
    ran = [key.partition("[")[0] for key in performer.performed]
    assert ran == ["a", "b", "b", "b", "c", "a", "b", "b", "b", "c"]


def test_arrows_on_one_line_share_one_bound_and_separate_lines_have_their_own():
    """`{b, c} -> a at most 2` is two reopenings in all; two lines allow two for each."""
    one = "a -> {b, c, d} by a.next else d\n{b, c} -> a at most 2\nout d"
    two = "a -> {b, c, d} by a.next else d\nb -> a at most 2\nc -> a at most 2\nout d"
    for text, rounds in ((one, 3), (two, 5)):
        chooses = says(*[{"next": "b"}] * 2, *[{"next": "c"}] * 9)
        _, _, performer = run_text(text, a=chooses, b=says(1), c=says(1), d=says("end"))
        ran = [key.partition("[")[0] for key in performer.performed]
        assert ran.count("a") == rounds, text


def test_several_arrows_back_at_once_are_one_reopening():
    """Both were taken: the body reopens once, and each of their counters advances by one."""
    text = "s -> {a, b} -> c\nc -> a when c > 0 at most 2\nc -> b when c > 0 at most 2\nc -> out else\nout c"
    _, _, performer = run_text(text, s=says(0), a=says(1), b=says(1), c=says(1))
    ran = [key.partition("[")[0] for key in performer.performed]
    assert [ran.count(n) for n in "sabc"] == [1, 3, 3, 3]


def test_by_with_at_most_stops_offering_its_targets_in_the_loop_and_takes_else():
    """At six choices the seventh finds the workers used up; targets outside the loop stay on offer."""
    text = "boss -> {w1, finish}   by boss.next   at most 2   else stuck\nw1 -> boss\nout finish, stuck"
    state, log, _ = run_text(text, boss=says({"next": "w1"}), w1=says(1), finish=says("end"), stuck=says("stuck"))
    assert (state.status, state.output) == ("done", {"stuck": "stuck"})
    assert [k for k in ran(log) if k.startswith("boss")] == ["boss", "boss[2]", "boss[3]"]
    state, _, _ = run_text(
        text,
        boss=says({"next": "w1"}, {"next": "w1"}, {"next": "finish"}),
        w1=says(1),
        finish=says("end"),
        stuck=says("stuck"),
    )
    assert state.output == {"finish": "end"}


def test_a_list_value_of_by_takes_every_target_that_it_names():
    """A lead that answers with two names starts both; they run side by side, and it reads both."""
    boss = agent(MANY, {"next": ["w1", "w2"]}, {"next": ["w2"]}, {"next": ["finish"]}, reads=("workers?",))
    text = "boss -> {w1, w2, finish}   by boss.next   at most 4   else finish\nworkers = {w1, w2}\nworkers -> boss\nout finish"
    state, log, _ = run_text(text, boss=boss, w1=says(1), w2=says(2), finish=says("end"))
    assert state.status == "done"
    assert sorted(k.partition("[")[0] for k in ran(log)) == ["boss"] * 3 + ["finish", "w1", "w2", "w2"]
    first = next(e for e in log.events if isinstance(e, ev.Finished) and e.node == "boss")
    assert first.decision["chooser"]["choice"] == ["w1", "w2"]


def test_an_arrow_back_may_map_over_the_items_of_that_round():
    """The second round runs the items that were sent back, and its list is theirs."""

    def work(item):
        return item * 10

    def check(work):
        return {"again": [x // 10 for x in work if x > 10][:1] if len(work) > 1 else []}

    text = (
        "plan -> work   each plan.items as item\nwork -> check\n"
        "check -> work   each check.again as item   at most 1\ncheck -> out else\nout work"
    )
    state, log, _ = run_text(text, plan=says({"items": [1, 2, 3]}), work=work, check=check)
    assert [e.count for e in log.events if isinstance(e, ev.Mapped)] == [3, 1]
    assert (state.status, state.output) == ("done", [20])


def test_an_exit_is_seen_once_as_its_source_decided_last():
    """A draft that was good in round 1 and bad in the last is not sent: nothing behind the loop ran before the loop closed."""
    text = (
        "draft -> check\ncheck -> send when check.good == true\ncheck -> draft when check.again == true at most 2\n"
        "check -> bin else\nout send, bin"
    )
    results = [{"good": True, "again": True}, {"good": False, "again": True}, {"good": False, "again": False}]
    state, _, performer = run_text(text, draft=says(1), check=says(*results), send=says("sent"), bin=says("binned"))
    assert state.output == {"bin": "binned"}
    assert performer.performed[-1] == "bin"


# ------------------------------------------------------------------ reads
def test_a_read_from_the_round_before_is_fixed_when_the_loop_reopens():
    """Two that run side by side and read each other see each the other's last round, whichever ends first."""

    def left(right=None):
        return (right or 0) + 1

    def right(left=None):
        return (left or 0) + 10

    text = "s -> {left, right} -> end\nend -> s when true at most 2\nend -> out else\nout end"
    outcomes = set()
    for seed in range(8):
        state, _, _ = run_text(text, s=says(0), left=left, right=right, end=lambda left, right: (left, right))
        outcomes.add(str(state.output))
        assert seed >= 0
    assert outcomes == {"[12, 21]"}


def test_an_inner_loop_that_is_entered_again_does_not_see_the_entry_before():
    """Its first round has no round before, in each round of the loop around it."""
    seen = []

    def b(c=None):
        seen.append(c)
        return len(seen)

    text = "a -> b -> c\nc -> b when c.n < 2 at most 1\nc -> d else\nd -> a when true at most 1\nd -> out else\nout d"
    run_text(text, a=says(1), b=b, c=says({"n": 1}), d=says(1))
    assert seen == [None, {"n": 1}, None, {"n": 1}]


def test_behind_a_loop_the_latest_of_all_rounds_is_read():
    """A worker that ran in an early round only is read behind the loop with what it made then."""
    text = "boss -> {w1, w2, finish}   by boss.next   at most 4   else finish\n{w1, w2} -> boss\nout finish"
    state, _, _ = run_text(
        text, boss=says({"next": "w1"}, {"next": "w2"}, {"next": "finish"}), w1=says("one"), w2=says("two"),
        finish=lambda w1=None, w2=None: [w1, w2],
    )  # fmt: skip
    assert state.output == ["one", "two"]


def test_a_group_is_one_value_only_where_its_members_are_exclusive():
    """Chosen by one field: the member that ran. Taken by conditions: a list, also of one."""
    schema = {"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}}
    by = "t -> g   by t.kind   else a\ng = {a, b}\ng -> end\nout end"
    state, _, _ = run_text(by, t=agent(schema, {"kind": "b"}), a=says(1), b=says(2), end=lambda g: g)
    assert state.output == 2
    when = "t -> a when t.n > 5\nt -> b when t.n > 1\nt -> out else\ng = {a, b}\ng -> end\nout end"
    state, _, _ = run_text(when, t=says({"n": 2}), a=says(1), b=says(2), end=lambda g: g)
    assert state.output == [2]


def test_a_group_can_be_read_by_the_exits_of_its_members():
    """Each member's own exits see what it made."""
    text = "t -> g by t.kind else a\ng = {a, b}\ng -> second when g.confidence < 0.7\ng -> out else\nout second, g"
    low, high = says({"confidence": 0.5}), says({"confidence": 0.9})
    state, _, _ = run_text(text, t=says({"kind": "a"}), a=low, b=high, second=says("asked"))
    assert state.output["second"] == "asked"
    state, _, performer = run_text(text, t=says({"kind": "b"}), a=low, b=high, second=says("asked"))
    assert "second" not in performer.performed


def test_several_targets_where_a_group_is_read_as_one_value_fail_with_the_type_to_write():
    """A list of names from a step without a type does not silently give one of several results."""
    text = "t -> g by t.kind else a\ng = {a, b}\ng -> end\nout end"
    state, _, _ = run_text(text, t=says({"kind": ["a", "b"]}), a=says(1), b=says(2), end=lambda g: g)
    assert state.status == "failed"
    assert "must choose one target" in state.error.message


# ------------------------------------------------------------------ what does not compile
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a -> b\nb -> a", "a loop without a bound: a -> b -> a. Write `b -> a at most n`."),
        ("a -> b\nb -> c at most 2", "`b -> c at most 2` goes back to nothing"),
        ("a -> b -> c\nc -> a when c > 1 at most 2\nc -> d else\nlate -> d", "reads `b`, which may never have run"),
        ("a -> b\nb -> b each b as item at most 2\nb -> out else", "`b` is mapped only by an arrow back"),
    ],
)
def test_what_does_not_compile_shows_the_form_that_does(text, message):
    """Each error names the arrow or the read, and what to write."""
    names = {n: says(1) for n in ("a", "b", "c", "late")} | {"d": lambda b: b}
    if "may never" in message:
        text = "a -> {b, c} by a.n at most 2 else c\nb -> a\nc -> d"
    with pytest.raises(GraphError) as caught:
        plan_of(text, **names)
    assert message in str(caught.value.problems)


# ------------------------------------------------------------------ properties
def loop_graph(rng):
    """A random graph of 5 to 12 nodes with 2 to 6 arrows back, conditions that a hash decides, and nodes that may fail."""
    n = rng.randint(5, 12)
    forward = [(a, b) for a in range(n) for b in range(a + 1, n) if rng.random() < 0.35]
    for b in range(1, n):
        if not any(y == b for _, y in forward):
            forward.append((rng.randrange(b), b))
    before = ancestors(n, sorted(forward), list(range(n)))
    candidates = [(s, h) for s in range(n) for h in range(s + 1) if before[s] >> h & 1]
    spec = GraphSpec("g", {f"n{i}": NodeSpec(f"n{i}") for i in range(n)})
    for a, b in sorted(forward):
        conditional = rng.random() < 0.4
        condition = f"n{a}.v > {rng.randint(0, 7)}" if conditional else ""
        spec.edges.append(EdgeSpec(f"n{a}", f"n{b}", "when" if conditional else "plain", condition))
    backs = rng.sample(candidates, min(len(candidates), rng.randint(2, 6)))
    bodies = [x.nodes for x in Bodies(n, sorted(forward), before).of([(e, s, h) for e, (s, h) in enumerate(backs)])]
    for s, h in backs:
        spec.edges.append(
            EdgeSpec(f"n{s}", f"n{h}", "when", f"n{s}.v < {rng.randint(4, 9)}", at_most=rng.randint(1, 2))
        )
    spec.edges += [EdgeSpec(f"n{i}", "out", "else") for i in range(n)]
    seed = rng.random()
    functions = {}
    for i in range(n):
        readable = [
            r
            for r in range(n)
            if r != i and (before[i] >> r & 1 or any(x >> r & 1 and (x >> i & 1 or x & before[i]) for x in bodies))
        ]
        reads = sorted(rng.sample(readable, min(len(readable), rng.randint(0, 3))))
        functions[f"n{i}"] = Hashed(i, [f"n{r}?" for r in reads], seed, on_failure=rng.choice(["skip", "else"]))
    return spec, functions


class Hashed(Scripted):
    """A step whose value is a hash of all that it reads: any difference of a read shows in every value behind it."""

    def __init__(self, number, reads, seed, **facts):
        super().__init__(*reads, answer=self.value, **facts)
        self.number, self.seed = number, seed

    def value(self, values, replies):
        digest = hashlib.blake2b(repr((self.number, self.seed, sorted(values.items()))).encode()).digest()
        if digest[1] < 20:
            raise SemanticFailure("no value this time")
        return {"v": digest[0] % 10, "at": digest.hex()[:12]}


def test_every_execution_of_random_loops_ends_complete_and_alike_in_any_order():
    """Of random graphs with crossing loops, every execution stops by its bounds, has no node left, and its outcome is the
    same in four orders of completion; `make prove` takes 20,000 of them."""
    count = int(os.environ.get("ORCH_LOOP_GRAPHS", "150"))
    seed = int(os.environ.get("ORCH_SEED", "11"))
    ran = 0
    for k in range(count):
        spec, functions = loop_graph(random.Random(seed * 1_000_003 + k))
        try:
            plan = compile_graph(spec, functions, facts_of)
        except GraphError as error:
            assert "does not come before it" in str(error), (k, str(error))
            continue
        ran += 1
        outcomes = set()
        for order in range(4):
            state, log = run_plan(plan, performer=Shuffled(order, **functions))
            assert state.status == "done", (k, state.error)
            assert set(state.root.status) <= {DONE, SKIPPED}, k
            outcomes.add(
                repr((sorted((ev.key(e), e.value) for e in log.events if isinstance(e, ev.Finished)), state.root.round))
            )
        assert len(outcomes) == 1, k
        assert from_data(to_data(plan)) == plan
    assert ran > count * 0.9, (ran, count)


def test_bodies_are_closed_and_nest():
    """Of random arrows back: any two bodies are apart or nested, each has all nodes between its nodes, and contracted
    to points the bodies of one level have no cycle."""
    for seed in range(400):
        rng = random.Random(seed)
        n = rng.randint(5, 14)
        forward = [(a, b) for a in range(n) for b in range(a + 1, n) if rng.random() < 0.35]
        before = ancestors(n, forward, list(range(n)))
        backs = [(s, h) for s in range(n) for h in range(s + 1) if before[s] >> h & 1]
        chosen = rng.sample(backs, min(len(backs), rng.randint(2, 7)))
        found = Bodies(n, forward, before).of([(e, s, h) for e, (s, h) in enumerate(chosen)])
        sets = [set(members(x.nodes)) for x in found]
        for one in sets:
            assert all(one <= other or other <= one or not one & other for other in sets), seed
            between = {
                x for x in range(n) if any(before[x] >> u & 1 for u in one) and any(before[v] >> x & 1 for v in one)
            }
            assert between == one, seed
        assert sorted(e for x in found for e in x.arrows) == list(range(len(chosen))), seed


# ------------------------------------------------------------------ endings and failures
def test_a_bound_that_is_used_up_marks_the_run_and_its_result_is_not_ok():
    """The run is done with the writer's last draft, marked; one whose critic was satisfied is ok."""
    text = "writer -> critic\ncritic -> writer when critic.score < 0.8 at most 2\ncritic -> out else\nout writer"
    bad, log, _ = run_text(text, writer=says("1", "2", "3"), critic=says({"score": 0.1}))
    assert (bad.status, bad.output, bad.marks, bad.ok) == ("done", "3", ["bound used up"], False)
    last = [e for e in log.events if isinstance(e, ev.Finished)][-1]
    assert last.decision["exhausted"] == ["critic -> writer"]
    good, _, _ = run_text(text, writer=says("1", "2"), critic=says({"score": 0.1}, {"score": 0.9}))
    assert (good.status, good.marks, good.ok) == ("done", [], True)


def test_a_bound_used_up_in_an_earlier_round_of_an_outer_loop_does_not_mark_the_result():
    """Superseded rounds do not count."""
    text = "a -> b\nb -> b when b.n < 2 at most 1\nb -> c else\nc -> a when c.again == true at most 1\nc -> out else\nout b"
    state, _, _ = run_text(
        text, a=says(1), b=says({"n": 0}, {"n": 0}, {"n": 5}), c=says({"again": True}, {"again": False})
    )
    assert (state.status, state.marks, state.ok) == ("done", [], True)


def test_a_mark_beside_the_output_is_shown_and_leaves_the_result_ok():
    """A loop that no path leads from to the output marks the run, not its result."""
    text = "s -> {x, y}\nx -> x when true at most 1\nx -> log else\nout y"
    state, _, _ = run_text(text, s=says(0), x=says(1), y=says("y"), log=says("logged"))
    assert (state.output, state.marks, state.ok) == ("y", ["bound used up"], True)


def test_a_mark_inside_a_nested_graph_counts_for_the_graph_around_it():
    """The nested graph's result is marked, and so is what rests on it."""
    inner = Graphlike("inner", "w -> c\nc -> w when c.score < 0.8 at most 1\nc -> out else\nout w")
    state, _, _ = run_text(
        "inner -> end\nout end", inner=inner, w=says("w"), c=says({"score": 0}), end=lambda inner: inner
    )
    assert (state.output, state.marks, state.ok) == ("w", ["bound used up"], False)


def test_a_run_without_a_value_of_out_fails_as_exhausted_and_names_the_arrow():
    """Nothing is live and `out` has no value: never a silent `done`."""
    text = "boss -> {w1, w2, finish} by boss.next else finish\n{w1, w2} -> boss at most 2\nout finish"
    state, _, _ = run_text(text, boss=says({"next": "w1"}), w1=says(1), w2=says(2), finish=says("end"))
    assert (state.status, state.error.type, state.error.code) == ("failed", "LoopExhausted", "ORCH218")
    assert "`finish`: the bound of `w1 -> boss` (at most 2)" in state.error.message


def test_a_failure_is_read_on_the_else_branch():
    """`analyse.failure` has class, message, attempts and output; a field called `error` of the type stays free."""

    @node(on_failure="else")
    def analyse():
        raise ValueError("no rows")

    def fix(why, attempts):
        return f"{why} after {attempts}"

    text = (
        "analyse -> report\nanalyse -> fix else\n"
        "fix: function fix with why = analyse.failure.message, attempts = analyse.failure.attempts\nout report, fix"
    )
    state, _, _ = run_text(text, analyse=analyse, report=lambda analyse: analyse, fix=fix)
    assert state.output == {"fix": "no rows after 1"}
    fine = text.replace("out report, fix", "out report")
    state, _, performer = run_text(fine, analyse=says(1), report=lambda analyse: analyse, fix=fix)
    assert (state.output, performer.performed) == (1, ["analyse", "report"])


def test_a_rejection_is_read_as_a_failure_of_class_rejected():
    """The person's comment reaches the step that repairs."""
    text = 'draft -> ok\nok: human "Send?"\nok -> send\nok -> redo else\nredo: function redo with why = ok.failure.message, kind = ok.failure.class\nout send, redo'
    names = {"draft": says("d"), "send": says("sent"), "redo": lambda why, kind: f"{kind}: {why}"}
    plan, log = plan_of(text, **names), ListLog()

    async def reject():
        driver = driver_for(plan, log, Performer(**names), {}, attended=True)

        def on_waiting():
            ((key, asked),) = driver.state.waiting.items()
            answer = lambda: driver.answer_events(key, "reject", None, "me", "too long", shown_hash=asked.shown_hash)  # noqa: E731
            driver.post(answer)

        driver.on_waiting = on_waiting
        return await driver.run()

    state = asyncio.run(reject())
    assert state.output == {"redo": "rejected: too long"}
    assert (state.marks, state.ok) == (["rejected"], False)


def test_a_nested_graph_whose_bound_is_used_up_without_a_value_fails_its_node():
    """The node has no silent empty value: it fails as exhausted, and its policy decides."""
    text = "w -> c\nc -> w when c.bad == true at most 1\nc -> good when c.bad == false\nc -> x else\nx -> out\nout good"
    names = {"w": says(1), "c": says({"bad": True}), "good": says(2), "x": says(3), "e": lambda inner: inner}
    state, _, _ = run_text("inner -> e", inner=Graphlike("inner", text), **names)
    assert (state.status, state.error.type) == ("failed", "LoopExhausted")
    assert "`inner` has no value of `good`: the bound of `c -> w` (at most 1)" in state.error.message


def test_any_prefix_of_a_run_that_sends_a_part_back_resumes_to_the_same_end():
    """A crash after any append leaves a state from which the same nodes run again, and no others."""

    def nodes(asked=0):
        rounds = iter([{"a": True, "b": False}, {"a": False, "b": True}, {"a": False, "b": False}][asked:])
        return {
            "start": says(0),
            "r1": says("x"),
            "r2": says("y"),
            "critic": lambda: next(rounds),
            "fin": lambda r1, r2: [r1, r2],
        }

    text = "start -> {r1, r2} -> critic\ncritic -> r1 when critic.a == true at most 3\ncritic -> r2 when critic.b == true at most 3\ncritic -> fin else"
    plan = plan_of(text, **nodes())
    whole, log = run_plan(plan, performer=Performer(**nodes()))
    assert ran(log) == ["start", "r1", "r2", "critic", "r1[2]", "critic[2]", "r2[2]", "critic[3]", "fin"]
    for length in range(1, len(log.events)):
        before = ListLog()
        before.append(log.events[:length])
        asked = sum(isinstance(e, ev.Finished) and e.node == "critic" for e in before.events)
        again, after = run_plan(plan, log=before, performer=Performer(**nodes(asked)))
        assert (again.status, again.output, sorted(ran(after))) == (whole.status, whole.output, sorted(ran(log))), (
            length
        )
