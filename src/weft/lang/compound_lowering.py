"""Lowering of ``try``, ``with`` and ``match``."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from weft.lang.draft import (
    TEMP,
    AnyDraft,
    DBranch,
    DGlue,
    DHandler,
    DLimit,
    DTry,
)
from weft.lang.making import constant, runtime_call
from weft.lang.names import names_of
from weft.lang.nesting import LimitCall, Nesting, read_limit

if TYPE_CHECKING:
    from weft.lang.lowering import Lowering


class CompoundLowering:
    """Turns statements that hold several blocks into draft nodes. State: ``nesting``, the limits around."""

    def __init__(self, parts: Lowering) -> None:
        self.parts = parts
        self.draft = parts.draft
        self.nesting = Nesting()

    def on_Try(self, node: ast.Try) -> None:
        error_local = self.draft.temp()
        error = self.draft.env(error_local)
        body: list[AnyDraft] = []
        orelse: list[AnyDraft] = []
        final: list[AnyDraft] = []
        with self.draft.into(body):
            self.parts.statements.statements(node.body)
        handlers = [self._handler(handler, error) for handler in node.handlers]
        match = self._match_handlers(node.handlers, error)
        with self.draft.into(orelse):
            self.parts.statements.statements(node.orelse)
        with self.draft.into(final):
            outer, self.draft.handling = self.draft.handling, error
            self.parts.statements.statements(node.finalbody)
            self.draft.handling = outer
        self.draft.block.append(
            DTry(
                self.draft.span(node),
                body,
                match,
                handlers,
                orelse,
                final,
                error,
                self.draft.handling,
                self.draft.loop,
            )
        )

    def _handler(self, handler: ast.ExceptHandler, error: str) -> DHandler:
        if handler.type is not None and self.draft.holds(handler.type):
            self.draft.finder.refuse("step-in-except-type", handler.type)
        block: list[AnyDraft] = []
        name = self.draft.env(handler.name) if handler.name else None
        with self.draft.into(block):
            outer, self.draft.handling = self.draft.handling, error
            if name:
                self.draft.sure.add(name)
            self.parts.statements.statements(handler.body)
            self.draft.handling = outer
        if name:
            self.draft.unbind([name])
        label = f"except {ast.unparse(handler.type)}" if handler.type else "except"
        return DHandler(block, name, label)

    def _match_handlers(self, handlers: list[ast.ExceptHandler], error: str) -> DGlue | None:
        if not handlers:
            return None
        stmts: list[ast.stmt] = []
        for place, handler in enumerate(handlers):
            answer = ast.copy_location(ast.Return(constant(place, handler)), handler)
            if handler.type is None:
                stmts.append(answer)
                break
            test = runtime_call("matches", [handler.type], handler.type)
            stmts.append(ast.copy_location(ast.If(test, [answer], []), handler.type))
        else:
            stmts.append(ast.copy_location(ast.Return(constant(len(handlers), handlers[-1])), handlers[-1]))
        return DGlue(
            self.draft.span(handlers[0]), [], self.draft.scope, error, arm_body=stmts, in_loop=self.draft.loop
        )

    def on_TryStar(self, node: ast.stmt) -> None:
        self.draft.finder.refuse("except-star", node)

    def on_With(self, node: ast.With) -> None:
        limits = [read_limit(item, self.draft.scope) for item in node.items]
        if not all(limits):
            self.draft.finder.refuse("unsupported-with", node)
            return
        if True in limits:
            self.draft.finder.refuse("dynamic-limit", node)
            return
        outer, held = self.draft.block, len(self.nesting.held)
        for found in limits:
            assert isinstance(found, LimitCall)
            if fault := self.nesting.fault(found.name):
                self.draft.finder.refuse(fault, node, found.name)
            self.nesting.held.append(found.name)
            inner = DLimit(self.draft.span(node), found.name, found.slots, [])
            self.draft.block.append(inner)
            self.draft.block = inner.body
        self.parts.statements.statements(node.body)
        self.draft.block = outer
        del self.nesting.held[held:]

    def on_AsyncWith(self, node: ast.AsyncWith) -> None:
        self.draft.finder.refuse("async-form", node, "with")

    def on_Match(self, node: ast.Match) -> None:
        subject = self.parts.expressions.lower(node.subject)
        if not isinstance(subject, ast.Name) or not subject.id.startswith(TEMP):
            subject = self.draft.spill(subject)
        self._cases(node, subject, list(node.cases))

    def _cases(self, node: ast.Match, subject: ast.expr, cases: list[ast.match_case]) -> None:
        if not cases:
            return
        guarded = next(
            (place for place, case in enumerate(cases) if case.guard and self.draft.holds(case.guard)),
            len(cases) - 1,
        )
        chosen = cases[: guarded + 1]
        rest = cases[guarded + 1 :]
        split = bool(chosen[-1].guard and self.draft.holds(chosen[-1].guard))
        arms: list[ast.match_case] = []
        for place, case in enumerate(chosen):
            if self.draft.holds(case.pattern):
                self.draft.finder.refuse("step-in-target", case.pattern)
            guard = None if split and case is chosen[-1] else case.guard
            answer = ast.copy_location(ast.Return(constant(place, case.pattern)), case.pattern)
            arms.append(ast.match_case(case.pattern, guard, [answer]))
        otherwise = ast.copy_location(ast.Return(constant(len(chosen), node)), node)
        decision = [ast.copy_location(ast.Match(subject, arms), node), otherwise]
        test = DGlue(
            self.draft.span(node),
            [],
            self.draft.scope,
            self.draft.handling,
            arm_body=decision,
            in_loop=self.draft.loop,
        )
        branch = DBranch(
            self.draft.span(node),
            test,
            [[] for _ in range(len(chosen) + 1)],
            [*(f"case {ast.unparse(case.pattern)}" for case in chosen), "no case"],
        )
        self.draft.block.append(branch)
        for case, arm in zip(chosen, branch.arms, strict=False):
            with self.draft.into(arm):
                self.draft.sure.update(
                    env for name in names_of([case.pattern]).binds if (env := self.draft.scope.env(name))
                )
                if split and case is chosen[-1]:
                    assert case.guard is not None
                    inner = self.draft.branch(self.parts.expressions.lower(case.guard), "guard")
                    with self.draft.into(inner.arms[0]):
                        self.parts.statements.statements(case.body)
                    with self.draft.into(inner.arms[1]):
                        self._cases(node, subject, rest)
                else:
                    self.parts.statements.statements(case.body)
        with self.draft.into(branch.arms[-1]):
            self._cases(node, subject, rest)
