"""One model call is bounded and priced once, and its budgets are read once to hold and once to settle."""

from __future__ import annotations

import orch_nb as orch
from tests.counting import calls_of_names
from tests.unit.runtime.conftest import reply

WORK = ("prompt_bound", "price", "account", "limit")


def work_of(rt, n_calls):
    """Count how often a run of `n_calls` model calls bounds, prices, loads accounts and reads limits."""
    names = {f"a{i}": orch.Agent(f"a{i}", "{{ x }}", model="m", max_tokens=50) for i in range(n_calls)}
    graph = orch.Graph(f"g{n_calls}").chain(*names)
    with calls_of_names(rt.run_loop, *WORK) as counted:
        run = orch.run_sync(graph, namespace=names, x="hi", budget=1)
    assert run.status == "done"
    return counted


def test_a_model_call_is_bounded_and_priced_once(rt, scripted):
    """Each further call of a run bounds its prompt once, looks its price up once, and loads the accounts of its two budgets
    twice: to hold and to settle."""
    scripted(lambda _: reply())
    for n_calls in (1, 3):
        work_of(rt, n_calls)  # a first run has no history: its agents are bounded once more, for the usual cost
    one, three = work_of(rt, 1), work_of(rt, 3)
    more = {name: (three[name] - one[name]) / 2 for name in WORK}
    assert more == {"prompt_bound": 1, "price": 1, "account": 4, "limit": 0}
