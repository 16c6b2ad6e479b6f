"""``weft fingerprint``: what a step is made of, and what could not be followed."""

from __future__ import annotations

import json

import pytest

from weft.client.door import open_home
from weft.client.rerun.fingerprints import NoStep
from weft.lang.fingerprint import fingerprint

HELPERS = """
    from weft import step

    SCALE = 2

    def clean(row):
        return row * SCALE

    @step
    def shared(row):
        return clean(row)
    """

FLOW = """
    import json
    import numpy as np
    import printed_helpers
    from printed_helpers import shared

    TABLE = json.loads(Path("table.json").read_text())

    @step
    def tidy(rows, name):
        return [printed_helpers.clean(row) for row in rows], TABLE, np.mean(rows), getattr(rows, name)

    @workflow
    def flow(rows):
        return tidy([shared(row) for row in rows], "copy")
    """


@pytest.fixture
def flow(project):
    project.write("table.json", '{"a": 1}')
    project.write("printed_helpers.py", HELPERS)
    project.load("printed_helpers")
    return project.module(FLOW)


def test_a_file_names_the_steps_it_defines_and_those_its_workflows_call(flow):
    tidy, shared = open_home().fingerprints(flow.__file__)
    assert (tidy.step, shared.step) == ("tidy", "shared")
    assert tidy.digest == fingerprint(flow.tidy.function).digest
    kinds = {(part.kind, part.name) for part in tidy.parts}
    own = flow.__name__
    assert kinds >= {
        ("source", f"{own}.tidy"),
        ("source", "printed_helpers.clean"),
        ("constant", "printed_helpers.SCALE"),
        ("constant", f"{own}.TABLE"),
        ("package", "numpy"),
    }
    numpy = next(part for part in tidy.parts if part.name == "numpy")
    assert (numpy.version, numpy.digest) == (flow.np.__version__, "")
    (note,) = tidy.unfollowed
    assert note == f"{flow.__file__}:14: getattr(rows, ...) with a computed name"
    assert shared.unfollowed == []


def test_what_a_file_held_at_import_counts(project, flow):
    target = f"{flow.__file__}:tidy"
    (before,) = open_home().fingerprints(target)
    project.write("table.json", '{"a": 2}')
    project.load(flow.__name__)
    (after,) = open_home().fingerprints(target)
    changed = {part.name for part in set(before.parts) ^ set(after.parts)}
    assert changed == {f"{flow.__name__}.TABLE"}


def test_a_step_alone_is_one_of_the_latest_run(project, flow):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    assert flow.flow.start([1]).wait().state == "succeeded"
    ended = project.weft("fingerprint", "shared", "--json")
    (found,) = json.loads(ended.stdout)
    assert found["step"] == "shared"
    shown = project.weft("fingerprint", f"{flow.__name__}.py:tidy").stdout
    assert "constant  printed_helpers.SCALE" in shown
    assert "not followed" in shown
    assert "A change there is not seen" in shown


def test_a_step_that_is_not_there_is_refused_with_those_that_are(flow):
    with pytest.raises(NoStep, match="no step 'trian'") as refused:
        open_home().fingerprints(f"{flow.__file__}:trian")
    assert refused.value.hint == "Its steps are tidy, shared."
