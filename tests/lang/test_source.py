from __future__ import annotations
import __future__

import ast
import atexit
import importlib.util
import inspect
import json
import linecache
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from weft.lang.source import NoSource, SourceChanged, class_source, function_source


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Any]:
    """Write a module and import it; the same name again replaces it."""
    names = []

    def load(text: str, name: str = "weft_test_module") -> ModuleType:
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(text))
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        names.append(name)
        spec.loader.exec_module(module)
        return module

    yield load
    for name in names:
        sys.modules.pop(name, None)


MODULE = '''\
"""A module."""
from __future__ import annotations
import os
import os.path as path

def plain(a, b=1):
    # a comment
    return a + b

@property
@staticmethod
def decorated():
    return os.getcwd(), path.join("a")

class Outer:
    class Inner:
        def method(self):
            return super().__repr__(), self.__secret

def outer(captured):
    def inner():
        text = """
dedented text
"""
        return captured + text
    return inner

if True:
    def twice(): return 1
else:
    def twice(): return 2
'''


def test_a_function_of_a_file_has_its_text_and_its_positions(load: Any) -> None:
    module = load(MODULE)
    source = function_source(module.plain)
    assert source.text == "def plain(a, b=1):\n    # a comment\n    return a + b"
    assert (source.first_line, source.module, source.file) == (6, "weft_test_module", module.__file__)
    assert source.future_flags == __future__.annotations.compiler_flag
    (returned,) = source.tree.body
    assert (returned.lineno, returned.col_offset) == (8, 4)


def test_the_first_line_is_that_of_the_first_decorator(load: Any) -> None:
    source = function_source(load(MODULE).decorated.fget.__func__)
    assert source.first_line == 10
    assert source.text.startswith("@property\n@staticmethod\ndef decorated")


def test_methods_and_nested_functions_keep_their_columns(load: Any) -> None:
    module = load(MODULE)
    assert function_source(module.Outer.Inner.method).tree.col_offset == 8
    inner = function_source(module.outer(1))
    assert inner.tree.col_offset == 4
    assert inner.text.startswith("    def inner():")
    assert "\ndedented text\n" in inner.text


def test_of_two_definitions_the_one_that_ran_is_found(load: Any) -> None:
    assert ast.unparse(function_source(load(MODULE).twice).tree.body[0]) == "return 1"


def test_of_two_equal_definitions_the_one_that_ran_is_found(load: Any) -> None:
    module = load("if False:\n    def f(): return 1\nelse:\n    def f(): return 1\n")
    assert function_source(module.f).first_line == 4
    module = load("if True:\n    def f(): return 1\nelse:\n    def f(): return 1\n")
    assert function_source(module.f).first_line == 2


def test_a_second_call_reads_nothing(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(MODULE)
    first = function_source(module.plain)
    monkeypatch.setattr(ast, "parse", None)
    assert function_source(module.plain).tree is first.tree


def test_moved_lines_are_found_where_they_are_now(load: Any) -> None:
    module = load(MODULE)
    path = Path(module.__file__)
    path.write_text("# one more line\n" + path.read_text())
    assert function_source(module.plain).first_line == 7


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace("return a + b", "return a - b"),
        lambda text: text.replace("return a + b", "return a + b + 1.0"),
        lambda text: text.replace("def plain", "def other"),
        lambda text: text.replace("def plain(a,", "def plain(a b"),
        lambda text: text.replace("return a + b", "return a + c"),
        lambda text: text.replace("A module", "\udcff").encode("utf-8", "surrogateescape"),
    ],
)
def test_a_function_edited_since_its_import_is_refused(load: Any, edit: Any) -> None:
    module = load(MODULE)
    function_source(module.plain)
    edited = edit(Path(module.__file__).read_text())
    Path(module.__file__).write_bytes(edited if isinstance(edited, bytes) else edited.encode())
    with pytest.raises(SourceChanged, match=r"weft_test_module.py: `plain` is not what was imported"):
        function_source(module.plain)


def test_a_constant_of_another_type_is_an_edit(load: Any) -> None:
    module = load("def f():\n    return (1, True)\n")
    Path(module.__file__).write_text("def f():\n    return (1, 1)\n")
    with pytest.raises(SourceChanged):
        function_source(module.f)


def test_other_functions_of_the_file_may_be_edited(load: Any) -> None:
    module = load(MODULE)
    path = Path(module.__file__)
    path.write_text(path.read_text().replace("captured + text", "text"))
    assert function_source(module.plain).first_line == 6


def test_a_class_edited_since_its_import_is_refused(load: Any) -> None:
    module = load(MODULE)
    found = class_source(module.Outer.Inner)
    assert found is not None
    assert found[1].name == "Inner"
    path = Path(module.__file__)
    path.write_text(path.read_text().replace("self.__secret", "self.__public"))
    with pytest.raises(SourceChanged):
        class_source(module.Outer.Inner)


