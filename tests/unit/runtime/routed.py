"""What tests of routes share: a labelling agent, and readings of its run."""

from __future__ import annotations

import orch_nb as orch
from orch_nb.schema import events as ev

OUT = "{label: yes | no}"
YES = '{"label": "yes"}'


def agent(route, **keys):
    keys.setdefault("out", OUT)
    return orch.Agent("a", keys.pop("prompt", "Label {{ text }}"), route=route, max_tokens=50, retry=1, **keys)


def calls(run):
    return [(e.kind, e.target) for e in run.events if isinstance(e, ev.Sent)]


def decisions(run):
    return [
        e.reply
        for e in run.events
        if isinstance(e, ev.Settled) and isinstance(e.reply, dict) and "candidates" in e.reply
    ]
