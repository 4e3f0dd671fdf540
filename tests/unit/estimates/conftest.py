"""The runtime and the scripted model of the runs' tests."""

from tests.unit.runtime.conftest import models, rt, scripted  # noqa: F401
