"""Where the draft grows: the block that nodes are appended to, and what is known at that place of the text."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from weft.lang.calls import CallFinder
from weft.lang.draft import (
    TEMP,
    AnyDraft,
    DBranch,
    DGlue,
    DLoop,
    DMove,
    Frame,
    Scope,
)
from weft.lang.making import ATOM, assign, constant, name_of
from weft.lang.names import names_of
from weft.lang.resolve import NOTHING, look_up
from weft.program.nodes import Span


class Drafter:
    """Appends nodes to the draft.

    State: ``block``, where nodes go; ``scope``; ``sure``, environment names that are surely bound here;
    ``gone``, those that this block unbinds somewhere; ``handling``, the environment name of the
    exception that is current here; ``loop``, the loop around;
    ``temps``, how many names the compiler has made.
    """

    def __init__(self, finder: CallFinder) -> None:
        self.finder = finder
        self.block: list[AnyDraft] = []
        self.scope: Scope
        self.sure: set[str] = set()
        self.gone: set[str] = set()
        self.handling: str | None = None
        self.loop: DLoop | None = None
        self.temps = 0

    @property
    def frame(self) -> Frame:
        return self.scope.frame

    def temp(self) -> str:
        """Return a fresh local name that the user cannot have written."""
        self.temps += 1
        return f"{TEMP}{self.temps}"

    def span(self, node: ast.AST) -> Span:
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        end, end_column = getattr(node, "end_lineno", None), getattr(node, "end_col_offset", None)
        return Span(self.frame.unit, line, column, end or line, column if end_column is None else end_column)

    def holds(self, node: ast.AST) -> bool:
        """Return whether a step call stands in ``node``."""
        return id(node) in self.finder.holds

    def env(self, name: str) -> str:
        found = self.scope.env(name)
        assert found is not None, name
        return found

    def glue(self, *stmts: ast.stmt, effect: bool = False) -> DGlue:
        """Append glue to the block."""
        node = DGlue(
            self.span(stmts[0]), list(stmts), self.scope, self.handling, effect=effect, in_loop=self.loop
        )
        self.block.append(node)
        found = names_of(stmts)
        if not (
            found.deletes
            or any(
                # What a ``with`` holds may be cut short, as by ``suppress``.
                isinstance(stmt, (ast.If, ast.For, ast.While, ast.Try, ast.TryStar, ast.Match, ast.With))
                for stmt in stmts
            )
        ):
            self.sure.update(env for name in found.binds if (env := self.scope.env(name)))
        self.unbind(env for name in found.deletes if (env := self.scope.env(name)))
        return node

    def unbind(self, envs: Iterable[str]) -> None:
        """Count names as perhaps unbound, here and after the blocks that this place stands in."""
        gone = set(envs)
        self.sure -= gone
        self.gone |= gone

    def spill(self, value: ast.expr) -> ast.expr:
        """Evaluate ``value`` into a temporary and return its name."""
        if isinstance(value, ast.Starred):
            whole = ast.copy_location(ast.List([value], ast.Load()), value)
            return ast.copy_location(ast.Starred(self.spill(whole), ast.Load()), value)
        if isinstance(value, ast.Slice):
            parts = [part and self.spill(part) for part in (value.lower, value.upper, value.step)]
            return ast.copy_location(ast.Slice(*parts), value)
        if isinstance(value, ast.Tuple) and any(isinstance(part, ast.Slice) for part in value.elts):
            return ast.copy_location(ast.Tuple([self.spill(part) for part in value.elts], ast.Load()), value)
        temp = self.temp()
        if isinstance(value, ast.Name) and (env := self.scope.env(value.id)) in self.sure:
            self.move(temp, env or "", value)
        else:
            self.glue(assign(temp, value))
        return name_of(temp, value)

    def move(self, target: str, env: str, at: ast.AST) -> None:
        """Let the local name ``target`` be another name for the environment name ``env``."""
        self.block.append(DMove(self.span(at), self.env(target), env))
        self.sure.add(self.env(target))

    @contextmanager
    def into(self, block: list[AnyDraft]) -> Iterator[None]:
        """Append to ``block`` for a while; what gets bound or unbound there is not sure afterwards."""
        outer_block, outer_sure, outer_gone = self.block, self.sure, self.gone
        self.block, self.sure, self.gone = block, set(outer_sure), set()
        try:
            yield
        finally:
            self.block, self.sure, self.gone = outer_block, outer_sure - self.gone, outer_gone | self.gone

    def is_atom(self, value: ast.expr, later: Sequence[ast.AST]) -> bool:
        """Return whether ``value`` gives the same whether it is read here or after ``later``."""
        if isinstance(value, (ast.Constant, ast.Lambda)) or getattr(value, ATOM, False):
            return True
        if isinstance(value, ast.Starred):
            return False
        if not isinstance(value, ast.Name):
            return False
        if value.id.startswith(TEMP):
            return True
        env = self.scope.env(value.id)
        if env is None:
            return look_up(value.id, self.scope) is not NOTHING
        return env in self.sure and value.id not in names_of(later).binds

    def bind_name(self, name: str, value: ast.expr) -> None:
        """Append what makes the local name ``name`` hold ``value``."""
        env = self.scope.env(value.id) if isinstance(value, ast.Name) else None
        if env is not None and env in self.sure:
            self.move(name, env, value)
        else:
            self.glue(assign(name, value))

    def branch(self, test: ast.expr, then: str, otherwise: str = "else") -> DBranch:
        """Append a branch with two empty arms on the truth of ``test``."""
        decision = ast.copy_location(ast.IfExp(test, constant(0, test), constant(1, test)), test)
        glue = DGlue(self.span(test), [], self.scope, self.handling, arm=decision, in_loop=self.loop)
        node = DBranch(self.span(test), glue, [[], []], [then, otherwise])
        self.block.append(node)
        return node
