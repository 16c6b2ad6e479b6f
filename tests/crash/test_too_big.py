"""What is too big is refused with its limit named, before a run is accepted, and memory stays bounded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import weft
from weft.client.bounds import TAG_LENGTH_MAX, TAGS_MAX, ParametersTooLarge, TagTooLong, TooManyTags
from weft.store.faults import Unstorable

FLOW = """
    @step
    def count(x):
        return len(x)

    @step
    def prints(mib):
        for _ in range(mib):
            os.write(1, b"x" * (1 << 20))

    @step
    def nested(depth):
        made = []
        for _ in range(depth):
            made = [made]
        return made

    @workflow
    def counts(x: list, y: bytes = b""):
        return count(x) + count(y)

    @workflow
    def says(mib: int):
        prints(mib)

    @workflow
    def nests(depth: int):
        return nested(depth)
    """
DEEP = 10_000
# The longer form: WEFT_FLOOD=2048, in MiB.
FLOOD_MIB = int(os.environ.get("WEFT_FLOOD", "200"))
MEMORY_GROWTH_MAX = 64 << 20


def _deep() -> list[object]:
    made: list[object] = []
    for _ in range(DEEP):
        made = [made]
    return made


@pytest.fixture
def flow(project):
    project.write("pyproject.toml", '[tool.weft]\nparameters_max = "2MiB"\nlog_cap = "1MiB"\n')
    return project.module(FLOW, "flow")


def test_parameters_over_the_limit_are_refused_with_limit_size_and_name(flow):
    with pytest.raises(
        ParametersTooLarge, match=r"2.0 MiB and may take 2 MiB in all; the largest is y \(2.0 MiB\)"
    ) as found:
        flow.counts.run([1], bytes(range(256)) * 8192)
    assert "parameters_max" in found.value.hint
    assert weft.list_runs() == []
    assert flow.counts.run([1], bytes(2_000_000)).result() == 2_000_001


def test_too_many_tags_are_refused(flow):
    with pytest.raises(TooManyTags, match=f"10,000 tags and may have {TAGS_MAX}"):
        flow.counts.options(tags={str(number): "" for number in range(10_000)}).run([1])
    assert weft.list_runs() == []


@pytest.mark.parametrize("tags", [{"team": "x" * (TAG_LENGTH_MAX + 1)}, {"y" * 10_000_000: ""}])
def test_a_tag_that_is_too_long_is_refused_and_not_shown_whole(flow, tags):
    with pytest.raises(TagTooLong, match=f"may have {TAG_LENGTH_MAX}") as found:
        flow.counts.options(tags=tags).run([1])
    assert len(str(found.value)) < 300
    assert flow.counts.options(tags={"t" * TAG_LENGTH_MAX: "v" * TAG_LENGTH_MAX}).run([1]).tags


def test_values_that_are_nested_too_deeply_are_refused_by_every_door(project, flow):
    with pytest.raises(Unstorable, match="parameter x: a list cannot be stored: it is nested too deeply"):
        flow.counts.run(_deep())
    with pytest.raises(Unstorable, match="nested too deeply"):
        flow.nests.run(DEEP)
    text = "[" * DEEP + "]" * DEEP
    ended = project.weft("run", "flow.py:counts", f"x={text}")
    assert ended.returncode == 2
    assert "nested too deeply" in ended.stderr
    assert len(ended.stderr) < 1000


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_line_without_an_end_costs_the_driver_no_memory(project, flow):
    script = """
import resource, sys, flow
base = flow.says.run(1) and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
flow.says.run(int(sys.argv[1]))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) * 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(FLOOD_MIB)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert int(done.stdout.split()[-1]) < MEMORY_GROWTH_MAX
    kept = sum(path.stat().st_size for path in (project.home / "logs").rglob("*") if path.is_file())
    assert kept < 2 * 3 * (1 << 20)
    assert os.path.exists(project.home / "weft.db")
