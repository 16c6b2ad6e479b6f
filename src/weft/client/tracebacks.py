"""Tracebacks of a workflow's exception begin and end with the user's code: Weft's frames between are not shown.

A frame that says ``__tracebackhide__ = True`` is left out by IPython and by pytest; Python itself shows it. So the hook
that Python calls for an exception that nobody catches is wrapped when the first run has failed.

State kept: ``sys.excepthook``, wrapped at most once.
"""

from __future__ import annotations

import sys
from types import TracebackType


def hide_frames() -> None:
    """From now on, leave frames that ask for it out of what Python prints of an exception that nobody catches."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _print_without_hidden


def _print_without_hidden(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        link.__traceback__ = _shown(link.__traceback__)
        link = link.__cause__ or link.__context__
    sys.__excepthook__(kind, error, error.__traceback__)


def _shown(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without its hidden frames; as it is if all of them are."""
    kept = []
    link = trace
    while link is not None:
        if not link.tb_frame.f_locals.get("__tracebackhide__"):
            kept.append(link)
        link = link.tb_next
    shown: TracebackType | None = None
    for each in reversed(kept):
        shown = TracebackType(shown, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return shown or trace
