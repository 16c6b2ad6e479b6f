"""Evaluates jobs: loads inputs, runs glue or a step, stores what came of it, reports.

State of an ``Evaluator``: the run's program, the functions made of its glue so far, the steps found so far,
and the artifact store. Nothing of one job outlives it.
"""

from __future__ import annotations

import pickle
import traceback
from pathlib import Path
from types import FunctionType
from typing import Any, Final, NamedTuple

import msgspec

from weft.errors import DiskFull, UserError, WeftError
from weft.lang.steps import Step, wait_for, watch_glue
from weft.model.context import RunContext
from weft.model.jobs import Entry, Items, Job, Output, Report
from weft.model.values import Artifact, Failure
from weft.program.nodes import RAISED_NAME, AnyNode, Call, Glue, Program
from weft.program.serial import program_decoder, program_from_bytes
from weft.program.tree import all_glue, walk
from weft.store.artifacts import ArtifactStore
from weft.store.blobs import FileBlobStore
from weft.store.codecs import fingerprint_value
from weft.store.faults import DamagedArtifact, Unstorable
from weft.worker.cache_key import cache_key
from weft.worker.environment import ChangedIterable, Runtime, argument_taker, make_function
from weft.worker.modules import load_module
from weft.worker.sameness import join_copies, mark
from weft.worker.traces import without_our_frames

_ATOMS: Final = (int, float, complex, bool, str, bytes, type(None))
_LEAVES: Final = {-1: "return", -2: "break", -3: "continue"}
ALSO: Final = "_weft_also_"

program_decoder()  # now, while nobody waits yet for the workers that are forked from this process


class HiddenChange(UserError):
    """Glue in a loop changed a value from outside the loop in a way that the compiler could not see."""

    code = "hidden-change"

    def __init__(self, name: str, file: str, line: int) -> None:
        super().__init__(
            f"{file}:{line}: a call here changed `{name}`, which is made outside the loop",
            hint=f"Let the call return the new value and write `{name} = ...`, or make it a step.",
        )


class UnstorableRead(UserError):
    """A value that cannot be stored was to travel from one node to another."""

    code = "unstorable-value"

    def __init__(self, name: str, reason: str, made: str, read: str) -> None:
        super().__init__(
            f"{read}: `{name}` is read here, and what {made} bound to it cannot be stored: {reason}",
            hint="Make and use it between the same two step calls, or inside one step.",
        )


class NotStrict(UserError):
    """Under ``strict``, something that a durable run does not do as plain Python would is an error."""

    code = "not-strict"

    def __init__(self, task: str, notes: tuple[str, ...]) -> None:
        super().__init__(f"{task}: {'; '.join(notes)}", hint="Change that, or run without --strict.")


class Hole(msgspec.Struct, frozen=True):
    """Stands for a value that could not be stored; reading it is an error that says so."""

    reason: str
    made: str


class FoundStep(NamedTuple):
    """A step's function, the exceptions not worth another attempt, and what takes its arguments."""

    function: Any
    no_retry: tuple[type[BaseException], ...]
    taker: Any


class Gone(Exception):
    """An entry ended without success."""

    def __init__(self, failure: Failure) -> None:
        super().__init__()
        self.failure = failure


