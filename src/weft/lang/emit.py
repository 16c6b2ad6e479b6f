"""From draft to program: syntax becomes text, findings become fields, nodes get their numbers."""

from __future__ import annotations

import ast
import copy
from typing import Any

from weft.lang.draft import (
    TEMP,
    AnyDraft,
    DBranch,
    DBreak,
    DCall,
    DCapture,
    DContinue,
    DGlue,
    DGroup,
    DLimit,
    DLoop,
    DMove,
    DReturn,
    DTry,
)
from weft.lang.fingerprint import DataDigest, fingerprint_names
from weft.lang.names import names_of
from weft.lang.syntax import nodes_of, placed
from weft.lang.usage import items_expression, text_names
from weft.program.nodes import (
    AnyNode,
    Block,
    Branch,
    Break,
    Call,
    Capture,
    Code,
    Continue,
    Glue,
    Group,
    Handler,
    Limit,
    Loop,
    Move,
    Return,
    Try,
)

# What a piece of glue returns to the worker: an arm (0 or more), or one of these, or None to go on.
LEAVES = {"return": -1, "break": -2, "continue": -3}


class Emitter:
    """Emits one program. State: ``count``, the next node's number; ``loops``, the number of each loop."""

    def __init__(self, data_digest: DataDigest | None = None) -> None:
        self.data_digest = data_digest
        self.count = 0
        self.loops: dict[DLoop, int] = {}

    def number(self) -> int:
        self.count += 1
        return self.count - 1

    def block(self, nodes: list[AnyDraft]) -> Block:
        return Block(tuple(self.node(node) for node in nodes))

    def node(self, node: AnyDraft) -> AnyNode:
        number = self.number()
        base: dict[str, Any] = {"id": number, "span": node.span, "ordered": node.ordered, "guard": node.guard}
        match node:
            case DGlue():
                return self.glue(node, number)
            case DCall():
                return Call(
                    **base,
                    code=_call_code(node),
                    step=node.step,
                    path=node.path,
                    out=node.out,
                    handling=node.handling,
                    fingerprint=self._around(node),
                    plain=_plain_arguments(node),
                    key=node.key,
                )
            case DMove():
                return Move(**base, out=node.out, value=node.value)
            case DBranch():
                test = self.glue(node.test, self.number())
                return Branch(
                    **base, test=test, arms=tuple(map(self.block, node.arms)), labels=tuple(node.labels)
                )
            case DLoop():
                return self._loop(node, base)
            case DTry():
                return self._try(node, base)
            case DCapture():
                return Capture(**base, body=self.block(node.body), error=node.error)
            case DLimit():
                return Limit(**base, name=node.name, slots=node.slots, body=self.block(node.body))
            case DGroup():
                return Group(
                    **base, name=node.name, path=node.path, body=self.block(node.body), result=node.result
                )
            case DReturn():
                return Return(**base)
            case DBreak():
                return Break(**base)
            case DContinue():
                return Continue(**base)

    def _around(self, node: DCall) -> str:
        """Return the fingerprint of the globals that a call's arguments read: its inputs do not show them."""
        parts = [*node.call.args, *(keyword.value for keyword in node.call.keywords)]
        names = {name for name in names_of(parts).loads if node.scope.env(name) is None}
        module_globals = node.scope.frame.function.__globals__
        return fingerprint_names(parts, names, module_globals, self.data_digest) if names else ""

    def _loop(self, node: DLoop, base: dict[str, Any]) -> Loop:
        self.loops[node] = base["id"]
        source = None if node.source is None else self.glue(node.source, self.number(), node)
        prelude = tuple(self.glue(glue, self.number()) for glue in node.prelude)
        label = "" if node.target is None else ast.unparse(node.target)
        iterable = node.label or ("" if node.iterable is None else ast.unparse(node.iterable))
        return Loop(
            **base,
            source=source,
            prelude=prelude,
            deferred=tuple(sorted(node.deferred)),
            bodies=tuple(map(self.block, node.bodies)),
            orelse=self.block(node.orelse),
            targets=tuple(env for _, env in node.targets),
            sequence=node.sequence,
            carried=tuple(sorted(node.carried)),
            reason=node.reason,
            label=f"{label} in {iterable}" if iterable else label,
        )

    def _try(self, node: DTry, base: dict[str, Any]) -> Try:
        body = self.block(node.body)
        match = None if node.match is None else self.glue(node.match, self.number())
        handlers = tuple(Handler(self.block(h.block), h.name, h.label) for h in node.handlers)
        return Try(
            **base,
            body=body,
            match=match,
            handlers=handlers,
            orelse=self.block(node.orelse),
            final=self.block(node.final),
            error=node.error,
            handling=node.handling,
        )

    def glue(self, node: DGlue, number: int, loop: DLoop | None = None) -> Glue:
        stmts, produces = _statements(node, loop)
        targets: tuple[str, ...] = ()
        if loop is not None:
            targets = tuple(env for _, env in loop.targets)
        return Glue(
            id=number,
            span=node.span,
            ordered=node.ordered,
            guard=node.guard,
            code=_glue_code(node, stmts),
            groups=tuple(node.groups),
            checked=tuple(sorted(node.checked)),
            defer=None if node.defer is None else self.loops[node.defer],
            handling=node.handling,
            produces=produces,  # type: ignore[arg-type]
            targets=targets,
        )


