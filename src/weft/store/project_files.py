"""The files of a project: where its root is, which files are its code, and which commit it stands on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

FILES_MAX: Final = 5_000
FOLDER_ENTRIES_MAX: Final = 2_000
ENTRIES_MAX: Final = 20_000
OTHER_BYTES_MAX: Final = 1 << 20

_MARKERS: Final = ("pyproject.toml", "weft.toml", ".git")
_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "site-packages", "build", "dist", "venv", "env"})
_CODE: Final = (".py", ".pyi")
_OTHER: Final = (".toml", ".yaml", ".yml", ".json", ".cfg", ".ini", ".sql", ".j2", ".jinja", ".lock")
_SECRET: Final = ("secret", "credential", "password", "token")


class ProjectFile(NamedTuple):
    """A file of the project: its path from the root with ``/``, and what tells that it was changed."""

    path: str
    size_bytes: int
    modified_ns: int
    inode: int


def project_root(file: str | Path) -> Path:
    """Return the nearest folder upward with a ``pyproject.toml``, ``weft.toml`` or ``.git``, else the file's own."""
    folder = Path(os.path.abspath(file)).parent
    for candidate in (folder, *folder.parents):
        if any((candidate / marker).exists() for marker in _MARKERS):
            return candidate
    return folder


def loaded_files(root: Path) -> list[str]:
    """Return the files under ``root`` that this process has imported, installed packages left out."""
    prefix = os.path.join(root, "")
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return sorted(
        file
        for file in files
        if isinstance(file, str) and file.startswith(prefix) and not _SKIPPED & set(file.split(os.sep))
    )


def project_files(
    root: Path, used: Iterable[str | Path] = (), skipped: Path | None = None
) -> tuple[list[ProjectFile], bool]:
    """Return the files that make up a project, by path, and whether a bound cut them off.

    ``used`` files under the root always count. A folder with more than ``FOLDER_ENTRIES_MAX`` entries is
    taken for data. Without a marker (``pyproject.toml``, …) the root may be anyone's home folder, so only its
    own files and its packages count. ``skipped``: a folder that is no part of it, such as the home of its runs.
    """
    found: dict[str, ProjectFile] = {}
    is_whole = True
    is_marked = any((root / marker).exists() for marker in _MARKERS)
    for path, status in _walk(root, is_marked, "" if skipped is None else os.path.abspath(skipped)):
        if status is None or len(found) >= FILES_MAX:
            is_whole = False
            break
        found[path] = _described(path, status)
    for file in used:
        described = _used(root, file, found)
        if described is not None:
            found[described.path] = described
    return [found[path] for path in sorted(found)], not is_whole


def _used(root: Path, file: str | Path, found: dict[str, ProjectFile]) -> ProjectFile | None:
    """Return a file under the root, where its path leads to; None: it is not there, or known already."""
    # Most were found above, and to follow a path's links costs a system call for each folder on it.
    if _slashed(os.fspath(file)).removeprefix(f"{_slashed(os.fspath(root))}/") in found:
        return None
    relative = _slashed(os.path.relpath(os.path.realpath(file), os.path.realpath(root)))
    if relative.startswith(os.pardir) or relative in found or not os.path.isfile(file):
        return None
    return _described(relative, os.stat(file))


def _described(path: str, status: os.stat_result) -> ProjectFile:
    return ProjectFile(path, status.st_size, status.st_mtime_ns, status.st_ino)


def _slashed(path: str) -> str:
    return path.replace(os.sep, "/")


def _walk(root: Path, is_marked: bool, skipped: str) -> Iterator[tuple[str, os.stat_result | None]]:
    """Yield the paths of code in ``root``, the upper folders first; a status of None: there is more."""
    folders, seen = [""], 0
    for folder in folders:  # grows while it is walked
        entries = _entries(os.path.join(root, folder))
        seen += len(entries)
        if seen > ENTRIES_MAX:
            yield folder, None
            return
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if _is_code_folder(entry, is_marked) and os.path.abspath(entry.path) != skipped:
                    folders.append(path)
            elif _is_code(entry):
                yield path, entry.stat()


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Return the entries of a folder by name; none if it is too large to be code, or closed."""
    entries: list[os.DirEntry[str]] = []
    try:
        with os.scandir(folder) as listing:
            for entry in listing:
                if len(entries) >= FOLDER_ENTRIES_MAX:
                    return []
                entries.append(entry)
    except OSError:
        return []
    return sorted(entries, key=lambda entry: entry.name)


def _is_code_folder(entry: os.DirEntry[str], is_marked: bool) -> bool:
    if entry.name.startswith(".") or entry.name in _SKIPPED or entry.name.endswith(".egg-info"):
        return False
    if os.path.exists(os.path.join(entry.path, "pyvenv.cfg")):
        return False
    return is_marked or os.path.exists(os.path.join(entry.path, "__init__.py"))


def _is_code(entry: os.DirEntry[str]) -> bool:
    name = entry.name
    if name.startswith(".") or not name.endswith((*_CODE, *_OTHER)) or not entry.is_file():
        return False
    if name.endswith(_CODE):
        return True
    # The archive is kept and copied; a key file that lies about must not get into it.
    is_secret = any(word in name.lower() for word in _SECRET)
    return not is_secret and entry.stat().st_size <= OTHER_BYTES_MAX


def find_commit(root: Path) -> str | None:
    """Return the commit that the work tree around ``root`` stands on, without starting git; None: there is none."""
    for folder in (root, *root.parents):
        dot_git = folder / ".git"
        if dot_git.exists():
            return _head(_git_folder(dot_git))
    return None


def _git_folder(dot_git: Path) -> Path:
    """Return the folder of the repository; in a work tree or submodule ``.git`` is a file that names it."""
    if dot_git.is_dir():
        return dot_git
    pointer = _first_line(dot_git) or ""
    return dot_git.parent / pointer.removeprefix("gitdir:").strip()


def _head(git: Path) -> str | None:
    head = _first_line(git / "HEAD")
    if head is None or not head.startswith("ref:"):
        return _as_commit(head)
    reference = head.removeprefix("ref:").strip()
    common = git / (_first_line(git / "commondir") or ".")
    for place in (git, common):
        commit = _as_commit(_first_line(place / reference))
        if commit is not None:
            return commit
    return _packed(common, reference)


def _packed(common: Path, reference: str) -> str | None:
    try:
        lines = (common / "packed-refs").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for line in lines:
        commit, _, name = line.partition(" ")
        if name == reference:
            return _as_commit(commit)
    return None


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError):
        return None


def _as_commit(text: str | None) -> str | None:
    is_commit = (
        text is not None and len(text) in (40, 64) and all(letter in "0123456789abcdef" for letter in text)
    )
    return text if is_commit else None
