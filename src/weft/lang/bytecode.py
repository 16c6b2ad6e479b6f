"""What byte code says: which global names it uses, and whether two functions are the same.

Only what CPython keeps stable is read: names, constants and the instructions that load globals.
"""

from __future__ import annotations

import opcode
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Final

from weft.digest import digest_parts

Chain = tuple[str, ...]

_LOADS: Final = {
    opcode.opmap[name] for name in ("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS") if name in opcode.opmap
}
_LOAD_GLOBAL: Final = opcode.opmap["LOAD_GLOBAL"]
_LOAD_ATTR: Final = opcode.opmap["LOAD_ATTR"]
_LOAD_METHOD: Final = opcode.opmap.get("LOAD_METHOD", -1)
_STORE_NAME: Final = opcode.opmap["STORE_NAME"]
_CACHE: Final = opcode.opmap.get("CACHE", 0)
# Since 3.12 the lowest bit of LOAD_ATTR says whether a method is loaded.
_ATTR_SHIFT: Final = 1 if sys.version_info >= (3, 12) else 0


def functions_in(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of all functions and classes defined in ``code``, at any depth."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from functions_in(constant)


def same_code(one: CodeType, other: CodeType) -> bool:
    """Return whether two code objects do the same, wherever they stand."""
    return (
        one.co_code == other.co_code
        and one.co_names == other.co_names
        and one.co_varnames == other.co_varnames
        and one.co_freevars == other.co_freevars
        and one.co_cellvars == other.co_cellvars
        and one.co_exceptiontable == other.co_exceptiontable
        and same_constants(one.co_consts, other.co_consts)
    )


def same_constants(one: object, other: object) -> bool:
    """Return whether two constants are equal and of the same types all the way down."""
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return same_code(one, other)
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same_constants, one, other))
    return repr(one) == repr(other) if isinstance(one, float | complex) else one == other


def global_chains(code: CodeType, *, nested: bool = True) -> Iterator[Chain]:
    """Yield the global names that a code object loads, with the attributes loaded straight from them."""
    chain: Chain = ()
    stored: set[str] = set()
    for operation, argument in _instructions(code):
        if chain and operation in (_LOAD_ATTR, _LOAD_METHOD):
            chain = (*chain, code.co_names[argument >> (_ATTR_SHIFT if operation == _LOAD_ATTR else 0)])
            continue
        if chain and chain[0] not in stored:
            yield chain
        chain = ()
        if operation == _LOAD_GLOBAL:
            chain = (code.co_names[argument >> 1],)
        elif operation in _LOADS:
            chain = (code.co_names[argument],)
        elif operation == _STORE_NAME:
            stored.add(code.co_names[argument])
    if nested:
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from global_chains(constant)


def _instructions(code: CodeType) -> Iterator[tuple[int, int]]:
    raw, extended = code.co_code, 0
    for offset in range(0, len(raw), 2):
        operation, argument = raw[offset], raw[offset + 1] | extended
        extended = argument << 8 if operation == opcode.EXTENDED_ARG else 0
        if operation not in (_CACHE, opcode.EXTENDED_ARG):
            yield operation, argument


def code_digest(code: CodeType) -> str:
    """Return the digest of what a function does, wherever it stands; good for one version of Python."""
    constants = [
        code_digest(constant)
        if isinstance(constant, CodeType)
        else f"{type(constant).__name__} {_stable(constant)}"
        for constant in code.co_consts
    ]
    names = [*code.co_names, *code.co_varnames, *code.co_freevars]
    version = "{}.{}".format(*sys.version_info[:2])
    return digest_parts("code", [version, code.co_code, *names, "/", *constants])


def _stable(constant: object) -> str:
    """Return the text of a constant, the same in every process."""
    if isinstance(constant, frozenset):
        return "{" + ", ".join(sorted(map(_stable, constant))) + "}"
    return repr(constant)
