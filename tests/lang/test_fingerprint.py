"""A fingerprint changes when what a step uses changes, and else not.

Each case is a small project that is imported, edited and imported again.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from weft.lang import origins
from weft.lang.fingerprint import Fingerprint, fingerprint
from weft.lang.source import SourceChanged

STEPS = '''\
"""Steps."""
import functools
import helpers
from helpers import Shape, clean as tidy
from weft.lang.steps import step

LIMIT = 3
TABLE = {"a": [1, 2.5, None], "b": {"x", "y", "z"}, "c": (True, b"raw")}
CHOICES = {"tidy": tidy, "shape": Shape}
unused = 1


def local_helper(x):
    return x * LIMIT


def unrelated(x):
    return x * unused


@step(retries=2)
def train(rows, n=4, *, kind="linear"):
    """Train."""
    rows = [tidy(row) for row in rows]  # a comment
    first = helpers.scale(rows[0])
    return local_helper(first), Shape(n).area(), TABLE, CHOICES[kind], partial(1), cached(2)


partial = functools.partial(local_helper)


@functools.lru_cache
def cached(x):
    return x + 10


def make(captured):
    def inner(x):
        return x + captured
    return inner


inner = step(make(5))
'''

HELPERS = '''\
"""Helpers."""
from dataclasses import dataclass
from enum import Enum

FACTOR = 2.0
OTHER = 7


class Base:
    unit = "m"

    def area(self):
        return self.size() * FACTOR


class Kind(Enum):
    A = 1


@dataclass(frozen=True)
class Shape(Base):
    """A shape."""
    width: int = 1
    kind: Kind = Kind.A

    def size(self):
        return self.width ** even(4)


def clean(row):
    return row.strip()


def scale(x):
    return x * FACTOR


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


def unrelated():
    return OTHER
'''


class Project:
    """A folder of modules that can be written, imported afresh and edited."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, path: str, text: str) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(textwrap.dedent(text))

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.folder / path).read_text()
        assert old in text
        (self.folder / path).write_text(text.replace(old, new))

    def forget(self) -> None:
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", "")).startswith(str(self.folder)):
                del sys.modules[name]
        importlib.invalidate_caches()
        sys.path_importer_cache.clear()
        origins._origins.clear()
        origins._find_installed.cache_clear()

    def load(self, module: str = "steps") -> Any:
        self.forget()
        return importlib.import_module(module)

    def print(self, name: str = "train", module: str = "steps") -> Fingerprint:
        return fingerprint(getattr(self.load(module), name))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    # Byte code files are compared by whole seconds, too coarse for edits in a test.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path))
    project = Project(tmp_path)
    project.write("steps.py", STEPS)
    project.write("helpers.py", HELPERS)
    yield project
    project.forget()


def names(found: Fingerprint) -> list[str]:
    return [name for name, _ in found.parts]


def test_the_parts_name_all_that_the_step_uses(project: Project) -> None:
    found = project.print()
    assert names(found)[0] == "steps.train"
    assert set(names(found)) == {
        "steps.train", "constant steps.train(default 0)", "constant steps.train(default kind)", "steps.local_helper", "constant steps.LIMIT",
        "constant steps.TABLE", "constant steps.CHOICES", "steps.cached", "constant steps.partial", "helpers.clean", "helpers.scale",
        "constant helpers.FACTOR", "helpers.Shape", "helpers.Base", "helpers.Kind", "helpers.even", "helpers.odd", "python",
    }  # fmt: skip
    assert dict(found.parts)["python"] == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert found.unfollowed == ()


