"""Values as people write them, in files and on command lines: what pydantic takes too kindly is refused."""

from __future__ import annotations

from pydantic import BaseModel, ValidationInfo, field_validator

from cutlayer.option import not_truth


class Given(BaseModel):
    """Keys and their values."""

    @field_validator("*", mode="before")
    @classmethod
    def _number(cls, value: object, info: ValidationInfo) -> object:
        return not_truth(value, cls.model_fields[str(info.field_name)].annotation)
