"""Does a workflow end durably as it ends plainly? For a test, with what the test has put in place."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec

from weft.client.outcomes import outcome_difference, outcome_of
from weft.client.starting import root_of, settings_for, start
from weft.lang.workflows import Workflow
from weft.testing.chaos import TrialHome


def assert_same_as_plain(workflow: Workflow[..., Any], /, *args: Any, **params: Any) -> Any:
    """Call a workflow plainly, run it durably in a temporary home, and return what it returns.

    An exception is an outcome like any other: if both raise the same one, it is raised here.

    Raises:
        AssertionError: the two end differently; the message says where.
    """
    plain = outcome_of(workflow.function, *args, **params)
    with tempfile.TemporaryDirectory(prefix="weft-test-", ignore_cleanup_errors=True) as name:
        settings = settings_for(root_of(workflow), {**workflow.run_options, "home": name})
        settings = msgspec.structs.replace(settings, home=Path(name), database="")
        with TrialHome(settings, seed=0) as home:
            durable = outcome_of(start(workflow, args, params, home=home).result)
    difference = outcome_difference(plain, durable)
    if difference is not None:
        raise AssertionError(
            f"{workflow.name}: the plain call and the durable run end differently: {difference}\n"
            f"  plain call: {plain}\n  durable run: {durable}"
        )
    if durable.error is not None:
        raise durable.error
    return durable.value
