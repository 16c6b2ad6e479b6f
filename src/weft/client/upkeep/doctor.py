"""``weft doctor``: is this machine, and this home, fit to run workflows?"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Literal

import msgspec

from weft.client.home import Home
from weft.errors import WeftError
from weft.settings import Settings, read_settings
from weft.store.sqlite import sqlite_version

SPACE_LOW_BYTES = 1 << 30


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. ``hint`` says what to do where the level is not ``ok``."""

    name: str
    level: Literal["ok", "warning", "error"]
    message: str
    hint: str = ""


def doctor() -> list[Finding]:
    """Look at Python, the settings, the home, the disk, the database and what tasks may use."""
    findings = [Finding("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")]
    try:
        settings = read_settings(Path.cwd())
    except WeftError as error:
        return [*findings, Finding("settings", "error", error.message, error.hint)]
    source = f"read from {settings.source}" if settings.source else "the defaults; no [tool.weft] was found"
    findings.append(Finding("settings", "ok", source))
    return [*findings, *_home(settings), _sqlite(), *_machine(settings)]


def _home(settings: Settings) -> list[Finding]:
    try:
        home = Home(settings)
        with home.database as database:
            database.engine.check()
            where = "PostgreSQL" if settings.database else str(settings.home)
            findings = [Finding("home", "ok", f"{where} can be read and written")]
    except WeftError as error:
        return [Finding("home", "error", error.message, error.hint)]
    free = shutil.disk_usage(settings.home).free
    text = f"{free / 2**30:.1f} GiB are free"
    level: Literal["ok", "warning"] = "ok" if free > SPACE_LOW_BYTES else "warning"
    return [*findings, Finding("disk", level, text, "Make space: `weft gc` deletes what no run needs.")]


def _sqlite() -> Finding:
    version, needs_lock = sqlite_version()
    if not needs_lock:
        return Finding("sqlite", "ok", version)
    return Finding(
        "sqlite", "ok", f"{version}; writers take turns by a file lock, as versions below 3.51.3 need"
    )


def _machine(settings: Settings) -> list[Finding]:
    try:
        executor = Home(settings).make_executor()
    except WeftError as error:
        return [Finding("executor", "error", error.message, error.hint)]
    try:
        has = executor.capacity()
    finally:
        executor.close()
    gpus = f", {len(has.gpus)} GPUs" if has.gpus else ""
    text = f"{settings.executor}: {has.cpu:g} cores, {has.memory_bytes / 2**30:.1f} GiB{gpus}"
    load = os.getloadavg()[0]
    findings = [Finding("executor", "ok", text)]
    if load > 2 * max(1.0, has.cpu):
        findings.append(
            Finding("load", "warning", f"the machine is busy: load {load:.1f}", "Expect tasks to be slow.")
        )
    return findings
