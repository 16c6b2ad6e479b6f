"""``compile_workflow``: from a Python function to a program, or to every refusal at once."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from weft.digest import ALGORITHM
from weft.lang.cache_keys import check_key, name_of_key, step_fingerprint
from weft.lang.calls import CallFinder
from weft.lang.checks import check_draft
from weft.lang.draft import AnyDraft, DLoop, walk
from weft.lang.emit import Emitter
from weft.lang.fingerprint import DataDigest, fingerprint
from weft.lang.flow import analyse
from weft.lang.judging import SourceJudge
from weft.lang.lowering import Lowering
from weft.lang.merging import merge_glue
from weft.lang.names import parameters_of
from weft.lang.refusals import CompileError, CompileErrors
from weft.lang.steps import Step, find_importable
from weft.lang.surroundings import Surroundings
from weft.lang.syntax import nodes_of
from weft.lang.workflows import Workflow
from weft.program.nodes import Note, Parameter, Program, Span, StepSpec

PART_DIGEST_LENGTH = 3 + 16
_KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: "positional_only",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional_or_keyword",
    inspect.Parameter.VAR_POSITIONAL: "var_positional",
    inspect.Parameter.KEYWORD_ONLY: "keyword_only",
    inspect.Parameter.VAR_KEYWORD: "var_keyword",
}


class Compiled(msgspec.Struct, frozen=True):
    """A program and the live things that its runs start from.

    Attributes:
        captured: environment name → value, for captured variables and defaults of inlined workflows.
        steps: the step objects, in the order of ``program.steps``.
    """

    program: Program
    captured: dict[str, Any]
    steps: tuple[Step[..., Any], ...]


def compile_workflow(
    workflow: Workflow[..., Any],
    shared: Sequence[frozenset[str]] = (),
    data_digest: DataDigest | None = None,
) -> Compiled:
    """Compile a workflow's function.

    Args:
        shared: groups of parameters whose arguments share objects that can change.
        data_digest: see ``fingerprint``. Only the keys of tasks depend on it.

    Raises:
        CompileErrors: with every refusal, in the order of the text.
        NoSource, SourceChanged: the function's text is not to be had.
    """
    finder = CallFinder("")
    lowering = Lowering(finder)
    tree, block = lowering.lower(workflow, "@return")
    if finder.errors:
        raise CompileErrors(_distinct(finder.errors))
    given = set(parameters_of(tree.args)) | set(lowering.inliner.captured)
    judge = SourceJudge(Surroundings(_functions_of(lowering)))
    aliases, live = analyse(block, given, "@return", judge, shared)
    check_draft(block, given, aliases, live, finder, lowering)
    if finder.errors:
        raise CompileErrors(_distinct(finder.errors))
    merge_glue(block)
    emitter = Emitter(data_digest)
    body = emitter.block(block)
    source = lowering.inliner.sources[0]
    parts: dict[tuple[str, str], int] = {}
    program = Program(
        name=workflow.name,
        module=source.module,
        qualname=getattr(workflow.function, "__qualname__", workflow.name),
        file=source.file,
        doc=inspect.getdoc(workflow.function) or "",
        parameters=_parameters(workflow.function, tree),
        units=tuple(lowering.inliner.units),
        steps=tuple(_spec(step, data_digest, parts) for step in lowering.calls.step_objects),
        body=body,
        free={env: env.partition("@")[0] for env in lowering.inliner.captured},
        result="@return",
        node_count=emitter.count,
        notes=tuple(_notes(block, finder, lowering)),
        judged={
            f"{function.__module__}.{function.__qualname__}": fingerprint(function, data_digest).digest
            for function in judge.judged.values()
        },
        debug=__debug__,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        parts=tuple(parts),
    )
    return Compiled(program, dict(lowering.inliner.captured), tuple(lowering.calls.step_objects))


def _functions_of(lowering: Lowering) -> list[Any]:
    """Return the functions that give a workflow its values: its own, those that it inlines, its steps'."""
    return [*lowering.inliner.functions, *(step.function for step in lowering.calls.step_objects)]


def _distinct(errors: list[CompileError]) -> list[CompileError]:
    return list({(e.file, e.line, e.column, e.code): e for e in errors}.values())


def _parameters(function: Any, tree: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[Parameter, ...]:
    annotations = {
        argument.arg: ast.unparse(argument.annotation)
        for argument in nodes_of(tree.args)
        if isinstance(argument, ast.arg) and argument.annotation is not None
    }
    return tuple(
        Parameter(
            name=parameter.name,
            kind=_KINDS[parameter.kind],  # type: ignore[arg-type]
            annotation=annotations.get(parameter.name, ""),
            default=None if parameter.default is parameter.empty else repr(parameter.default),
        )
        for parameter in inspect.signature(function).parameters.values()
    )


def _spec(
    step: Step[..., Any], data_digest: DataDigest | None, parts: dict[tuple[str, str], int]
) -> StepSpec:
    """Return what the program knows of a step; what its fingerprint is made of is numbered in ``parts``."""
    options = step.step_options
    function = step.function
    module: str = getattr(step, "__module__", "") or getattr(function, "__module__", "") or "builtins"
    qualname: str = getattr(step, "__qualname__", "") or getattr(function, "__qualname__", step.name)
    found = find_importable(module, qualname)
    importable = found is function or (isinstance(found, Step) and found.function is function)
    check_key(step)
    found_code = step_fingerprint(step, data_digest)
    return StepSpec(
        name=step.name,
        module=module,
        qualname=qualname,
        fingerprint=found_code.digest,
        value=not importable,
        retries=options.retries,
        backoff_ms=options.backoff_ms,
        timeout_ms=options.timeout_ms,
        task_timeout_ms=options.task_timeout_ms,
        cpu=options.cpu,
        memory_bytes=options.memory_bytes,
        gpu=options.gpu,
        cache=options.cache,
        memory_bytes_max=options.memory_bytes_max,
        parts=tuple(parts.setdefault(part, len(parts)) for part in map(_short_part, found_code.parts)),
        key_function="" if options.cache_key is None else name_of_key(options.cache_key),
    )


def _short_part(part: tuple[str, str]) -> tuple[str, str]:
    """Return a part whose digest is cut short: it is compared with that of the same name alone."""
    name, digest = part
    return (name, digest[:PART_DIGEST_LENGTH]) if digest.startswith(f"{ALGORITHM}:") else part


# -- notes ----------------------------------------------------------------------------------------------------


def _notes(block: list[AnyDraft], finder: CallFinder, lowering: Lowering) -> list[Note]:
    notes = [
        Note("sequential-loop", node.span, f"this loop runs in sequence: {node.reason}")
        for node in walk(block)
        if isinstance(node, DLoop) and node.reason and not node.comprehension
    ]
    for expression, name, unit in finder.loose:
        text = (
            f"`{name}` is used here as a value: a call through it runs inside glue, without a task of its own. "
            "Call the step by its name, or mark the function that calls it with @workflow."
        )
        notes.append(Note("step-without-task", _span_of(expression, unit), text))
    for unknown, unit in finder.unknown:
        text = f"`{unknown.id}` is bound nowhere: reading it raises NameError, as in the plain call."
        notes.append(Note("unknown-name", _span_of(unknown, unit), text))
    return list(dict.fromkeys(notes))


def _span_of(node: ast.expr, unit: int) -> Span:
    line, column = node.lineno, node.col_offset
    return Span(unit, line, column, node.end_lineno or line, node.end_col_offset or column)
