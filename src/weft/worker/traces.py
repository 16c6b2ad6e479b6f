"""Tracebacks as the user's code made them: without the frames of Weft between."""

from __future__ import annotations

from types import TracebackType
from typing import Final

OWN: Final = __file__.rpartition("worker")[0]


def without_our_frames(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames of Weft itself; None where nothing is left."""
    kept = []
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(OWN):
            kept.append(trace)
        trace = trace.tb_next
    rebuilt: TracebackType | None = None
    for each in reversed(kept):
        rebuilt = TracebackType(rebuilt, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return rebuilt
