"""States of runs and tasks, and the table of allowed moves. The SQL repeats the conditions."""

from __future__ import annotations

from typing import Final

RUN_MOVES: Final[dict[str, frozenset[str]]] = {
    "queued": frozenset({"running", "cancelled"}),
    "running": frozenset({"failing", "cancelling", "succeeded", "failed"}),
    "failing": frozenset({"failed", "cancelling", "succeeded"}),
    "cancelling": frozenset({"cancelled", "failed", "succeeded"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}

TASK_MOVES: Final[dict[str, frozenset[str]]] = {
    "waiting": frozenset({"running", "skipped", "reused", "not_run", "cancelled"}),
    "running": frozenset({"succeeded", "failed", "retrying", "cancelled"}),
    "retrying": frozenset({"running", "cancelled", "not_run"}),
    "succeeded": frozenset(),
    "reused": frozenset(),
    "failed": frozenset(),
    "skipped": frozenset(),
    "not_run": frozenset(),
    "cancelled": frozenset(),
}

RUN_FINAL: Final = frozenset(state for state, moves in RUN_MOVES.items() if not moves)
TASK_FINAL: Final = frozenset(state for state, moves in TASK_MOVES.items() if not moves)


def may_move(moves: dict[str, frozenset[str]], before: str, after: str) -> bool:
    """Return whether ``before`` → ``after`` is an allowed move."""
    return after in moves.get(before, frozenset())
