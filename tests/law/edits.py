"""Random edits of random programs: what a person does between a run and its resume.

``outlined`` first moves parts of steps into helpers and module constants, so that an edit may lie two or three calls
below a step. Edits change what steps and helpers compute, or only how the text looks; never what would make a
loop endless.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable

_KEPT = frozenset({"inputs"})
_OTHER_OPERATOR: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def outlined(text: str, choice: random.Random) -> str:
    """Return the program with the returned expressions of some steps in helpers, and some numbers in constants."""
    tree = ast.parse(text)
    body: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and _is_step(node) and choice.random() < 0.6:
            body += _outline(node, choice)
        body.append(node)
    tree.body = body
    return ast.unparse(ast.fix_missing_locations(tree))


def _outline(step: ast.FunctionDef, choice: random.Random) -> list[ast.stmt]:
    """Move the last returned expression of a step into a helper; return the helper and its constants."""
    last = step.body[-1]
    if not isinstance(last, ast.Return) or last.value is None:
        return []
    constants: list[ast.stmt] = []
    value = _Lifter(step.name, constants, choice).visit(last.value)
    names = sorted({node.id for node in ast.walk(value) if isinstance(node, ast.Name)} & _locals_of(step))
    call = ast.parse(f"_of_{step.name}({', '.join(names)})", mode="eval").body
    helper = ast.parse(f"def _of_{step.name}({', '.join(names)}):\n    return 0").body[0]
    assert isinstance(helper, ast.FunctionDef)
    helper.body = [ast.Return(value)]
    last.value = call
    return [*constants, helper]


class _Lifter(ast.NodeTransformer):
    """Replaces numbers by the names of constants of the module."""

    def __init__(self, step: str, constants: list[ast.stmt], choice: random.Random) -> None:
        self.step, self.constants, self.choice = step, constants, choice

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if type(node.value) is not int or self.choice.random() < 0.4:
            return node
        name = f"_{self.step}_{len(self.constants)}".upper()
        self.constants += ast.parse(f"{name} = {node.value}").body
        return ast.Name(name, ast.Load())

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        return node


def _locals_of(step: ast.FunctionDef) -> set[str]:
    given = step.args
    names = {arg.arg for arg in [*given.posonlyargs, *given.args, *given.kwonlyargs]}
    names |= {arg.arg for arg in (given.vararg, given.kwarg) if arg}
    return names | {
        node.id for statement in step.body[:-1] for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }  # fmt: skip


def _is_step(node: Function) -> bool:
    return any("step" in ast.unparse(decorator) for decorator in node.decorator_list)


def edited(text: str, choice: random.Random) -> tuple[str, list[str]]:
    """Return the program after one to four edits, and what kinds they were."""
    kinds = choice.choices(list(EDITS), weights=(3, 3, 2, 1, 1), k=choice.randint(1, 4))
    for kind in kinds:
        text = EDITS[kind](text, choice)
    return text, kinds


def _functions(tree: ast.Module) -> list[Function]:
    """Return what may be edited inside: the steps and helpers that the workflows use, but for those with a ``while``,
    whose numbers may make it endless."""
    used = _used(tree)
    found = [node for node in tree.body if isinstance(node, Function) and node.name in used]
    plain = [node for node in found if not any(isinstance(inner, ast.While) for inner in ast.walk(node))]
    return [node for node in plain if not _is_workflow(node)]


def _used(tree: ast.Module) -> set[str]:
    """Return the names that the workflows use, and what those use in turn."""
    known = {node.name: node for node in tree.body if isinstance(node, Function) and node.name not in _KEPT}
    todo: list[ast.AST] = [node for node in known.values() if _is_workflow(node)]
    used: set[str] = set()
    while todo:
        names = {node.id for node in ast.walk(todo.pop()) if isinstance(node, ast.Name)} - used
        used |= names
        todo += [known[name] for name in names if name in known]
    return used


def _is_workflow(node: Function) -> bool:
    return any(ast.unparse(decorator) == "workflow" for decorator in node.decorator_list)


def _another_number(text: str, choice: random.Random) -> str:
    tree = ast.parse(text)
    used = _used(tree)
    spots: list[ast.Constant] = [
        node for function in _functions(tree) for node in ast.walk(function)
        if isinstance(node, ast.Constant) and type(node.value) is int
    ]  # fmt: skip
    spots += [
        node.value for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and type(node.value.value) is int
        and ast.unparse(node.targets[0]) in used
    ]  # fmt: skip
    if spots:
        spot = choice.choice(spots)
        assert isinstance(spot.value, int)
        spot.value += choice.randint(1, 3)
    return ast.unparse(tree)


def _another_operator(text: str, choice: random.Random) -> str:
    tree = ast.parse(text)
    spots = [
        node for function in _functions(tree) for node in ast.walk(function)
        if isinstance(node, ast.BinOp) and type(node.op) in _OTHER_OPERATOR
    ]  # fmt: skip
    if spots:
        spot = choice.choice(spots)
        spot.op = _OTHER_OPERATOR[type(spot.op)]()
    return ast.unparse(tree)


def _another_argument(text: str, choice: random.Random) -> str:
    """Change a number in a step call of a workflow."""
    tree = ast.parse(text)
    steps = {node.name for node in _functions(tree) if _is_step(node)}
    spots = [
        argument
        for function in tree.body if isinstance(function, Function) and _is_workflow(function)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in steps
        for argument in node.args if isinstance(argument, ast.Constant) and type(argument.value) is int
    ]  # fmt: skip
    if spots:
        spot = choice.choice(spots)
        assert isinstance(spot.value, int)
        spot.value += 1
    return ast.unparse(tree)


def _another_order(text: str, choice: random.Random) -> str:
    """Move a plain helper to another place among the definitions: what it uses is looked up when it is called."""
    tree = ast.parse(text)
    movable = [
        node for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.decorator_list and node.name not in _KEPT
        and not node.args.defaults
    ]  # fmt: skip
    node = choice.choice(movable)
    tree.body.remove(node)
    first = next(place for place, other in enumerate(tree.body) if isinstance(other, Function))
    tree.body.insert(choice.randint(first, len(tree.body)), node)
    return ast.unparse(tree)


def _comments(text: str, choice: random.Random) -> str:
    lines = []
    for line in text.splitlines():
        if (
            line.startswith(("def ", "@", "class "))
            and choice.random() < 0.3
            and not (lines and lines[-1][:1] == "@")
        ):
            lines += ["# A remark.", ""]
        lines.append(f"{line}  # so" if line.startswith("    return ") and choice.random() < 0.3 else line)
    return "\n".join(lines) + "\n"


EDITS: dict[str, Callable[[str, random.Random], str]] = {
    "number": _another_number,
    "operator": _another_operator,
    "argument": _another_argument,
    "order": _another_order,
    "comments": _comments,
}
ONLY_LOOKS = frozenset({"order", "comments"})


def makes_functions(text: str) -> bool:
    """Return whether a workflow makes functions: one that travels to a step carries the number of its line."""
    inner = (
        node for function in ast.parse(text).body if isinstance(function, Function) and _is_workflow(function)
        for statement in function.body for node in ast.walk(statement)
    )  # fmt: skip
    return any(isinstance(node, (ast.Lambda, Function)) for node in inner)
