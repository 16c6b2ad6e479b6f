"""When a parent may be forked, what happens if not, and which import is blamed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.executors.bench import HERE, WAIT_S, Bench, end_nursery, start_mother, value

from weft.executors import launch
from weft.executors.local import LocalExecutor
from weft.executors.orders import Fork
from weft.worker.wire import frame

THREADED = """
    import threading
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, daemon=True)
    thread.start()
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "plain.py").write_text("import os\nIMPORTED_IN = os.getpid()\n")
    (tmp_path / "threaded.py").write_text(textwrap.dedent(THREADED))
    (tmp_path / "outer.py").write_text("import plain\nimport threaded\n")
    (tmp_path / "exits.py").write_text("import os\nos._exit(4)\n")
    (tmp_path / "raises.py").write_text("raise RuntimeError('import went wrong')\n")
    return tmp_path


def test_an_import_that_leaves_a_thread_is_named_and_workers_start_fresh(project):
    executor = LocalExecutor(cpu=2)
    bench = Bench(executor, project, preload=("toy_steps", "outer"), sys_path=(str(project), HERE))
    assert value(bench.call("echo", 1)) == 1
    notice = bench.notices()[0]
    executor.close()
    assert notice.code == "unforkable-import"
    assert "importing threaded left a second thread" in notice.message


def test_imports_without_threads_are_shared_by_forking(project):
    executor = LocalExecutor(cpu=2)
    bench = Bench(executor, project, preload=("toy_steps", "plain"), sys_path=(str(project), HERE))
    assert value(bench.call("module_pid", "plain")) != value(bench.call("pid"))
    executor.close()
    assert bench.notices() == []


@pytest.mark.parametrize("module", ["exits", "raises", "absent"])
def test_a_module_that_cannot_be_imported_does_not_stop_the_workers(project, module):
    executor = LocalExecutor(cpu=2)
    bench = Bench(executor, project, preload=("toy_steps", module), sys_path=(str(project), HERE))
    report = bench.call("echo", 1)
    executor.close()
    if module == "exits":
        assert report.failure.kind == "lost"  # a fresh worker imports it as well, and ends as told
    else:
        assert value(report) == 1


def test_numpy_with_its_own_threads_may_be_forked(project):
    pytest.importorskip("numpy")
    executor = LocalExecutor(cpu=2)
    bench = Bench(executor, project, preload=("toy_steps", "numpy"))
    assert value(bench.call("echo", 1)) == 1
    executor.close()
    assert bench.notices() == []


def test_fresh_workers_work_without_preloading(project):
    executor = LocalExecutor(cpu=2, preload=False)
    bench = Bench(executor, project)
    assert value(bench.call("echo", 1)) == 1
    assert bench.call("leave", 9).failure.message.endswith("exited with code 9 (os._exit)")
    bench.call("speak", task="s")
    executor.close()
    assert [line.text for line in bench.log("s")][:2] == ["one", "two"]


def test_forked_workers_draw_different_numbers_unless_the_project_seeds(project):
    pytest.importorskip("numpy")
    (project / "seeding.py").write_text("import numpy\nnumpy.random.seed(7)\n")
    drawn = {}
    for run, module in (("unseeded", "numpy.random"), ("seeded", "seeding")):
        executor = LocalExecutor(cpu=1, recycle_jobs=1)
        bench = Bench(
            executor, project, run=run, preload=("toy_steps", module), sys_path=(str(project), HERE)
        )
        drawn[run] = [value(bench.call("draw")) for _ in range(2)]
        executor.close()
    assert drawn["unseeded"][0] != drawn["unseeded"][1]
    assert drawn["seeded"][0] == drawn["seeded"][1]


def test_a_nursery_started_ahead_is_the_one_that_is_used(project, monkeypatch):
    launch.prelaunch()
    spare = launch._spare
    assert spare is not None
    monkeypatch.setenv("WEFT_TEST_LATE", "set after the start")
    executor = LocalExecutor(cpu=1)
    bench = Bench(executor, project)
    assert value(bench.call("parent_and_variable", "WEFT_TEST_LATE")) == [spare.pid, "set after the start"]
    executor.close()
    assert launch._spare is None


def test_a_nursery_with_another_hash_seed_is_not_used(project):
    launch.prelaunch()
    executor = LocalExecutor(cpu=1)
    bench = Bench(executor, project, environment={"PYTHONHASHSEED": "5"})
    assert value(bench.call("parent_and_variable", "PYTHONHASHSEED"))[1] == "5"
    executor.close()
    assert launch._spare is not None
    end_nursery(*launch.take((), {"PYTHONHASHSEED": "0"}))


def test_a_job_is_cancelled_while_the_project_is_still_imported(project):
    slow = "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.005)\n"
    (project / "slow.py").write_text(slow)
    executor = LocalExecutor(cpu=2)
    bench = Bench(executor, project, preload=("toy_steps", "slow"), sys_path=(str(project), HERE))
    first, second = bench.send("echo", 1), bench.send("echo", 2)
    executor.cancel(bench.run, [first])
    assert bench.wait(first).failure.kind == "cancelled"
    (project / "go").touch()
    assert value(bench.wait(second)) == 2
    executor.close()


FORKING_DRIVER = """
import sys
from pathlib import Path
from weft.executors.nursery import prelaunch_by_fork
from tests.executors.bench import Bench, value
from weft.executors.local import LocalExecutor

print(prelaunch_by_fork())
executor = LocalExecutor(cpu=1)
bench = Bench(executor, Path(sys.argv[1]))
print(value(bench.call("parent_and_variable", "PYTHONHASHSEED"))[1], value(bench.call("hash_seed"))[0] == hash("weft"))
bench.call("speak", task="t")
executor.close()
print([line.text for line in bench.log("t")][:2])
"""


@pytest.mark.parametrize("seed", ["0", "random"])
def test_a_nursery_is_forked_only_from_a_driver_with_the_pinned_seed(project, seed):
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root}
    command = [sys.executable, "-c", FORKING_DRIVER, str(project)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=WAIT_S, check=True
    )
    forked, inside, printed = done.stdout.splitlines()
    assert forked == str(seed == "0")
    assert inside == f"0 {seed == '0'}"
    assert printed == "['one', 'two']"


def test_the_order_to_fork_is_the_one_on_the_wire():
    assert frame(Fork()) == launch.FORK_FRAME


def test_nurseries_of_later_runs_come_from_one_loaded_interpreter(project):
    start_mother()
    parents = []
    for run in ("run1", "run2"):
        executor = LocalExecutor(cpu=1)
        bench = Bench(executor, project, run=run)
        nursery = value(bench.call("parent_and_variable", "HOME"))[0]
        with open(f"/proc/{nursery}/stat") as file:
            parents.append(int(file.read().rpartition(")")[2].split()[1]))
        executor.close()
    assert parents == [launch._mother.pid] * 2


def test_a_killed_mother_is_replaced(project):
    start_mother()
    for run in ("run1", "run2", "run3"):
        if launch._mother is not None:
            os.kill(launch._mother.pid, signal.SIGKILL)
            os.waitid(os.P_PID, launch._mother.pid, os.WEXITED | os.WNOWAIT)  # the kernel takes its time
        executor = LocalExecutor(cpu=1)
        bench = Bench(executor, project, run=run)
        assert value(bench.call("echo", run)) == run
        executor.close()
        start_mother()
