"""Workflows whose steps leave things behind, in each way that a second attempt can meet. ``out`` is in the folder of the run."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path

from weft import current, limit, step, workflow

OUT = Path("out")


@step
def twice(n: int) -> int:
    return 2 * n


@step(retries=1, backoff="1h")
def fails_once(n: int) -> int:
    OUT.mkdir(exist_ok=True)
    if current().attempt == 1 and current().run:
        raise ValueError("not yet")
    return n


@workflow
def fine(n: int = 3):
    return sum([twice(k) for k in range(n)])


@workflow
def patient(n: int = 3):
    return fails_once(n)


@workflow
def limited(n: int = 2):
    made = []
    for k in range(n):
        with limit("pool"):
            made.append(twice(k))
    return made


@step
def appends(text: str) -> None:
    OUT.mkdir(exist_ok=True)
    with open(OUT / "appended.txt", "a") as file:
        file.write(text)


@step
def counts(n: int) -> int:
    path = OUT / "counted.json"
    known = json.loads(path.read_text()) if path.exists() else []
    path.write_text(json.dumps([*known, n]))
    return n


@step
def names_anew(n: int) -> int:
    (OUT / f"part-{uuid.uuid4()}").write_text(str(n))
    return n


@step
def asks_a_program(n: int) -> None:
    subprocess.run(["sh", "-c", "echo line >> out/by-program.txt"], check=True)


@step
def writes_again(n: int) -> None:
    (OUT / "again.txt").write_text(str(n))


@step
def replaces(n: int) -> None:
    fresh = OUT / f"fresh-{current().run}"
    fresh.write_text(str(n))
    os.replace(fresh, OUT / "replaced.txt")


@step
def works_in_its_folder(n: int) -> str:
    path = current().work_dir / "part.txt"
    path.write_text(str(n))
    return path.read_text()


@step
def looks_first(n: int) -> None:
    path = OUT / "downloaded.txt"
    if not path.exists():
        path.write_text(str(n))


@workflow
def messy(n: int = 2):
    appends("started")
    counts(n)
    parts = [names_anew(k) for k in range(n)]
    asks_a_program(n)
    writes_again(n)
    replaces(n)
    looks_first(n)
    return parts, works_in_its_folder(n)


@step
def makes_folder(n: int) -> int:
    os.mkdir(f"made-{current().run}")
    return n


@workflow
def breaks(n: int = 2):
    return makes_folder(n)


@step
def adds_a_line(n: int) -> int:
    path = Path(f"lines-of-{current().run}")
    with path.open("a") as file:
        file.write("line\n")
    return len(path.read_text().splitlines())


@workflow
def unequal(n: int = 2):
    return adds_a_line(n)
