"""The fingerprint of an activation: its node's definition, the values it reads, and the how-many-th equal one it is.

Names, layout, descriptions, prices and evidence are not in it. Activations with equal fingerprints have equal results.
"""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@cache
def label(name: str) -> bytes:
    """Return a parameter's name as a digest takes it: with its length, so that a value cannot be taken for a name."""
    written = name.encode()
    return b"%d:%b:" % (len(written), written)


def reads_digest(reads: Iterable[tuple[str, bytes]]) -> bytes:
    """One digest input of (parameter, digest of its value) pairs. Lengths are written, so that no value can pose as two."""
    return b"".join([b"%b%d:%b" % (label(name), len(part), part) for name, part in reads])


def stem(node_fingerprint: str, reads: bytes) -> blake2b:
    """The running hash that all equal activations share."""
    h = blake2b(node_fingerprint.encode(), digest_size=16, person=b"activation")
    h.update(reads)
    return h


def occurrence(shared: blake2b, n: int) -> str:
    """The fingerprint of the nth (from 0) equal activation of a run."""
    h = shared.copy()
    h.update(n.to_bytes(4, "big"))
    return h.hexdigest()