class Evaluator:
    """Evaluates the jobs of one run, one at a time."""

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self.program: Program = program_from_bytes(context.program)
        self.store = ArtifactStore(FileBlobStore(Path(context.artifact_folder)))
        self.nodes: dict[int, AnyNode] = {}
        for node in walk(self.program.body):
            self.nodes[node.id] = node
            for glue in all_glue(node):
                self.nodes[glue.id] = glue
        self.functions: dict[tuple[int, frozenset[str]], FunctionType] = {}
        self.steps: dict[int, FoundStep] = {}
        self.has_main = context.main_file is None and "main_values" not in context.code
        self.optimize = 0 if self.program.debug else 1
        self.strict = bool(context.code.get("strict"))

    @staticmethod
    def preload(context: RunContext) -> None:
        """Load the user's ``__main__`` once, before workers are forked."""
        if context.main_file is not None:
            load_module("__main__", context.main_file, context.code.get("main_values"))

    # -- a job ------------------------------------------------------------------------------------------

    def evaluate(self, job: Job) -> Report:
        """Evaluate the entries of a job in order and return how it ended."""
        evaluation = Evaluation(self, job)
        return evaluation.run()

    def function(self, node: Call | Glue, unbound: frozenset[str]) -> FunctionType:
        """Return the function that a node's text makes, given which of its names are unbound."""
        key = (node.id, unbound)
        found = self.functions.get(key)
        if found is None:
            unit = self.program.units[node.code.unit]
            module = self.module(unit.module)
            found = make_function(node.code, unit, module.__dict__, unbound, self.optimize)
            self.functions[key] = found
        return found

    def module(self, name: str) -> Any:
        """Return one of the user's modules."""
        return load_module(name, self.context.main_file, self.context.code.get("main_values"))

    def enter_main(self) -> None:
        """Make ``__main__`` what it was where the run started, because stored values may name its classes."""
        if not self.has_main:
            self.module("__main__")
            self.has_main = True

    def step(self, number: int) -> FoundStep:
        """Return what a call needs of its step."""
        found = self.steps.get(number)
        if found is None:
            found = self.steps[number] = self._find_step(number)
        return found

    def _find_step(self, number: int) -> FoundStep:
        spec = self.program.steps[number]
        value = self.context.code.get("steps", {}).get(str(number))
        if value is not None:
            self.module(spec.module) if spec.module == "__main__" else None
            found: Any = pickle.loads(value)
        else:
            found = self.module(spec.module)
            for part in spec.qualname.split("."):
                found = getattr(found, part)
        no_retry = self.context.code.get("no_retry", {}).get(str(number))
        kinds = pickle.loads(no_retry) if no_retry is not None else ()
        taker = argument_taker(spec.module, spec.qualname)
        return FoundStep(found.function if isinstance(found, Step) else found, kinds, taker)

    def cache_key(self, number: int, /, *args: Any, **kwargs: Any) -> str:
        """Return what the key function of a step gives for a call, as a text."""
        key, spec = pickle.loads(self.context.code["cache_keys"][str(number)]), self.program.steps[number]
        return cache_key(key, spec.key_function, spec.name, self.step(number).function, args, kwargs)

    def place(self, node: AnyNode) -> str:
        """Return file:line of a node."""
        return f"{self.program.units[node.span.unit].file}:{node.span.line}"


