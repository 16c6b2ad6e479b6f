"""What a call of one of the user's own functions may do to its arguments, in terms of its parameters.

The sites of an ``Effects`` are *parts*: bit ``2 i`` is what parameter *i* is, bit ``2 i + 1`` is all that
can be reached from there, and the last bit is whatever the function makes or finds elsewhere.
"""

from __future__ import annotations

import ast

import msgspec

from weft.lang.heap import NONE, Sites


class Effects(msgspec.Struct, frozen=True):
    """What a call may do.

    Attributes:
        arguments: the parameters, as the function's text declares them.
        written: parts that the text changes. ``resized``: parts that only get or lose items.
        possible: parts that a call in it may change.
        result: parts that the result may be.
        raised: parts that an exception which leaves it may hold.
        holds: for each part, those that it may hold after the call, beside what it held before.
    """

    arguments: ast.arguments
    written: Sites = NONE
    resized: Sites = NONE
    possible: Sites = NONE
    result: Sites = NONE
    raised: Sites = NONE
    holds: tuple[Sites, ...] = ()

    @property
    def changes_nothing(self) -> bool:
        """Whether a call leaves all that it is given as it is."""
        return not (self.written or self.resized or self.possible)
