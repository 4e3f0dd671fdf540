"""The public names of the package: what users call, hold and catch."""

from __future__ import annotations

import inspect
import pkgutil
import subprocess
import sys

import orch_nb as orch
from orch_nb import errors


def test_every_error_can_be_caught_by_a_public_name():
    """All classes of `errors.py` are names of the package."""
    classes = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)}
    assert classes <= set(orch.__all__)


def test_what_functions_return_is_a_public_name():
    """A user can name the type of whatever a public function gives."""
    held = "BatchHandle RunHandle Quote Comparison Forecast Claim Bill Matrix RunView RunDiff RunRow Recording Balance ModelBook"
    assert set(held.split()) <= set(orch.__all__)


def test_no_module_is_called_as_a_public_name():
    """Python sets a module as an attribute of its package when it is first imported: it would replace the public name."""
    modules = {module.name for module in pkgutil.iter_modules(orch.__path__)}
    assert modules & set(orch.__all__) == set()


def test_public_names_do_not_depend_on_the_order_of_use():
    """`orch.quote` is a function after anything else of the package was used."""
    code = (
        "import orch_nb as o; [getattr(o, n) for n in o.__all__]; assert all(map(callable, (o.quote, o.run, o.matrix)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
