"""Lanes as files: what a reader sees of a writer, whatever happens to the file."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from measurand.core import lane_format
from measurand.core.lanes import Damaged, Full, Lane, Reader

pytestmark = pytest.mark.once

CONTENT = {"name": "m", "width": 2}


def written(path: Path, series: int = 3) -> Lane:
    """A lane with one metric, whose series "0", "1", … have the numbers 1.5 and 0, 1, …"""
    lane = Lane.create(path)
    metric = lane.add_metric(CONTENT)
    for number in range(series):
        at = lane.add_series(metric, (str(number), "é\n"))
        lane.values[at], lane.values[at + 1] = 1.5, number
    lane.publish()
    return lane


def seen(reader: Reader) -> dict[str, tuple[float, ...]]:
    reading = reader.read()
    return {
        key[0]: tuple(reading.values[at : at + metric.width])
        for metric in reading.metrics
        for key, at in metric.series.items()
        if reading.values[at - 1] != 0.0
    }


def test_a_reader_sees_what_was_written_and_what_is_added_later(tmp_path: Path) -> None:
    lane, reader = written(tmp_path / "lane-0"), Reader(tmp_path / "lane-0")
    assert seen(reader) == {"0": (1.5, 0.0), "1": (1.5, 1.0), "2": (1.5, 2.0)}
    lane.values[lane.add_series(0, ("new", ""))] += 7
    lane.values[lane.contents.metrics[0].series["0", "é\n"]] += 1
    assert seen(reader) == {"0": (2.5, 0.0), "1": (1.5, 1.0), "2": (1.5, 2.0), "new": (7.0, 0.0)}
    reading = reader.read()
    assert (reading.writer, reading.damage, reading.metrics[0].content) == (os.getpid(), None, CONTENT)
    assert next(iter(reading.metrics[0].series)) == ("0", "é\n")


def test_a_removed_series_is_not_shown_and_a_new_one_of_its_labels_is_another(tmp_path: Path) -> None:
    lane, reader = written(tmp_path / "lane-0"), Reader(tmp_path / "lane-0")
    at = lane.contents.metrics[0].series["1", "é\n"]
    lane.remove(at)
    assert not lane.is_shown(at)
    assert sorted(seen(reader)) == ["0", "2"]
    assert lane.add_series(0, ("1", "é\n")) != at
    assert seen(reader)["1"] == (0.0, 0.0)


def test_the_last_note_about_a_series_stands(tmp_path: Path) -> None:
    lane = written(tmp_path / "lane-0")
    lane.add_note(0, ("0", "é\n"), {"version": "1"})
    lane.add_note(0, ("0", "é\n"), {"version": "2"})
    used = lane.used
    lane.add_note(0, ("0", "é\n"), {"version": "2"})
    assert lane.used == used
    assert Reader(lane.path).read().metrics[0].notes == {("0", "é\n"): {"version": "2"}}


def test_a_lane_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    lane = Lane.create(tmp_path / "lane-0")
    assert not lane.path.exists()
    lane.publish()
    assert lane.path.stat().st_blocks * 512 >= lane.path.stat().st_size  # set aside, not only promised
    assert [path.name for path in tmp_path.iterdir()] == ["lane-0"]
    assert lane.path.stat().st_mode & 0o777 == 0o600


def test_a_full_device_is_an_error_at_creation_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(OSError, match="No space"):
        Lane.create(tmp_path / "lane-0")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sizes", [{"index": 200}, {"cells": 7}])
def test_a_full_lane_says_so_and_what_it_has_stays_readable(tmp_path: Path, sizes: dict[str, int]) -> None:
    lane = Lane.create(tmp_path / "lane-0", **sizes)
    metric = lane.add_metric(CONTENT)

    def fill() -> None:
        for number in range(100):
            lane.add_series(metric, (str(number), ""))

    with pytest.raises(Full):
        fill()
    lane.publish()
    assert seen(Reader(lane.path)) == {key[0]: (0.0, 0.0) for key in lane.contents.metrics[0].series}


def test_a_larger_lane_takes_the_place_of_one_that_is_being_read(tmp_path: Path) -> None:
    written(tmp_path / "lane-0")
    reader = Reader(tmp_path / "lane-0")
    assert len(seen(reader)) == 3
    written(tmp_path / "lane-0", series=5)
    assert len(seen(reader)) == 5
    (tmp_path / "lane-0").unlink()
    with pytest.raises(FileNotFoundError):
        reader.read()


def test_an_adopted_lane_goes_on_where_its_writer_stopped(tmp_path: Path) -> None:
    written(tmp_path / "lane-0").begin_exchange()
    lane = Lane.adopt(tmp_path / "lane-0")
    lane.values[lane.contents.metrics[0].series["1", "é\n"]] += 1
    lane.add_series(0, ("3", ""))
    assert seen(Reader(lane.path)) == {"0": (1.5, 0.0), "1": (2.5, 1.0), "2": (1.5, 2.0), "3": (0.0, 0.0)}


def test_a_reader_waits_for_an_exchange_to_end_but_not_for_ever(tmp_path: Path) -> None:
    lane = written(tmp_path / "lane-0")
    lane.begin_exchange()
    assert len(seen(Reader(lane.path))) == 3
    lane.end_exchange()
    lane.end_exchange()
    assert Reader(lane.path).read(attempts=1).damage is None


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    written(tmp_path / "lane-0")
    (tmp_path / "lane-1").symlink_to(tmp_path / "lane-0")
    for use in (Reader(tmp_path / "lane-1").read, lambda: Lane.adopt(tmp_path / "lane-1")):
        with pytest.raises(Damaged, match=r"no file.*symbolic"):
            use()


def test_what_is_no_file_is_damage_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lane-0")
    (tmp_path / "lane-1").mkdir()
    for name in ("lane-0", "lane-1"):
        for use in (Reader(tmp_path / name).read, lambda name=name: Lane.adopt(tmp_path / name)):
            with pytest.raises(Damaged, match="no file"):
                use()


# -- damage --------------------------------------------------------------------------------------------------------------------


def test_a_lane_cut_off_anywhere_is_reported_and_nothing_else(tmp_path: Path) -> None:
    lane = Lane.create(tmp_path / "lane-0", index=512, cells=32)
    lane.add_metric(CONTENT)
    lane.add_series(0, ("x", ""))
    lane.publish()
    whole = lane.path.read_bytes()
    cut, reader = tmp_path / "cut", Reader(tmp_path / "cut")
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        for use in (reader.read, Reader(cut).read, lambda: Lane.adopt(cut)):
            with pytest.raises(Damaged):
                use()
    cut.write_bytes(whole)
    assert seen(reader) == {"x": (0.0, 0.0)}


def test_a_reader_survives_a_file_that_is_cut_while_it_reads(tmp_path: Path) -> None:
    lane, reader = written(tmp_path / "lane-0"), Reader(tmp_path / "lane-0")
    seen(reader)
    os.truncate(lane.path, 100)
    with pytest.raises(Damaged):
        reader.read()


def test_flipped_bits_are_found_or_change_one_number_only(tmp_path: Path) -> None:
    lane = written(tmp_path / "lane-0", series=20)
    whole, flipped, chance = lane.path.read_bytes(), tmp_path / "flipped", random.Random(1)
    start = lane_format.START
    places = [chance.randrange(start + lane.used) for _ in range(700)] + [chance.randrange(len(whole)) for _ in range(300)]
    good = seen(Reader(lane.path))
    found = 0
    for place in places:
        data = bytearray(whole)
        data[place] ^= 1 << chance.randrange(8)
        flipped.write_bytes(data)
        reader = Reader(flipped)
        try:
            reading = reader.read(attempts=2)
        except Damaged:
            found += 1
            continue
        found += reading.damage is not None
        now = seen(reader)
        assert all(key in good for key in now)
        assert sum(now[key] != good[key] for key in now) <= 1
        assert reading.damage is not None or len(now) >= len(good) - 1
    assert found >= 600


def test_what_stands_before_the_damage_is_still_read(tmp_path: Path) -> None:
    lane = written(tmp_path / "lane-0", series=5)
    data = bytearray(lane.path.read_bytes())
    data[lane_format.START + lane.used - 9] ^= 255
    (tmp_path / "hurt").write_bytes(data)
    reader = Reader(tmp_path / "hurt")
    assert sorted(seen(reader)) == ["0", "1", "2", "3"]
    assert reader.read().damage == "a record's checksum is wrong"


# -- the writer ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "damage"),
    [
        (lambda path: None, None),
        (lambda path: os.truncate(path, 70), "it was truncated"),
        (os.unlink, "it is gone"),
        (written, "another file has its name"),
        (lambda path: overwrite(path, 3, b"x"), "its header or index was changed"),
        (lambda path: overwrite(path, 8 * lane_format.USED, b"xx"), "its header or index was changed"),
        (lambda path: overwrite(path, 8 * lane_format.SEQUENCE, b"x"), "its header or index was changed"),
        (lambda path: overwrite(path, lane_format.START + 30, b"x"), "its header or index was changed"),
    ],
)
def test_a_writer_notices_what_was_done_to_its_lane(tmp_path: Path, act: Callable[[Path], object], damage: str | None) -> None:
    lane = written(tmp_path / "lane-0")
    act(lane.path)
    assert lane.damage == damage


def overwrite(path: Path, at: int, content: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(content)


def test_a_writer_goes_on_whatever_its_lane_says_of_itself(tmp_path: Path) -> None:
    lane = written(tmp_path / "lane-0")
    for word in (lane_format.USED, lane_format.SEQUENCE, lane_format.UNSHARED):
        overwrite(lane.path, 8 * word, b"\xff" * 8)
    lane.add_series(0, ("new", ""))
    lane.end_exchange()
    lane.unshared += 1
    reading = Reader(lane.path).read(attempts=1)
    assert (len(reading.metrics[0].series), reading.damage, reading.unshared) == (4, None, 1)
    assert lane.damage is None


def test_readers_are_told_what_stands_elsewhere_for_want_of_room(tmp_path: Path) -> None:
    lane = written(tmp_path / "lane-0")
    lane.unshared = 7
    assert (Reader(lane.path).read().unshared, Reader(lane.path).check().unshared) == (7, 7)
    assert Lane.adopt(lane.path).unshared == 0


def test_a_look_at_the_head_finds_the_same_damage(tmp_path: Path) -> None:
    lane = written(tmp_path / "lane-0")
    reader = Reader(lane.path)
    assert (len(reader.check().metrics[0].series), reader.check().damage) == (3, None)
    overwrite(lane.path, lane_format.START + lane.used - 9, b"x")
    assert Reader(lane.path).check().damage == Reader(lane.path).read().damage == "a record's checksum is wrong"


def test_label_values_of_any_reasonable_size_are_read_and_larger_ones_refused(tmp_path: Path) -> None:
    lane = Lane.create(tmp_path / "lane-0", index=1 << 23)
    metric = lane.add_metric(CONTENT)
    keys = [("x" * size, "") for size in (10, lane_format.CHUNK - 60, lane_format.CHUNK, 3 * lane_format.CHUNK, 20)]
    for key in keys:
        lane.add_series(metric, key)
    with pytest.raises(ValueError, match="too large to be shown"):
        lane.add_series(metric, ("x" * lane_format.LARGEST_RECORD, ""))
    lane.publish()
    assert list(Reader(lane.path).read().metrics[0].series) == list(Lane.adopt(lane.path).contents.metrics[0].series) == keys


def test_a_lane_that_cannot_be_adopted_for_want_of_space_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lane = written(tmp_path / "lane-0")

    def refuse(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(OSError, match="No space"):
        Lane.adopt(lane.path)
    assert len(seen(Reader(lane.path))) == 3


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not tell of open files")
def test_a_reader_keeps_no_file_open(tmp_path: Path) -> None:
    lane = written(tmp_path / "lane-0")
    before = len(os.listdir("/proc/self/fd"))
    readers = [Reader(lane.path) for _ in range(5)]
    for reader in readers:
        reader.read()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_lane_that_begins_like_another_is_adopted_with_all_it_has_and_the_other_stays_as_it_is(tmp_path: Path) -> None:
    for more, other in ((0, 3), (2, 3), (0, 4), (0, 0)):  # series behind those of the other one, and how many that has
        path = tmp_path / f"lane-{more}-{other}"
        left, like = written(path), written(tmp_path / "like", other)
        for number in range(more):
            left.values[left.add_series(0, (f"more {number}", ""))] = number
        there, known = left.contents.metrics[0].series, dict(like.contents.metrics[0].series)
        adopted = Lane.adopt(path, like)
        assert adopted.contents.metrics[0].series == there
        assert adopted.contents.metrics[0].content == CONTENT
        assert adopted.used == left.used
        adopted.values[adopted.add_series(0, ("own", ""))] = 5
        assert seen(Reader(path)) == seen(Reader(path)) | {"own": (5.0, 0.0)}
        assert len(seen(Reader(path))) == 3 + more + 1
        assert like.contents.metrics[0].series == known


def test_a_lane_that_was_given_up_keeps_nothing_that_is_written_to_it(tmp_path: Path) -> None:
    lane, reader = written(tmp_path / "lane-0"), Reader(tmp_path / "lane-0")
    before = seen(reader)
    lane.give_up()
    at = lane.add_series(0, ("late", ""))
    lane.values[at] = 1
    lane.begin_exchange()
    lane.remove(lane.contents.metrics[0].series["1", "é\n"])
    lane.unshared = 3
    assert seen(reader) == before
    assert reader.read().unshared == 0
