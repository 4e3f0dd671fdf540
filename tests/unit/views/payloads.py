"""The corpus of hostile texts that every display is tried with."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path


def shared_payloads() -> list[str]:
    """The project's corpus of hostile texts, where it lies beside the repository; ours otherwise."""
    own = [
        "<script>window.__pwned=1</script>",
        '"><img src=x onerror=window.__pwned=1>',
        "\x1b[2J\u202e",
        "</svg><script>x</script>",
    ]
    folder = Path(os.environ.get("ORCH_SHARED", Path(__file__).parents[3].parent / "shared"))
    path = folder / "tools" / "faults" / "payloads.py"
    if not path.is_file():
        return own
    spec = importlib.util.spec_from_file_location("payloads", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [*own, *module.XSS, *module.ANSI, *module.INJECTION]
