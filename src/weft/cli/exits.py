"""The exit codes of every command."""

from __future__ import annotations

from typing import Final

SUCCEEDED: Final = 0
FAILED: Final = 1
TO_FIX: Final = 2
BAD_DATA: Final = 3
INTERRUPTED: Final = 130
