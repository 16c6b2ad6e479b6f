"""``@step``: a Python function that a durable run executes as a task. In a plain call it is the function."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

import msgspec

from weft.errors import UserError
from weft.model.resources import parse_bytes_range, parse_cores, parse_count, parse_ms

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_inside_glue = threading.local()


class StepOptions(msgspec.Struct, frozen=True):
    """What a step asks of a durable run. In a plain call all of it does nothing.

    Attributes:
        retries: further attempts after a failure.
        backoff_ms: wait before the second attempt, doubled each time, with jitter.
        no_retry: exception classes that are not worth another attempt.
        timeout_ms: limit of one attempt. ``task_timeout_ms``: of all attempts together.
        cpu: cores. ``memory_bytes``, ``gpu``: limits of one attempt.
        memory_bytes_max: up to there an attempt after one that ran out of memory gets twice as much.
        cache: reuse results across runs: for ever (True), or for so many milliseconds.
        cache_key: gives what stands for the inputs then, in place of their hashes; see ``cache_keys``.
        name: the task's name, in place of the function's.
    """

    retries: int = 0
    backoff_ms: int = 1000
    no_retry: tuple[type[BaseException], ...] = ()
    timeout_ms: int | None = None
    task_timeout_ms: int | None = None
    cpu: float = 1.0
    memory_bytes: int | None = None
    gpu: int = 0
    cache: bool | int = False
    name: str | None = None
    memory_bytes_max: int | None = None
    cache_key: Callable[..., object] | None = None


class BadStep(UserError):
    """``@step`` was put on something that cannot be a step, or got an option that it does not know."""

    code = "bad-step"


_PARSERS: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    "retries": ("retries", parse_count),
    "backoff": ("backoff_ms", parse_ms),
    "timeout": ("timeout_ms", parse_ms),
    "task_timeout": ("task_timeout_ms", parse_ms),
    "cpu": ("cpu", parse_cores),
    "gpu": ("gpu", parse_count),
}


def _parse_cache(value: object) -> bool | int:
    return value if isinstance(value, bool) else parse_ms("cache", value)


def _parse_no_retry(value: object) -> tuple[type[BaseException], ...]:
    classes = value if isinstance(value, tuple) else (value,)
    for item in classes:
        if not (isinstance(item, type) and issubclass(item, BaseException)):
            raise BadStep(f"no_retry={value!r} is no exception class", hint="Write no_retry=(ValueError,).")
    return classes


def parse_options(given: dict[str, Any], onto: StepOptions | None = None) -> StepOptions:
    """Return the options in ``given`` (as a user writes them) laid over ``onto``.

    Raises:
        BadStep: an option that does not exist. BadQuantity: a value that cannot be read.
    """
    changes: dict[str, Any] = {}
    for key, value in given.items():
        if key in _PARSERS:
            field, parse = _PARSERS[key]
            changes[field] = (
                None if value is None and field.startswith(("timeout", "task")) else parse(key, value)
            )
        elif key == "memory":
            least, most = (None, None) if value is None else parse_bytes_range(key, value)
            changes["memory_bytes"], changes["memory_bytes_max"] = least, most
        elif key == "cache":
            changes["cache_key"] = value if callable(value) else None
            changes["cache"] = True if callable(value) else _parse_cache(value)
        elif key == "no_retry":
            changes["no_retry"] = _parse_no_retry(value)
        elif key == "name" and (value is None or isinstance(value, str)):
            changes["name"] = value
        else:
            known = ", ".join([*_PARSERS, "memory", "cache", "no_retry", "name"])
            raise BadStep(f"@step has no option {key}={value!r}", hint=f"Its options are {known}.")
    return msgspec.structs.replace(onto or StepOptions(), **changes)


class Step(Generic[P, R]):
    """A function marked as a step. Calling it calls the function."""

    def __init__(self, function: Callable[P, R], options: StepOptions) -> None:
        if isinstance(function, Step):
            raise BadStep(
                f"{function.name} is a step already", hint="Use step.options(...) to change its options."
            )
        if not callable(function):
            raise BadStep(f"@step stands on {function!r}, which cannot be called")
        self.function = function
        self.step_options = options
        functools.update_wrapper(self, function, updated=())

    @property
    def name(self) -> str:
        """The task's name."""
        return self.step_options.name or getattr(self.function, "__name__", "step").strip("<>")

    def options(self, **options: Any) -> Step[P, R]:
        """Return this step with other options."""
        return Step(self.function, parse_options(options, self.step_options))

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        report_call_in_glue(self.name)
        result = self.function(*args, **kwargs)
        if isinstance(result, CoroutineType):
            return wait_for(result)  # type: ignore[no-any-return]
        return result

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(cast(Any, self), instance)

    def __repr__(self) -> str:
        return f"<step {self.name}>"

    def __reduce__(self) -> Any:
        module, qualname = getattr(self, "__module__", None), getattr(self, "__qualname__", None)
        if module and qualname and find_importable(module, qualname) is self:
            return qualname
        return Step, (self.function, self.step_options)


def find_importable(module: str, qualname: str) -> object | None:
    """Return what ``module`` holds under ``qualname`` if that module is loaded, else None."""
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also where an event loop is running already (a notebook)."""
    # asyncio costs 40 ms to import, and few workflows have asynchronous steps.
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    outcome: list[Any] = []

    def target() -> None:
        try:
            outcome.append((True, asyncio.run(coroutine)))
        except BaseException as error:  # noqa: BLE001 - carried to the calling thread
            outcome.append((False, error))

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    ended_well, value = outcome[0]
    if not ended_well:
        raise value
    return value  # type: ignore[no-any-return]


def report_call_in_glue(name: str) -> None:
    """Tell a worker that evaluates glue that a step was called without becoming a task."""
    calls = getattr(_inside_glue, "calls", None)
    if calls is not None:
        calls.append(name)


def watch_glue(calls: list[str] | None) -> None:
    """From now on, append the names of steps that glue calls to ``calls``; None ends it."""
    _inside_glue.calls = calls


@overload
def step(function: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...
@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(**options: Any) -> _StepDecorator: ...


def step(function: Any = None, /, **options: Any) -> Any:
    """Mark a function as a step.

    Used as ``@step``, as ``@step(retries=2, memory="4GiB")`` or as ``step(function_of_a_library)``.
    Options: ``retries``, ``backoff``, ``no_retry``, ``timeout``, ``task_timeout``, ``cpu``, ``memory``,
    ``gpu``, ``cache``, ``name``; see ``StepOptions``.

    Raises:
        BadStep: an unknown option, or something that cannot be called.
        BadQuantity: an option whose value cannot be read.
    """
    parsed = parse_options(options)
    if function is None:
        return _StepDecorator(parsed)
    return Step(function, parsed)


class _StepDecorator:
    """What ``step(retries=2)`` gives: it waits for the function."""

    def __init__(self, options: StepOptions) -> None:
        self._options = options

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Step[P, R]: ...
    def __call__(self, function: Any, /) -> Any:
        return Step(function, self._options)
