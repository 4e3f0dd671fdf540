"""Token counts: normalised, or marked as bad without losing the answer."""

from __future__ import annotations

from typing import Any

import pytest

from orch_nb.providers.usage import usage_of
from orch_nb.schema.messages import Usage


def test_plain_counts() -> None:
    """Prompt and completion tokens are taken as they are; no usage is None, not zero."""
    assert usage_of({"prompt_tokens": 9, "completion_tokens": 16, "total_tokens": 25}) == Usage(9, 16)
    assert usage_of(None) is None


@pytest.mark.parametrize(
    ("sent", "usage"),
    [
        (
            {"prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
             "prompt_tokens_details": {"cached_tokens": 1920}, "completion_tokens_details": {"reasoning_tokens": 256}},
            Usage(2006, 300, 1920, 256),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 2, "prompt_cache_hit_tokens": 8}, Usage(10, 2, 8)),
        ({"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": None}, Usage(10, 2)),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115,
             "completion_tokens_details": {"reasoning_tokens": 100}},
            Usage(10, 105, 0, 100),
        ),
    ],
)  # fmt: skip
def test_vendors_dialects(sent: dict[str, Any], usage: Usage) -> None:
    """Cached and reasoning tokens end up inside input and output, also where a vendor counts reasoning beside."""
    assert usage_of(sent) == usage


@pytest.mark.parametrize(
    ("sent", "names"),
    [
        ({"prompt_tokens": float("nan"), "completion_tokens": 1}, "prompt_tokens is nan"),
        ({"prompt_tokens": 1, "completion_tokens": float("inf")}, "completion_tokens is inf"),
        ({"prompt_tokens": -5, "completion_tokens": 1}, "prompt_tokens is -5"),
        ({"prompt_tokens": 10**30, "completion_tokens": 1}, "prompt_tokens is beyond any call"),
        ({"prompt_tokens": 1, "completion_tokens": 200_000_000}, "completion_tokens is 200000000"),
        ({"prompt_tokens": 8.5, "completion_tokens": 1}, "prompt_tokens is 8.5"),
        ({"prompt_tokens": "9", "completion_tokens": "many"}, "prompt_tokens is '9'"),
        ({"prompt_tokens": True, "completion_tokens": 1}, "prompt_tokens is True"),
        ({"prompt_tokens": 1}, "is missing"),
        ({"prompt_tokens": None, "completion_tokens": 1}, "is missing"),
        ({"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}}, "cached_tokens 2 exceed"),
        ({"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": -1}}, "cached_tokens is -1"),
        ({"prompt_tokens": 1, "completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 9}}, "reasoning_tokens 9"),
        ({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": "x", "completion_tokens_details": {"reasoning_tokens": 1}},
         "total_tokens is 'x'"),
        ({}, "is missing"),
        ([], "usage is []"),
        ("many", "usage is 'many'"),
        ({"prompt_tokens": "x" * 500, "completion_tokens": 1}, "…"),
    ],
)  # fmt: skip
def test_bad_counts_are_named_and_never_counted(sent: Any, names: str) -> None:
    """NaN, infinite, negative, huge, fractional, textual, missing or contradictory counts: `bad` names them, counts are 0."""
    usage = usage_of(sent)
    assert usage is not None
    assert names in usage.bad
    assert len(usage.bad) < 100
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens) == (0, 0, 0, 0)
