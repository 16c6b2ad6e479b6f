"""The documentation's examples run, its Python parses, and its links lead somewhere.

Fences of a page are taken in order, in one empty folder with a fresh WEFT_HOME beside the repository's examples:

* ``python`` is written to a file and run; with ``file=NAME`` it is written under that name and only imported
  by what follows; with ``fragment`` it only has to parse; with ``refused`` the compiler has to refuse it.
* ``console``: each line after ``$ `` is run by the shell, and has to end with 0, or as ``exit=1`` says.

All others, ``sh`` and ``text`` among them, are for the eye.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the words after it, its text, and the line of its first line."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int

    def option(self, name: str) -> str | None:
        """Return the value of ``name=value`` in the words."""
        found = [word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")]
        return found[0] if found else None

    @property
    def commands(self) -> list[str]:
        """The shell commands; a line that ends in a backslash goes on in the next."""
        joined = self.text.replace("\\\n", " ")
        return [line[2:] for line in joined.splitlines() if line.startswith("$ ")]


def blocks_of(text: str) -> list[Block]:
    """Return the fenced blocks of a page that name a language."""
    return [
        Block(found[1], tuple(found[2].split()), found[3], text.count("\n", 0, found.start()) + 2)
        for found in FENCE.finditer(text)
    ]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def runnable(page: Path) -> bool:
    """Whether a page has something to run."""
    return any(
        block.language == "console" or (block.language == "python" and "fragment" not in block.words)
        for block in blocks_of(page.read_text("utf-8"))
    )


def run(block: Block, folder: Path, environment: dict[str, str]) -> str:
    """Run one block in ``folder``; return what went wrong, or nothing."""
    if block.language == "console":
        expected = int(block.option("exit") or 0)
        return "\n".join(
            filter(
                None, (_run(["bash", "-c", line], folder, environment, expected) for line in block.commands)
            )
        )
    if block.language != "python" or "fragment" in block.words:
        return ""
    name = block.option("file") or f"block_{block.line}.py"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, "utf-8")
    if "refused" in block.words:
        return _run(["weft", "check", name], folder, environment, 2)
    if block.option("file"):
        return ""
    return _run([sys.executable, name], folder, environment, 0)


def _run(command: list[str], folder: Path, environment: dict[str, str], expected: int) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode == expected:
        return ""
    return f"{' '.join(command)} ended with {done.returncode}, not {expected}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_on_the_page_parses(page):
    for block in blocks_of(page.read_text("utf-8")):
        if block.language == "python":
            ast.parse(block.text, f"{name_of(page)}:{block.line}")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_on_the_page_lead_somewhere(page):
    targets = LINK.findall(page.read_text("utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=name_of)
def test_the_page_runs(page, tmp_path):
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "examples").symlink_to(ROOT / "examples")
    tools = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        # The pages edit files faster than byte code, which knows whole seconds, can tell them apart.
        "PYTHONDONTWRITEBYTECODE": "1",
        "WEFT_HOME": str(tmp_path / "home"),
        "PATH": tools + os.pathsep + os.environ["PATH"],
    }
    for block in blocks_of(page.read_text("utf-8")):
        wrong = run(block, folder, environment)
        assert not wrong, f"{name_of(page)}:{block.line}: {wrong}"


def test_a_block_that_fails_is_reported(tmp_path):
    page = "```python\nraise SystemExit(3)\n```\n\n```console exit=1\n$ true\n$ false\ntext\n```\n"
    failing, console = blocks_of(page)
    assert "ended with 3, not 0" in run(failing, tmp_path, dict(os.environ))
    assert "bash -c true ended with 0, not 1" in run(console, tmp_path, dict(os.environ))
    assert console.commands == ["true", "false"]
    assert (failing.line, console.line) == (2, 6)


def test_a_named_block_is_there_for_the_next(tmp_path):
    page = "```python file=made.py\nNUMBER = 3\n```\n```python\nimport made\nassert made.NUMBER == 3\n```\n"
    assert [run(block, tmp_path, dict(os.environ)) for block in blocks_of(page)] == ["", ""]
