"""Sizes and durations as people write them: ``"4GiB"``, ``"90s"``, ``"2h"``, or plain numbers."""

from __future__ import annotations

import re
from typing import Final

from weft.errors import UserError

_SIZES: Final = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_SECONDS: Final = {"ms": 0.001, "s": 1, "": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)\s*")


class BadQuantity(UserError):
    """A size, a duration or a count could not be read."""

    code = "bad-quantity"

    def __init__(self, what: str, value: object, example: str) -> None:
        super().__init__(f"{what}={value!r} cannot be read", hint=f"Write for example {what}={example}.")


def _parse(what: str, value: object, units: dict[str, float] | dict[str, int], example: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise BadQuantity(what, value, example)
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value)
        if match is None or match[2].lower() not in units:
            raise BadQuantity(what, value, example)
        number = float(match[1]) * units[match[2].lower()]
    else:
        number = float(value)
    if not 0 <= number < float("inf"):
        raise BadQuantity(what, value, example)
    return number


def parse_bytes(what: str, value: object) -> int:
    """Return a number of bytes from ``"4GiB"`` or a number.

    Raises:
        BadQuantity: ``value`` is no size; the message names ``what``.
    """
    return round(_parse(what, value, _SIZES, '"4GiB"'))


def parse_bytes_range(what: str, value: object) -> tuple[int, int | None]:
    """Return the least and the most bytes of ``"2GiB..16GiB"``; None for the most of a plain size.

    Raises:
        BadQuantity: ``value`` is neither, or the range does not grow; the message names ``what``.
    """
    if not isinstance(value, str) or ".." not in value:
        return parse_bytes(what, value), None
    least, _, most = value.partition("..")
    try:
        found = parse_bytes(what, least), parse_bytes(what, most)
    except BadQuantity:
        found = (0, 0)
    if not 0 < found[0] < found[1]:
        raise BadQuantity(what, value, '"2GiB..16GiB"')
    return found


def parse_ms(what: str, value: object) -> int:
    """Return milliseconds from ``"90s"``, ``"2h"`` or a number of seconds.

    Raises:
        BadQuantity: ``value`` is no duration; the message names ``what``.
    """
    return round(_parse(what, value, _SECONDS, '"90s"') * 1000)


def parse_count(what: str, value: object) -> int:
    """Return a whole number, 0 or more.

    Raises:
        BadQuantity: ``value`` is none; the message names ``what``.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadQuantity(what, value, "2")
    return value


def parse_cores(what: str, value: object) -> float:
    """Return a number of cores above 0.

    Raises:
        BadQuantity: ``value`` is none; the message names ``what``.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e6:
        raise BadQuantity(what, value, "2")
    return float(value)
