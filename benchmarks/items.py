"""A list that feeds a loop: each task is to read its item, not the list."""

from __future__ import annotations

from pathlib import Path

from .driving import drive, new_home
from .measure import Row

COUNT = 10_000
ITEM_BYTES = 1_024


def bytes_read(folder: Path) -> Row:
    """What reaches the workers of a loop over 10,000 items, against half as many [MiB].

    Bytes sent to them and bytes that they read from files, the making of the list left out.
    """
    half, whole = (
        _mib(drive(new_home(folder), "items", 1, count, ITEM_BYTES)) for count in (COUNT // 2, COUNT)
    )
    note = f"items of {ITEM_BYTES:,} bytes; floor: {COUNT // 2:,} items"
    return Row(f"read for a loop over {COUNT:,} items", whole, "MiB", half, 2.1, note=note)


def _mib(said: dict[str, object]) -> float:
    results, sent = said["results"], said["sent_bytes"]
    assert isinstance(results, list)
    assert isinstance(sent, int)
    return float(results[0] + sent) / 2**20
