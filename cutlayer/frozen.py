"""What is kept as JSON and never changed in place: what has become of it is a copy, as valid as one made anew."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value with typed fields."""

    # Records of a newer version may carry more; a report of what is understood beats a refusal.
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    def changed(self, **values: Any) -> Self:
        """A copy with other ``values``: a ``TypeError`` names those that it has no field for.

        A ``ValidationError`` says which do not fit; values inside that are ``Frozen`` are taken as they are.
        """
        if unknown := sorted(values.keys() - type(self).model_fields.keys()):
            raise TypeError(f"{type(self).__name__} has no {', '.join(unknown)}")
        return self.model_validate({**dict(self), **values})
