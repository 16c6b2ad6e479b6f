"""What every worker of one run must know before its first job. Data only."""

from __future__ import annotations

from typing import Any

import msgspec

EVALUATOR = "weft.worker.evaluate:Evaluator"


class RunContext(msgspec.Struct, kw_only=True):
    """One run's code, folders and surroundings, the same for all its workers.

    Attributes:
        program: the serialised program.
        root: the project's folder; relative log, work and checkpoint folders are not allowed.
        cwd: the folder that workers start in, the one that the user started the run in.
        sys_path: entries that come first on the workers' ``sys.path``, in order.
        preload: modules that are imported once, before workers are forked, in order.
        main_file: the file that plays ``__main__`` for the user's code, if there is one.
        artifact_folder: where the blob store lies.
        log_folder, work_folder, checkpoint_folder: made on demand; logs are one file per attempt.
        environment: variables on top of the driver's own. The hash seed is pinned, so that a set of
            strings has one order in all workers of a run and in its resumes.
        python_flags: options of the interpreter, such as ``-O``.
        evaluator: ``module:class`` of what evaluates a job, built once per worker as ``class(context)``.
        code: what only the evaluator reads.
        checkpoint_before: the checkpoint folders of the runs that this one continues, the latest first.
        checkpoints_kept: how many of each task, the latest ones.
        log_bytes_max: how much of an attempt's output is kept, head and tail.
        guard: a file that all processes of this driver hold locked; "" where nobody needs to wait for their end.
        grace_ms: how long a step may go on after it was told to stop, before it is killed.
    """

    run: str
    program: bytes = b""
    root: str = ""
    cwd: str = ""
    sys_path: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    main_file: str | None = None
    artifact_folder: str = ""
    log_folder: str
    work_folder: str
    checkpoint_folder: str
    environment: dict[str, str] = msgspec.field(default_factory=lambda: {"PYTHONHASHSEED": "0"})
    python_flags: tuple[str, ...] = ()
    evaluator: str = EVALUATOR
    code: dict[str, Any] = {}
    checkpoint_before: tuple[str, ...] = ()
    checkpoints_kept: int = 2
    log_bytes_max: int = 64 << 20
    guard: str = ""
    grace_ms: int = 5_000
