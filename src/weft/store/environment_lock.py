"""The environment lock: which Python, on what, with which distributions a run was made."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import msgspec

from weft.digest import digest_bytes
from weft.distributions import list_distributions, normalise


class EnvironmentLock(msgspec.Struct, frozen=True):
    """What a run was made with.

    Attributes:
        python: such as ``3.11.7``. ``implementation``: such as ``cpython``.
        platform: system and machine, such as ``linux-x86_64``.
        distributions: (normalised name, version), by name.
    """

    python: str
    implementation: str
    platform: str
    distributions: tuple[tuple[str, str], ...]

    def to_bytes(self) -> bytes:
        """Return the lock as msgpack: equal bytes for equal environments."""
        return msgspec.msgpack.encode(self)

    def to_requirements(self) -> str:
        """Return the distributions in the form of a ``requirements.txt``."""
        return "".join(f"{name}=={version}\n" for name, version in self.distributions)


def environment_lock(paths: Sequence[str] | None = None) -> EnvironmentLock:
    """Return the lock of this process; ``paths`` stands in for ``sys.path``."""
    installed = list_distributions(paths)
    return EnvironmentLock(
        python="{}.{}.{}".format(*sys.version_info[:3]),
        implementation=sys.implementation.name,
        platform=f"{sys.platform}-{os.uname().machine}",
        distributions=tuple(sorted((normalise(each.name), each.version) for each in installed)),
    )


def lock_from_bytes(raw: bytes) -> EnvironmentLock:
    """Return the lock that ``to_bytes`` wrote."""
    return msgspec.msgpack.decode(raw, type=EnvironmentLock)


def lock_digest(lock: EnvironmentLock) -> str:
    """Return the content hash of a lock."""
    return digest_bytes(lock.to_bytes())
