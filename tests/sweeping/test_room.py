"""How many cells fit on a machine at once, and how long they take there."""

from __future__ import annotations

import pytest

from cutlayer.sweeping.room import Room


@pytest.mark.parametrize(
    ("room", "running", "cores", "fits"),
    [
        (Room(2, 2), [], 2, True),
        (Room(2, 2), [1], 1, True),
        (Room(2, 2), [1], 2, False),
        (Room(2, 2), [2], 1, False),
        (Room(8, 8), [3, 1], 4, True),
        (Room(8, 2), [1, 1], 1, False),
        (Room(8, 1), [], 8, True),
        # It cannot wait for cores that are not there.
        (Room(2, 2), [], 4, True),
    ],
)
def test_a_cell_begins_where_its_cores_are_free(room: Room, running: list[int], cores: int, fits: bool) -> None:
    assert room.beside(running, cores) is fits


def test_as_many_are_at_work_as_the_smallest_leave_room_for() -> None:
    assert [Room(8, cells).most([8, 1, 2, 4]) for cells in (8, 2, 1)] == [3, 2, 1]
    assert Room(2, 2).most([2, 2]) == 1
    assert Room(2, 2).most([]) == 1


def test_together_they_take_what_the_cores_let_them_take() -> None:
    room = Room(2, 2)
    assert room.seconds([1, 1, 1], [5.0, 5.0, 5.0]) == 10
    assert room.seconds([1, 1, 1], [8.0, 3.0, 3.0]) == 8
    # A cell that takes both cores waits until they are free, and those behind it do not.
    assert room.seconds([1, 2, 1, 1], [4.0, 3.0, 1.0, 3.0]) == 4 + 3
    assert Room(2, 1).seconds([1, 1], [4.0, 3.0]) == 7
    assert room.seconds([], []) == 0