def test_a_class_without_methods_is_found_by_its_module(load: Any) -> None:
    found = class_source(load("class Plain:\n    limit = 1\n").Plain)
    assert found is not None
    assert found[1].lineno == 1


def test_a_class_of_c_has_no_source() -> None:
    assert class_source(dict) is None


def made_by_exec() -> Any:
    space: dict[str, Any] = {}
    exec("def f(): return 1", space)
    return space["f"]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: 1, "a lambda: it has no body to read"),
        (len, "<built-in function len>: it is no Python function"),
        (made_by_exec(), "`f`: its source text is not on this machine"),
    ],
)
def test_what_has_no_source_is_refused_with_what_to_do(function: Any, message: str) -> None:
    with pytest.raises(NoSource, match=message) as caught:
        function_source(function)
    assert caught.value.hint


def test_a_module_whose_loader_rewrites_it_is_believed() -> None:
    # pytest rewrote this very function: its byte code is not that of its text.
    def asserting() -> None:
        assert 1 + 1 == 2

    assert function_source(asserting).tree.name == "asserting"


def test_every_function_of_real_modules_compiles_to_itself() -> None:
    import argparse
    import dataclasses
    import json.decoder
    import tarfile
    import typing

    checked = 0
    for module in (argparse, dataclasses, json.decoder, tarfile, typing, inspect, textwrap):
        for value in list(vars(module).values()):
            functions = [value] if inspect.isfunction(value) else []
            if isinstance(value, type):
                functions = [each for each in vars(value).values() if inspect.isfunction(each)]
            for function in functions:
                code = function.__code__
                if code.co_name != "<lambda>" and not code.co_filename.startswith("<"):
                    assert function_source(function).first_line == code.co_firstlineno
                    checked += 1
    assert checked > 500


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A real IPython; its module is `__main__` while the test runs."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    before = linecache.checkcache
    shell = InteractiveShell(config=config, user_module=ModuleType("__main__"))
    monkeypatch.setitem(sys.modules, "__main__", shell.user_module)
    yield shell
    atexit.unregister(shell.atexit_operations)
    shell.atexit_operations()
    linecache.checkcache = before


@pytest.mark.parametrize(
    "before", ["", "import os\n", "known_super = super\n", "try:\n    import os\nexcept ImportError: pass\n"]
)
def test_what_the_module_names_decides_how_python_compiles(load: Any, before: str) -> None:
    module = load(f"{before}class C:\n    def m(self):\n        return super().m(), os.getcwd()\n")
    assert function_source(module.C.m).tree.name == "m"
    assert class_source(module.C) is not None


def run_cell(shell: Any, text: str) -> None:
    result = shell.run_cell(textwrap.dedent(text), store_history=True)
    result.raise_error()


def test_a_function_of_a_cell_has_the_cell_as_its_file(shell: Any) -> None:
    run_cell(
        shell,
        """
        # the first line
        %time 1 + 1
        def f(x):
            return x + 1
        """,
    )
    source = function_source(shell.user_ns["f"])
    assert source.text == "def f(x):\n    return x + 1"
    assert source.module == "__main__"
    assert source.file.startswith("<ipython-input-")


def test_a_cell_that_runs_again_gives_the_new_function(shell: Any) -> None:
    run_cell(shell, "def f(x):\n    return x + 1")
    old = shell.user_ns["f"]
    run_cell(shell, "def f(x):\n    return x + 2")
    assert "x + 1" in function_source(old).text
    assert "x + 2" in function_source(shell.user_ns["f"]).text


def test_a_class_of_a_cell_is_found_also_without_methods(shell: Any) -> None:
    run_cell(shell, "class A:\n    limit = 1\n")
    run_cell(shell, "class A:\n    limit = 2\n")
    found = class_source(shell.user_ns["A"])
    assert found is not None
    assert ast.unparse(found[1].body[0]) == "limit = 2"


def test_a_cell_with_top_level_await_has_source(shell: Any) -> None:
    run_cell(shell, "import asyncio\nawait asyncio.sleep(0)\ndef f():\n    return asyncio.sleep(0)")
    assert function_source(shell.user_ns["f"]).first_line == 3


SCRIPT = """
import os, json
from weft.lang.source import function_source
def f():
    return 1
os.chdir("/")
source = function_source(f)
print(json.dumps([source.text, source.module, os.path.isabs(source.file)]))
"""


@pytest.mark.parametrize("command", [["script.py"], ["-m", "script"]])
def test_a_function_of_main_is_found_from_any_folder(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == ["def f():\n    return 1", "__main__", True]


def test_a_function_of_a_zipped_package_has_source(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as archive:
        archive.writestr("zipped_module.py", "def f():\n    return 1\n")
    code = "import zipped_module as z; from weft.lang.source import function_source as s; print(s(z.f).text)"
    path = os.pathsep.join([str(tmp_path / "zipped.zip"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "def f():\n    return 1\n"
