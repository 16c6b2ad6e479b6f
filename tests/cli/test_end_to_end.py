"""The commands as a user types them: real files, a real home, processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

FLOW = """
import os, time
from weft import step, workflow

@step
def load(month: int) -> list[int]:
    print("loading", month)
    return [month] * 3

@step
def total(rows: list) -> int:
    return sum(map(sum, rows))

@step
def check(n: int, limit: int) -> int:
    if n > limit:
        raise ValueError(f"{n} is more than {limit}")
    return n

@workflow
def sums(months: list[int], limit: int = 100):
    return check(total([load(m) for m in months]), limit)
"""
SLOW = """
import os, time
from pathlib import Path
from weft import step, workflow

@step
def nap(i: int) -> int:
    with open("naps.txt", "a") as file:
        file.write(f"{i}\\n")
    if i >= 2 and not Path("go").exists():
        time.sleep(60)
    return i

@workflow
def naps(n: int):
    for i in range(n):
        last = nap(i)
        if last > 100:
            break
    return last
"""


class Shell:
    """A folder with workflows and a home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "WEFT_HOME": str(folder / "home"), "PYTHONWARNINGS": "default"}
        (folder / "flow.py").write_text(FLOW)

    def start(self, *words: str) -> subprocess.Popen[str]:
        code = "import sys; from weft.cli.main import main; sys.exit(main())"
        return subprocess.Popen(
            [sys.executable, "-c", code, *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_a_run_is_shown_listed_logged_got_and_verified(shell):
    ended = shell("run", "flow.py", "months=1,2")
    assert ended.returncode == 0, ended.stderr
    assert "✓ load (2 tasks" in ended.stderr
    assert "result  9" in ended.stdout
    run = json.loads(shell("ls", "--json").stdout)[0]
    assert (run["workflow"], run["state"], run["params"]["months"]) == ("sums", "succeeded", "[1, 2]")
    assert shell("get").stdout == "9\n"
    assert shell("get", run["id"][:12], "load").stdout == "[[1, 1, 1], [2, 2, 2]]\n"
    assert sorted(shell("logs").stdout.splitlines()) == ["load[0]  loading 1", "load[1]  loading 2"]
    shown = json.loads(shell("show", "--json").stdout)
    assert [task["path"] for task in shown["tasks"]] == ["load[0]", "load[1]", "total", "check"]
    assert shell("verify").returncode == 0


@pytest.mark.parametrize("command", ["show", "logs", "get", "resume"])
def test_run_ids_are_completed(shell, command):
    assert shell("run", "flow.py", "months=1", "-q").returncode == 0
    [run] = json.loads(shell("ls", "--json").stdout)
    words = {"COMP_WORDS": f"weft {command} {run['id'][:4]}", "COMP_CWORD": "2"}
    shell.environment |= {"_WEFT_COMPLETE": "bash_complete", **words}
    assert shell().stdout.splitlines() == [f"plain,{run['id']}"]


def test_a_failed_run_is_1_and_resume_with_another_parameter_reuses_the_rest(shell):
    ended = shell("run", "flow.py", "months=1,2", "limit=1")
    assert ended.returncode == 1
    assert "ValueError: 9 is more than 1" in ended.stdout
    assert "weft/" not in ended.stdout.replace(str(shell.folder), "")  # their traceback, not ours
    resumed = shell("resume", "@", "limit=50", "--json")
    assert resumed.returncode == 0, resumed.stderr
    events = [json.loads(line) for line in resumed.stdout.splitlines()]
    ends = {(event["step"], event["state"]) for event in events if event["event"] == "task-ended"}
    assert ends == {("load", "reused"), ("total", "reused"), ("check", "succeeded")}
    assert events[-1]["run"]["resumed_from"] is not None


def test_ctrl_c_is_130_and_resume_goes_on_where_it_stopped(shell):
    (shell.folder / "slow.py").write_text(SLOW)
    process = shell.start("run", "slow.py", "n=4", "--json")
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "task-started" and event["task"] == "nap[2]":
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    run = json.loads(shell("show", "--json").stdout)
    assert run["state"] == "interrupted"
    assert f"weft resume {run['id']}" in err
    (shell.folder / "go").touch()
    assert shell("resume", "-q").returncode == 0
    naps = (shell.folder / "naps.txt").read_text().split()
    assert [naps.count(str(i)) for i in range(4)] == [1, 1, 2, 1]


def test_errors_of_the_users_file_are_2_with_their_traceback(shell):
    (shell.folder / "broken.py").write_text("def helper():\n    return 1 / 0\nX = helper()\n")
    ended = shell("run", "broken.py")
    assert ended.returncode == 2
    assert 'broken.py", line 2, in helper' in ended.stderr
    assert "ZeroDivisionError" in ended.stderr
    assert "loading.py" not in ended.stderr
    assert "importlib" not in ended.stderr


def test_a_bad_parameter_is_2_and_starts_nothing(shell):
    ended = shell("run", "flow.py", "months=1..12")
    assert ended.returncode == 2
    assert "months" in ended.stderr
    assert json.loads(shell("ls", "--json").stdout) == []


def test_a_damaged_artifact_is_3(shell):
    flow = FLOW.replace("[month] * 3", "list(range(month, month + 5000))")
    (shell.folder / "flow.py").write_text(flow)
    assert shell("run", "flow.py", "months=1", "limit=100000000").returncode == 0
    blobs = [path for path in (shell.folder / "home" / "artifacts").rglob("*") if path.is_file()]
    assert blobs
    for blob in blobs:
        blob.chmod(0o644)
        blob.write_bytes(blob.read_bytes()[:-1] + b"\x00")
    assert shell("verify").returncode == 3


def test_check_and_graph_need_no_home(shell):
    assert shell("check", "flow.py").returncode == 0
    assert "×months (parallel)" in shell("graph", "flow.py").stdout
    assert not (shell.folder / "home").exists()
