"""Which forms of the language a workflow's text uses, found from its syntax tree.

A form counts only where it matters to the compiler: most need a step call inside (``holds``).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

from . import library

STEPS = {name for name, item in vars(library).items() if type(item).__name__ == "Step"} | {"stage"}
COMPOUND = (ast.If, ast.For, ast.While, ast.Try, ast.Match, ast.With)
LOOPS = (ast.For, ast.While)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
EARLY = ("any", "all", "next", "zip", "first_above")
MUTATORS = ("append", "extend", "insert", "pop", "sort", "reverse", "update", "setdefault", "add", "discard")


def is_step_call(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    callee = node.func
    if (
        isinstance(callee, ast.Call)
        and isinstance(callee.func, ast.Attribute)
        and callee.func.attr == "options"
    ):
        callee = callee.func.value
    return isinstance(callee, ast.Name) and (callee.id in STEPS or callee.id.startswith(("stage", "part_")))


def is_workflow_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.startswith("part_")


def holds(*nodes: ast.AST | None, call: Callable[[ast.AST], bool] = is_step_call) -> bool:
    """Tell whether a step call stands in one of ``nodes``."""
    return any(call(inner) for node in nodes if node is not None for inner in ast.walk(node))


def depth_of(function: ast.FunctionDef) -> int:
    """Return how deep compound statements nest."""

    def down(body: list[ast.stmt]) -> int:
        return max((1 + down(list(_inside(s))) if isinstance(s, COMPOUND) else 0 for s in body), default=0)

    return down(function.body)


def _inside(node: ast.stmt) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        elif isinstance(child, (ast.ExceptHandler, ast.match_case)):
            yield from child.body


def forms_of(body: str) -> set[str]:
    """Return the names of the forms in the workflows of ``body``."""
    found: set[str] = set()
    tree = ast.parse(body)
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.decorator_list:
            if function.name in called:
                found |= _parameters(function)
            for node, parents in _walk(function, ()):
                found |= set(_forms(node, parents))
    return found


def _walk(node: ast.AST, parents: tuple[ast.AST, ...]) -> Iterator[tuple[ast.AST, tuple[ast.AST, ...]]]:
    for child in ast.iter_child_nodes(node):
        yield child, (*parents, node)
        yield from _walk(child, (*parents, node))


def _parameters(function: ast.FunctionDef) -> set[str]:
    arguments = function.args
    named = {
        "parameter-positional-only": arguments.posonlyargs,
        "parameter-default": arguments.defaults,
        "parameter-args": arguments.vararg,
        "parameter-keyword-only": arguments.kwonlyargs,
        "parameter-kwargs": arguments.kwarg,
    }
    return {name for name, given in named.items() if given}


def _forms(node: ast.AST, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    finder = _FINDERS.get(type(node))
    if finder is not None:
        yield from finder(node, parents)


def _within(parents: tuple[ast.AST, ...], *types: type[ast.AST]) -> bool:
    return any(isinstance(parent, types) for parent in parents)


def _assign(node: ast.Assign, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    if len(node.targets) > 1:
        yield "assign-chain"
    for target in node.targets:
        yield from _target(target, node.value)
    if isinstance(node.value, ast.Name) and isinstance(node.targets[0], ast.Name):
        yield "assign-name-to-name"


def _target(target: ast.expr, source: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name) and holds(source):
        yield "assign-step"
    if isinstance(target, (ast.Tuple, ast.List)):
        yield "target-starred" if any(isinstance(e, ast.Starred) for e in target.elts) else "target-tuple"
        if any(isinstance(e, (ast.Tuple, ast.List)) for e in target.elts):
            yield "target-nested"
        if any(isinstance(e, ast.Subscript) for e in target.elts):
            yield "target-tuple-with-subscript"
        if isinstance(source, ast.Tuple) and all(isinstance(e, ast.Name) for e in source.elts):
            yield "swap"
    if isinstance(target, ast.Subscript):
        yield "target-slice" if isinstance(target.slice, ast.Slice) else "target-subscript"
        if holds(target.slice):
            yield "target-subscript-step"
    if isinstance(target, ast.Attribute):
        yield "target-attribute"


def _augmented(node: ast.AugAssign, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    if holds(node.value):
        yield {
            ast.Name: "augmented-name",
            ast.Subscript: "augmented-subscript",
            ast.Attribute: "augmented-attribute",
        }[type(node.target)]
        if _within(parents, ast.For):
            yield "augmented-in-loop"


def _delete(node: ast.Delete, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    yield "delete-name" if isinstance(node.targets[0], ast.Name) else "delete-item"


def _expression_statement(node: ast.Expr, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    call = node.value
    if is_step_call(call):
        yield "effect"
    elif isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in MUTATORS:
        yield "change-by-method"
        if holds(*call.args):
            yield "change-by-method-of-step"
            if _within(parents, ast.For):
                yield "collect-in-loop"
    elif (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in ("push", "bump", "refill")
    ):
        yield "change-by-helper"


def _if(node: ast.If, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    if holds(*node.body, *node.orelse):
        yield "if-around-step"
        if node.orelse:
            yield "elif" if isinstance(node.orelse[0], ast.If) else "else"
    if holds(node.test):
        yield "if-test-step"


def _for(node: ast.For, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    if not holds(node):
        yield "for-plain"
        return
    yield "for"
    if node.orelse:
        yield "for-else"
    if holds(node.iter):
        yield "for-over-step"
    if isinstance(node.target, ast.Tuple):
        yield "for-tuple-target"
        if any(isinstance(e, ast.Starred) for e in node.target.elts):
            yield "for-starred-target"
    if _within(parents, ast.For):
        yield "for-in-for"
    if _within(parents, ast.Try):
        yield "for-in-try"
    yield from _iterable(node.iter)


def _iterable(iterable: ast.expr) -> Iterator[str]:
    callee = iterable.func if isinstance(iterable, ast.Call) else None
    if isinstance(callee, ast.Name):
        kind = {
            "range": "range",
            "enumerate": "enumerate",
            "zip": "zip",
            "countdown": "generator",
            "broken_after": "failing",
            "make_set": "set",
        }.get(callee.id)
        if kind:
            yield f"over-{kind}"
    elif isinstance(callee, ast.Attribute) and callee.attr in ("items", "values"):
        yield "over-dict"
    elif isinstance(iterable, (ast.Set, ast.SetComp)):
        yield "over-set"
    elif isinstance(iterable, ast.Name):
        yield "over-name"


def _while(node: ast.While, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    yield "while-plain"


def _with(node: ast.With, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    if not _is_limit(node):
        yield "with-plain"
    elif holds(*node.body):
        for item in node.items:
            yield "with-" + ast.unparse(item.context_expr.func)  # type: ignore[attr-defined]
        if len(node.items) > 1:
            yield "with-several"
        around = {"if": ast.If, "loop": ast.For, "try": ast.Try, "with": ast.With}
        yield from (f"with-in-{name}" for name, kind in around.items() if _within(parents, kind))
        if len([parent for parent in parents if isinstance(parent, COMPOUND)]) >= 2:
            yield "with-three-deep"
        if any(isinstance(inner, COMPOUND) for inner in node.body):
            yield "with-around-block"


def _is_limit(node: ast.AST) -> bool:
    return isinstance(node, ast.With) and all(
        isinstance(item.context_expr, ast.Call) and ast.unparse(item.context_expr.func) in ("limit", "mutex")
        for item in node.items
    )


def _leaves_limit(parents: tuple[ast.AST, ...]) -> Iterator[str]:
    if any(map(_is_limit, parents)):
        yield "leave-with"


def _leave(word: str) -> Callable[[ast.AST, tuple[ast.AST, ...]], Iterator[str]]:
    def found(node: ast.AST, parents: tuple[ast.AST, ...]) -> Iterator[str]:
        loops = [parent for parent in parents if isinstance(parent, LOOPS)]
        if loops and holds(loops[-1]):
            yield word
            yield from _leaves_limit(parents[parents.index(loops[-1]) :])
            if _within(parents, ast.Try):
                yield "leave-loop-in-try"

    return found


def _return(node: ast.Return, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    if len(parents) > 1:
        yield "return-early"
    if _within(parents, ast.For):
        yield "return-in-loop"
    if _within(parents, ast.Try):
        yield "return-in-try"
    yield from _leaves_limit(parents)
    if holds(node.value):
        yield "return-step"


def _try(node: ast.Try, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    if not holds(node):
        return
    yield "try"
    for name, part in (("try-else", node.orelse), ("try-finally", node.finalbody)):
        if part:
            yield name
    if len(node.handlers) > 1:
        yield "try-several-handlers"
    if _within(parents, ast.For):
        yield "try-in-loop"
    if _within(parents, ast.Try):
        yield "try-in-try"
    if holds(*node.finalbody):
        yield "finally-step"


def _handler(node: ast.ExceptHandler, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    if node.type is None:
        yield "except-bare"
    if isinstance(node.type, ast.Tuple):
        yield "except-tuple"
    if node.name:
        yield "except-as"
    if holds(*node.body):
        yield "except-step"


def _raise(node: ast.Raise, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    yield from _leaves_limit(parents)
    if node.exc is None:
        yield "raise-again"
    elif node.cause is not None:
        yield "raise-from"
    else:
        yield "raise"


def _assert(node: ast.Assert, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    yield "assert-message" if node.msg else "assert"


def _match(node: ast.Match, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    yield "match"
    if holds(node.subject):
        yield "match-subject-step"
    for case in node.cases:
        if case.guard is not None:
            yield "match-guard-step" if holds(case.guard) else "match-guard"
        for pattern in ast.walk(case.pattern):
            name = {
                "MatchSequence": "match-sequence",
                "MatchMapping": "match-mapping",
                "MatchClass": "match-class",
                "MatchOr": "match-or",
            }
            if type(pattern).__name__ in name:
                yield name[type(pattern).__name__]


def _call(node: ast.Call, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    if is_workflow_call(node):
        yield "workflow-call"
        if _within(parents, *LOOPS, *COMPREHENSIONS):
            yield "workflow-in-loop"
        if _within(parents, ast.If, ast.Try, ast.Match):
            yield "workflow-in-branch"
    if is_step_call(node):
        yield from _step_call(node, parents)
    elif isinstance(node.func, ast.Name):
        yield from _plain_call(node)


def _step_call(node: ast.Call, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    yield "step-call"
    if holds(*node.args, *(k.value for k in node.keywords)):
        yield "call-nested"
    if any(isinstance(a, ast.Starred) for a in node.args):
        yield "call-starred"
    if any(k.arg is None for k in node.keywords):
        yield "call-double-starred"
    if any(k.arg for k in node.keywords):
        yield "call-keyword"
    name = ast.unparse(node.func)
    special = {
        "later": "step-async",
        "root": "step-of-library",
        "half": "step-positional-only",
        "quick": "step-renamed",
    }
    yield special.get(name, "step-options" if ".options" in name else "step-call")
    if isinstance(parents[-1], ast.Attribute):
        yield "attribute-of-step"


def _plain_call(node: ast.Call) -> Iterator[str]:
    name = getattr(node.func, "id", "")
    generators = [a for a in node.args if isinstance(a, ast.GeneratorExp) and holds(a)]
    if generators:
        yield "generator-passed"
        yield "generator-stopped-early" if name in EARLY else "generator-consumed"
        if name in ("any", "all"):
            yield "any-all"
        if name in ("next", "zip", "sorted", "sum", "max"):
            yield name
    if name.startswith(("fn_", "keep_")):
        yield "call-of-local-function"


def _comprehension(node: ast.AST, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    if not holds(node):
        yield "comprehension-plain"
        return
    yield {"ListComp": "listcomp", "SetComp": "setcomp", "DictComp": "dictcomp", "GeneratorExp": "generator"}[
        type(node).__name__
    ]
    generators = node.generators  # type: ignore[attr-defined]
    if len(generators) > 1:
        yield "comprehension-two-for"
    if any(holds(*g.ifs) for g in generators):
        yield "comprehension-filter-step"
    if any(g.ifs for g in generators):
        yield "comprehension-filter"
    if holds(generators[0].iter):
        yield "comprehension-over-step"
    if _within(parents, *COMPREHENSIONS):
        yield "comprehension-nested"
    if any(isinstance(inner, ast.NamedExpr) for inner in ast.walk(node)):
        yield "comprehension-walrus"
    for g in generators:
        yield from _iterable(g.iter)


def _simple(name: str, *, needs_step: bool = True) -> Callable[[ast.AST, tuple[ast.AST, ...]], Iterator[str]]:
    def found(node: ast.AST, parents: tuple[ast.AST, ...]) -> Iterator[str]:
        if not needs_step or holds(node):
            yield name

    return found


def _boolean(node: ast.BoolOp, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    if holds(node):
        yield "and" if isinstance(node.op, ast.And) else "or"


def _compare(node: ast.Compare, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    if holds(node):
        yield "comparison-chained" if len(node.ops) > 1 else "comparison"


def _dict(node: ast.Dict, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    if holds(node):
        yield "dict-unpacked" if None in node.keys else "dict-display"
    if holds(*node.keys):
        yield "dict-key-step"


def _list(node: ast.List, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    if holds(node):
        yield "list-starred" if any(isinstance(e, ast.Starred) for e in node.elts) else "list-display"


def _subscript(node: ast.Subscript, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    if holds(node.slice):
        yield "slice-step" if isinstance(node.slice, ast.Slice) else "subscript-step"


def _lambda(node: ast.Lambda, parents: tuple[ast.AST, ...]) -> Iterator[str]:
    yield "lambda"
    if holds(*node.args.defaults, *node.args.kw_defaults):
        yield "lambda-default-step"


_FINDERS: dict[type[ast.AST], Callable[..., Iterator[str]]] = {
    ast.Assign: _assign,
    ast.AnnAssign: _simple("assign-annotated"),
    ast.AugAssign: _augmented,
    ast.Delete: _delete,
    ast.Expr: _expression_statement,
    ast.If: _if,
    ast.For: _for,
    ast.While: _while,
    ast.With: _with,
    ast.Break: _leave("break"),
    ast.Continue: _leave("continue"),
    ast.Return: _return,
    ast.Try: _try,
    ast.ExceptHandler: _handler,
    ast.Raise: _raise,
    ast.Assert: _assert,
    ast.Match: _match,
    ast.Import: _simple("import-local", needs_step=False),
    ast.Pass: _simple("pass", needs_step=False),
    ast.FunctionDef: _simple("def-local", needs_step=False),
    ast.Lambda: _lambda,
    ast.Call: _call,
    ast.NamedExpr: _simple("walrus"),
    ast.IfExp: _simple("conditional-expression"),
    ast.BoolOp: _boolean,
    ast.Compare: _compare,
    ast.UnaryOp: _simple("unary"),
    ast.BinOp: _simple("binary"),
    ast.JoinedStr: _simple("f-string"),
    ast.Dict: _dict,
    ast.List: _list,
    ast.Set: _simple("set-display"),
    ast.Tuple: _simple("tuple-display"),
    ast.Subscript: _subscript,
    **dict.fromkeys(COMPREHENSIONS, _comprehension),
}


def _read_names() -> list[tuple[str, ...]]:
    text = Path(__file__).with_name("forms.txt").read_text()
    return [tuple(part.split("\n", 1)[1].split()) for part in text.split("# ")[1:]]


FORMS, TAGS = _read_names()
