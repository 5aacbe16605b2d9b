"""The types of a YAML value: its range is part of its type, and is checked where the value enters."""

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, validate_call

STRICT = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)
"""Nothing is converted silently: the string "3" is not a number, True is not 1."""


def _whole(value: Any) -> Any:
    """Let 1e4 count as an integer, as people type it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Number = Annotated[float, Field(allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, BeforeValidator(_whole), Field(ge=1)]
CountOrZero = Annotated[int, BeforeValidator(_whole), Field(ge=0)]

checked = validate_call(config=STRICT)
"""Decorate a function or `__init__` so that its arguments are held to their annotated types."""