SAME = {
    "comment": ("steps.py", "  # a comment", ""),
    "formatting": ("steps.py", 'rows, n=4, *, kind="linear"', "rows,\n    n = 4,\n    *, kind='linear',"),
    "docstring of the step": ("steps.py", '"""Train."""', '"""Train well."""'),
    "docstring of a class": ("helpers.py", '"""A shape."""', '"""Another."""'),
    "docstring gone": ("steps.py", '    """Train."""\n', ""),
    "moved down": ("steps.py", "LIMIT = 3\n", "LIMIT = 3\n\n\n\ndef new(): ...\n"),
    "options of the step": ("steps.py", "retries=2", "retries=3"),
    "an unrelated function": ("steps.py", "return x * unused", "return x / unused"),
    "an unrelated constant": ("steps.py", "unused = 1", "unused = 2"),
    "an unrelated helper": ("helpers.py", "return OTHER", "return -OTHER"),
    "an unrelated constant of a helper": ("helpers.py", "OTHER = 7", "OTHER = 8"),
    "an unused import": ("steps.py", "import functools", "import functools, csv"),
    "a constant spelled otherwise": ("steps.py", "LIMIT = 3", "LIMIT = 1 + 2"),
    "a set in another order": ("steps.py", '{"x", "y", "z"}', '{"z", "y", "x"}'),
}


@pytest.mark.parametrize("case", SAME)
def test_what_does_not_matter_does_not_count(project: Project, case: str) -> None:
    before = project.print()
    project.edit(*SAME[case])
    assert project.print().digest == before.digest


# What is edited, and the part that tells it.
OTHER = {
    "body": ("steps.py", "first = helpers", "first = 1 + helpers", "steps.train"),
    "parameter": ("steps.py", "rows, n=4", "rows, m=0, n=4", "steps.train"),
    "annotation": ("steps.py", "rows, n=4", "rows: list, n=4", "steps.train"),
    "default": ("steps.py", "n=4", "n=5", "constant steps.train(default 0)"),
    "keyword default": ("steps.py", 'kind="linear"', 'kind="forest"', "constant steps.train(default kind)"),
    "constant": ("steps.py", "LIMIT = 3", "LIMIT = 4", "constant steps.LIMIT"),
    "type of a constant": ("steps.py", "LIMIT = 3", "LIMIT = 3.0", "constant steps.LIMIT"),
    "deep in a table": ("steps.py", "2.5, None", "2.5, 0", "constant steps.TABLE"),
    "in a set": ("steps.py", '"x", "y"', '"x", "w"', "constant steps.TABLE"),
    "helper of the module": ("steps.py", "return x * LIMIT", "return LIMIT * x * 1", "steps.local_helper"),
    "imported helper": ("helpers.py", "row.strip()", "row.lstrip()", "helpers.clean"),
    "helper through its module": ("helpers.py", "return x * FACTOR", "return x + FACTOR", "helpers.scale"),
    "constant of a helper": ("helpers.py", "FACTOR = 2.0", "FACTOR = 2.5", "constant helpers.FACTOR"),
    "method": ("helpers.py", "self.width ** even", "self.width * even", "helpers.Shape"),
    "field": ("helpers.py", "width: int = 1", "width: int = 2", "helpers.Shape"),
    "class decorator": ("helpers.py", "frozen=True", "frozen=False", "helpers.Shape"),
    "method of a base class": ("helpers.py", "self.size() * FACTOR", "self.size() / FACTOR", "helpers.Base"),
    "class attribute of a base": ("helpers.py", 'unit = "m"', 'unit = "km"', "helpers.Base"),
    "enum that is a default": ("helpers.py", "A = 1", "A = 2", "helpers.Kind"),
    "one of a cycle": ("helpers.py", "n != 0 and", "n > 0 and", "helpers.odd"),
    "under lru_cache": ("steps.py", "return x + 10", "return x + 11", "steps.cached"),
    "other function under the name": (
        "steps.py",
        "import Shape, clean as",
        "import Shape, scale as",
        "helpers.clean",
    ),
    "value of a table": ("steps.py", '"shape": Shape', '"shape": 1', "constant steps.CHOICES"),
    "partial": ("steps.py", "partial(local_helper)", "partial(local_helper, x=1)", "constant steps.partial"),
}


@pytest.mark.parametrize("case", OTHER)
def test_what_matters_counts_and_is_named(project: Project, case: str) -> None:
    path, old, new, part = OTHER[case]
    before = project.print()
    project.edit(path, old, new)
    after = project.print()
    assert after.digest != before.digest
    changed = {name for name, _ in set(before.parts) ^ set(after.parts)}
    assert part in changed


