"""The settings of this machine and project: one frozen object, read from files and the environment once.

Order, the later one wins: defaults, ``[tool.weft]``, ``[tool.weft.profiles.NAME]``, ``WEFT_HOME`` and
``WEFT_PROFILE``, what the caller gives. The file is the nearest ``weft.toml`` or ``pyproject.toml`` with
a ``[tool.weft]`` table, from the project's folder upwards. *Where* things run is said here, never in the code.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from weft.errors import UserError
from weft.seams import deferred

if TYPE_CHECKING:
    import tomllib
else:
    tomllib = deferred("tomllib")

FILE_NAMES: Final = ("weft.toml", "pyproject.toml")
EXECUTORS: Final = ("inline", "local")
STEP_KEYS: Final = ("backoff", "cache", "cpu", "gpu", "memory", "retries", "timeout")
Quantity = str | int | float


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What may be configured. Sizes and durations are kept as they were written; the room that uses one
    reads it with ``model.resources``.

    Attributes:
        home: holds the database and the artifacts.
        database: a PostgreSQL address; empty for the SQLite file in ``home``.
        slots: tasks at a time on the local executor; None: one for each core.
        cpus, memory, gpus: what the local executor may hand out; None: what this machine has.
        worker_tasks_max: after so many tasks a worker is replaced.
        worker_memory: above this a worker is replaced after its task; None: never for memory.
        losses_max: further attempts of a task whose worker died, was preempted or ran out of memory; they do
            not count as ``retries`` of the step.
        disk_wait: how long a run waits for space on a full disk before it gives up.
        checkpoints: how many checkpoints of a task are kept, the latest ones.
        log_cap: bytes kept of one attempt's output, beginning and end.
        parameters_max: bytes that the parameters of one run may take, stored, all together.
        lease_ms, heartbeat_ms: how long a silent driver keeps its run, and how often it reports.
        preload: modules that workers import before their first task, besides the workflow's own.
        cache: reuse results across runs also where a step does not ask for it.
        step: defaults of ``@step``; the keys are ``STEP_KEYS``.
        limits: capacity of the pools that ``limit("name")`` takes slots of.
        source: the file that was read, for messages.
    """

    home: Path
    profile: str = ""
    executor: str = "local"
    database: str = ""
    slots: int | None = None
    cpus: float | None = None
    memory: Quantity | None = None
    gpus: int | None = None
    worker_tasks_max: int = 1000
    worker_memory: Quantity | None = None
    losses_max: int = 2
    disk_wait: Quantity = "10m"
    checkpoints: int = 2
    log_cap: Quantity = "64MiB"
    parameters_max: Quantity = "1GiB"
    lease_ms: int = 30_000
    heartbeat_ms: int = 5_000
    preload: tuple[str, ...] = ()
    cache: bool = False
    step: Mapping[str, Quantity] = {}
    limits: Mapping[str, int] = {}
    source: Path | None = None

    def database_place(self) -> str:
        """Return what ``store.database.open_database`` takes."""
        return self.database or str(self.home / "weft.db")


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _table_of(value: object, fits: Callable[[object], bool]) -> bool:
    return isinstance(value, Mapping) and all(fits(item) for item in value.values())


class _Kind(NamedTuple):
    """What a setting may be: in words, and as a test."""

    words: str
    fits: Callable[[object], bool]


_COUNT: Final = _Kind("a whole number, 1 or more", lambda value: _whole(value, 1))
_SIZE: Final = _Kind('a size such as "8GiB"', lambda value: isinstance(value, str) or _positive(value))
_KEYS: Final[dict[str, _Kind]] = {
    "home": _Kind("a folder", lambda value: isinstance(value, str | Path) and bool(str(value))),
    "profile": _Kind("the name of a profile", lambda value: isinstance(value, str)),
    "executor": _Kind("one of " + ", ".join(EXECUTORS), lambda value: value in EXECUTORS),
    "database": _Kind(
        'a PostgreSQL address such as "postgresql://user@host/name"',
        lambda value: isinstance(value, str) and value.startswith(("postgresql://", "postgres://")),
    ),
    "slots": _COUNT,
    "cpus": _Kind("a number of cores above 0", _positive),
    "memory": _SIZE,
    "gpus": _Kind("a whole number, 0 or more", lambda value: _whole(value, 0)),
    "worker_tasks_max": _COUNT,
    "worker_memory": _SIZE,
    "losses_max": _Kind("a whole number, 0 or more", lambda value: _whole(value, 0)),
    "disk_wait": _Kind(
        'a duration such as "10m"', lambda value: isinstance(value, str) or value == 0 or _positive(value)
    ),
    "checkpoints": _COUNT,
    "log_cap": _SIZE,
    "parameters_max": _SIZE,
    "lease_ms": _COUNT,
    "heartbeat_ms": _COUNT,
    "preload": _Kind(
        "a list of names of modules",
        lambda value: isinstance(value, list | tuple) and all(isinstance(item, str) for item in value),
    ),
    "cache": _Kind("true or false", lambda value: isinstance(value, bool)),
    "step": _Kind(
        "a table with defaults of @step",
        lambda value: _table_of(value, lambda item: isinstance(item, str | int | float)),
    ),
    "limits": _Kind(
        "a table from a pool to its slots, 1 or more",
        lambda value: _table_of(value, lambda item: _whole(item, 1)),
    ),
}


