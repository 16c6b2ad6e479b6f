"""The whole corpus: importing this fills the register."""

from __future__ import annotations

from . import (
    aliasing,
    binding,
    comprehension,
    failure,
    generators,
    inlining,
    learning,
    limits,
    loops,
    matching,
    order,
    parameters,
)
from .cases import CORPUS, Entry

THEMES = (
    binding,
    aliasing,
    loops,
    failure,
    order,
    comprehension,
    matching,
    inlining,
    parameters,
    generators,
    limits,
    learning,
)

__all__ = ["CORPUS", "THEMES", "Entry"]
