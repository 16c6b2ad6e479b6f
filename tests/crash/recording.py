"""What a run does to its files, recorded from the system calls, and what a power cut may leave of it.

The recording sees everything, SQLite's own writes too. Of what was not synced when the power went, any part may be
there or not: each file keeps all, none, or a part of its unsynced writes, the last of them torn; each name that was
made, moved or removed since its folder was synced is as it was before or after.

A *cut* is a moment between two system calls. ``Recording.restore`` makes the folder as it may look after it.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CALLS = (
    "open,openat,creat,write,pwrite64,writev,pwritev,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,"
    "mkdir,mkdirat,rmdir,ftruncate,truncate,link,linkat,symlink,symlinkat,fallocate,sendfile,copy_file_range"
)
UNKNOWN = ("link", "linkat", "symlink", "symlinkat", "fallocate", "sendfile", "copy_file_range", "truncate")
_LINE = re.compile(r"^(\d+\.\d+) (\w+)\((.*)\) += (-?\d+)(?:<[^>]*>)?(?: E\w+ \([^)]*\))?.* <(\d+\.\d+)>$")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_DESCRIPTOR = re.compile(r"^(?:\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2}|[^>\\])*)>")
_SECTOR = 512


@dataclass
class Write:
    """``data`` was written at ``at``; or, with a ``size``, the file was cut or grown to it."""

    start: float
    end: float
    at: int
    data: bytes
    size: int | None = None


@dataclass
class File:
    writes: list[Write] = field(default_factory=list)
    syncs: list[tuple[float, float]] = field(default_factory=list)
    size: int = 0


@dataclass
class Name:
    """A change of the names in a folder: ``path`` becomes ``file`` (None: it goes), and ``left`` goes with it."""

    start: float
    end: float
    path: str
    file: int | None
    left: str = ""
    is_folder: bool = False


class Recording:
    """All that happened under one folder. State: files by number, changes of names in order, syncs of folders."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.files: list[File] = []
        self.names: list[Name] = []
        self.folder_syncs: dict[str, list[tuple[float, float]]] = {}
        self.marks: dict[str, float] = {}
        self.moments: list[float] = []
        self._live: dict[str, int] = {}
        self._folders: set[str] = set()

    def restore(self, folder: Path, cut: float, dice: random.Random) -> None:
        """Make ``folder`` as ``root`` may look after a power cut at ``cut``."""
        live: dict[str, int] = {}
        folders = {self.root}
        for name in self.names:
            if name.start >= cut or not (self._is_kept(name, cut) or dice.random() < 0.5):
                continue
            if name.is_folder:
                folders.add(name.path)
            else:
                live.pop(name.left, None)
                live.pop(name.path, None)
                if name.file is not None:
                    live[name.path] = name.file
        for path in sorted(folders):
            if all(above in folders for above in self._above(path)):
                self._place(folder, path).mkdir(parents=True, exist_ok=True)
        for path, number in live.items():
            place = self._place(folder, path)
            if place.parent.is_dir() and not path.endswith("-shm"):
                place.write_bytes(self._content(self.files[number], cut, dice))

    def _above(self, path: str) -> Iterator[str]:
        while path != self.root:
            path = path.rpartition("/")[0]
            yield path

    def _place(self, folder: Path, path: str) -> Path:
        return folder / path[len(self.root) :].lstrip("/")

    def _is_kept(self, name: Name, cut: float) -> bool:
        folder = name.path.rpartition("/")[0]
        return any(name.end <= start and end <= cut for start, end in self.folder_syncs.get(folder, ()))

    def _content(self, file: File, cut: float, dice: random.Random) -> bytes:
        done = [write for write in file.writes if write.start < cut]
        synced = [any(write.end <= start and end <= cut for start, end in file.syncs) for write in done]
        policy = dice.choice(("none", "all", "part", "some"))
        loose = [number for number, kept in enumerate(synced) if not kept]
        if policy == "none":
            loose = []
        elif policy == "part":
            loose = loose[: dice.randrange(len(loose) + 1)]
        elif policy == "some":
            loose = [number for number in loose if dice.random() < 0.5]
        content = bytearray()
        for number, write in enumerate(done):
            if synced[number] or number in loose:
                torn = policy == "part" and loose[-1:] == [number]
                _apply(content, write, dice if torn else None)
        return bytes(content)

    # -- reading a trace ----------------------------------------------------------------------------------

    def take(self, start: float, call: str, words: str, result: int, took: float) -> None:
        """Take one system call."""
        end = start + took
        paths = [os.path.normpath(text) for text in _paths(call, words)]
        ours = [path for path in paths if path == self.root or path.startswith(self.root + "/")]
        if not ours:
            if call == "write" and paths and paths[0].endswith("/marks"):
                self.marks[_bytes(words).decode()] = end
            return
        assert call not in UNKNOWN, f"{call} is not modelled"
        self.moments.append(end)
        path = ours[-1]
        if call in ("fsync", "fdatasync"):
            self._sync(path, start, end)
        elif call in ("write", "writev", "pwrite64", "pwritev"):
            self._write(call, path, words, start, end, result)
        elif call == "ftruncate":
            self._file(path, start, end).writes.append(
                Write(start, end, 0, b"", int(words.rpartition(", ")[2]))
            )
        elif call.startswith("rename"):
            self._rename(ours[-2], path, start, end)
        elif call.startswith("unlink"):
            self.names.append(Name(start, end, path, None))
            self._live.pop(path, None)
        elif call.startswith("mkdir"):
            self._folders.add(path)
            self.names.append(Name(start, end, path, None, is_folder=True))
        elif "O_CREAT" in words:
            self._file(path, start, end)
            if "O_TRUNC" in words:
                self._file(path, start, end).writes.append(Write(start, end, 0, b"", 0))

    def _file(self, path: str, start: float, end: float) -> File:
        if path not in self._live:
            self._live[path] = len(self.files)
            self.files.append(File())
            self.names.append(Name(start, end, path, self._live[path]))
        return self.files[self._live[path]]

    def _sync(self, path: str, start: float, end: float) -> None:
        if path in self._live:
            self.files[self._live[path]].syncs.append((start, end))
        else:
            self.folder_syncs.setdefault(path, []).append((start, end))

    def _write(self, call: str, path: str, words: str, start: float, end: float, result: int) -> None:
        file = self._file(path, start, end)
        data = _bytes(words)
        assert len(data) == result, f"{call} of {len(data)} bytes wrote {result}"
        at = int(words.rpartition(", ")[2]) if call.startswith("p") else file.size
        file.writes.append(Write(start, end, at, data))
        file.size = max(file.size, at + len(data))

    def _rename(self, old: str, new: str, start: float, end: float) -> None:
        self._live[new] = self._live.pop(old)
        self.names.append(Name(start, end, new, self._live[new], left=old))


