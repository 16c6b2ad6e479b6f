"""Which file system a folder lies on. SQLite's locks and shared memory do not work over a network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from weft.errors import UserError

_NETWORK_TYPES: Final = """
    9p afs beegfs ceph cifs davfs gfs2 glusterfs gpfs lustre ncpfs nfs nfs3 nfs4 ocfs2 orangefs panfs pvfs2
    smb3 smbfs wekafs fuse.ceph fuse.davfs2 fuse.gcsfuse fuse.glusterfs fuse.juicefs fuse.mount-s3 fuse.rclone
    fuse.s3fs fuse.sshfs
"""
NETWORK_TYPES: Final = frozenset(_NETWORK_TYPES.split())
_MOUNTS: Final = Path("/proc/mounts")
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


class NetworkHome(UserError):
    """The home lies on a network file system."""

    code = "network-home"

    def __init__(self, folder: Path, mount_point: str, kind: str) -> None:
        super().__init__(
            f"{folder} lies on a network file system ({kind} at {mount_point}), on which SQLite can lose data",
            hint="Set WEFT_HOME to a local folder, or `database` in [tool.weft] to a PostgreSQL address.",
        )


def refuse_network_home(folder: Path, mounts: Path = _MOUNTS) -> None:
    """Raise where ``folder`` lies on a network file system.

    ``mounts`` is a table as Linux keeps it; where there is none (macOS) nothing is known and nothing refused.

    Raises:
        NetworkHome: it does.
    """
    try:
        table = mounts.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    mount_point, kind = _mount_of(str(folder.resolve()), table)
    if kind in NETWORK_TYPES:
        raise NetworkHome(folder, mount_point, kind)


def _mount_of(folder: str, table: str) -> tuple[str, str]:
    best = ("", "")
    for line in table.splitlines():
        fields = line.split(" ")
        point = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[1]) if len(fields) > 2 else ""
        # Of two mounts on one point the later one hides the earlier.
        if point and _is_under(folder, point) and len(point) >= len(best[0]):
            best = (point, fields[2])
    return best


def _is_under(folder: str, point: str) -> bool:
    return folder == point or folder.startswith(point.rstrip("/") + "/")
