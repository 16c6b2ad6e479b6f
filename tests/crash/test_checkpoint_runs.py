"""Checkpoints in real runs: kills at random moments, retries, preemption, a resume with edited code."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
from tests.client.project import until

import weft
from weft.model.records import failure_from_bytes

pytestmark = pytest.mark.slow

# The longer form: WEFT_TRAINING_KILLS=200.
KILLS = int(os.environ.get("WEFT_TRAINING_KILLS", "8"))

TRAIN = """
    from weft import checkpoint, current

    EPOCHS = 60

    def begin(epoch):
        with open("epochs.txt", "a") as file:
            file.write(f"{os.getpid()} {current().attempt} {epoch}\\n")

    @step
    def train(data):
        state = checkpoint.load({"epoch": 0, "loss": data})
        for epoch in range(state["epoch"], EPOCHS):
            begin(epoch)
            at_epoch(epoch)
            state = {"epoch": epoch + 1, "loss": state["loss"] / 2 + epoch, "weights": bytes(5000 + epoch)}
            checkpoint.save(state)
        return state["loss"], len(state["weights"])

    def at_epoch(epoch):
        time.sleep(0.02)

    @workflow
    def trains(n: int):
        return train(n)
    """


def loss(epochs: int, value: float) -> float:
    for epoch in range(epochs):
        value = value / 2 + epoch
    return value


def epochs(project) -> list[tuple[int, int, int]]:
    """Return process, attempt and number of each epoch that was begun."""
    return [tuple(map(int, line.split())) for line in project.lines("epochs.txt") if line.count(" ") == 2]


def starts(project) -> list[int]:
    """Return with which epoch each process began."""
    first: dict[int, int] = {}
    for process, _, epoch in epochs(project):
        first.setdefault(process, epoch)
    return list(first.values())


@pytest.mark.slow
@pytest.mark.timeout(120 + 10 * KILLS)
def test_kills_at_random_moments_of_a_training_loop_lose_at_most_one_interval(project, capsys):
    project.write("pyproject.toml", "[tool.weft]\nlosses_max = 1000\n")
    # As long as it takes, so that all kills find it at work.
    project.module(TRAIN.replace("EPOCHS = 60", f"EPOCHS = {60 + 10 * KILLS}"), "flow")
    dice = random.Random(1)
    driver = project.start_weft("run", "flow.py", "n=3", "-q")
    killed = {"driver": 0, "worker": 0}
    for _ in range(KILLS):
        begun = len(epochs(project))
        until(lambda begun=begun: len(epochs(project)) > begun + dice.randrange(6), 60)
        time.sleep(dice.random() / 30)
        who = dice.choice(("driver", "worker"))
        killed[who] += 1
        if who == "driver":
            os.kill(driver.pid, signal.SIGKILL)
            driver.communicate()
            driver = project.start_weft("resume", "-q")
        else:
            os.kill(epochs(project)[-1][0], signal.SIGKILL)
    driver.communicate(timeout=100)
    run = weft.get_run()
    assert run.state == "succeeded"
    assert run.result() == (loss(60 + 10 * KILLS, 3), 5000 + 60 + 10 * KILLS - 1)
    lost, last = [], -1
    process = None
    for pid, _, epoch in epochs(project):
        if process not in (None, pid):
            lost.append(last + 1 - epoch)
        process, last = pid, epoch
    assert len(lost) == KILLS
    assert set(lost) <= {0, 1}, lost
    with capsys.disabled():
        print(f"\n{killed}, intervals lost: {sum(lost)} of {KILLS} kills")
    assert not list((project.home / "checkpoints").glob("*/*"))  # of no use after the end


def failing_once(project, text: str) -> None:
    project.module(TRAIN.replace("time.sleep(0.02)", text).replace("EPOCHS = 60", "EPOCHS = 6"), "flow")


def test_a_retry_goes_on_from_the_checkpoint(project):
    failing_once(project, "if epoch == 3 and current().attempt == 1: raise OSError(epoch)")
    flow = project.edit(project.load("flow"), "@step\n", '@step(retries=1, backoff="1ms")\n')
    assert flow.trains.run(3).result() == (loss(6, 3), 5005)
    assert starts(project)[-1] in (0, 3)  # the same process may run both attempts
    assert [epoch for _, attempt, epoch in epochs(project) if attempt == 2] == [3, 4, 5]


def test_a_resume_with_edited_code_goes_on_from_the_checkpoint(project):
    failing_once(project, "if epoch == 3: raise OSError(epoch)")
    flow = project.load("flow")
    with pytest.raises(OSError, match="3"):
        flow.trains.run(3)
    project.edit(flow, "if epoch == 3: raise OSError(epoch)", "pass")
    done = len(epochs(project))
    ended = project.weft("resume", "-y")
    assert ended.returncode == 0, ended.stderr
    assert [epoch for *_, epoch in epochs(project)[done:]] == [3, 4, 5]
    assert weft.get_run().result() == (loss(6, 3), 5005)


def test_a_resume_with_other_parameters_or_from_the_task_begins_anew(project):
    failing_once(project, "if epoch == 3: raise OSError(epoch)")
    flow = project.load("flow")
    with pytest.raises(OSError, match="3"):
        flow.trains.run(3)
    project.edit(flow, "if epoch == 3: raise OSError(epoch)", "pass")
    for words in (["n=4"], ["--from", "train"]):
        done = len(epochs(project))
        old = weft.list_runs(state="failed")[0]
        ended = project.weft("resume", old.id, "-y", *words)
        assert ended.returncode == 0, ended.stderr
        assert [epoch for *_, epoch in epochs(project)[done:]] == [0, 1, 2, 3, 4, 5]


def test_a_preempted_worker_costs_no_retry_and_the_task_goes_on_from_the_checkpoint(project):
    failing_once(
        project, "if epoch == 3 and current().attempt == 1: os.kill(os.getpid(), 15); time.sleep(60)"
    )
    flow = project.load("flow")
    assert flow.trains.run(3).result() == (loss(6, 3), 5005)
    run = weft.get_run()
    assert [epoch for _, attempt, epoch in epochs(project) if attempt == 2] == [3, 4, 5]
    [attempt] = run._home.database.tasks.attempts_of_run(run.id)
    failure = failure_from_bytes(attempt.failure)
    assert failure.kind == "preempted"
    assert failure.message == "the worker of train was told to end, and not by Weft (signal 15)"


def test_a_task_that_ran_out_of_memory_gets_more_and_goes_on_from_the_checkpoint(project):
    failing_once(project, "if epoch == 3: hold = bytearray(330 << 20); time.sleep(0.3)")
    project.edit(project.load("flow"), "@step\n", '@step(memory="150MiB..600MiB")\n')
    flow = project.load("flow")
    assert flow.trains.run(3).result() == (loss(6, 3), 5005)
    run = weft.get_run()
    failures = [failure_from_bytes(each.failure) for each in run._home.database.tasks.attempts_of_run(run.id)]
    assert [failure.kind for failure in failures] == ["memory", "memory"]
    assert "limit 150 MiB" in failures[0].message
    assert "limit 300 MiB" in failures[1].message
    assert [epoch for _, attempt, epoch in epochs(project) if attempt == 3] == [3, 4, 5]
