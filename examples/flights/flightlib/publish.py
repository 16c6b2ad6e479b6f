"""What leaves the workflow: a line to people, and a released model with all that made it."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from weft import step

from .features import FEATURES, Split
from .models import Scored, metrics_of
from .sources import PACKAGE, find_file

CODE = Path(__file__).resolve().parent
NOTIFICATIONS = "notifications.txt"


@step
def notify(message: str, release_dir: str) -> None:
    """Tell people: print the message and append it as one line to ``notifications.txt``."""
    folder = Path(release_dir)
    folder.mkdir(parents=True, exist_ok=True)
    # One write in append mode: lines of runs that notify at the same time do not mix.
    with open(folder / NOTIFICATIONS, "ab", buffering=0) as file:
        file.write((" ".join(message.split()) + "\n").encode())
    print(message)


@step
def release(best: Scored, split: Split, release_dir: str) -> str:
    """Write the model, its metrics, its data's hashes and its code's version into a new folder.

    The folder is named after what made the model, so a second release of the same changes nothing.

    Returns:
        The folder's path, below ``release_dir``. It is there whole or not at all.
    """
    made_of = {
        "metrics": metrics_of(best),
        "features": FEATURES,
        "cut": split.cut.isoformat(),
        "data_sha256": data_sha256(split),
        "flightlib_sha256": code_sha256(),
        "packages": {name: version(name) for name in ("numpy", "pandas", "scikit-learn", PACKAGE)},
    }
    name = f"{best.model.kind}-{hashlib.sha256(as_json(made_of)).hexdigest()[:12]}"
    model = pickle.dumps(best.model, protocol=5)
    card = {**made_of, "commit": find_commit(), "model_sha256": hashlib.sha256(model).hexdigest()}
    return str(write_folder(Path(release_dir), name, {"model.pickle": model, "card.json": as_json(card)}))


def as_json(card: dict[str, Any]) -> bytes:
    """Return plain data as text that is the same each time."""
    return json.dumps(card, indent=2, sort_keys=True).encode()


def write_folder(parent: Path, name: str, files: dict[str, bytes]) -> Path:
    """Write ``files`` into ``parent/name`` so that a reader sees the whole folder or none of it."""
    parent.mkdir(parents=True, exist_ok=True)
    target = parent / name
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
    try:
        for file_name, content in files.items():
            with open(fresh / file_name, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        fresh.chmod(0o755)
        _sync_folder(fresh)
        if not target.exists():
            # Rename last. Another run may have released the same in between, which is as good.
            try:
                fresh.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
        _sync_folder(parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def data_sha256(split: Split) -> dict[str, str]:
    """Return SHA-256 of the files that were read, and of the rows that were learned from and judged by."""
    names = ("flights.csv.zip", "weather.csv", "planes.csv")
    files = {name: hashlib.sha256(find_file(name).read_bytes()).hexdigest() for name in names}
    return {**files, "train": frame_sha256(split.train), "test": frame_sha256(split.test)}


def frame_sha256(frame: pd.DataFrame) -> str:
    """Return one hash over a frame's column names, types and values; the index does not count."""
    digest = hashlib.sha256(repr([(str(name), str(kind)) for name, kind in frame.dtypes.items()]).encode())
    digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def code_sha256() -> str:
    """Return one hash over this library's files."""
    digest = hashlib.sha256()
    for path in sorted(CODE.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def find_commit() -> str | None:
    """Return the git commit that this library lies in, ``-dirty`` if files were changed; None outside git."""
    command = ["git", "-C", str(CODE), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