class BadSettings(UserError):
    """A settings file, or a setting in it, cannot be used."""

    code = "bad-settings"


class UnknownSetting(BadSettings):
    """No setting has this name."""

    code = "unknown-setting"

    def __init__(self, where: str, key: str, value: object, allowed: tuple[str, ...]) -> None:
        super().__init__(
            f"{where}: there is no setting {key!r} (= {value!r})",
            hint=f"The settings are {', '.join(allowed)}.",
        )


class WrongSetting(BadSettings):
    """A setting has a value that it cannot have."""

    code = "wrong-setting"

    def __init__(self, where: str, key: str, value: object, expected: str) -> None:
        super().__init__(f"{where}: {key} = {value!r} cannot be used", hint=f"{key} is {expected}.")


class UnknownProfile(BadSettings):
    """No profile has this name."""

    code = "unknown-profile"

    def __init__(self, where: str, name: str, known: tuple[str, ...]) -> None:
        listed = ", ".join(known) if known else "none"
        super().__init__(
            f"{where}: there is no profile {name!r}; the profiles are: {listed}",
            hint=f"Write a table [tool.weft.profiles.{name}], or choose one of those.",
        )


def read_settings(project: Path, environment: Mapping[str, str] = os.environ, **given: object) -> Settings:
    """Return the settings for a workflow that lies in the folder ``project``.

    Args:
        given: settings that win over all others, such as ``profile="cluster"``; None is as if not given.

    Raises:
        BadSettings: names the file, the key, the value, and what is allowed.
    """
    source, table = _find_table(project.absolute())
    where = str(source) if source else "the built-in settings"
    profiles = _profiles(where, table)
    chosen = {key: value for key, value in given.items() if value is not None}
    name = str(chosen.get("profile") or environment.get("WEFT_PROFILE") or table.get("profile") or "")
    values = {key: value for key, value in table.items() if key != "profiles"}
    _check(where, "tool.weft", values)
    if name:
        if name not in profiles:
            raise UnknownProfile(where, name, tuple(profiles))
        values = _merge(values, profiles[name])
    if source is not None and "home" in values:
        values["home"] = str(source.parent / Path(str(values["home"])).expanduser())
    if environment.get("WEFT_HOME"):
        values["home"] = environment["WEFT_HOME"]
    _check("what was given", "", chosen)
    return _settings({**_merge(values, chosen), "profile": name}, source)


def _settings(values: dict[str, Any], source: Path | None) -> Settings:
    values["home"] = Path(str(values.get("home", "~/.weft"))).expanduser().absolute()
    values["preload"] = tuple(values.get("preload", ()))
    return Settings(**values, source=source)


def _merge(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, Any]:
    merged: dict[str, Any] = {**below, **above}
    for key in ("step", "limits"):
        # A profile that sets one default of steps keeps the others.
        if key in merged:
            merged[key] = {**_table(below.get(key)), **_table(above.get(key))}
    return merged


def _table(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _find_table(folder: Path) -> tuple[Path | None, dict[str, Any]]:
    for place in (folder, *folder.parents):
        for name in FILE_NAMES:
            table = _read_table(place / name)
            if table is not None:
                return place / name, table
    return None, {}


def _read_table(path: Path) -> dict[str, Any] | None:
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path} cannot be read: {error}", hint="Make it a readable UTF-8 file.") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(
            f"{path} is no valid TOML: {error}", hint="Correct the file at that place."
        ) from error
    tool = document.get("tool", {})
    table = tool.get("weft") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise WrongSetting(str(path), "tool.weft", table, "a table")
    return table


def _profiles(where: str, table: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    profiles = table.get("profiles", {})
    if not isinstance(profiles, dict):
        raise WrongSetting(where, "tool.weft.profiles", profiles, "a table of tables, one for each profile")
    # All of them, not only the chosen one: a slip should show before the night it matters.
    for name, values in profiles.items():
        if not isinstance(values, dict):
            raise WrongSetting(where, f"tool.weft.profiles.{name}", values, "a table")
        _check(where, f"tool.weft.profiles.{name}", values)
    return profiles


def _check(where: str, prefix: str, values: Mapping[str, object]) -> None:
    for key, value in values.items():
        full = f"{prefix}.{key}" if prefix else key
        if key not in _KEYS or (key == "profile" and prefix.startswith("tool.weft.profiles")):
            raise UnknownSetting(where, full, value, tuple(_KEYS))
        if key == "step" and isinstance(value, dict):
            for unknown in value.keys() - set(STEP_KEYS):
                raise UnknownSetting(where, f"{full}.{unknown}", value[unknown], STEP_KEYS)
        if not _KEYS[key].fits(value):
            raise WrongSetting(where, full, value, _KEYS[key].words)


assert set(Settings.__struct_fields__) == {*_KEYS, "source"}
