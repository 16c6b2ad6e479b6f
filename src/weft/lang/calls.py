"""Finding step calls: which syntax nodes hold one, and what is said wrongly around them."""

from __future__ import annotations

import ast
from typing import Any

from weft.lang.draft import Scope
from weft.lang.names import names_of, parameters_of
from weft.lang.refusals import CompileError
from weft.lang.resolve import NOTHING, DynamicOptions, Marked, look_up, resolve
from weft.lang.steps import Step
from weft.lang.unroll import unrolled_constants
from weft.lang.workflows import Workflow


class CallFinder(ast.NodeVisitor):
    """Marks the syntax nodes that hold step calls, and collects what is said wrongly around them.

    State: ``holds``: ids of nodes that are or contain a step call; ``callees``: id of a call → step or
    workflow; ``errors``; ``loose``: steps that are mentioned without being called here; ``unknown``: names that
    stand for nothing, each with the number of its unit.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.holds: set[int] = set()
        self.callees: dict[int, Step[..., Any] | Workflow[..., Any]] = {}
        self.errors: list[CompileError] = []
        self.loose: list[tuple[ast.expr, str, int]] = []
        self.unknown: list[tuple[ast.Name, int]] = []
        self._keep: list[ast.AST] = []  # Ids stay unique only while the nodes live.
        self._scope: Scope | None = None
        self._inside: str | None = None
        self._stack: list[ast.AST] = []

    def scan(self, nodes: list[ast.AST] | list[ast.stmt] | list[ast.expr], scope: Scope) -> None:
        """Mark the step calls in ``nodes``, whose names mean what ``scope`` says."""
        outer, self._scope = self._scope, scope
        self._keep += nodes
        for node in nodes:
            self.visit(node)
        self._scope = outer

    def refuse(self, code: str, node: ast.AST, about: str = "") -> None:
        """Note a refusal at ``node``."""
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1
        self.errors.append(CompileError(code, about, self.file, line, column))

    def visit(self, node: ast.AST) -> None:
        self._stack.append(node)
        super().visit(node)
        self._stack.pop()

    def visit_Call(self, node: ast.Call) -> None:
        assert self._scope is not None
        try:
            target = resolve(node.func, self._scope)
        except DynamicOptions as dynamic:
            self.refuse("dynamic-options", dynamic.call)
            target = NOTHING
        if not isinstance(target, Marked):
            self._check_dynamic(node, target)
            self.generic_visit(node)
            return
        if self._inside is not None:
            self.refuse(self._inside, node)
        else:
            self.callees[id(node)] = target
            self.holds.update(id(outer) for outer in self._stack)
        for argument in [*node.args, *node.keywords]:
            self.visit(argument)

    def _check_dynamic(self, node: ast.Call, target: object) -> None:
        named = isinstance(node.func, ast.Name)
        if named and target in (locals, vars, dir, eval, exec) and not (target in (vars, dir) and node.args):
            self.refuse("dynamic-scope", node, f"{getattr(target, '__name__', '')}()")

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and self._scope is not None:
            target = look_up(node.id, self._scope)
            if isinstance(target, Marked):
                self.loose.append((node, target.name, self._scope.frame.unit))
            elif target is NOTHING and self._scope.env(node.id) is None and node.id != "__class__":
                self.unknown.append((node, self._scope.frame.unit))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        assert self._scope is not None
        target = resolve(node, self._scope)
        if isinstance(target, Marked):
            self.loose.append((node, target.name, self._scope.frame.unit))
        self.generic_visit(node)

    def _function(self, node: ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        assert self._scope is not None
        defaults = [*node.args.defaults, *(default for default in node.args.kw_defaults if default)]
        decorators = getattr(node, "decorator_list", [])
        with_inside = isinstance(node, ast.Lambda)
        for part in defaults:
            # Defaults are evaluated where the function stands.
            self.visit(part)
        for part in decorators:
            self.visit(part)
            if isinstance(resolve(part, self._scope), Marked):
                self.refuse("step-in-decorator", part)
        own = set(parameters_of(node.args))
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        own |= names_of(body).binds
        outer = self._scope
        self._scope = outer.inner({name: f"{name}@inner" for name in own})
        for part in body:  # type: ignore[assignment]
            self._visit_inside(part, "step-in-lambda" if with_inside else "step-in-nested-def")
        self._scope = outer

    visit_Lambda = visit_FunctionDef = visit_AsyncFunctionDef = _function

    def _visit_inside(self, node: ast.AST, inside: str | None) -> None:
        outer, self._inside = self._inside, inside
        self.visit(node)
        self._inside = outer

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in [*node.decorator_list, *node.bases, *node.keywords]:
            self._visit_inside(part, "step-in-decorator")
        assert self._scope is not None
        outer = self._scope
        self._scope = outer.inner({name: f"{name}@inner" for name in names_of(node.body).binds})
        for statement in node.body:
            self._visit_inside(statement, "step-in-class-body")
        self._scope = outer

    def _comprehension(self, node: Any) -> None:
        assert self._scope is not None
        outer = self._scope
        self.visit(node.generators[0].iter)
        bound = names_of(generator.target for generator in node.generators).binds
        first = node.generators[0]
        constants = {} if first.ifs else unrolled_constants(first.target, first.iter, outer)
        self._scope = outer.inner(
            {name: f"{name}@inner" for name in bound if name not in constants}, constants
        )
        for position, generator in enumerate(node.generators):
            self.visit(generator.target)
            if position:
                self.visit(generator.iter)
            for condition in generator.ifs:
                self.visit(condition)
            if any(id(part) in self.holds for part in (generator.iter, *generator.ifs)):
                self.holds.add(id(generator))
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(part)
        self._scope = outer

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def visit_For(self, node: ast.For) -> None:
        assert self._scope is not None
        outer = self._scope
        self.visit(node.iter)
        self.visit(node.target)
        self._scope = outer.inner(constants=unrolled_constants(node.target, node.iter, outer))
        for statement in node.body:
            self.visit(statement)
        self._scope = outer
        for statement in node.orelse:
            self.visit(statement)

    def visit_Yield(self, node: ast.Yield | ast.YieldFrom) -> None:
        if self._inside is None:
            self.refuse("yield-in-workflow", node)
        self.generic_visit(node)

    visit_YieldFrom = visit_Yield

    def visit_Await(self, node: ast.Await) -> None:
        if self._inside is None:
            self.refuse("await-in-workflow", node, "await")
        self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> None:
        self.refuse("global-statement", node)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        if self._inside is None:
            self.refuse("nonlocal-statement", node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        # Annotations of locals are never evaluated.
        self.visit(node.target)
        if node.value is not None:
            self.visit(node.value)
