"""The Python door: what ``weft`` and ``workflow.run`` offer, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from weft.client.home import Home
from weft.client.home import open_home as _open_home
from weft.client.rerun.comparing import Comparison, compare_runs
from weft.client.rerun.fingerprints import StepFingerprint, step_fingerprints
from weft.client.rerun.reproducing import Reproduction, reproduce
from weft.client.rerun.resuming import Plan, plan, plan_reuse, resume
from weft.client.run import Run
from weft.client.tasks import Task
from weft.client.upkeep.backing import BackupReport, back_up, restore
from weft.client.upkeep.collecting import GcReport, Policy, collect_garbage
from weft.client.upkeep.doctor import Finding, doctor
from weft.client.upkeep.verifying import VerifyReport, verify_run
from weft.lang.workflows import Workflow


class OpenHome(Home):
    """A home with everything that users can do in it."""

    def plan_resume(self, run: Run[Any], **choice: Any) -> Plan:
        """Return what ``resume`` would do."""
        return plan(self, run, **choice)

    def plan_reuse(self, run: Run[Any], workflow: Workflow[..., Any], *args: Any, **kwargs: Any) -> Plan:
        """Return what a run of ``workflow`` with these arguments would take over from ``run``."""
        return plan_reuse(self, run, workflow, args, kwargs)

    def compare(self, left: Run[Any], right: Run[Any]) -> Comparison:
        """Return two runs side by side."""
        return compare_runs(self, left, right)

    def reproduce(self, run: Run[Any]) -> Reproduction:
        """Run a run again with its pinned code in a temporary place, and compare every result."""
        return reproduce(self, run)

    def fingerprints(self, target: str) -> list[StepFingerprint]:
        """Return what the steps are made of that ``FILE``, ``FILE:STEP`` or ``STEP`` of the latest run names."""
        return step_fingerprints(self, target)

    def resume(self, run: Run[Any], **choice: Any) -> Run[Any]:
        """Continue a run; see ``weft.client.rerun.resuming.resume``."""
        return resume(self, run, **choice)

    def verify(self, run: Run[Any]) -> VerifyReport:
        """Check a run's journal and artifacts against their hashes."""
        return verify_run(self, run)

    def gc(self, dry_run: bool = False, policy: Policy | None = None) -> GcReport:
        """Delete the ended runs that a policy lets go (without one: none), and what no run needs."""
        return collect_garbage(self, policy or Policy(), dry_run=dry_run)

    def backup(self, folder: Path, link: bool = True) -> BackupReport:
        """Copy this home, while runs go on in it; see ``weft.client.upkeep.backing.back_up``."""
        return back_up(self, folder, link=link)

    def restore(self, folder: Path, link: bool = True) -> BackupReport:
        """Copy a backup to where this home has its files; see ``weft.client.upkeep.backing.restore``."""
        return restore(folder, self, link=link)


def open_home() -> OpenHome:
    """Return the home that the settings of the current folder name."""
    return OpenHome(_open_home().settings)


def get_run(id: str = "@") -> Run[Any]:
    """Return a run by its id, a unique beginning of it, or ``@`` for the latest."""
    return open_home().get_run(id)


def list_runs(workflow: str | None = None, state: str | None = None, limit: int = 20) -> list[Run[Any]]:
    """Return runs, the latest first."""
    return open_home().list_runs(workflow=workflow, state=state, limit=limit)


__all__ = ["Finding", "OpenHome", "Run", "Task", "doctor", "get_run", "list_runs", "open_home"]
