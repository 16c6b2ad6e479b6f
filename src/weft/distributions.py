"""What is installed: distributions and their versions, read from the names of folders.

``importlib.metadata`` opens a file for each distribution; a run looks here at each start, so this lists
folders only, and opens files for the few modules whose distribution has another name.

State kept: ``_listings``, for each folder of ``sys.path`` the distributions in it, good until it changes.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from typing import NamedTuple

_SUFFIXES = (".dist-info", ".egg-info")


class Distribution(NamedTuple):
    """An installed distribution: ``name`` as its folder spells it; ``folder`` is that folder."""

    name: str
    version: str
    folder: str


_listings: dict[str, tuple[int, dict[str, Distribution]]] = {}


def list_distributions(paths: Iterable[str] | None = None) -> list[Distribution]:
    """Return the distributions in ``paths`` (by default ``sys.path``), by name; the first found counts."""
    found: dict[str, Distribution] = {}
    for path in sys.path if paths is None else paths:
        for key, distribution in distributions_in(path or os.curdir).items():
            found.setdefault(key, distribution)
    return [found[key] for key in sorted(found)]


def distributions_in(path: str) -> dict[str, Distribution]:
    """Return the distributions that lie in one folder, by normalised name."""
    try:
        changed_ns = os.stat(path).st_mtime_ns
        known = _listings.get(path)
        if known is not None and known[0] == changed_ns:
            return known[1]
        names = sorted(os.listdir(path))
    except OSError:
        return {}
    found = {}
    for name in names:
        if name.endswith(_SUFFIXES):
            distribution = _parse(path, name)
            # Debian leaves a second entry of the same name, without a version.
            if distribution.version or normalise(distribution.name) not in found:
                found[normalise(distribution.name)] = distribution
    _listings[path] = changed_ns, found
    return found


def _parse(path: str, entry: str) -> Distribution:
    stem = entry.rpartition(".")[0].partition("-py3")[0]
    name, _, version = stem.rpartition("-")
    return Distribution(name or stem, version if name else "", os.path.join(path, entry))


def normalise(name: str) -> str:
    """Return a distribution's name in its one normal spelling.

    Source: PEP 503.
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def find_distribution(site: str, inside: str) -> Distribution | None:
    """Return which distribution in the folder ``site`` owns a file or package.

    Args:
        site: such as ``/…/site-packages``.
        inside: path relative to it, such as ``sklearn/svm/__init__.py`` or ``six.py``.
    """
    installed = distributions_in(site)
    top = re.split(r"[/.]", inside, maxsplit=1)[0]
    same_name = installed.get(normalise(top))
    if same_name is not None:
        return same_name
    return next((owner for owner in installed.values() if _owns(owner, inside, top)), None)


def _owns(distribution: Distribution, inside: str, top: str) -> bool:
    record = _read(os.path.join(distribution.folder, "RECORD"))
    if record:
        return record.startswith(f"{inside},".encode()) or f"\n{inside},".encode() in record
    top_level = _read(os.path.join(distribution.folder, "top_level.txt"))
    return top.encode() in top_level.split()


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return b""
