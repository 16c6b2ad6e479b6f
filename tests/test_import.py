"""``import weft`` is light: the standard library and the metadata codec, in a few milliseconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

CPU_MS_MAX = 60.0

LOADED = """
import sys
before = set(sys.modules)
import {module}
import json
print(json.dumps(sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})))
"""


def interpreter(code: str, *flags: str) -> str:
    """Return what a fresh interpreter prints. Byte code may be cached: a shell may have forbidden it."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    # Coverage's hook would be measured too.
    environment = {key: value for key, value in environment.items() if not key.startswith("COV")}
    command = [sys.executable, *flags, "-c", code]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def cpu_ms(code: str) -> float:
    """Return user and system time [ms] of a whole interpreter that runs ``code``, from its start to its end."""
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    interpreter(code)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def foreign_modules(module: str) -> set[str]:
    """Return what importing ``module`` loads that is not of the standard library."""
    loaded = json.loads(interpreter(LOADED.format(module=module)))
    return {name for name in loaded if name not in sys.stdlib_module_names}


def test_import_loads_the_standard_library_and_the_metadata_codec_only():
    # The codec itself loads typing_extensions where that is installed.
    assert foreign_modules("weft") - foreign_modules("msgspec") == {"weft"}


def test_import_does_not_load_the_rooms_behind_the_doors():
    code = "import sys, weft; print(*sorted(name for name in sys.modules if name.startswith('weft.')))"
    rooms = {name.split(".")[1] for name in interpreter(code).split()}
    assert rooms <= {"clock", "digest", "errors", "lang", "model", "program", "seams", "settings"}


def test_import_costs_little():
    interpreter("import weft")  # leaves the byte code
    # The least of many: what else the machine does can only add.
    bare = min(cpu_ms("pass") for _ in range(12))
    with_weft = min(cpu_ms("import weft") for _ in range(12))
    assert with_weft - bare < CPU_MS_MAX


def test_each_public_name_is_there():
    import weft

    missing = []
    for name in weft.__all__:
        try:
            getattr(weft, name)
        except (AttributeError, ImportError) as error:
            missing.append(f"{name}: {error}")
    assert missing == []


def test_an_unknown_name_is_an_attribute_error():
    import weft

    with pytest.raises(AttributeError, match="module 'weft' has no attribute 'flow'"):
        weft.flow  # noqa: B018
