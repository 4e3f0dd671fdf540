"""PreparedComparison-up logs of outcomes on real and made-up texts, to measure a router without anybody's benchmark.

Texts: word problems of one to eight steps and short cases from templates, plain questions, and documentation paragraphs of the
standard library. Models answer by an item-response model: the log odds of being right are the model's ability, plus its skill in the
text's topic, less the text's difficulty. Difficulty is drawn: what a text shows explains a part of it, the rest is chance. So the
best possible figures lie far below the oracle's, as with real models. What is measured here says how a router behaves, not
what it saves.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import inspect
import math
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

MODULES = (
    "argparse", "asyncio.queues", "collections", "configparser", "csv", "datetime", "decimal", "difflib", "doctest", "email.message",
    "fractions", "functools", "heapq", "http.client", "imaplib", "inspect", "ipaddress", "json", "logging", "mailbox", "multiprocessing.pool",
    "optparse", "pathlib", "pickle", "random", "shelve", "smtplib", "sqlite3", "statistics", "string", "subprocess", "tarfile", "textwrap",
    "threading", "tokenize", "turtle",  "unittest", "urllib.request", "uuid", "xml.dom.minidom", "zipfile",
)  # fmt: skip

NAMES = [
    "Ada",
    "Bo",
    "Carla",
    "Dev",
    "Emma",
    "Farid",
    "Grace",
    "Hugo",
    "Ines",
    "Jonas",
    "Kofi",
    "Lena",
    "Mira",
    "Noah",
    "Olga",
    "Pavel",
    "Quinn",
    "Rosa",
    "Sam",
    "Tara",
    "Uma",
    "Vera",
]
THINGS = [
    "apples",
    "books",
    "candles",
    "coins",
    "cards",
    "shirts",
    "tickets",
    "stamps",
    "marbles",
    "eggs",
    "bottles",
    "chairs",
]
STEPS = (
    "buys {k} more", "gives away {k}", "doubles what is there", "sells half of the rest", "finds {k} times as many as before",
    "loses {k} percent of them", "shares them equally among {k} friends and keeps one part", "adds {k} for every 3 already there",
)  # fmt: skip
PARTIES = [
    "landowner",
    "buyer",
    "seller",
    "tenant",
    "driver",
    "contractor",
    "baker",
    "surgeon",
    "carrier",
    "publisher",
    "lender",
    "inventor",
]
WRONGS = (
    "broke a promise to deliver",
    "damaged a wall",
    "sold a faulty machine",
    "copied a design",
    "refused to pay",
    "entered without leave",
)
CATCHES = (
    "unless a written notice was given", "although the deed was never recorded", "if the other side relied on it", "but only after the deadline", "because a statute forbids it", "provided that nobody was hurt", "while the appeal was pending",
)  # fmt: skip
PLAIN = (
    "the capital of {x}", "the meaning of the word {x}", "the colour of {x}", "the plural of {x}", "who wrote about {x}", "where {x} comes from",
)  # fmt: skip
NOUNS = [
    "rivers",
    "trade",
    "bread",
    "music",
    "horses",
    "maps",
    "glass",
    "salt",
    "wool",
    "gold",
    "ships",
    "bridges",
    "forests",
    "paper",
    "clocks",
    "wine",
    "mills",
    "roads",
]

Record = dict[str, Any]


def word_problem(chance: random.Random) -> tuple[str, str, float]:
    """Text, topic, number of steps."""
    steps = chance.randint(1, 8)
    name, thing = chance.choice(NAMES), chance.choice(THINGS)
    told = [f"{name} {s.format(k=chance.randint(2, 40))}." for s in chance.sample(STEPS, steps)]
    return (
        f"{name} has {chance.randint(5, 90)} {thing}. {' '.join(told)} How many {thing} does {name} have now?",
        "sums",
        float(steps),
    )


def case(chance: random.Random) -> tuple[str, str, float]:
    """A dispute with one to four conditions."""
    catches = chance.randint(1, 4)
    a, b = chance.sample(PARTIES, 2)
    told = ", ".join(chance.sample(CATCHES, catches))
    text = f"A {a} sued a {b} who {chance.choice(WRONGS)}, {told}. Is the {chance.choice([a, b])} likely to prevail?"
    return text, "cases", catches * 2.0


def plain(chance: random.Random) -> tuple[str, str, float]:
    """A question of recall."""
    return f"What is {chance.choice(PLAIN).format(x=chance.choice(NOUNS))}, {chance.choice(NAMES)} asks?", "plain", 1.0


@functools.lru_cache(maxsize=1)
def paragraphs() -> list[tuple[str, str, float]]:
    """Documentation of the standard library: real text of many lengths; its difficulty is its length's logarithm."""
    out = set()
    for name in MODULES:
        for one in _documented(importlib.import_module(name)):
            text = " ".join((inspect.getdoc(one) or "").split())[:1500]
            if len(text) > 40:
                out.add((f"Explain: {text}", name, 1.2 * math.log(len(text) / 40)))
    return sorted(out)


def _documented(module: Any) -> list[Any]:
    """Functions and classes of a module, and the classes' own functions."""
    found = [
        m
        for _, m in inspect.getmembers(module)
        if (inspect.isfunction(m) or inspect.isclass(m)) and m.__module__ == module.__name__
    ]
    inner = [v for m in found if inspect.isclass(m) for v in vars(m).values() if inspect.isfunction(v)]
    return found + inner


