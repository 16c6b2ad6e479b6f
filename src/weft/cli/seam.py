"""The one place where the command line loads by name what would cost too much to import each time."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def load(name: str) -> Any:
    """Return what ``module:attribute`` names."""
    module, attribute = name.split(":")
    return getattr(import_module(module), attribute)
