"""What a scene says of the experiment behind it."""

from __future__ import annotations

import pytest

from tests.scenes import made, scene_of

__all__ = ["made"]


@pytest.mark.usefixtures("made")
def test_it_says_where_there_are_fewer_samples_than_asked_for() -> None:
    asked = scene_of(cut="1", protocol="vanilla", train_rows=45, test_rows=16, targets=17)
    assert asked.shortfalls == [
        "train_rows = 45: there are only 44, all are taken",
        "targets = 17: there are only 16, all are taken",
    ]
    assert not scene_of(cut="1", protocol="vanilla").shortfalls
