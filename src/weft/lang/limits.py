"""``limit`` and ``mutex``: slots that step calls take across runs. In a plain call they do nothing.

Apart from what the compiler makes of them, which a worker that only calls steps need not load.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def limit(name: str, slots: int = 1) -> Iterator[None]:
    """Hold ``slots`` of the limit ``name`` around the step calls inside. Its capacity is configuration."""
    yield


@contextmanager
def mutex(name: str) -> Iterator[None]:
    """Let one run at a time be inside: a limit of capacity 1."""
    yield
