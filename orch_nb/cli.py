"""``orch``: what needs no notebook. Each command is one call of the Python API."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orch_nb.errors import OrchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did what was asked, 1 with two lines when it could not."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not hasattr(options, "do"):
        parser.print_help()
        return 2
    try:
        return int(options.do(options) or 0)
    except OrchError as error:
        print(f"{type(error).__name__} [{error.code}]  {error}", file=sys.stderr)
        if error.hint:
            print(f"  hint: {error.hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    from orch_nb._version import __version__

    parser = argparse.ArgumentParser(prog="orch", description="orch_nb without a notebook")
    parser.add_argument("--version", action="version", version=f"orch_nb {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(name: str, do: Callable[[object], object], says: str, *, store: bool = True) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=says, description=says)
        made.set_defaults(do=do)
        if store:
            made.add_argument(
                "--folder", help="where the notebook and its .orch store lie (default: ORCH_STORE, or here)"
            )
        return made

    demo = command("demo", _demo, "Run the quickstart notebook on the embedded model", store=False)
    demo.add_argument("--out", default="orch_demo", help="where it runs and leaves everything (default: orch_demo)")
    demo.add_argument("--show", action="store_true", help="print the report of the last demo in --out, run nothing")
    models = command(
        "models", _models, "List the models known here; `models install smollm2` fetches the embedded one", store=False
    )
    models.add_argument("action", nargs="?", choices=["list", "install"], default="list")
    models.add_argument("name", nargs="?", default="smollm2")
    runs = command("runs", _runs, "List the runs of a store; `runs drop RUN ...` deletes runs for good")
    runs.add_argument("drop", nargs="*", metavar="drop RUN", help="the runs to delete")
    runs.add_argument("--limit", type=_count, default=20, help="how many are listed, newest first (default: 20)")
    show = command("show", _show, "Show a run: its steps and its bill")
    show.add_argument("run")
    resume = command("resume", _resume, "Resume a run; MODULE has its functions")
    resume.add_argument("run")
    resume.add_argument("--budget", help="the run's new limit in US dollars")
    resume.add_argument("--module", help="a Python file whose names the run's functions are bound to")
    export = command("export", _export, "Export a run as JSON lines on standard output")
    export.add_argument("run")
    check = command("check", _check, "Check agent files and graph cells without running them", store=False)
    command("doctor", _doctor, "Check this machine: Python, packages, the local model, keys, the store")
    check.add_argument("files", nargs="+", help="*.agent.md files, or notebooks")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text!r}")
    return int(text)


def _runtime(options: Any) -> Any:
    """The runtime of a store that is there by now; where it lies is said when that is not the usual place."""
    from orch_nb.runtime.runtime import Runtime

    made = Runtime(options.folder)
    made.store  # noqa: B018  (it is opened, and may have a notice)
    if made.notice:
        print(made.notice, file=sys.stderr)
    return made


def _demo(options: Any) -> int:
    from orch_nb.demo import run_demo, show_demo

    return show_demo(Path(options.out)) if options.show else run_demo(Path(options.out))


def _models(options: Any) -> None:
    if options.action == "install":
        from orch_nb.demo import Progress
        from orch_nb.providers.local_models.install import install_smollm2

        if options.name != "smollm2":
            raise OrchError(f"`{options.name}` cannot be installed here.", hint="orch models install smollm2")
        progress = Progress("SmolLM2-135M")
        path = install_smollm2(progress)
        progress.end()
        print(f"SmolLM2-135M is ready: {path}")
        return
    from orch_nb.runtime.runtime import Runtime

    book = Runtime().models
    for offer in book.offers():
        price = book.prices.price(offer)
        print(
            f"{offer.name:<12} {offer.provider}/{offer.model:<24} {'price unknown' if price is None else price.label}  {offer.note}"
        )


def _doctor(options: Any) -> int:
    from orch_nb.doctor import findings

    worst = 0
    for finding in findings(options.folder):
        print(finding.line)
        worst = max(worst, int(finding.is_problem))
    return worst


def _drop(options: Any) -> None:
    word, *runs = options.drop
    if word != "drop" or not runs:
        raise OrchError(f"`orch runs` takes `drop RUN ...`, got `{word}`.", hint="orch runs drop 3")
    runtime = _runtime(options)
    for run in runs:
        for row in [r.run for r in runtime.runs(limit=10**9, every_notebook=True) if r.run.startswith(f"{run}.")]:
            runtime.store.delete(row)
        runtime.store.delete(run)
        print(f"deleted: {run}")


def _runs(options: Any) -> None:
    if options.drop:
        _drop(options)
        return
    rows = _runtime(options).runs(limit=options.limit, every_notebook=True)
    if not rows:
        print("no runs in this store")
    for r in rows:
        status = "interrupted" if r.status == "running" and not r.live else r.status
        print(f"{r.run:>6}  {r.graph:<20} {status:<12} ${r.spent_usd:<10} {r.notebook}")


def _show(options: Any) -> None:
    from orch_nb.notebook import overview
    from orch_nb.trace.run_view import run_view
    from orch_nb.views.run import run_bundle

    runtime = _runtime(options)
    handle = runtime.open(options.run)
    if (handle.events[0].parent or {}).get("batch"):
        print(overview.batch(runtime, handle).text)
        return
    print(run_bundle(run_view(handle.events))["text/plain"])


def _resume(options: Any) -> int:

    namespace: dict[str, object] = {}
    if options.module:
        import runpy

        namespace = runpy.run_path(options.module)
    runtime = _runtime(options)
    handle = runtime.resume(options.run, budget=options.budget, namespace=namespace).wait()
    print(repr(handle))
    done: bool = handle.status == "done"
    runtime.close()
    return 0 if done else 1


def _export(options: Any) -> None:
    for line in _runtime(options).store.export(options.run):
        print(line)


def _check(options: Any) -> int:
    from orch_nb.check import check_file

    problems = 0
    for name in options.files:
        for line in check_file(Path(name)):
            problems += 1
            print(line)
    print(f"{len(options.files)} file(s), {problems} problem(s)")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