def texts(n: int, seed: int) -> list[tuple[str, str, float]]:
    """`n` different texts (text, topic, visible difficulty), half of them documentation."""
    chance = random.Random(seed)
    real = paragraphs()
    found = dict.fromkeys(chance.sample(real, min(n // 2, len(real))))
    while len(found) < n:
        found[chance.choice((word_problem, case, plain))(chance)] = None
    out = list(found)
    chance.shuffle(out)
    return out


def world(kind: str, n: int, *, models: int = 2, seed: int = 0) -> list[Record]:
    """Records like the evaluator's, best model first.

    Parameters
    ----------
    kind
        ``noise`` (the text says nothing), ``topic``, ``length``, ``both``, ``mild`` (both, half as strong: as weak as
        between real models), or ``reversed`` (long and stepwise texts are easy for
        all, the short ones hard).
    n
        Records.
    models
        Abilities fall evenly from 1.6 to 0.2; prices by a factor of 30.
    """
    chance = random.Random(f"{kind} {models} {seed}")
    items = texts(n, seed)
    visible = [v for *_, v in items]
    middle = sum(visible) / n
    width = math.sqrt(sum((v - middle) ** 2 for v in visible) / n)
    steepness = {"noise": 0.0, "topic": 0.0, "length": 0.9, "both": 0.6, "mild": 0.35, "reversed": -0.9}[kind]
    skill = {
        (topic, m): chance.gauss(0, {"topic": 0.8, "both": 0.8, "mild": 0.4}.get(kind, 0.0))
        for topic in sorted({t for _, t, _ in items})
        for m in range(models)
    }
    out = []
    for at, (text, topic, shown) in enumerate(items):
        hard = steepness * (shown - middle) / width + chance.gauss(0, 1.0)
        scores, costs = {}, {}
        for m in range(models):
            place = m / max(models - 1, 1)
            odds = 1.6 - 1.4 * place + skill[topic, m] - hard
            scores[f"m{m:02d}"] = float(chance.random() < 1 / (1 + math.exp(-odds)))
            costs[f"m{m:02d}"] = 30.0 ** (1 - place) * 1e-5 * (1 + len(text) / 400) * chance.uniform(0.7, 1.4)
        out.append({"id": f"{kind}{at}", "domain": topic, "prompt": text, "scores": scores, "costs": costs})
    return out


KINDS = ("noise", "topic", "length", "both", "mild", "reversed")


def shared_tools() -> Path | None:
    """The folder of the metrics, where this machine has it."""
    root = Path(os.environ.get("ORCH_SHARED") or Path(__file__).resolve().parents[3] / "shared")
    found = root / "tools" / "routing"
    return found if (found / "common.py").is_file() else None


def figures(metrics: Any, router: Any, test: list[Record], log: list[Record]) -> dict[str, float]:
    """The router's score and the static choice's: APGR of two models, gap closed of more; seconds to fit."""
    import numpy as np

    models = sorted(test[0]["scores"])
    quality, costs = metrics.matrices(test, models)
    start = time.perf_counter()
    router.fit(log, models)
    fit_s = time.perf_counter() - start
    q, c = router.predict([{"prompt": record["prompt"]} for record in test])
    if len(models) == 2:
        apgr = metrics.pair_metrics(q[:, 0] - q[:, 1], quality[:, 1], quality[:, 0])["APGR"]
        return {"ours": apgr, "static": 0.5, "fit_s": fit_s}
    reference = metrics.reference(quality, costs)

    def closed(q: Any, c: Any) -> float:
        return float(metrics.multi_metrics(metrics.sweep(q, c, quality, costs), reference)["AIQ_gap_closed"])

    means = [x.mean(axis=0) for x in metrics.matrices(log, models)] if log else [np.zeros(len(models))] * 2
    static = closed(*(np.repeat(x[None], len(test), axis=0) for x in means))
    return {"ours": closed(q, c), "static": static, "fit_s": fit_s}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--models", default="2,13")
    parser.add_argument("--sizes", default="0,20,100,300,1000,3000")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    tools = shared_tools()
    if tools is None:
        sys.exit("shared/tools/routing is not here: set ORCH_SHARED to the folder that has tools/routing.")
    sys.path[:0] = [str(tools), str(Path(__file__).resolve().parents[2])]
    import common
    import numpy as np

    from tests.bench.routing_adapter import ModelRouter

    print("world      models     log    ours  static  difference (95 % interval)  fit s")
    for kind in options.kinds.split(","):
        for models in map(int, options.models.split(",")):
            for size in map(int, options.sizes.split(",")):
                runs = []
                for seed in range(options.seeds):
                    records = world(kind, 2000 + size, models=models, seed=seed)
                    runs.append(figures(common, ModelRouter(), records[:2000], records[2000:]))
                gain = np.array([run["ours"] - run["static"] for run in runs])
                half = 1.96 * gain.std(ddof=1) / math.sqrt(len(gain)) if len(gain) > 1 else math.nan
                ours, static, fit_s = (np.mean([run[k] for run in runs]) for k in ("ours", "static", "fit_s"))
                print(
                    f"{kind:10s} {models:6d} {size:7d} {ours:7.3f} {static:7.3f}  {gain.mean():+10.3f} ± {half:.3f}       {fit_s:12.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
