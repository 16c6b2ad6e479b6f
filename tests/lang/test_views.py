"""A view, a part or a column that a helper gives back stays what it is to its base, from node to node."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from weft.lang.compiler import compile_workflow
from weft.lang.workflows import Workflow
from weft.program.nodes import Loop

from ..law.compare import Outcome, outcome_difference, outcome_of
from ..law.harness import durable
from . import view_workflows as w

ARRAYS = [
    w.slice_written_later,
    w.base_written_later,
    w.square_written_by_helper,
    w.flat_and_turned,
    w.through_functions,
    w.parts_in_a_dict,
    w.mask_is_a_copy,
    w.written_in_a_loop,
    w.views_made_in_a_loop,
]
FRAMES = [
    w.column_added_by_helper,
    w.column_added_to_a_copy,
    w.column_taken,
    w.filled_in_place,
    w.frames_in_a_loop,
]


def check(workflow: Workflow[..., Any], make: Any) -> None:
    plain = outcome_of(workflow.function, make())
    assert plain.error is None
    for seed in range(3):
        found = durable(workflow, (make(),), {}, seed)
        assert outcome_difference(plain, Outcome(found.value, found.error)) is None


@pytest.mark.parametrize("workflow", ARRAYS, ids=lambda each: each.name)
def test_views_of_arrays_follow_their_base(workflow: Workflow[..., Any]) -> None:
    check(workflow, lambda: np.array([1, 2, 3, 4]))


@pytest.mark.parametrize("workflow", FRAMES, ids=lambda each: each.name)
def test_frames_change_as_in_python(workflow: Workflow[..., Any]) -> None:
    check(workflow, lambda: pd.DataFrame({"x": [1.0, 2.0], "y": [3, 4]}))


def test_lists_in_lists_stay_shared() -> None:
    check(w.lists_in_lists, lambda: [[1], [3], [2]])


def test_what_a_helper_only_reads_is_not_stored_again() -> None:
    program = compile_workflow(w.frames_in_a_loop).program
    loop = program.body.nodes[0]
    assert isinstance(loop, Loop)
    assert not loop.sequence
    assert "df" not in loop.carried