def _apply(content: bytearray, write: Write, tear: random.Random | None) -> None:
    if write.size is not None:
        del content[write.size :]
        content.extend(bytes(write.size - len(content)))
        return
    data = write.data
    if tear is not None and len(data) > _SECTOR:
        data = data[: tear.randrange(len(data) // _SECTOR) * _SECTOR]
    content.extend(bytes(max(0, write.at - len(content))))
    content[write.at : write.at + len(data)] = data


def _paths(call: str, words: str) -> Iterator[str]:
    """Yield the paths of a call: that of its descriptor, or those that it names, some beside a folder's descriptor."""
    match = _DESCRIPTOR.match(words)
    if match is not None and not call.startswith(("openat", "renameat", "unlinkat", "mkdirat")):
        yield _plain(match[1])
        return
    base = _plain(match[1]) if match is not None else os.getcwd()
    for found in _STRING.finditer(words):
        yield os.path.join(base, _plain(found[1]))


def _plain(text: str) -> str:
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), text)


def _bytes(words: str) -> bytes:
    found = list(_STRING.finditer(words))
    assert not any(each[2] for each in found), "the trace has cut a string short"
    return b"".join(bytes.fromhex(each[1].replace("\\x", "")) for each in found)


def record(command: list[str], root: Path, traces: Path, environment: dict[str, str]) -> Recording:
    """Run ``command`` and return what it and its processes did under ``root``."""
    traces.mkdir()
    strace = ["strace", "-ff", "-ttt", "-T", "-y", "-xx", "-s", "16000000", "--seccomp-bpf", "-qq"]
    done = subprocess.run(
        [*strace, "-o", str(traces / "t"), "-e", f"trace={CALLS}", "-e", "signal=none", "--", *command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    recording = Recording(root)
    calls = [call for path in traces.iterdir() for call in _calls(path)]
    for start, name, words, result, took in sorted(calls):
        if result >= 0:
            recording.take(start, name, words, result, took)
    return recording


def _calls(path: Path) -> Iterator[tuple[float, str, str, int, float]]:
    with path.open(encoding="ascii", errors="replace") as file:
        for line in file:
            match = _LINE.match(line.rstrip("\n"))
            if match is not None:
                yield float(match[1]), match[2], match[3], int(match[4]), float(match[5])
            elif "(" in line and "exited" not in line and "killed" not in line and "= ?" not in line:
                raise AssertionError(f"a line of the trace cannot be read: {line[:300]}")