def test_edits_change_nothing_for_other_steps(project: Project) -> None:
    before = project.print("inner")
    for case in ("body", "constant", "helper of the module", "imported helper"):
        project.edit(*OTHER[case][:3])
    assert project.print("inner").digest == before.digest


def test_a_captured_value_counts(project: Project) -> None:
    before = project.print("inner")
    project.edit("steps.py", "make(5)", "make(6)")
    assert project.print("inner").digest != before.digest


def test_a_function_may_move_to_another_module(project: Project) -> None:
    before = project.print()
    project.edit("helpers.py", "def clean(row):\n    return row.strip()\n", "")
    project.write("package/__init__.py", "")
    project.write("package/texts.py", "def clean(row):\n    return row.strip()\n")
    project.edit(
        "steps.py",
        "from helpers import Shape, clean as tidy",
        "from helpers import Shape\nfrom package.texts import clean as tidy",
    )
    assert project.print().digest == before.digest


def test_the_whole_project_may_move(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = project.print()
    moved = Project(tmp_path / "elsewhere")
    moved.write("steps.py", STEPS)
    moved.write("helpers.py", HELPERS)
    project.forget()
    monkeypatch.syspath_prepend(str(moved.folder))
    assert moved.print().digest == before.digest


def test_a_step_has_the_fingerprint_of_its_function(project: Project) -> None:
    module = project.load()
    assert fingerprint(module.train) == fingerprint(module.train.function)
    assert fingerprint(module.train) == fingerprint(module.train.options(cpu=3))


def test_a_global_that_is_bound_again_counts_at_once(project: Project) -> None:
    module = project.load()
    before = fingerprint(module.train)
    module.LIMIT = 99
    assert fingerprint(module.train).digest != before.digest
    module.LIMIT = 3
    assert fingerprint(module.train) == before


def test_a_file_that_was_edited_since_its_import_is_refused(project: Project) -> None:
    module = project.load()
    fingerprint(module.train)
    project.edit("helpers.py", "row.strip()", "row.lstrip()")
    with pytest.raises(SourceChanged, match=r"helpers.py: `clean`"):
        fingerprint(module.train)


# Packages.


@pytest.fixture
def site(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A folder of installed packages, one of them under another name than its distribution."""
    site = Project(project.folder / "venv" / "site-packages")
    site.write("same_name/__init__.py", "def f(): return 1\nVALUE = 1\nclass C: ...\n")
    site.write("same_name-1.0.dist-info/RECORD", "same_name/__init__.py,,\n")
    site.write("imported/__init__.py", "def g(): return 1\n")
    site.write("Other_Name-2.0.dist-info/RECORD", "first,,\nimported/__init__.py,,\n")
    site.write("space/inner/__init__.py", "def h(): return 1\n")
    site.write("space_inner-3.0.dist-info/RECORD", "space/inner/__init__.py,,\n")
    site.write("space_other-4.0.dist-info/RECORD", "space/other/__init__.py,,\n")
    site.write("bare.py", "__version__ = '5.0'\ndef b(): return 1\n")
    monkeypatch.syspath_prepend(str(site.folder))
    return site


@pytest.mark.parametrize(
    ("text", "package"),
    [
        ("import same_name\ndef f(): return same_name.f()", ("package same_name", "1.0")),
        ("from same_name import f as g\ndef f(): return g()", ("package same_name", "1.0")),
        ("import same_name\ndef f(x: same_name.C): return x", ("package same_name", "1.0")),
        ("import same_name\ndef f(x: 'same_name.C'): return x", ("package same_name", "1.0")),
        ("import same_name\nclass D(same_name.C): ...\ndef f(): return D", ("package same_name", "1.0")),
        ("def f():\n    import same_name\n    return same_name", ("package same_name", "1.0")),
        ("def f():\n    from same_name import f\n    return f", ("package same_name", "1.0")),
        ("import imported\ndef f(): return imported.g", ("package Other_Name", "2.0")),
        ("import space.inner\ndef f(): return space.inner.h", ("package space_inner", "3.0")),
        ("from space.inner import h\ndef f(): return h", ("package space_inner", "3.0")),
        ("def f():\n    import space.inner\n    return space", ("package space_inner", "3.0")),
        ("import bare\ndef f(): return bare.b", ("package bare", "5.0")),
    ],
)
def test_the_versions_of_the_packages_that_it_uses_count(
    project: Project, site: Project, text: str, package: Any
) -> None:
    project.write("uses.py", text)
    before = project.print("f", "uses")
    assert package in before.parts
    name, version = package
    folder = site.folder / f"{name.partition(' ')[2]}-{version}.dist-info"
    if folder.exists():
        folder.rename(str(folder).replace(version, "9.9"))
    else:
        site.edit("bare.py", "5.0", "9.9")
    after = project.print("f", "uses")
    assert (name, "9.9") in after.parts
    assert after.digest != before.digest


def test_a_package_that_is_not_used_does_not_count(project: Project, site: Project) -> None:
    project.write("uses.py", "import same_name\nimport imported\ndef f(): return same_name.f()")
    assert names(project.print("f", "uses")) == ["uses.f", "package same_name"]


def test_two_functions_of_one_package_are_two(project: Project, site: Project) -> None:
    site.write("same_name/more.py", "def f(): return 2\n")
    project.write("uses.py", "from same_name import f as g\ndef f(): return g()")
    before = project.print("f", "uses")
    project.write("uses.py", "from same_name.more import f as g\ndef f(): return g()")
    assert project.print("f", "uses").digest != before.digest


def test_what_a_decorator_of_a_package_wraps_is_followed(project: Project, site: Project) -> None:
    site.write(
        "same_name/__init__.py",
        "def twice(f):\n    def inner(x):\n        return f(x) * 2\n    return inner\n",
    )
    project.write(
        "uses.py",
        "from same_name import twice\n@twice\ndef helper(x): return x + 1\ndef f(x): return helper(x)",
    )
    before = project.print("f", "uses")
    assert {"uses.helper", "package same_name"} <= set(names(before))
    project.edit("uses.py", "x + 1", "x + 2")
    assert project.print("f", "uses").digest != before.digest


def test_nothing_is_imported(project: Project) -> None:
    project.write(
        "uses.py",
        "def f():\n    import late\n    from late2 import x\n    import sklearn\n    return late, x\n",
    )
    project.write("late.py", "raise RuntimeError('imported')")
    project.write("late2.py", "raise RuntimeError('imported')")
    project.forget()
    before = set(sys.modules)
    found = project.print("f", "uses")
    assert {"sklearn", "late", "late2"}.isdisjoint(set(sys.modules) - before)
    assert {"module late", "module late2"} <= set(names(found))


def test_imports_inside_functions_are_followed_whether_loaded_or_not(project: Project) -> None:
    project.write("uses.py", "def f():\n    from package import late\n    return late.g()\n")
    project.write("package/__init__.py", "")
    project.write("package/late.py", "from . import deeper\ndef g(): return 1\n")
    project.write("package/deeper.py", "VALUE = 1\n")
    before = project.print("f", "uses")
    importlib.import_module("package.late")
    module = sys.modules["uses"]
    assert fingerprint(module.f) == before
    project.edit("package/deeper.py", "1", "2")
    assert project.print("f", "uses").digest != before.digest


def test_what_a_function_imports_may_move(project: Project) -> None:
    project.write("uses.py", "def f():\n    from first import g\n    return g()\n")
    project.write("first.py", "def g(): return 1\n")
    before = project.print("f", "uses")
    project.edit("uses.py", "first", "second")
    (project.folder / "first.py").rename(project.folder / "second.py")
    assert project.print("f", "uses").digest == before.digest


def test_a_module_handed_on_counts_as_a_whole(project: Project) -> None:
    project.write("uses.py", "import helpers\ndef f(): return vars(helpers)\n")
    before = project.print("f", "uses")
    assert "module helpers" in names(before)
    project.edit("helpers.py", "OTHER = 7", "OTHER = 8")
    assert project.print("f", "uses").digest != before.digest


# What cannot be followed.


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("def f(x, n): return getattr(x, n)", "uses.py:1: getattr(x, ...) with a computed name"),
        ("def f(x): return eval(x)", "uses.py:1: eval(...) reaches names that cannot be seen"),
        (
            "import importlib\ndef f(x): return importlib.import_module(x)",
            "uses.py:2: import_module(...) with a computed name",
        ),
        (
            "import threading\nlock = threading.Lock()\ndef f(): return lock",
            "`uses.lock` holds a _thread.lock",
        ),
        (
            "stream = open(__file__)\ntext = stream.read()\nstream.close()\ndef f(): return stream",
            "`uses.stream` holds a",
        ),
        ("def f(): return g()\ndef g(): return getattr(f, str(1))", "uses.py:2: getattr(f, ...)"),
        ("A = type('A', (), {'m': lambda self: 1})\ndef f(): return A", "class `uses.A` has no source"),
        ("big = list(range(200_000))\ndef f(): return big", "`uses.big` is too large"),
    ],
)
def test_what_cannot_be_followed_is_said(project: Project, text: str, note: str) -> None:
    project.write("uses.py", text)
    (found,) = project.print("f", "uses").unfollowed
    assert note in found


@pytest.mark.parametrize(
    "text",
    [
        "import logging\nlog = logging.getLogger(__name__)\ndef f(): log.info('x')",
        "import re\npattern = re.compile('a+')\ndef f(): return pattern.match('a')",
        "from pathlib import Path\nHERE = Path(__file__).name\nP = Path('x')\ndef f(): return HERE, P",
        "from typing import TypeVar, Any\nT = TypeVar('T')\ndef f(x: list[T] | None) -> dict[str, Any]: return getattr(x, 'a')",
        "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(): return P(1, 2)",
        "import numpy as np\nA = np.arange(3.0)\nS = np.float64(2)\ndef f(): return A, S",
        "import datetime as d\nDAY = d.date(2013, 1, 1)\ndef f(): return DAY",
        "items = []\nitems.append(items)\ndef f(): return items",
        "class C:\n    __slots__ = ('a', '__dict__')\nc = C()\nc.a = 1\nc.b = c\ndef f(): return c",
        "import operator\ndef f(x): return operator.add(x, 1), len(x), missing_name",
        "from functools import singledispatch\n@singledispatch\ndef g(x): return x\n@g.register\ndef _(x: int): return 1\ndef f(x): return g(x)",
        "class C:\n    def m(self): return 1\n    @classmethod\n    def k(cls): return cls.x\nbound = C().m\nk = C.k\ndef f(): return bound(), k",
    ],
)  # fmt: skip
def test_common_things_are_followed_without_a_note(project: Project, text: str) -> None:
    project.write("uses.py", text)
    assert project.print("f", "uses").unfollowed == ()


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("import re\npattern = re.compile('a+')\ndef f(): return pattern", "a+", "b+"),
        ("import numpy as np\nA = np.arange(3.0)\ndef f(): return A", "3.0", "4.0"),
        ("key = lambda x: x + 1\ndef f(): return key", "x + 1", "x + 2"),
        ("K = 1\nkey = lambda x: x + K\ndef f(): return key", "K = 1", "K = 2"),
        ("import helpers\nkey = lambda x: helpers.scale(x)\ndef f(): return key", "helpers.scale", "helpers.even"),
        ("class C:\n    def __init__(self, a): self.a = a\nc = C(1)\ndef f(): return c", "C(1)", "C(2)"),
        ("from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(): return P", "x y", "x z"),
        ("class M(type): x = 1\nclass C(metaclass=M): ...\ndef f(): return C", "x = 1", "x = 2"),
        ("class A:\n    class B:\n        def m(self): return 1\ndef f(): return A.B().m()", "return 1", "return 2"),
        ("def f(): return g\ndef make(n=1):\n    def g(m=n): return m\n    return g\ng = make()", "n=1", "n=2"),
        ("from functools import singledispatch\n@singledispatch\ndef g(x): return x\n@g.register\ndef _(x: int): return 1\ndef f(x): return g(x)", "return 1", "return 2"),
        ("class C:\n    def m(self): return 1\n    @classmethod\n    def k(cls): return 5\nk = C.k\ndef f(): return k", "5", "6"),
        ("K = 1\nclass C:\n    def m(self, x=K): return x\ndef f(): return C", "K = 1", "K = 2"),
        ("def dec(c):\n    c.x = 1\n    return c\n@dec\nclass C: ...\ndef f(): return C", "c.x = 1", "c.x = 2"),
        ("class C:\n    def m(self): return 1\ndef f(c: C): return c.m()", "return 1", "return 2"),
        ("class C:\n    def m(self): return 1\ndef f(c: 'C'): return c.m()", "return 1", "return 2"),
        ("def f(x): return [g(y) for y in x]\ndef g(y): return y", "return y", "return -y"),
        ("def f(x):\n    def inner():\n        return (lambda: g(x))()\n    return inner()\ndef g(y): return y", "return y", "return -y"),
    ],
)  # fmt: skip
def test_an_edit_behind_an_object_counts(project: Project, text: str, old: str, new: str) -> None:
    project.write("uses.py", text)
    before = project.print("f", "uses")
    project.edit("uses.py", old, new)
    assert project.print("f", "uses").digest != before.digest


def test_a_local_name_hides_the_global(project: Project) -> None:
    project.write(
        "uses.py", "data = 1\ndef f(data): return data.data\ndef g(x): return [x for data in x], x.data\n"
    )
    assert names(project.print("f", "uses")) == ["uses.f"]
    assert names(project.print("g", "uses")) == ["uses.g"]


def test_a_chain_of_a_thousand_helpers_is_followed(project: Project) -> None:
    lines = [f"def f{n}(x): return f{n + 1}(x)" for n in range(1000)]
    project.write("uses.py", "\n".join([*lines, "def f1000(x): return x"]))
    assert len(project.print("f0", "uses").parts) == 1001


IN_MAIN = """
import json, sys
from weft.lang.fingerprint import fingerprint
CHOICES = {"one", "two", "three", "four"}
class Local:
    def method(self): return 1
def helper(x): return Local().method()
def f(x): return helper(x), CHOICES, {"a", "b", "c"}
print(fingerprint(f).digest)
"""


def test_every_process_finds_the_same(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(IN_MAIN)
    found = set()
    for seed in ("0", "1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "main.py"], cwd=tmp_path, env=environment, capture_output=True, check=True
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_the_digest_does_not_change_between_releases(project: Project) -> None:
    project.write(
        "uses.py",
        "K = 1\ndef f(x, n=2):\n    '''Doc.'''\n    return [g(y) + K for y in x if y]\ndef g(y): return y\n",
    )
    assert project.print("f", "uses").digest == GOLDEN


GOLDEN = "b3:37474899a00c59a476cff7ef4ce6f95882e2ae2bcf2c5992382b01c1f637355c"

TIMED = """
import json, sys, time
import steps
from weft.lang.fingerprint import fingerprint
started = time.process_time()
fingerprint(steps.train)
cold = time.process_time() - started
started = time.process_time()
for _ in range(200):
    fingerprint(steps.simple)
print(json.dumps([cold, (time.process_time() - started) / 200]))
"""


def test_a_fingerprint_is_cheap(project: Project) -> None:
    project.edit("steps.py", "unused = 1", "unused = 1\ndef simple(x):\n    return x + LIMIT\n")
    project.write("timed.py", TIMED)
    done = subprocess.run([sys.executable, "timed.py"], cwd=project.folder, capture_output=True, check=True)
    cold_s, warm_s = json.loads(done.stdout)
    # Of processor time, and with room: what a slower machine or its other work cannot make of them.
    assert cold_s < 1
    assert warm_s < 0.01
    assert warm_s < cold_s / 5