def _statements(node: DGlue, loop: DLoop | None) -> tuple[list[ast.stmt], str]:
    stmts = list(node.stmts)
    if node.exits - {"raise"}:
        # A copy: the syntax of a workflow that is inlined twice is shared.
        stmts = [_Exits(node).visit(copy.deepcopy(statement)) for statement in node.stmts]
        stmts = [part for whole in stmts for part in (whole if isinstance(whole, list) else [whole])]
    if node.arm is not None:
        stmts.append(ast.copy_location(ast.Return(node.arm), node.arm))
        return stmts, "arm"
    if node.arm_body is not None:
        return [*stmts, *node.arm_body], "arm"
    if loop is not None:
        assert loop.iterable is not None
        given = ast.Name(loop.kept, ast.Load()) if loop.grouped else items_expression(loop)
        function = "places" if loop.grouped else "items"
        callee = ast.Attribute(ast.Name(TEMP[:-1], ast.Load()), function, ast.Load())
        call = ast.Call(callee, [given, ast.Constant(len(loop.targets))], [])
        stmts.append(placed(ast.copy_location(ast.Expr(call), loop.iterable)))
        return stmts, "items"
    return stmts, "names"


class _Exits(ast.NodeTransformer):
    """Turns ``return``, and the ``break`` and ``continue`` of the loop around, into answers to the worker."""

    def __init__(self, node: DGlue) -> None:
        self.depth = 0

    def visit_Return(self, node: ast.Return) -> list[ast.stmt]:
        value = node.value or ast.copy_location(ast.Constant(None), node)
        keep = ast.Assign([ast.Name(TEMP + "return", ast.Store())], value)
        return [placed(ast.copy_location(keep, node)), self._leave("return", node)]

    def _leave(self, how: str, node: ast.stmt) -> ast.stmt:
        answer = ast.Return(ast.UnaryOp(ast.USub(), ast.Constant(-LEAVES[how])))
        return placed(ast.copy_location(answer, node))

    def visit_Break(self, node: ast.Break) -> ast.stmt:
        return node if self.depth else self._leave("break", node)

    def visit_Continue(self, node: ast.Continue) -> ast.stmt:
        return node if self.depth else self._leave("continue", node)

    def _loop(self, node: Any) -> Any:
        self.depth += 1
        node.body = self._all(node.body)
        self.depth -= 1
        node.orelse = self._all(node.orelse)
        return node

    visit_For = visit_While = visit_AsyncFor = _loop

    def _all(self, body: list[ast.stmt]) -> list[ast.stmt]:
        done: list[ast.stmt] = []
        for statement in body:
            result = self.visit(statement)
            done += result if isinstance(result, list) else [result]
        return done

    def visit_FunctionDef(self, node: Any) -> Any:
        return node

    visit_AsyncFunctionDef = visit_Lambda = visit_ClassDef = visit_FunctionDef