class Evaluation:
    """One job being evaluated. State: the live values of environment names, and which were written."""

    def __init__(self, evaluator: Evaluator, job: Job) -> None:
        self.e = evaluator
        self.job = job
        self.values: dict[str, Any] = {}
        self.loaded: dict[int, Any] = {}
        self.written: dict[str, AnyNode] = {}
        self.unbound: set[str] = set()
        self.groups: set[tuple[str, ...]] = set()
        self.calls: list[str] = []
        self.notes: list[str] = []
        self.decision = -1
        self.outcome = "ok"
        self.items: Items | None = None
        self.raised: BaseException | None = None
        self.raised_in: Artifact | None = None

    def run(self) -> Report:
        failure: Failure | None = None
        place = -1
        try:
            for place, entry in enumerate(self.job.entries):  # noqa: B007 - read after the loop
                self._entry(entry)
                if self.outcome != "ok":
                    break
            else:
                place = -1
            if self.job.is_call:
                outputs = [self.result] if self.result else []
            else:
                outputs = self._outputs()
                if self.items is not None and self.items.failure is not None:
                    self.items.failure = self._with_what_it_shares(self.items.failure)
        except Gone as gone:
            self.outcome = "fail"
            outputs = self._outputs()
            failure = self._with_what_it_shares(gone.failure)
        notes = self._all_notes()
        if notes and self.e.strict and failure is None:
            failure, outputs = self._failure(NotStrict(self.job.task, notes), "weft", False), []
            self.outcome = "fail"
        return Report(
            self.job.id,
            self.outcome,  # type: ignore[arg-type]
            self.decision,
            outputs,
            tuple(sorted(self.unbound)),
            self.items,
            failure,
            place,
            notes=notes,
        )

    def _all_notes(self) -> tuple[str, ...]:
        called = [
            f"step `{name}` was called inside glue, without a task" for name in dict.fromkeys(self.calls)
        ]
        return (*called, *self.notes)

    result: Output | None = None

    def _entry(self, entry: Entry) -> None:
        node = self.e.nodes[entry.node]
        for name in entry.unbound:
            self.values.pop(name, None)
        self._guarded(self.e.enter_main, None, retryable=False)
        try:
            for name, (slot, path) in entry.bindings.items():
                value = self._load(slot)
                for part in path:
                    value = value[part]
                self.values[name] = value
        except WeftError as error:
            raise Gone(self._failure(error, "weft", False)) from None
        if isinstance(node, Call):
            self._call(node)
        else:
            assert isinstance(node, Glue)
            self._glue(node, entry.index)

    def _load(self, slot: int) -> Any:
        if slot not in self.loaded:
            try:
                self.loaded[slot] = self.e.store.get(self.job.slots[slot])
            except DamagedArtifact as error:
                self.e.store.set_aside(error)
                raise
        return self.loaded[slot]

    # -- calls --------------------------------------------------------------------------------------------

    def _call(self, node: Call) -> None:
        current = self.values.get(node.handling) if node.handling else None
        function, no_retry, taker = self.e.step(node.step)
        runtime = Runtime(current, taker)
        args, kwargs = self._guarded(lambda: self._text(node, runtime), current, retryable=False)

        def call() -> Any:
            result = function(*args, **kwargs)
            return wait_for(result) if hasattr(result, "cr_await") else result

        before = fingerprint_value((args, kwargs)) if self.e.strict else None
        result = self._guarded(call, current, retryable=True, no_retry=no_retry)
        if before is not None and fingerprint_value((args, kwargs)) != before:
            self.notes.append(
                f"step `{node.path}` changed an argument in place, which its caller will not see"
            )
        if node.out is None:
            return
        try:
            artifact = self.e.store.put(result, f"the result of {node.path}")
        except DiskFull as error:
            raise Gone(self._failure(error, "disk", True)) from None
        except WeftError as error:
            raise Gone(self._failure(error, "weft", False)) from None
        self.result = Output(artifact, (node.out,))

    def _text(self, node: Call | Glue, runtime: Runtime) -> Any:
        """Run a node's text over the live values."""
        bound: list[Any] = []
        unbound: list[str] = []
        for local, env in node.code.reads.items():
            if env not in self.values:
                unbound.append(local)
                continue
            value = self.values[env]
            if type(value) is Hole and not local.startswith(ALSO):
                raise UnstorableRead(local, value.reason, value.made, self.e.place(node))
            bound.append(value)
        return self.e.function(node, frozenset(unbound))(runtime, *bound)

    def _guarded(
        self,
        work: Any,
        current: BaseException | None,
        retryable: bool,
        no_retry: tuple[type[BaseException], ...] = (),
    ) -> Any:
        """Run user code, with ``current`` being handled; whatever it raises becomes a failure."""
        try:
            if current is None:
                return work()
            current = join_copies(current, self.values.values())
            trace = current.__traceback__
            try:
                raise current
            except BaseException:  # noqa: BLE001 - makes the exception current for the code inside
                current.__traceback__ = trace
                return work()
        except (UnstorableRead, ChangedIterable) as error:
            raise Gone(self._failure(error, "weft", False)) from None
        except DiskFull as error:
            raise Gone(self._failure(error, "disk", True)) from None
        except BaseException as error:  # noqa: BLE001 - the user's function: any exception is its outcome
            raise Gone(self._failure(error, "user", retryable and not isinstance(error, no_retry))) from None

    def _failure(self, error: BaseException, kind: str, retryable: bool) -> Failure:
        name = f"{type(error).__module__}.{type(error).__qualname__}"
        error.__traceback__ = without_our_frames(error.__traceback__)
        text = "".join(traceback.format_exception(error))
        try:
            message = str(error)
        except Exception:  # noqa: BLE001 - the user's __str__ may fail
            message = "(its message could not be made)"
        mark(error, self.job.task)
        self.raised = error
        exception = self.e.store.put_exception(error)
        return Failure(kind, name.removeprefix("builtins."), message, text, exception, retryable)

    # -- glue ---------------------------------------------------------------------------------------------

    def _glue(self, node: Glue, index: tuple[int, ...]) -> None:
        current = self.values.get(node.handling) if node.handling else None
        runtime = Runtime(current, index=index, place=self.e.place(node), cache_key=self.e.cache_key)
        before = {name: fingerprint_value(self.values[name]) for name in node.checked if name in self.values}
        self.groups.update(node.groups)
        watch_glue(self.calls)
        try:
            answer = self._guarded(lambda: self._text(node, runtime), current, retryable=False)
        finally:
            watch_glue(None)
            self._take(node, runtime.locals)
        self._check(node, before)
        if answer is None:
            pass
        elif answer >= 0:
            self.decision = answer
        else:
            self.outcome = _LEAVES[answer]
        if node.produces == "items":
            self._produce(node, runtime)

    def _take(self, node: Glue, names: dict[str, Any]) -> None:
        given = {local for local, env in node.code.reads.items() if env in self.values}
        for local, env in node.code.writes.items():
            if local in names:
                self.values[env] = names[local]
                self.written[env] = node
                self.unbound.discard(env)
            elif local in given and names:
                self.values.pop(env, None)
                self.written.pop(env, None)
                self.unbound.add(env)

    def _check(self, node: Glue, before: dict[str, Any]) -> None:
        for name, digest in before.items():
            if fingerprint_value(self.values[name]) != digest:
                file = self.e.program.units[node.span.unit].file
                error = HiddenChange(name.partition("@")[0], file, node.span.line)
                raise Gone(self._failure(error, "weft", False))

    def _produce(self, node: Glue, runtime: Runtime) -> None:
        columns = [[self._put(value, node) for value in column] for column in runtime.columns]
        failure = None
        if runtime.ending is not None:
            failure = self._failure(runtime.ending, "user", False)
        self.items = Items(node.targets, columns, failure)

    # -- outputs ------------------------------------------------------------------------------------------

    def _outputs(self) -> list[Output]:
        outputs: list[Output] = []
        left = dict(self.written)
        for group in sorted(self.groups):
            names = [name for name in group if name in left and type(self.values[name]) not in _ATOMS]
            raised = self.raised if RAISED_NAME in group else None
            if len(names) > 1 or (names and raised is not None):
                outputs += self._together(names, left, raised)
                for name in names:
                    del left[name]
        outputs += [Output(self._put(self.values[name], node), (name,)) for name, node in left.items()]
        return outputs

    def _with_what_it_shares(self, failure: Failure) -> Failure:
        """Return a failure whose exception is the one that was stored together with names."""
        if self.raised_in is None:
            return failure
        return msgspec.structs.replace(failure, exception=self.raised_in, path=(RAISED_NAME,))

    def _together(
        self, names: list[str], nodes: dict[str, AnyNode], raised: BaseException | None
    ) -> list[Output]:
        values = {name: self.values[name] for name in names}
        try:
            if raised is not None:
                values[RAISED_NAME] = raised
            artifact = self.e.store.put(values, ", ".join(names))
            if raised is not None:
                self.raised_in = artifact
            return [Output(artifact, tuple(names), solo=False)]
        except Unstorable:
            return [Output(self._put(self.values[name], nodes[name]), (name,)) for name in names]

    def _put(self, value: Any, node: AnyNode) -> Artifact:
        try:
            return self.e.store.put(value)
        except Unstorable as error:
            return self.e.store.put(Hole(error.message, self.e.place(node)))
