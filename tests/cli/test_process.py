"""The command as a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

HELP = [sys.executable, "-m", "weft.cli.main", "--help"]


def test_help_loads_neither_click_nor_rich():
    code = (
        "import sys; from weft.cli.main import main; main(['--help']); "
        "print(sorted({'click', 'rich', 'weft.store.sqlite', 'weft.client.door'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def test_the_module_runs_as_a_program():
    ended = subprocess.run(HELP, capture_output=True, text=True, check=False)
    assert ended.returncode == 0
    assert ended.stdout.startswith("Usage: weft")
    assert ended.stderr == ""


def test_a_wrong_command_exits_with_2():
    ended = subprocess.run([*HELP[:-1], "lst"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


def test_the_completion_protocol_of_the_shell_is_answered():
    environment = {"_WEFT_COMPLETE": "bash_complete", "COMP_WORDS": "weft canc", "COMP_CWORD": "1"}
    code = "import sys; from weft.cli.main import main; sys.exit(main())"
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.stdout.splitlines() == ["plain,cancel"]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("weft run de", ["file,de"]),
        ("weft graph de", ["file,de"]),
        ("weft check de", ["file,de"]),
        ("weft run flow.py --pro", ["plain,--profile"]),
        ("weft show --st", ["plain,--state"]),
    ],
)
def test_files_and_options_are_completed(words, answer):
    code = "import sys; from weft.cli.main import main; sys.exit(main())"
    environment = {
        "_WEFT_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.stdout.splitlines() == answer, ended.stderr


def test_a_terminal_that_knows_ascii_only_gets_no_traceback():
    code = "from weft.cli import group; group.cli.main = lambda *a, **k: print('done ✓'); group.call([])"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == ("done ?\n", "")


LEAVES_SOMETHING = """
import atexit, threading, time
from weft import step, workflow

atexit.register(print, "left by atexit")

def linger():
    time.sleep(0.3)
    print("left by a thread")

threading.Thread(target=linger, daemon={daemon}).start()

@step
def one() -> int:
    return 1

@workflow
def flow():
    return one()
"""


@pytest.mark.parametrize(("daemon", "left"), [(True, 1), (False, 2)])
def test_what_the_users_file_left_to_do_at_the_end_is_done(tmp_path, daemon, left):
    file = tmp_path / "flow.py"
    file.write_text(LEAVES_SOMETHING.format(daemon=daemon))
    command = [*HELP[:-1], "check", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("left by") == left


def test_a_reader_that_goes_away_is_no_traceback(tmp_path):
    command = [*HELP[:-1], "check", __file__]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
