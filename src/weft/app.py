"""Joins the rooms: the table of names that are loaded at their first use. No logic."""

from __future__ import annotations

from typing import Final

DOORS: Final[dict[str, str]] = {
    "Run": "weft.client.run:Run",
    "Task": "weft.client.tasks:Task",
    "checkpoint": "weft.worker.checkpoints:checkpoint",
    "current": "weft.worker.context:current",
    "executor.inline": "weft.executors.inline:InlineExecutor",
    "executor.local": "weft.executors.local:LocalExecutor",
    "get_run": "weft.client.door:get_run",
    "graph": "weft.client.compiling:graph_of_workflow",
    "limit": "weft.lang.limits:limit",
    "list_runs": "weft.client.door:list_runs",
    "mutex": "weft.lang.limits:mutex",
    "program": "weft.client.compiling:program_of_workflow",
    "progress": "weft.worker.context:progress",
    "register_codec": "weft.store.codecs:register_codec",
    "resume": "weft.client.rerun.resuming:resume",
    "run": "weft.client.running:run_workflow",
    "start": "weft.client.running:start_workflow",
    "step": "weft.lang.steps:step",
    "why": "weft.client.why.explaining:why",
    "workflow": "weft.lang.workflows:workflow",
}
