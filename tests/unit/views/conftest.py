"""The shell of the notebook's tests."""

from tests.unit.notebook.conftest import shell  # noqa: F401
