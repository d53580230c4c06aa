"""Recorded files: what was written comes back, whatever a kill leaves of the end."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cutlayer.codec import encode
from cutlayer.exchange.tape import MAGIC, Recorder, RecordingError, Replayed, Tape
from cutlayer.message import Kind, Message
from cutlayer.tap import wrap
from tests.disks import files_of_at_most


def request(step: int, size: int = 3) -> Message:
    return Message(Kind.TRAIN, "client-0", step, {"smashed": torch.full((size,), float(step))})


def answer(message: Message) -> Message:
    return message.reply("server", grad=-message["smashed"])


def recorded(file: Path, steps: range, limit: int = 1 << 20) -> Recorder:
    recorder = Recorder(file, limit)
    for step in steps:
        recorder(request(step), answer)
    recorder.close()
    return recorder


def steps_in(file: Path) -> list[int]:
    return [exchange.request.step for exchange in Tape(file)]


def test_what_passed_comes_back_in_order_and_unchanged(tmp_path):
    recorder = recorded(tmp_path / "a.wire", range(5))
    for step, exchange in enumerate(Tape(tmp_path / "a.wire")):
        assert encode(exchange.request) == encode(request(step))
        assert encode(exchange.reply) == encode(answer(request(step)))
    assert recorder.exchanges == 5
    assert recorder.bytes == (tmp_path / "a.wire").stat().st_size


def test_what_is_kept_is_what_was_asked_not_what_became_of_it(tmp_path):
    def careless(message: Message) -> Message:
        message["smashed"].zero_()
        return message.reply("server")

    recorder = Recorder(tmp_path / "a.wire", 1 << 20)
    wrap(careless, recorder)(request(7))
    recorder.close()
    (exchange,) = Tape(tmp_path / "a.wire")
    assert exchange.request["smashed"].tolist() == [7, 7, 7]


def test_an_exchange_that_failed_is_not_kept(tmp_path):
    def refuses(message: Message) -> Message:
        raise ValueError("no")

    recorder = Recorder(tmp_path / "a.wire", 1 << 20)
    with pytest.raises(ValueError, match="no"):
        recorder(request(0), refuses)
    recorder.close()
    assert steps_in(tmp_path / "a.wire") == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2000))
def test_a_file_cut_anywhere_keeps_its_whole_exchanges_and_is_gone_on_with(tmp_path_factory, cut):
    file = tmp_path_factory.mktemp("cut") / "a.wire"
    recorded(file, range(5))
    whole = file.read_bytes()
    each = (len(whole) - len(MAGIC)) // 5
    file.write_bytes(whole[: cut % (len(whole) + 1)])
    left = max(0, (cut % (len(whole) + 1)) - len(MAGIC)) // each
    assert steps_in(file) == list(range(left))
    again = recorded(file, range(5))
    assert again.exchanges == 5
    assert file.read_bytes() == whole


def test_only_its_owner_can_read_a_recording(tmp_path):
    assert Recorder(tmp_path / "wire", 1 << 20).file.stat().st_mode & 0o077 == 0


def test_what_was_dropped_is_told(tmp_path, caplog):
    file = tmp_path / "a.wire"
    recorded(file, range(3))
    file.write_bytes(file.read_bytes()[:-7])
    tape = Tape(file)
    assert len(list(tape)) == 2
    assert f"its last {tape.cut_off} bytes are no whole exchange and are dropped" in tape.told()
    with caplog.at_level(logging.WARNING):
        recorded(file, range(0))
    assert tape.told() in caplog.text


def test_a_flipped_bit_ends_the_recording_there(tmp_path):
    file = tmp_path / "a.wire"
    recorded(file, range(3))
    content = bytearray(file.read_bytes())
    content[len(MAGIC) + (len(content) - len(MAGIC)) // 3 + 60] ^= 1
    file.write_bytes(content)
    assert steps_in(file) == [0]


def test_a_repeated_exchange_is_kept_once(tmp_path):
    recorded(tmp_path / "a.wire", range(4))
    again = recorded(tmp_path / "a.wire", range(2, 6))
    assert steps_in(tmp_path / "a.wire") == [0, 1, 2, 3, 4, 5]
    assert again.exchanges == 6


@pytest.mark.parametrize("limit", [1 << 20, 1500])
def test_what_is_dropped_on_the_way_back_is_recorded_once_more(tmp_path, limit):
    file = tmp_path / "a.wire"
    recorder = recorded(file, range(3), limit)
    size, whole = recorder.bytes, file.read_bytes()
    for step in range(3, 9):
        recorder(request(step), answer)
    assert recorder.full == Tape(file).full == (limit == 1500)
    recorder.go_back(size, full=False)
    assert (file.read_bytes(), recorder.bytes, recorder.exchanges) == (whole, size, 3)
    recorder(request(3), answer)
    assert steps_in(file) == [0, 1, 2, 3]
    recorder.go_back(size, full=True)
    recorder(request(3), answer)
    assert steps_in(file) == [0, 1, 2]
    assert Tape(file).full


def test_nobody_goes_back_to_where_a_file_never_was(tmp_path):
    recorder = recorded(tmp_path / "a.wire", range(3))
    for size in (recorder.bytes + 1, recorder.bytes - 1):
        with pytest.raises(RecordingError, match=f"a.wire: .* of {size} bytes that were recorded are whole exchanges"):
            recorder.go_back(size, full=False)
    assert steps_in(tmp_path / "a.wire") == [0, 1]


def test_nothing_is_written_beyond_the_limit(tmp_path, caplog):
    each = recorded(tmp_path / "one.wire", range(1)).bytes - len(MAGIC)
    with caplog.at_level(logging.WARNING):
        recorder = recorded(tmp_path / "a.wire", range(10), limit=len(MAGIC) + 3 * each + 10)
    assert (recorder.full, recorder.exchanges, steps_in(tmp_path / "a.wire")) == (True, 3, [0, 1, 2])
    assert (tmp_path / "a.wire").stat().st_size == recorder.bytes <= recorder.limit
    assert caplog.text.count("nothing more is recorded") == 1


def test_nothing_is_added_behind_what_was_left_out(tmp_path):
    file = tmp_path / "a.wire"
    recorder = recorded(file, range(3), limit=1500)
    recorder(request(3, size=1000), answer)
    assert recorder.full
    assert recorded(file, range(2, 6), limit=1 << 20).full, "after a restart, with more room too"
    assert steps_in(file) == [0, 1, 2]
    assert Tape(file).full
    file.unlink()
    assert not recorded(file, range(2)).full
    assert not Tape(file).full


@pytest.mark.parametrize("room", [0, 10, 300, 500])
def test_a_disk_without_room_ends_the_recording_before_the_exchange_that_did_not_fit(tmp_path, caplog, room):
    file = tmp_path / "a.wire"
    recorder = recorded(file, range(3))
    with files_of_at_most(recorder.bytes + room), caplog.at_level(logging.WARNING):
        recorder(request(3, size=1000), answer)
    recorder(request(4), answer)
    assert (recorder.full, recorder.exchanges, recorder.bytes) == (True, 3, file.stat().st_size)
    assert steps_in(file) == [0, 1, 2]
    assert caplog.messages == [f"{file} cannot grow (File too large): nothing more is recorded"]
    assert recorded(file, range(3, 6)).full, "after a restart, with room again"
    assert steps_in(file) == [0, 1, 2]


@pytest.mark.parametrize("content", [b"something else", b"cutlayer wire 9\n" + b"x" * 99])
def test_another_file_is_refused_and_left_alone(tmp_path, content):
    (tmp_path / "a.wire").write_bytes(content)
    with pytest.raises(RecordingError, match="is not a recording of this version"):
        Recorder(tmp_path / "a.wire", 1 << 20)
    assert (tmp_path / "a.wire").read_bytes() == content


def test_a_frame_inside_that_is_none_is_refused(tmp_path):
    recorder = Recorder(tmp_path / "a.wire", 1 << 20)
    recorder.keep(b"no frame", b"neither")
    recorder.close()
    with pytest.raises(RecordingError, match="cut off in its header"):
        list(Tape(tmp_path / "a.wire"))


def test_a_replay_gives_recorded_replies_and_refuses_other_requests(tmp_path):
    recorded(tmp_path / "a.wire", range(2))
    recorded(tmp_path / "b.wire", range(2, 3))

    def never(message: Message) -> Message:
        raise AssertionError("the party was asked")

    replay = wrap(never, Replayed([tmp_path / "a.wire", tmp_path / "b.wire"]))
    for step in range(3):
        assert encode(replay(request(step))) == encode(answer(request(step)))
    with pytest.raises(RecordingError, match="train message of step 3 was not recorded"):
        replay(request(3))
    other = wrap(never, Replayed([tmp_path / "a.wire"]))
    with pytest.raises(RecordingError, match="step 1 was not recorded"):
        other(request(1))


def test_a_killed_writer_leaves_a_readable_file(tmp_path):
    file = tmp_path / "a.wire"
    with warnings.catch_warnings():
        # From Python 3.12 on, of threads in the caller: none of theirs is waited for below.
        warnings.simplefilter("ignore", DeprecationWarning)
        writer = os.fork()
    if not writer:
        with contextlib.suppress(BaseException):
            recorder = Recorder(file, 1 << 30)
            for step in range(100_000):
                recorder(request(step, size=1 << 14), answer)
        os._exit(1)
    until = time.monotonic() + 20
    while not (file.exists() and file.stat().st_size > 1 << 20) and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(writer, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(writer, 0)[1]) == -signal.SIGKILL
    steps = steps_in(file)
    assert len(steps) > 5
    assert steps == list(range(len(steps)))
