"""``cache=key_function``: what stands for a call's inputs where a step's results are looked for again.

A key function gets those of the step's arguments that it names, and gives plain data. It runs in a worker, where
arguments are values (``worker.cache_key``); its text counts as a part of the step's code.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from weft.digest import digest_parts
from weft.lang.fingerprint import DataDigest, Fingerprint, fingerprint
from weft.lang.steps import BadStep, Step

KEY_FUNCTION: Final = "key function"
_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def name_of_key(key: Callable[..., object]) -> str:
    """Return what people call a key function."""
    return getattr(key, "__qualname__", type(key).__qualname__)


def check_key(step: Step[..., Any]) -> None:
    """See to it that a step's key function can be called.

    Raises:
        BadStep: it asks for an argument that the step does not have, or by position alone.
    """
    key = step.step_options.cache_key
    if key is None:
        return
    names, wants_rest = _asked_for(key, step.name)
    known = inspect.signature(step.function).parameters
    missing = (
        [] if wants_rest and any(p.kind is p.VAR_KEYWORD for p in known.values()) else names - known.keys()
    )
    if missing:
        raise BadStep(
            f"the key function `{name_of_key(key)}` of step {step.name} asks for {', '.join(sorted(missing))}, "
            f"which the step does not have",
            hint=f"Name its parameters as those of the step: {', '.join(known)}; `**rest` takes all others.",
        )


def _asked_for(key: Callable[..., object], step: str) -> tuple[set[str], bool]:
    """Return the arguments that a key function must be given, and whether it takes all others too."""
    try:
        parameters = inspect.signature(key).parameters.values()
    except (TypeError, ValueError):
        hint = "Write a function, such as `def key(path): return os.stat(path).st_mtime_ns`."
        raise BadStep(f"the parameters of cache={key!r} of step {step} cannot be read", hint=hint) from None
    unnamed = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL)]
    if unnamed:
        raise BadStep(
            f"the key function `{name_of_key(key)}` of step {step} takes {unnamed[0]!r} by position",
            hint="Key functions get the step's arguments by name: write plain parameters.",
        )
    names = {p.name for p in parameters if p.kind in _NAMED and p.default is p.empty}
    return names, any(p.kind is p.VAR_KEYWORD for p in parameters)


def step_fingerprint(step: Step[..., Any], data_digest: DataDigest | None = None) -> Fingerprint:
    """Return the fingerprint of a step with its key function, which is a part of its code."""
    found = fingerprint(step.function, data_digest)
    key = step.step_options.cache_key
    if key is None:
        return found
    other = fingerprint(key, data_digest)
    name = f"{getattr(key, '__module__', '')}.{name_of_key(key)}"
    own = dict(other.parts).get(name, other.digest)
    known = {name, *dict(found.parts)}
    return Fingerprint(
        digest=digest_parts("keyed-fingerprint", [found.digest, other.digest]),
        parts=(
            *found.parts,
            (f"{KEY_FUNCTION} {name}", own),
            *(part for part in other.parts if part[0] not in known),
        ),
        unfollowed=tuple(dict.fromkeys([*found.unfollowed, *other.unfollowed])),
    )