def _glue_code(node: DGlue, stmts: list[ast.stmt]) -> Code:
    found = text_names(node)
    reads = {
        name: env
        for name in sorted(found.loads | found.deletes | found.binds)
        if (env := node.scope.env(name)) in node.reads
    }
    writes = {
        name: env
        for name in sorted(found.binds | found.deletes)
        if (env := node.scope.env(name)) in node.writes
    }
    if "return" in node.exits and node.scope.frame.result in node.writes:
        writes[TEMP + "return"] = node.scope.frame.result
    known = {env: name for name, env in reversed(reads.items())}
    for env in sorted(node.writes - set(writes.values())):
        local = known.setdefault(env, f"{TEMP}also_{len(reads)}")
        reads[local] = env
        writes[local] = env
    for env in sorted(node.reads - known.keys() - {node.handling}):
        # A name that shares an object with a written one must travel with it.
        if env in node.extra:
            reads[f"{TEMP}also_{len(reads)}"] = env
    text, positions = render(stmts)
    return Code(text=text, unit=node.span.unit, reads=reads, writes=writes, positions=positions)


def _call_code(node: DCall) -> Code:
    call = node.call
    callee = ast.Attribute(ast.Name(TEMP[:-1], ast.Load()), "arguments", ast.Load())
    whole = ast.copy_location(ast.Call(ast.copy_location(callee, call), call.args, call.keywords), call)
    answer = ast.copy_location(ast.Return(whole), call)
    loads = names_of([*call.args, *(keyword.value for keyword in call.keywords)]).loads
    reads = {name: env for name in sorted(loads) if (env := node.scope.env(name)) is not None}
    if node.key:
        reads[f"{TEMP}key"] = node.key
    text, positions = render([answer])
    return Code(text=text, unit=node.span.unit, reads=reads, positions=positions)


def _plain_arguments(node: DCall) -> tuple[tuple[str, str, str], ...] | None:
    """Return (keyword, local name, constant) of each argument; None if one is neither a local name nor a constant."""
    given = [("", argument) for argument in node.call.args]
    given += [(keyword.arg or "**", keyword.value) for keyword in node.call.keywords]
    found = []
    for keyword, argument in given:
        if isinstance(argument, ast.Constant):
            found.append((keyword, "", f"{type(argument.value).__name__} {argument.value!r}"))
        elif isinstance(argument, ast.Name) and node.scope.env(argument.id) is not None:
            found.append((keyword, argument.id, ""))
        else:
            return None
    return tuple(found)


def render(stmts: list[ast.stmt]) -> tuple[str, tuple[int, ...]]:
    """Return statements as text, and where each node of the parsed text stood in the user's file."""
    module = ast.Module(stmts, [])
    text = ast.unparse(placed(module))
    ours = nodes_of(module)
    if not all(map(_comes_back, ours)):
        parsed = ast.parse(text)
        if [type(node) for node in ours] != [type(node) for node in nodes_of(parsed)]:
            return text, _lines_only(parsed, stmts)
    positions: list[int] = []
    for node in ours:
        if "lineno" in node._attributes:
            positions += (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
        else:
            positions += _NOWHERE
    return text, tuple(positions)


_NOWHERE = (0, 0, 0, 0)


def _comes_back(node: ast.AST) -> bool:
    """Return whether unparsing and parsing is known to give the same node: not so for ``-1`` as a constant."""
    if not isinstance(node, ast.Constant):
        return not isinstance(node, ast.JoinedStr)
    value = node.value
    return value is None or isinstance(value, str) or (isinstance(value, (int, float)) and value >= 0)


def _lines_only(parsed: ast.Module, stmts: list[ast.stmt]) -> tuple[int, ...]:
    """Where unparsing changed the shape of the tree, every node gets its statement's place."""
    place: dict[ast.AST, ast.stmt] = {}
    for statement, original in zip(parsed.body, stmts, strict=False):
        for inner in nodes_of(statement):
            place[inner] = original
    positions: list[int] = []
    for node in nodes_of(parsed):
        line = place[node].lineno if node in place else 0
        positions += [line, 0, line, 0] if hasattr(node, "lineno") else [0, 0, 0, 0]
    return tuple(positions)
