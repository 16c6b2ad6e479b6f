"""What the tests of several rooms share: a real PostgreSQL server, started once and ended by its own id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples each time, nothing kept in the repository's folder, no limit of time: a test that fails, fails
# again, and neither a busy machine nor a folder that cannot be written to makes it fail.
settings.register_profile("steady", database=None, derandomize=True, deadline=None)
settings.load_profile("steady")

# A shell that starts the tests in the background lets its children ignore Ctrl-C, and theirs would too.
signal.signal(signal.SIGINT, signal.default_int_handler)

STARTED_WITHIN_S = 30.0
POSTGRES_USER = "postgres"
NOBODY = 65534


def missing(reason: str) -> None:
    """Skip, or fail in CI: there a component that is missing must not look like one that works."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}, and CI must run this test")
    pytest.skip(reason)


def _as_server_user() -> list[str]:
    # initdb and postgres refuse to run as root.
    if os.getuid() != 0:
        return []
    if shutil.which("setpriv"):
        user = f"--reuid={POSTGRES_USER}", f"--regid={POSTGRES_USER}", "--clear-groups"
        return ["setpriv", *user]
    return ["runuser", "-u", POSTGRES_USER, "--"]


def _program(name: str) -> str | None:
    found = shutil.which(name)
    candidates = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return found or (str(candidates[0]) if candidates else None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PostgresServer:
    """A server on loopback with its data in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        initdb, self._postgres = _program("initdb"), _program("postgres")
        if initdb is None or self._postgres is None:
            missing("PostgreSQL is not installed")
            raise AssertionError
        self._folder = folder
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        if os.getuid() == 0:
            shutil.chown(folder, POSTGRES_USER)
        self._call(initdb, "-D", str(folder / "data"), "-U", POSTGRES_USER, "-A", "trust", "-N", "-E", "UTF8")
        self.start()

    @property
    def address(self) -> str:
        return f"postgresql://{POSTGRES_USER}@127.0.0.1:{self.port}/postgres"

    def _call(self, *command: str) -> None:
        done = subprocess.run(
            [*_as_server_user(), *command], capture_output=True, cwd=self._folder, check=False
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")

    def start(self) -> None:
        options = ["-p", str(self.port), "-k", str(self._folder), "-c", "listen_addresses=127.0.0.1"]
        # A crash of the server, not of the machine, is what tests provoke: no need to wait for the disk.
        command = [str(self._postgres), "-D", str(self._folder / "data"), *options, "-c", "fsync=off"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_as_server_user(), *command], stdout=log, stderr=log, cwd=self._folder
            )
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        import psycopg

        assert self._process is not None
        deadline = time.monotonic() + STARTED_WITHIN_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                psycopg.connect(self.address, connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError((self._folder / "log").read_text(errors="replace"))

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT is its fast shutdown, SIGQUIT the one that looks like a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=STARTED_WITHIN_S)
            self._process = None


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL server."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        missing("psycopg is not installed")
    if sys.platform != "linux":
        missing("the PostgreSQL tests start a server as on Linux")
    # Not pytest's own folder: its parents are closed to the server's user.
    with tempfile.TemporaryDirectory(prefix="weft-pg-") as name:
        server = PostgresServer(Path(name))
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def postgres_address(postgres: PostgresServer) -> Iterator[str]:
    """The address of an empty schema, dropped after the test."""
    import psycopg

    schema = f"t{time.monotonic_ns()}"
    yield f"{postgres.address}?schema={schema}"
    with psycopg.connect(postgres.address, autocommit=True) as connection:
        connection.execute(f"drop schema if exists {schema} cascade")


@pytest.fixture(params=["sqlite", "postgres"])
def database_place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where to put a database: once in a SQLite file, once in PostgreSQL."""
    if request.param == "sqlite":
        return str(tmp_path / "weft.db")
    address: str = request.getfixturevalue("postgres_address")
    return address


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Run a block without root's right to write everywhere."""
    if os.getuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
