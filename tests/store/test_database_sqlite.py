"""SQLite as a home: several processes, full disks, damaged and foreign files, power cuts as far as they show."""

from __future__ import annotations

import gc
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.conftest import as_ordinary_user, missing
from tests.store.builders import LEASE_MS, ME, accept, ended, entry, finish, open_at, start, task

from weft.clock import FakeClock, SystemClock
from weft.errors import DiskFull, RetryableError, StoredDataError, UserError
from weft.model.records import Batch
from weft.store.database import open_database
from weft.store.engine import (
    DamagedDatabase,
    DatabaseBusy,
    DatabaseGone,
    DiskFault,
    ForeignDatabase,
    NewerDatabase,
    UnwritableHome,
    statement,
)
from weft.store.filesystem import NetworkHome, refuse_network_home
from weft.store.runs import RunNotFound
from weft.store.sqlite import SqliteEngine, WriteLock, split_script

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "home" / "weft.db"


def child(place: Path, body: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a process that runs ``body`` with ``database`` open at ``place``."""
    program = f"""
import sys
from weft.clock import SystemClock
from tests.store.builders import *
clock = SystemClock()
database = open_at({str(place)!r}, clock)
{textwrap.dedent(body)}
"""
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"}
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], env=environment, stdout=subprocess.PIPE, cwd=REPOSITORY
    )


class TestOpening:
    def test_the_folder_is_made_and_opening_again_finds_what_was_written(self, place: Path) -> None:
        with open_database(place, FakeClock()) as database:
            accept(database, "0run")
        with open_database(place, FakeClock()) as database:
            assert database.runs.get("@").id == "0run"
            database.engine.check()

    def test_closing_twice_is_allowed_and_leaves_no_write_ahead_log(self, place: Path) -> None:
        database = open_database(place, FakeClock())
        accept(database, "0run")
        database.close()
        database.close()
        assert not place.with_name("weft.db-wal").exists()

    @pytest.mark.parametrize("content", [b"hello, this is a text file of mine\n", b"\0" * 5000])
    def test_a_file_that_is_no_database_is_named_and_left_alone(self, place: Path, content: bytes) -> None:
        place.parent.mkdir()
        place.write_bytes(content)
        with pytest.raises(DamagedDatabase, match=str(place)) as caught:
            open_database(place, FakeClock())
        assert "move the file away" in caught.value.hint
        assert place.read_bytes() == content

    @pytest.mark.parametrize("size", [100, 3000, 5000])
    def test_a_truncated_database_is_refused(self, place: Path, size: int) -> None:
        with open_database(place, FakeClock()) as database:
            accept(database, "0run")
        raw = place.read_bytes()
        place.write_bytes(raw[:size])
        with pytest.raises(DamagedDatabase, match=str(place)), open_database(place, FakeClock()) as database:
            database.runs.get("@")

    @pytest.mark.parametrize("way", ["deleted", "replaced"])
    def test_a_file_that_is_gone_is_noticed_at_the_next_write(self, place: Path, way: str) -> None:
        with open_database(place, FakeClock()) as database:
            accept(database, "0run")
            place.rename(place.with_name("elsewhere"))
            if way == "replaced":
                place.write_bytes(place.with_name("elsewhere").read_bytes())
            with pytest.raises(DatabaseGone, match=f"{place} was deleted, moved or replaced") as gone:
                accept(database, "1run")
            assert "`weft resume`" in gone.value.hint
            place.with_name("elsewhere").rename(place)
            accept(database, "1run")

    def test_damaged_pages_are_found_by_the_check(self, place: Path) -> None:
        with open_database(place, FakeClock()) as database:
            for number in range(50):
                accept(database, f"0run{number:02}")
        raw = bytearray(place.read_bytes())
        raw[8192:16384] = b"\x5a" * 8192
        place.write_bytes(raw)
        with pytest.raises(DamagedDatabase), open_database(place, FakeClock()) as database:
            database.engine.check()

    def test_another_programs_database_is_refused_and_not_changed(self, place: Path) -> None:
        place.parent.mkdir()
        other = sqlite3.connect(place)
        other.execute("create table recipes (name text)")
        other.close()
        before = place.read_bytes()
        with pytest.raises(ForeignDatabase, match="tables recipes"):
            open_database(place, FakeClock())
        assert place.read_bytes() == before

    def test_a_newer_schema_is_refused(self, place: Path) -> None:
        open_database(place, FakeClock()).close()
        raw = sqlite3.connect(place)
        raw.execute("pragma user_version = 99")
        raw.close()
        with pytest.raises(NewerDatabase, match=r"has schema 99; this Weft knows schemas up to \d+"):
            open_database(place, FakeClock())

    def test_a_home_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(UnwritableHome, match=r"weft\.db cannot be written") as caught:
            open_database(tmp_path / "file" / "weft.db", FakeClock())
        assert "WEFT_HOME" in caught.value.hint

    @pytest.mark.parametrize("is_there", [False, True])
    def test_a_home_without_write_permission_is_named(self, is_there: bool) -> None:
        # Not pytest's own folder: an ordinary user could not even look into it.
        with tempfile.TemporaryDirectory() as name:
            home = Path(name)
            if is_there:
                open_database(home / "weft.db", FakeClock()).close()
            home.chmod(0o555)
            with as_ordinary_user(), pytest.raises(UnwritableHome, match="cannot be written"):
                open_database(home / "weft.db", FakeClock())

    def test_a_network_file_system_is_refused_with_the_reason(self, tmp_path: Path) -> None:
        mounts = tmp_path / "mounts"
        deep = tmp_path / "data" / "my home"
        deep.mkdir(parents=True)
        shown = str(deep).replace(" ", "\\040")
        mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {shown} nfs4 rw 0 0\n")
        with pytest.raises(NetworkHome, match=r"network file system \(nfs4 at .*my home\)"):
            refuse_network_home(deep / "below", mounts)
        refuse_network_home(tmp_path / "data" / "my home 2", mounts)
        refuse_network_home(tmp_path / "data", mounts)

    def test_a_local_disk_mounted_over_a_network_is_allowed(self, tmp_path: Path) -> None:
        mounts = tmp_path / "mounts"
        mounts.write_text(f"server:/ / nfs rw 0 0\n/dev/sdb {tmp_path} ext4 rw 0 0\n")
        refuse_network_home(tmp_path / "home", mounts)
        with pytest.raises(NetworkHome):
            refuse_network_home(Path("/elsewhere"), mounts)

    def test_no_table_of_mounts_refuses_nothing(self, tmp_path: Path) -> None:
        refuse_network_home(tmp_path, tmp_path / "none")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_database_that_is_dropped_and_not_closed_gives_back_its_files(place: Path) -> None:
    open_at(str(place), SystemClock())
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        open_at(str(place), SystemClock())
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


class TestTransactions:
    def test_a_transaction_that_raises_leaves_nothing(self) -> None:
        with open_at(":memory:", FakeClock()) as database:

            def write_and_fail() -> None:
                with database.engine.transaction():
                    database.engine.run_script("insert into programs (digest, body) values ('d', x'00')")
                    raise KeyError

            with pytest.raises(KeyError):
                write_and_fail()
            assert database.engine.execute(statement("select digest from programs")) == []
            accept(database, "0run")
            assert database.runs.list_runs().runs[0].id == "0run"

    def test_accepting_and_ending_wait_for_the_disk_and_tasks_do_not(self, place: Path) -> None:
        with open_at(str(place), FakeClock()) as database:
            modes: list[int] = []
            engine = database.engine
            assert isinstance(engine, SqliteEngine)

            def noted(text: str) -> None:
                if text.lower().startswith("commit"):
                    modes.append(engine._connection.execute("pragma synchronous").fetchone()[0])

            engine._connection.set_trace_callback(noted)
            normal, full = 1, 2
            lease = start(database, FakeClock())
            database.runs.commit(lease, ended(task(lease)))
            database.runs.commit(lease, Batch(entries=[entry()], full_sync=True))
            database.runs.heartbeat(lease, LEASE_MS)
            finish(database, lease)
            engine._connection.set_trace_callback(None)
            assert modes == [full, full, normal, full, normal, full]

    def test_threads_share_one_database(self, place: Path) -> None:
        with open_at(str(place), FakeClock()) as database:
            errors: list[BaseException] = []

            def work(letter: str) -> None:
                try:
                    for number in range(20):
                        accept(database, f"0{letter}{number:02}")
                        database.runs.get(f"0{letter}{number:02}")
                except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
                    errors.append(error)

            threads = [threading.Thread(target=work, args=(letter,)) for letter in "abcd"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert errors == []
            assert len(database.runs.list_runs(limit=100).runs) == 80

    def test_the_lock_beside_the_file_is_held_in_every_writing_transaction_and_not_outside(
        self, place: Path
    ) -> None:
        with open_at(str(place), FakeClock()) as database:
            other = WriteLock(f"{place}.lock")
            with database.engine.transaction(), pytest.raises(DatabaseBusy):
                other.acquire(wait_s_max=0.0)
            other.acquire(wait_s_max=0.0)
            database.runs.list_runs()
            other.close()

    def test_a_lock_that_is_held_too_long_is_reported(self, tmp_path: Path) -> None:
        path = str(tmp_path / "lock")
        holder, waiter = WriteLock(path), WriteLock(path)
        holder.acquire()
        with pytest.raises(DatabaseBusy, match=r"was busy for 0\.01 s"):
            waiter.acquire(wait_s_max=0.01)
        holder.release()
        waiter.acquire(wait_s_max=0.01)
        holder.close()
        waiter.close()

    def test_a_script_is_split_at_statements_only(self) -> None:
        trigger = "create trigger t after insert on a begin select 1; select 2; end;"
        parts = list(split_script(f"-- a; comment\nselect ';';\n{trigger}\nselect 3"))
        assert [part.split("\n")[-1] or part.split("\n")[-2] for part in parts] == [
            "select ';';",
            trigger,
            "select 3",
        ]


class TestSeveralProcesses:
    def test_two_processes_write_one_home_and_nothing_is_lost(self, place: Path) -> None:
        body = """
        name = sys.argv[1]
        accept(database, "0" + name)
        lease = database.runs.claim("0" + name, ME, LEASE_MS)
        for number in range(150):
            database.runs.commit(lease, ended(task(lease, number, outcome=b"x" * 2000)))
        finish(database, lease)
        database.close()
        """
        children = [child(place, body, name) for name in ("a", "b", "c")]
        assert [process.wait(timeout=60) for process in children] == [0, 0, 0]
        for process in children:
            assert process.stdout is not None
            process.stdout.close()
        with open_at(str(place), SystemClock()) as database:
            database.engine.check()
            assert [database.journal.verify(run) for run in ("0a", "0b", "0c")] == [153, 153, 153]

    def test_only_one_of_several_processes_gets_a_run(self, place: Path) -> None:
        with open_at(str(place), SystemClock()) as database:
            accept(database, "0run")
            body = """
            try:
                print(database.runs.claim("0run", Owner("h", int(sys.argv[1])), LEASE_MS).fence)
            except Exception as error:
                print(error.code)
            """
            children = [child(place, body, str(number)) for number in range(3)]
            answers = sorted(process.communicate(timeout=60)[0].decode().strip() for process in children)
            assert answers == ["1", "run-busy", "run-busy"]

    def test_what_was_committed_survives_a_kill_and_the_lock_is_free_again(self, place: Path) -> None:
        body = """
        accept(database, "0run")
        lease = database.runs.claim("0run", ME, LEASE_MS)
        for number in range(100_000):
            database.runs.commit(lease, ended(task(lease, number)))
            print(number, flush=True)
        """
        process = child(place, body)
        assert process.stdout is not None
        last = b""
        for _ in range(50):
            last = process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split(b"\n")
        process.stdout.close()
        process.wait(timeout=30)
        acknowledged = int((rest[-2] if len(rest) > 1 else last) or last)
        with open_at(str(place), SystemClock()) as database:
            database.engine.check()
            recorded = len(list(database.tasks.outcomes("0run")))
            assert recorded in (acknowledged + 1, acknowledged + 2)
            assert database.journal.verify("0run") == recorded + 2
            lease = database.runs.claim("0run", ME, LEASE_MS, dead=ME)
            database.runs.commit(lease, ended(task(lease, 1_000_000)))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        missing("there is no mount command")
    if done.returncode:
        missing(f"a small file system cannot be mounted: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(ballast: Path) -> None:
    """Write until the disk is full."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


class TestFullDisk:
    def test_nothing_acknowledged_is_lost_and_work_goes_on_after_space_is_made(
        self, small_disk: Path
    ) -> None:
        ballast = small_disk / "ballast"
        ballast.write_bytes(b"x" * 300_000)
        with open_at(str(small_disk / "weft.db"), FakeClock()) as database:
            lease = start(database, FakeClock())
            full, kept = None, 0
            while full is None:
                try:
                    database.runs.commit(lease, ended(task(lease, kept, outcome=b"y" * 3000)))
                    kept += 1
                except DiskFull as error:
                    full = error
            assert isinstance(full, RetryableError)
            assert "no space is left" in full.message
            assert kept > 0
            assert len(list(database.tasks.outcomes(lease.run))) == kept
            with pytest.raises(DiskFull):
                accept(database, "0other", inputs=b"z" * 500_000)
            ballast.unlink()
            database.runs.commit(lease, ended(task(lease, kept)))
            finish(database, lease)
            assert database.journal.verify(lease.run) == kept + 4
            database.engine.check()
            with pytest.raises(RunNotFound):
                database.runs.get("0other")

    def test_an_input_output_error_on_a_full_disk_is_a_full_disk(self, small_disk: Path) -> None:
        # SQLite says so when its shared-memory file cannot grow.
        fault = sqlite3.OperationalError("disk I/O error")
        fault.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
        with open_at(str(small_disk / "weft.db"), FakeClock()) as database:
            fill(small_disk / "ballast")
            with pytest.raises(DiskFull), database.engine.transaction():
                raise fault

    def test_a_home_on_a_full_disk_says_so(self, small_disk: Path) -> None:
        fill(small_disk / "ballast")
        with pytest.raises(DiskFull):
            open_at(str(small_disk / "home" / "weft.db"), FakeClock())


@pytest.mark.parametrize(
    ("code", "expected", "family"),
    [
        (sqlite3.SQLITE_FULL, DiskFull, RetryableError),
        (sqlite3.SQLITE_BUSY, DatabaseBusy, RetryableError),
        (sqlite3.SQLITE_IOERR_FSYNC, DiskFault, StoredDataError),
        (sqlite3.SQLITE_IOERR_READ, DiskFault, StoredDataError),
        (sqlite3.SQLITE_CORRUPT, DamagedDatabase, StoredDataError),
        (sqlite3.SQLITE_NOTADB, DamagedDatabase, StoredDataError),
        (sqlite3.SQLITE_READONLY, UnwritableHome, UserError),
        (sqlite3.SQLITE_CANTOPEN, UnwritableHome, UserError),
    ],
)
def test_each_fault_of_sqlite_has_its_error(
    place: Path, code: int, expected: type[Exception], family: type[Exception]
) -> None:
    fault = sqlite3.OperationalError("a fault")
    fault.sqlite_errorcode = code
    with open_at(str(place), FakeClock()) as database:
        with pytest.raises(expected) as caught, database.engine.transaction():
            raise fault
        assert isinstance(caught.value, family)
        assert caught.value.__cause__ is fault
        database.runs.claim(accept(database, "0run"), ME, LEASE_MS)
