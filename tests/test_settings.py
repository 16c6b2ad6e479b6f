"""Settings: where they come from, which wins, and what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from weft.settings import (
    BadSettings,
    Settings,
    UnknownProfile,
    UnknownSetting,
    WrongSetting,
    read_settings,
)

TABLE = """
[tool.weft]
slots = 3
home = "state"
[tool.weft.step]
retries = 2
timeout = "1h"
[tool.weft.profiles.big]
slots = 30
memory = "64GiB"
step = { retries = 5 }
"""


def write(folder: Path, text: str, name: str = "weft.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_without_any_file_the_home_is_under_the_users_home(tmp_path: Path) -> None:
    settings = read_settings(tmp_path, {})
    assert settings.home == Path("~/.weft").expanduser()
    assert (settings.executor, settings.lease_ms, settings.heartbeat_ms) == ("local", 30_000, 5_000)
    assert settings.database_place() == str(settings.home / "weft.db")


def test_there_are_at_most_25_settings() -> None:
    assert len(Settings.__struct_fields__) <= 25


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match="immutable"):
        read_settings(tmp_path, {}).slots = 4  # type: ignore[misc]


def test_the_nearest_file_above_the_project_counts(tmp_path: Path) -> None:
    write(tmp_path, TABLE)
    inner = write(tmp_path / "a" / "b", "[project]\nname = 'x'\n", "pyproject.toml")
    settings = read_settings(inner, {})
    assert settings.slots == 3
    assert settings.source == tmp_path / "weft.toml"


def test_a_relative_home_starts_at_its_file(tmp_path: Path) -> None:
    write(tmp_path, TABLE)
    assert read_settings(tmp_path / "deep" / "below", {}).home == tmp_path / "state"


def test_a_profile_wins_over_the_table_and_keeps_the_other_step_defaults(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, TABLE), {}, profile="big")
    assert (settings.profile, settings.slots, settings.memory) == ("big", 30, "64GiB")
    assert settings.step == {"retries": 5, "timeout": "1h"}


def test_the_environment_wins_over_the_file_and_the_caller_over_both(tmp_path: Path) -> None:
    project = write(tmp_path, TABLE, "pyproject.toml")
    environment = {"WEFT_HOME": str(tmp_path / "env"), "WEFT_PROFILE": "big"}
    settings = read_settings(project, environment)
    assert (settings.home, settings.slots) == (tmp_path / "env", 30)
    assert read_settings(project, environment, slots=1, home=tmp_path / "given").home == tmp_path / "given"
    assert read_settings(project, environment, slots=1, cpus=None).slots == 1


def test_an_unknown_profile_names_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(UnknownProfile, match=r"no profile 'huge'; the profiles are: big"):
        read_settings(write(tmp_path, TABLE), {}, profile="huge")


def test_an_unknown_key_names_file_key_value_and_what_is_allowed(tmp_path: Path) -> None:
    project = write(tmp_path, "[tool.weft]\nslotts = 4\n")
    with pytest.raises(UnknownSetting) as caught:
        read_settings(project, {})
    message = str(caught.value)
    for part in (str(project / "weft.toml"), "tool.weft.slotts", "= 4", "worker_tasks_max"):
        assert part in message


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("slots = 0", "slots"),
        ("slots = true", "slots"),
        ('slots = "4"', "slots"),
        ("cpus = -1.5", "cpus"),
        ("gpus = -1", "gpus"),
        ("memory = []", "memory"),
        ('cache = "yes"', "cache"),
        ('executor = "cloud"', "executor"),
        ('database = "mysql://x"', "database"),
        ("preload = [1]", "preload"),
        ('home = ""', "home"),
        ("limits = { gpu = 0 }", "limits"),
        ("step = 3", "step"),
        ("step = { retries = [1] }", "step"),
    ],
)
def test_a_wrong_value_names_the_key_and_what_it_may_be(tmp_path: Path, line: str, key: str) -> None:
    with pytest.raises(WrongSetting, match=rf"weft.toml: tool.weft.{key} = .* cannot be used\n  .* is "):
        read_settings(write(tmp_path, f"[tool.weft]\n{line}\n"), {})


@pytest.mark.parametrize(
    "text",
    [
        "[tool.weft.profiles.night]\nslotz = 1\n",
        "[tool.weft.profiles.night]\nprofile = 'x'\n",
        "[tool.weft.step]\nretrys = 1\n",
    ],
)
def test_a_slip_in_a_profile_that_is_not_chosen_or_in_step_defaults_is_found(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(UnknownSetting):
        read_settings(write(tmp_path, text), {})


@pytest.mark.parametrize("text", ["[tool\n", "[tool]\nweft = 1\n", "[tool.weft]\nprofiles = 1\n"])
def test_a_file_that_is_no_settings_file_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadSettings, match=r"weft\.toml"):
        read_settings(write(tmp_path, text), {})


def test_a_wrong_setting_from_the_caller_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongSetting, match="what was given: slots = 'many'"):
        read_settings(tmp_path, {}, slots="many")
