"""What a run was started with, beside its program: kept in its row, so that any driver can go on with it."""

from __future__ import annotations

from typing import Any

import msgspec

from weft.errors import StoredDataError
from weft.model.jobs import Output
from weft.model.values import UNREADABLE
from weft.store.project import CodePin


class UnreadableLaunch(StoredDataError):
    """What a run was started with cannot be read."""

    code = "unreadable-launch"

    def __init__(self, run: str, why: object) -> None:
        super().__init__(f"what run {run} was started with cannot be read: {why}", hint="Start a new run.")


class Launch(msgspec.Struct, kw_only=True):
    """How a run was started.

    Attributes:
        given: artifacts of parameters, captured variables and defaults, with their environment names.
        code: what the evaluator needs beside the program: steps that travel by value, values of ``__main__``.
        main_file: the script that is ``__main__``, if any.
        root, cwd, sys_path: the project's folder, the folder of the start, where modules are found.
        preload: modules that workers import before their first task.
        python_flags: options of the interpreter.
        pin: which code the project had; None where the workflow lies in no file.
        cache: reuse results of other runs. ``refresh``: steps to run again in any case.
        executor, slots: where the run's options say otherwise than its profile.
    """

    given: list[Output]
    code: dict[str, Any] = {}
    main_file: str | None = None
    root: str = ""
    cwd: str = ""
    sys_path: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    python_flags: tuple[str, ...] = ()
    pin: CodePin | None = None
    cache: bool | None = None
    refresh: tuple[str, ...] = ()
    executor: str = ""
    slots: int | None = None


def launch_to_bytes(launch: Launch) -> bytes:
    """Return the launch as msgpack."""
    return msgspec.msgpack.encode(launch)


def launch_from_bytes(raw: bytes, run: str) -> Launch:
    """Return what ``launch_to_bytes`` wrote.

    Raises:
        UnreadableLaunch: the bytes are none.
    """
    try:
        return msgspec.msgpack.decode(raw, type=Launch)
    except UNREADABLE as error:
        raise UnreadableLaunch(run, error) from error
