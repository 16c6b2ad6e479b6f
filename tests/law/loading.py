"""A module from source text: written to a folder under a name of its own, and imported from there.

Files, not ``exec``: the compiler reads the source, and worker processes import it by name.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def module_from(text: str, folder: Path) -> Iterator[ModuleType]:
    """Import ``text`` as a module of ``folder``, which is on the path meanwhile, and forget it after."""
    name = "generated_" + hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    folder.joinpath(f"{name}.py").write_text(text)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(name, None)
