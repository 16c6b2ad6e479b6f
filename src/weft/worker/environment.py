"""What glue gets from the worker under the name ``_weft``, and how glue's text becomes a function.

``Runtime`` is made anew for each evaluation. Its state: ``locals``, the names as they stood at the end;
``columns`` and ``ending``, what a loop shall run over and the exception with which reading ended.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, ValuesView
from operator import is_not
from types import CodeType, FunctionType
from typing import Any, Final

from weft.errors import UserError
from weft.lang.binding import bind
from weft.lang.syntax import nodes_of, placed
from weft.program.nodes import Code, Unit

ITEMS_MAX: Final = 10_000_000
VIEWS: Final = (KeysView, ItemsView, ValuesView)
CONTAINERS: Final = (list, dict, set, deque)
RUNTIME: Final = "_weft"


class TooManyItems(UserError):
    """The iterable of a loop over steps has more items than a loop may have."""

    code = "too-many-items"

    def __init__(self) -> None:
        super().__init__(
            f"the loop's iterable has more than {ITEMS_MAX:,} items, or no end",
            hint="Bound it with itertools.islice(..., n), or let one step take many items.",
        )


class ChangedIterable(UserError):
    """The body of a loop changed what the loop runs over, in a way that the compiler could not see."""

    code = "changes-what-it-iterates"

    def __init__(self, place: str, iterable: str) -> None:
        super().__init__(
            f"{place}: the loop's body changes `{iterable}`, which the loop runs over",
            hint=f"Loop over a copy: `for ... in list({iterable}):`.",
        )


class Runtime:
    """The functions behind ``_weft.name(...)`` in the text of a program."""

    __slots__ = ("arguments", "cache_key", "columns", "current", "ending", "index", "locals", "place")

    def __init__(
        self,
        current: BaseException | None = None,
        arguments: Any = None,
        index: tuple[int, ...] = (),
        place: str = "",
        cache_key: Any = None,
    ) -> None:
        self.cache_key = cache_key
        self.arguments = arguments
        self.current = current
        self.index = index
        self.place = place
        self.locals: dict[str, Any] = {}
        self.columns: list[list[Any]] = []
        self.ending: BaseException | None = None

    def take(self, names: dict[str, Any]) -> None:
        """Keep the local names as they stand when glue ends, however it ends."""
        self.locals = names

    @staticmethod
    def empty_set() -> set[Any]:
        return set()

    @staticmethod
    def check_iterable(value: Any) -> None:
        iter(value)

    def read_ahead(self, value: Any) -> tuple[Iterable[Any], BaseException | None]:
        """Return what a generator runs over as it can be stored, and the exception with which reading ended."""
        items = iter(value)
        if items is not value and not isinstance(value, VIEWS):
            return value, None
        found = self._drain(items)
        ending, self.ending = self.ending, None
        return found, ending

    @staticmethod
    def assertion(message: object) -> AssertionError:
        return AssertionError(message)

    @staticmethod
    def replay(items: Iterable[Any], ending: BaseException | None) -> Iterator[Any]:
        """Give what a generator of step calls gave, and fail where it failed: when one gets there."""
        yield from items
        if ending is not None:
            raise ending

    def matches(self, kind: Any) -> bool:
        """Return whether ``except kind`` takes the current exception; a wrong kind fails as in Python."""
        assert self.current is not None
        trace = self.current.__traceback__
        try:
            try:
                raise self.current
            except kind:
                return True
        except BaseException as error:
            if error is self.current:
                return False
            raise
        finally:
            self.current.__traceback__ = trace

    def _drain(self, items: Iterator[Any]) -> list[Any]:
        found: list[Any] = []
        try:
            for item in items:
                found.append(item)
                if len(found) > ITEMS_MAX:
                    raise TooManyItems
        except BaseException as error:  # noqa: BLE001 - the loop fails after the items before it
            self.ending = error
        return found

    def items(self, items: Iterator[Any], width: int) -> None:
        """Read what a loop runs over: single values, or tuples of ``width`` values."""
        found = self._drain(items)
        if width == 1:
            self.columns = [found]
        else:
            self.columns = [[item[place] for item in found] for place in range(width)]

    def keep(self, items: Iterator[Any]) -> list[Any]:
        """Read what a loop runs over into one list, because its items share objects that change."""
        return self._drain(items)

    def places(self, kept: list[Any], width: int) -> None:
        """Let the loop run over the places of a kept list."""
        self.columns = [list(range(len(kept)))]

    @staticmethod
    def container(value: Any) -> Any:
        """Return ``value`` if it is one of Python's own containers that can change while one steps through it."""
        return value if isinstance(value, CONTAINERS) else None

    @staticmethod
    def items_now(only_size: bool, *parts: Any) -> list[Any]:
        """Return what a loop would find in each of the containers that it steps through, or how much."""
        return [None if part is None else len(part) if only_size else [*part] for part in parts]

    def check_items(self, before: list[Any], depth: int, iterable: str, *parts: Any) -> None:
        """Fail if an item that the loop has not come to has changed: Python's loop would see that.

        Args:
            depth: how many loops are around the one that runs over ``parts``.
        """
        ahead = self.index[depth] + 1 if depth < len(self.index) else 0
        for part, old in zip(parts, before, strict=True):
            if part is not None and _has_changed(part, old, ahead):
                raise ChangedIterable(self.place, iterable)

    @staticmethod
    def bind(callee: Any, /, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Bind arguments to the parameters of a workflow exactly as its call would."""
        return tuple(bind(callee.function, args, kwargs).values())


def _has_changed(part: Any, old: int | list[Any], ahead: int) -> bool:
    if isinstance(old, int):
        return len(part) != old
    return len(part) != len(old) or any(map(is_not, [*part][ahead:], old[ahead:]))


def argument_taker(module: str, qualname: str) -> Callable[..., Any]:
    """Return a function that returns its arguments, and complains of clashing ones under a step's name."""

    def take(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, kwargs

    take.__module__, take.__qualname__ = module, qualname
    return take


def make_function(
    code: Code, unit: Unit, names: dict[str, Any], unbound: frozenset[str], optimize: int
) -> FunctionType:
    """Return glue as a function of ``_weft`` and the local names that are bound.

    Args:
        names: the globals of the unit's module.
        unbound: local names that it reads and that have no value now; they stay local, so that reading
            one raises ``UnboundLocalError``.
    """
    body = _placed_statements(code)
    given = [name for name in code.reads if name not in unbound]
    for name in sorted(unbound):
        store = ast.Assign([ast.Name(name, ast.Store())], ast.Constant(None))
        body.insert(0, ast.If(ast.Constant(False), [store], []))
    taking = ast.Call(
        ast.Attribute(ast.Name(RUNTIME, ast.Load()), "take", ast.Load()),
        [ast.Call(ast.Name("locals", ast.Load()), [], [])],
        [],
    )
    whole = ast.Try(body or [ast.Pass()], [], [], [ast.Expr(taking)])
    parameters = ast.arguments([], [ast.arg(RUNTIME), *map(ast.arg, given)], None, [], [], None, [])
    line = unit.first_line
    function = ast.FunctionDef(
        unit.name, parameters, [whole], [], lineno=line, col_offset=0, end_lineno=line, end_col_offset=0
    )
    if hasattr(function, "type_params"):
        function.type_params = []
    module = placed(ast.Module([function], []))
    compiled = compile(module, unit.file, "exec", flags=unit.future, dont_inherit=True, optimize=optimize)
    inner = next(const for const in compiled.co_consts if isinstance(const, CodeType))
    return FunctionType(inner, names, unit.name)


def _placed_statements(code: Code) -> list[ast.stmt]:
    module = ast.parse(code.text)
    positions = code.positions
    nodes = nodes_of(module)
    if len(positions) == 4 * len(nodes):
        for place, node in enumerate(nodes):
            if "lineno" in node._attributes and positions[4 * place]:
                node.lineno, node.col_offset = positions[4 * place], positions[4 * place + 1]
                node.end_lineno, node.end_col_offset = positions[4 * place + 2], positions[4 * place + 3]
    return module.body
