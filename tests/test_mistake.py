"""What a user reads of a value that does not fit."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cutlayer.mistake import mistake, nearest


class Oven(BaseModel):
    model_config = ConfigDict(extra="forbid")

    heat: float = Field(description="in degrees")
    mode: Literal["grill", "bake"] = "bake"
    trays: tuple[float, ...] = Field((), description="where they are, in cm")

    @field_validator("heat")
    @classmethod
    def _safe(cls, heat: float) -> float:
        if heat > 300:
            raise ValueError("burns down the house")
        return heat


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "heat is missing: in degrees"),
        ({"heat": "hot"}, "heat = 'hot': must be a valid number, unable to parse string as a number (in degrees)"),
        ({"heat": 301}, "heat = 301: burns down the house"),
        ({"heat": 1, "mode": "gril"}, "mode = 'gril': must be 'grill' or 'bake' (did you mean 'grill'?)"),
        ({"heat": 1, "trays": 3}, "trays = 3: must be a list, in brackets (where they are, in cm)"),
        ({"heat": 1, "trays": [1, None]}, "trays = None: must be a valid number (where they are, in cm)"),
        ({"heat": 1, "trais": 3}, "unknown key 'trais' (did you mean 'trays'?); keys: heat, mode, trays"),
    ],
)
def test_the_value_the_reason_and_the_choices(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as found:
        Oven.model_validate(values)
    assert mistake(found.value, Oven, "the oven", a_list="a list, in brackets") == says


def test_all_values_have_a_name_of_their_own() -> None:
    with pytest.raises(ValidationError) as found:
        Oven.model_validate(3)
    assert mistake(found.value, Oven, "the oven", a_list="a list").startswith("must be a valid dictionary")


def test_another_word_of_three_letters_is_no_slip() -> None:
    assert nearest("lna", ["lan", "wan"]) == " (did you mean 'lan'?)"
    assert nearest("gpu", ["auto", "cpu", "cuda"]) == ""
    assert nearest("cppu", ["auto", "cpu", "cuda"]) == " (did you mean 'cpu'?)"
