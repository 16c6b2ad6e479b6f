"""What the compiler says no to. Each refusal names the place, shows the line, says why and what to write."""

from __future__ import annotations

import linecache
from typing import Final

from weft.errors import UserError

# code: (reason, what to write instead). ``{}`` takes what the refusal is about.
REASONS: Final[dict[str, tuple[str, str]]] = {
    "unbounded-loop": (
        "`while` around a step call has no bound, so the workflow could run for ever",
        "Write `for _ in range(limit):` and `break` when done.",
    ),
    "recursion": (
        "the workflow calls itself ({}), so it could run for ever",
        "Write the repetition as `for _ in range(limit):`, or call `.run(...)` inside a step.",
    ),
    "step-in-lambda": (
        "a step call in a lambda cannot be a task: the graph does not know when the lambda is called",
        "Write the call in the workflow itself, as a statement or a comprehension.",
    ),
    "step-in-nested-def": (
        "a step call in a nested function cannot be a task: the graph does not know when it is called",
        "Mark the function with @workflow and define it at the top of the module.",
    ),
    "step-in-class-body": (
        "a step call in a class body cannot be a task",
        "Call the step before the class and use its result.",
    ),
    "step-in-decorator": (
        "a step as decorator or default of a nested function cannot be a task",
        "Call the step before the function and use its result.",
    ),
    "yield-in-workflow": (
        "`yield` makes a generator, which cannot be stored between steps",
        "Collect a list and return it.",
    ),
    "await-in-workflow": (
        "a workflow is not asynchronous: `{}` has no durable meaning here",
        "Write `def`, and call asynchronous steps without `await`: they are awaited in their worker.",
    ),
    "global-statement": (
        "`global` changes a name of the module, which a durable run cannot see",
        "Pass the value as a parameter and return the new one.",
    ),
    "nonlocal-statement": (
        "`nonlocal` changes a name outside the workflow, which a durable run cannot see",
        "Pass the value as a parameter and return the new one.",
    ),
    "dynamic-scope": (
        "`{}` reads or makes names that the compiler cannot see",
        "Name the values: a dict display such as `{{'a': a}}` in place of locals().",
    ),
    "second-decorator": (
        "a second decorator beside @workflow would be lost in a durable run",
        "Keep @workflow alone and call the decorated behaviour inside.",
    ),
    "unsupported-with": (
        "`with` around a step call has no durable meaning: the context would end with its process",
        "Open the resource inside the step. Only `with limit(...)` and `with mutex(...)` hold steps.",
    ),
    "async-form": (
        "an asynchronous `{}` has no durable meaning in a workflow",
        "Use the plain form; asynchronous work belongs inside a step.",
    ),
    "step-in-except-type": (
        "a step call in an `except` clause's type",
        "Call the step before the `try` and name its result.",
    ),
    "except-star": (
        "`except*` around step calls is not supported",
        "Catch `ExceptionGroup` with `except` and look at its `.exceptions`.",
    ),
    "kept-generator": (
        "a generator of step calls that is kept cannot be stored",
        "Write a list comprehension, or pass the generator directly to the call that consumes it.",
    ),
    "walrus-in-generator": (
        "`{}` is bound inside a generator of step calls; what it holds afterwards depends on how far one reads",
        "Write a list comprehension, or bind the name outside.",
    ),
    "change-in-generator": (
        "`{}` is changed inside a generator of step calls, whose consumer may stop before it gets there",
        "Write a list comprehension, or change it outside.",
    ),
    "generator-takes-turns": (
        "the loop changes `{}`, which the generator of step calls that it runs over reads in between",
        "Write a list comprehension, which is made before the loop.",
    ),
    "async-comprehension": (
        "an asynchronous comprehension has no durable meaning in a workflow",
        "Use a plain comprehension over steps; they run in parallel.",
    ),
    "captured-name-rebound": (
        "`{}` is captured by a function or lambda and bound again later; the capture would miss it",
        "Bind it at definition: write `{}={}` in the parameters.",
    ),
    "changes-what-it-iterates": (
        "the loop's body changes `{}`, which the loop runs over",
        "Loop over a copy: `for ... in list({}):`. For a worklist write `for _ in range(limit):`.",
    ),
    "unbounded-iterable": (
        "`{}` has no end, and a loop over steps reads its iterable first",
        "Bound it: `range(n)`, `zip(xs, ...)` with a bounded sequence, or `itertools.islice(..., n)`.",
    ),
    "store-to-global": (
        "`{}` belongs to the module: a change made here is lost in a durable run",
        "Pass the object as a parameter, change it and return it.",
    ),
    "dynamic-options": (
        "the options of a step must be constants",
        "Write numbers, strings or module constants in `.options(...)`, or set them on the step.",
    ),
    "dynamic-limit": (
        "the name and slots of a limit must be constants",
        'Write `with limit("gpu-pool", slots=1):`.',
    ),
    "nested-limit": (
        "`{}` is taken inside itself, so the run could wait for ever for slots that it holds",
        "Take it once, around all that needs it, with as many slots as that needs.",
    ),
    "limit-order": (
        "`{}` is taken here inside a limit that is taken inside it elsewhere: the two could wait for each other for ever",
        "Nest the limits in the same order everywhere.",
    ),
    "step-in-target": (
        "a step call inside `del` or a pattern has no durable meaning",
        "Call the step before and name its result.",
    ),
    "star-import": ("`import *` makes names that the compiler cannot see", "Import the names that you use."),
    "generator-workflow": (
        "an asynchronous or generator function cannot be a workflow",
        "Write a plain `def`.",
    ),
    "not-supported": (
        "`{}` around a step call is not supported",
        "Call the step before and name its result.",
    ),
    "step-in-annotation": ("a step call in an annotation", "Remove the annotation."),
    "type-alias": ("a `type` statement inside a workflow has no use", "Move it to the module."),
}


class CompileError(UserError):
    """One place in a workflow that has no durable meaning.

    Attributes:
        file, line, column: where; the line counts from 1 and the column from 1.
    """

    def __init__(self, code: str, about: str, file: str, line: int, column: int) -> None:
        reason, hint = REASONS[code]
        reason = reason.replace("{}", about).replace("{{", "{").replace("}}", "}")
        hint = hint.replace("{}", about).replace("{{", "{").replace("}}", "}")
        text = linecache.getline(file, line).rstrip("\n")
        caret = "".join(c if c == "\t" else " " for c in text[: column - 1]) + "^"
        shown = f"\n    {text}\n    {caret}" if text else ""
        super().__init__(f"{file}:{line}:{column}: {reason}{shown}", hint=hint)
        self.code = code
        self.reason = reason
        self.file, self.line, self.column = file, line, column


class CompileErrors(UserError):
    """Every refusal of one workflow, in the order of the text."""

    code = "compile"

    def __init__(self, errors: list[CompileError]) -> None:
        self.errors = sorted(errors, key=lambda error: (error.file, error.line, error.column))
        super().__init__("\n".join(str(error) for error in self.errors))
