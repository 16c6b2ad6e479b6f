"""The Python door: what ``weft`` and ``workflow.run`` offer, by name."""

from __future__ import annotations

from typing import Any

from weft.client.doctor import Finding, doctor
from weft.client.home import Home
from weft.client.home import open_home as _open_home
from weft.client.resuming import Plan, plan, resume
from weft.client.run import Run, Task
from weft.client.upkeep import GcReport, VerifyReport, collect_garbage, verify_run


class OpenHome(Home):
    """A home with everything that users can do in it."""

    def plan_resume(self, run: Run[Any], **choice: Any) -> Plan:
        """Return what ``resume`` would do."""
        return plan(self, run, **choice)

    def resume(self, run: Run[Any], **choice: Any) -> Run[Any]:
        """Continue a run; see ``weft.client.resuming.resume``."""
        return resume(self, run, **choice)

    def verify(self, run: Run[Any]) -> VerifyReport:
        """Check a run's journal and artifacts against their hashes."""
        return verify_run(self, run)

    def gc(self, dry_run: bool = False) -> GcReport:
        """Delete artifacts that no run refers to."""
        return collect_garbage(self, dry_run=dry_run)


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
