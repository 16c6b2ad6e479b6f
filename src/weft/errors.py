"""The error tree, by what to do about an error.

``UserError``: fix something. ``RetryableError``: try again. ``StoredDataError``: what is stored is wrong.
Every error has a stable ``code``, one message that names the thing and the value, and a ``hint``.
The four faults at the end are what a durable run can meet and plain Python cannot.
"""

from __future__ import annotations


class WeftError(Exception):
    """The root of every error that Weft itself raises."""

    code = "weft"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[WeftError], args: tuple[object, ...], state: dict[str, object]) -> WeftError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class UserError(WeftError):
    """The user must fix something: a workflow, a parameter, a set-up. The command line exits with 2."""

    code = "user"


class RetryableError(WeftError):
    """Nothing is wrong for good; the same thing may work later."""

    code = "retryable"


class DiskFull(RetryableError):
    """No space is left. What was acknowledged is kept."""

    code = "disk-full"

    def __init__(self, place: str, why: object) -> None:
        super().__init__(
            f"no space is left for {place}: {why}",
            hint="Make space, then `weft resume`; nothing that was recorded is lost.",
        )


class StoredDataError(WeftError):
    """What is stored is damaged, missing or foreign. The command line exits with 3."""

    code = "stored-data"


class StepTimeout(TimeoutError):
    """A step ran past its ``timeout``. A workflow catches it as ``TimeoutError``."""


class WorkerLost(RuntimeError):
    """The process that ran a step died. A workflow catches it as ``RuntimeError``."""


class OutOfMemory(MemoryError):
    """A step went past its ``memory``. A workflow catches it as ``MemoryError``."""


class Cancelled(BaseException):
    """The run was cancelled. Not an ``Exception``, so that ``except Exception`` lets it pass."""
