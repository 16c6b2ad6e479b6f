"""The commands that look and look after, against a home in memory."""

from __future__ import annotations

import json
import pickle

import pytest

from weft.cli.commands import COMMANDS, overview
from weft.client.upkeep.collecting import DoomedRun, Policy
from weft.errors import StoredDataError, UserError
from weft.model.values import Failure

RUN = "0hq3t5m2k9ab4cde"


def test_help_lists_every_command(weft):
    ended = weft("--help")
    assert ended.code == 0
    assert ended.out == overview()
    assert all(f"  {name} " in ended.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example_and_json(weft, name):
    ended = weft(name, "--help")
    assert ended.code == 0
    assert "--json" in ended.out
    assert "Example: " in ended.out
    assert f"weft {name}" in ended.out.split("Example: ")[1] or name == "completion"


def test_a_wrong_command_is_2_and_names_the_right_one(weft):
    ended = weft("lst")
    assert ended.code == 2
    assert "Did you mean `weft ls`?" in ended.err


def test_a_file_in_place_of_a_command_is_told_how_to_run(weft):
    assert "`weft run flights.py`" in weft("flights.py").err


def test_a_wrong_option_is_2_without_a_traceback(weft, home):
    ended = weft("ls", "--wrong")
    assert ended.code == 2
    assert "--wrong" in ended.err
    assert "Traceback" not in ended.err


def test_ls_shows_runs_and_passes_the_filters_on(weft, home, fake):
    home.runs = [fake.Run(), fake.Run(id="0hq3aaaaaaaaaaaa", state="failed")]
    ended = weft("ls", "--state", "failed", "--workflow", "delays", "--limit", "5")
    assert home.asked == {"workflow": "delays", "state": "failed", "limit": 5}
    assert RUN in ended.out
    assert "months=[1, 2]" in ended.out


def test_ls_json_has_the_documented_fields(weft, home, fake):
    home.runs = [fake.Run(failure=Failure("user", "ValueError", "no"))]
    found = json.loads(weft("ls", "--json").out)
    assert found == [
        {
            "id": RUN,
            "workflow": "delays",
            "state": "succeeded",
            "created_ms": 1000,
            "started_ms": 1000,
            "ended_ms": 13400,
            "params": {"months": "[1, 2]"},
            "tags": {},
            "resumed_from": None,
            "failure": {"type": "ValueError", "message": "no", "kind": "user"},
        }
    ]


def test_ls_of_an_empty_home_says_how_to_start(weft, home):
    ended = weft("ls")
    assert (ended.code, ended.out) == (0, "")
    assert "weft run FILE.py" in ended.err


def loop_run(fake, **more):
    tasks = [fake.Task(f"load[{i}]", value=i * 10, lines=(f"row {i}",)) for i in range(3)]
    return fake.Run(made=[*tasks, fake.Task("concat", value=[0, 10, 20])], value=42, **more)


def test_show_counts_the_tasks_of_a_loop_on_one_line(weft, home, fake):
    home.runs = [loop_run(fake)]
    out = weft("show").out
    assert "load    (3 tasks, 1.50 s)" in out
    assert "load[1]" not in out
    assert "load[1]" in weft("show", "@", "--tasks").out


def test_show_lists_what_runs_and_what_failed_up_to_a_bound_and_says_how_to_see_the_rest(weft, home, fake):
    failure = Failure("weft", "weft.worker.evaluate.NotStrict", "a hidden change\nof x")
    failed = [fake.Task(f"load[{i}]", "failed", failure=failure) for i in range(1000)]
    running = [fake.Task("train[3]", "running", ended_ms=0)]
    home.runs = [fake.Run(state="failing", made=[*failed, *running])]
    out = weft("show").out
    assert "● train[3]  for " in out
    assert out.count("✗ load[") == 10
    assert "✗ load[9]  NotStrict: a hidden change\n" in out
    assert f"and 990 tasks more: weft show {RUN} --state failed" in out
    assert len(out.splitlines()) < 25


def test_show_pages_through_tasks(weft, home, fake):
    home.runs = [loop_run(fake)]
    first = weft("show", "--tasks", "--limit", "2")
    assert "load[1]" in first.out
    assert "load[2]" not in first.out
    place = home.runs[0].made[1].cursor
    assert f"more: weft show {RUN} --tasks --limit 2 --after {place}" in first.err
    second = weft("show", "--tasks", "--limit", "2", "--after", place)
    assert "load[1]" not in second.out
    assert "load[2]" in second.out
    assert "concat" in second.out
    assert "more:" not in second.err
    page = json.loads(weft("show", "--json", "--limit", "2").out)
    assert ([task["path"] for task in page["tasks"]], page["after"]) == (["load[0]", "load[1]"], place)
    assert "No such tasks." in weft("show", "--state", "failed").err


def test_a_place_that_is_none_is_2_and_shown(weft, home, fake):
    home.runs = [loop_run(fake)]
    ended = weft("show", "--after", "load[2]")
    assert ended.code == 2
    assert "'load[2]'" in ended.err


def test_what_an_interruption_cut_off_is_not_shown_as_running(weft, home, fake):
    home.runs = [fake.Run(state="interrupted", made=[fake.Task("train", "running", ended_ms=0)])]
    for words in ((), ("--tasks",)):
        out = weft("show", "@", *words).out
        assert "⏸ interrupted  train" in out
        assert "●" not in out


def test_show_of_a_failure_shows_it_and_the_way_on(weft, home, fake):
    failure = Failure("user", "ValueError", "bad kind", traceback="Traceback\n  File x\n")
    home.runs = [fake.Run(state="failed", failure=failure, made=[fake.Task("train[2]", state="failed")])]
    out = weft("show", RUN).out
    assert "ValueError: bad kind" in out
    assert f"weft logs {RUN} 'train[2]'" in out
    assert f"weft resume {RUN}" in out


def test_show_json_has_run_and_tasks(weft, home, fake):
    home.runs = [loop_run(fake)]
    found = json.loads(weft("show", "--json").out)
    assert found["id"] == RUN
    assert found["after"] is None
    assert found["steps"][0] == {
        "step": "load",
        "tasks": 3,
        "states": {"succeeded": 3},
        "attempts": 3,
        "started_ms": 1000,
        "ended_ms": 2500,
    }
    assert found["tasks"][0] == {
        "path": "load[0]",
        "state": "succeeded",
        "attempts": 1,
        "started_ms": 1000,
        "ended_ms": 2500,
        "executor": "local",
    }


def test_an_unknown_run_is_2_with_its_name_and_a_hint(weft, home):
    ended = weft("show", "zzz")
    assert ended.code == 2
    assert "'zzz'" in ended.err
    assert "weft ls" in ended.err


def test_a_unique_prefix_names_a_run(weft, home, fake):
    home.runs = [fake.Run(), fake.Run(id="1aaaaaaaaaaaaaaa")]
    assert weft("show", "1a").code == 0


def test_logs_of_a_run_of_a_loop_and_of_one_task(weft, home, fake):
    home.runs = [loop_run(fake)]
    assert weft("logs").out.count("row") == 3
    assert weft("logs", "load").out.count("row") == 3
    assert weft("logs", RUN, "load[1]").out == "load[1]  row 1\n"


def test_logs_json_is_one_object_a_line(weft, home, fake):
    home.runs = [loop_run(fake)]
    lines = [json.loads(line) for line in weft("logs", "--json").out.splitlines()]
    assert [line["text"] for line in lines] == ["row 0", "row 1", "row 2"]


def test_logs_of_an_unknown_task_is_2_and_tells_where_they_are_listed(weft, home, fake):
    home.runs = [loop_run(fake)]
    ended = weft("logs", RUN, "lod")
    assert ended.code == 2
    assert "'lod'" in ended.err
    assert "--tasks" in ended.err


def test_get_prints_the_value_last(weft, home, fake):
    home.runs = [loop_run(fake)]
    assert weft("get").out == "42\n"
    assert weft("get", "concat").out == "[0, 10, 20]\n"
    assert weft("get", RUN, "load[2]").out == "20\n"
    assert weft("get", RUN, "load").out == "[0, 10, 20]\n"


def test_one_word_is_a_run_before_it_is_a_task(weft, home, fake):
    home.runs = [fake.Run(value="latest"), fake.Run(id="1aaaaaaaaaaaaaaa", value="older")]
    assert weft("get", "1aa").out == "older\n"


def test_get_json_of_a_value_without_json_form_is_2_and_names_the_type(weft, home, fake):
    home.runs = [fake.Run(value=object())]
    ended = weft("get", "--json")
    assert ended.code == 2
    assert "object" in ended.err


def test_get_of_what_failed_is_1_and_says_why(weft, home, fake):
    failure = Failure("user", "ValueError", "bad kind")
    home.runs = [
        fake.Run(state="failed", failure=failure, made=[fake.Task("train", "failed", failure=failure)])
    ]
    for words in ((), (RUN, "train")):
        ended = weft("get", *words)
        assert (ended.code, ended.out) == (1, "")
        assert "ValueError: bad kind" in ended.err


def test_get_saves_in_the_form_of_the_suffix(weft, home, fake, tmp_path):
    home.runs = [fake.Run(value={"a": (1, 2)})]
    for name in ("v.json", "v.pkl", "v.txt"):
        assert weft("get", "-o", str(tmp_path / name)).code == 0
    assert json.loads((tmp_path / "v.json").read_text()) == {"a": [1, 2]}
    assert pickle.loads((tmp_path / "v.pkl").read_bytes()) == {"a": (1, 2)}
    assert (tmp_path / "v.txt").read_text() == "{'a': (1, 2)}\n"
    assert weft("get", "-o", str(tmp_path / "v.csv")).code == 2


def test_cancel_asks_a_live_run_and_leaves_an_ended_one(weft, home, fake):
    home.runs = [fake.Run(state="running")]
    assert weft("cancel").code == 0
    assert home.runs[0].calls == ["cancel"]
    home.runs = [fake.Run(state="succeeded")]
    assert "is succeeded" in weft("cancel").err
    assert home.runs[0].calls == []


def test_cancel_of_an_interrupted_run_ends_it_here(weft, home, fake):
    home.runs = [fake.Run(state="interrupted")]
    home.resumed.on_wait = lambda _: setattr(home.runs[0], "state", "cancelled")
    assert "is cancelled" in weft("cancel").err


def test_verify_is_3_when_something_is_damaged(weft, home, fake):
    home.runs = [fake.Run()]
    assert weft("verify").code == 0
    home.report.problems.append("artifact b3:12 is missing")
    ended = weft("verify")
    assert ended.code == 3
    assert "b3:12" in ended.out


def test_gc_tells_what_it_deleted_or_would(weft, home):
    assert weft("gc", "--dry-run").out == "would delete 2 files, 4.0 KiB; 9 are in use\n"
    assert home.asked == {"dry_run": True, "policy": Policy()}
    assert weft("gc").out.startswith("deleted 2 files")


def test_gc_tells_which_runs_a_policy_lets_go_and_what_they_would_take(weft, home):
    home.report.runs = [
        DoomedRun("0hq3t5m2k9ab4cde", "delays", "succeeded", 1000, 2048, 65_000, True),
        DoomedRun("0hq3t5m2k9ab4cdf", "delays", "failed", 1000, 0, 65_000, False),
    ]
    ended = weft("gc", "--older-than", "30d", "--keep-last", "3", "--max-size", "10GiB", "--dry-run")
    assert home.asked["policy"] == Policy(30 * 24 * 3_600_000, 3, 10 << 30)
    head, first, second, last = ended.out.splitlines()
    assert "BUILT AGAIN IN" in head
    assert "2.0 KiB" in first
    assert "1 min 05 s" in first
    assert "cannot be: its code is not archived" in second
    assert last == "would delete 2 runs and 2 files, 4.0 KiB; 9 are in use"
    assert weft("gc", "--older-than", "soon").code == 2


def test_doctor_is_2_when_something_is_to_fix(weft, client):
    class Finding:
        def __init__(self, name: str, level: str, message: str, hint: str = "") -> None:
            self.name, self.level, self.message, self.hint = name, level, message, hint

    client(doctor=lambda: [Finding("home", "ok", "~/.weft")])
    assert weft("doctor").code == 0
    client(doctor=lambda: [Finding("disk", "error", "0 bytes free", "Make space.")])
    ended = weft("doctor")
    assert ended.code == 2
    assert "Make space." in ended.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell(weft, shell):
    ended = weft("completion", shell)
    assert ended.code == 0
    assert "_WEFT_COMPLETE" in ended.out


def test_damaged_data_is_3_and_things_to_fix_are_2(weft, client):
    def raises(error):
        def call(*_):
            raise error

        return call

    client(open_home=raises(StoredDataError("weft.db is no database", hint="Restore it.")))
    ended = weft("ls")
    assert (ended.code, ended.out) == (3, "")
    assert "weft.db is no database" in ended.err
    assert "Restore it." in ended.err
    client(open_home=raises(UserError("no permission")))
    assert weft("ls").code == 2


def test_an_error_of_our_own_is_not_hidden(weft, client):
    def broken(*_):
        raise RuntimeError("a bug")

    client(open_home=broken)
    with pytest.raises(RuntimeError):
        weft("ls")
