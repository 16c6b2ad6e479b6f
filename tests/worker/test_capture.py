"""Log files: their form, their bounds, their readers; and the frames on the wire."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from weft.worker.capture import WARN, pack_record, unpack_record
from weft.worker.logs import LogLine, LogReader, LogWriter, log_path, read_log
from weft.worker.wire import FrameReader, frame


@pytest.fixture
def path(tmp_path):
    return log_path(tmp_path, "train[3]", 1)


def test_a_log_is_json_lines(path):
    writer = LogWriter(path, 1 << 20)
    writer.append(5, "out", "a\nb\n")
    writer.close()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [[5, "out", "a\nb\n"]]


def test_pieces_of_a_line_are_joined_stream_by_stream(path):
    writer = LogWriter(path, 1 << 20)
    for ms, stream, text in [
        (1, "out", "he"),
        (2, "err", "ca"),
        (3, "out", "llo\nrest"),
        (4, "err", "reful\n"),
    ]:
        writer.append(ms, stream, text)
    writer.close()
    assert list(read_log(path)) == [
        LogLine(3, "out", "hello"),
        LogLine(4, "err", "careful"),
        LogLine(4, "out", "rest"),
    ]


def test_an_absent_log_is_empty(path):
    assert list(read_log(path)) == []


def test_a_second_writer_goes_on_where_the_first_ended(path):
    for number in range(2):
        writer = LogWriter(path, 1 << 20)
        writer.append(number, "out", f"{number}\n")
        writer.close()
    assert [line.text for line in read_log(path)] == ["0", "1"]


def test_a_torn_last_line_is_left_out(path):
    writer = LogWriter(path, 1 << 20)
    writer.append(1, "out", "whole\n")
    writer.close()
    with path.open("ab") as file:
        file.write(b'[2,"out","to\n')
    assert [line.text for line in read_log(path)] == ["whole"]


def fill(path, bytes_max, lines):
    writer = LogWriter(path, bytes_max)
    for number in range(lines):
        writer.append(number, "out", f"line {number}\n")
    writer.close()


def test_head_and_tail_are_kept_with_a_marker_between(path):
    fill(path, 4000, 1000)
    assert sum(part.stat().st_size for part in path.parent.iterdir()) <= 4000
    lines = list(read_log(path))
    kept = [int(line.text.split()[1]) for line in lines if line.stream == "out"]
    assert kept[0] == 0
    assert kept[-1] == 999
    gaps = [number for number, after in pairwise(kept) if after != number + 1]
    assert len(gaps) == 1
    markers = [line.text for line in lines if line.stream == "weft"]
    dropped = sum(len(f"line {n}\n") for n in range(gaps[0] + 1, kept[kept.index(gaps[0]) + 1]))
    assert markers == [f"{dropped} bytes of output were dropped here"]


def test_a_full_log_without_loss_has_no_marker_of_loss(path):
    fill(path, 1 << 20, 100)
    assert [line.stream for line in read_log(path)] == ["out"] * 100


def numbers(lines) -> list[int]:
    return [int(line.text.split()[1]) for line in lines if line.stream == "out"]


def test_a_log_that_turns_while_it_is_followed_is_read_to_its_end(path):
    writer, reader, seen = LogWriter(path, 4000), LogReader(path), []
    assert list(reader.read()) == []  # it wrote nothing yet
    for number in range(300):
        writer.append(number, "out", f"line {number}\n")
        if number % 10 == 0:
            seen += numbers(reader.read())
    writer.close()
    assert seen + numbers(reader.read()) == list(range(300))


def test_a_follower_that_falls_behind_meets_the_marker_and_the_latest_lines(path):
    writer, reader = LogWriter(path, 4000), LogReader(path)
    writer.append(0, "out", "line 0\n")
    assert numbers(reader.read()) == [0]
    for number in range(1, 3000):
        writer.append(number, "out", f"line {number}\n")
    late = list(reader.read())
    writer.close()
    assert ["were dropped here" in line.text for line in late if line.stream == "weft"] == [True]
    assert numbers(late)[-1] == 2999
    assert list(reader.read()) == []


def test_a_follower_may_skip_to_the_latest_lines(path):
    writer, reader = LogWriter(path, 1 << 20), LogReader(path)
    for number in range(1000):
        writer.append(number, "out", f"line {number}\n")
    found = numbers(reader.read(bytes_max=200))
    assert found == list(range(1000 - len(found), 1000))
    assert 0 < len(found) < 12
    writer.append(0, "out", "half ")
    assert list(reader.read(bytes_max=200)) == []
    assert [line.text for line in reader.rest()] == ["half "]
    writer.close()


@pytest.mark.parametrize(
    ("first", "second"),
    [("line 27", "line_27"), ("a/b", "a_b"), ("inc", "inc.2"), ("x" * 300, "x" * 301), ("é", "e")],
)
def test_logs_of_different_tasks_are_different_files(tmp_path, first, second):
    one, two = log_path(tmp_path, first, 1), log_path(tmp_path, second, 1)
    assert one != two
    assert len(one.name) < 200
    assert one.parent == tmp_path


def test_records_come_back_as_they_were():
    packed = pack_record(WARN, 123456789, 7, b"task", b"text\n")
    payloads = FrameReader().feed(packed)
    assert [unpack_record(payload) for payload in payloads] == [(WARN, 123456789, 7, b"task", b"text\n")]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_frames_survive_any_cutting(size):
    messages = [b"", b"x", b"y" * 100, b"z" * 5000]
    stream = b"".join(frame(message) for message in messages)
    reader = FrameReader()
    got = [payload for at in range(0, len(stream), size) for payload in reader.feed(stream[at : at + size])]
    assert b"".join(len(payload).to_bytes(4, "little") + payload for payload in got) == stream
    assert len(got) == 4
