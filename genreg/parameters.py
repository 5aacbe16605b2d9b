"""The types of a YAML value: its range is part of its type, and is checked where the value enters."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, validate_call

from genreg.errors import NO_SUCH_KEY, InputError, nearest

STRICT = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)
"""Nothing is converted silently: the string "3" is not a number, True is not 1."""


UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")
"""What pydantic calls a key that there is not."""


def _whole(value: Any) -> Any:
    """Let 1e4 count as an integer, as people type it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Number = Annotated[float, Field(allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
MOST = 2**63 - 1  # beyond which nothing counts
Count = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=MOST)]
CountOrZero = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=MOST)]


class Neutral:
    """Marks a parameter that a later version added: one of `values` means what versions without it did.

    `samples: Annotated[Count, Neutral(1)] = 1`: a node with that value is the experiment that it was before
    the parameter was there, so its runs are found again (`run/identity.py`). The values are literals, since
    they are read from the text of the module (`run/sources.neutral`).
    """

    def __init__(self, *values: Any) -> None:
        self.values = values


checked = validate_call(config=STRICT)
"""Decorate a function or `__init__` so that its arguments are held to their annotated types."""


@contextmanager
def blame(key: str, target: Any) -> Iterator[None]:
    """Turn what a constructor says of its arguments into an InputError that names the YAML key."""
    prefix = f"{key}." if key else ""
    try:
        yield
    except ValidationError as error:
        found = error.errors()
        # a slip in a key also makes its value missing: the slip is told
        first = next((one for one in found if one["type"] in UNKNOWN), found[0])
        # in a union pydantic names the alternative as well: function-after[...]
        name = ".".join(
            str(part) for part in first["loc"] if str(part).isidentifier() or isinstance(part, int)
        )
        if first["type"] in UNKNOWN:
            near = nearest(name, parameters_of(target))
            raise InputError(prefix + name, NO_SUCH_KEY, first["input"], near) from error
        if first["type"].startswith("missing"):
            raise InputError(prefix + name, "a value") from error
        raise InputError(prefix + name, _expected(first), first["input"]) from error
    except ValueError as error:  # torch's optimizers: "Invalid beta parameter at index 0: 1.0"
        raise InputError(key, "usable values", str(error)) from error


def parameters_of(target: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a function; of a class, also those that it hands on to the classes above it."""
    found = dict(inspect.signature(target).parameters)
    if isinstance(target, type) and any(p.kind is p.VAR_KEYWORD for p in found.values()):
        above = target.__mro__[1] if len(target.__mro__) > 2 else None
        own = {name: p for name, p in found.items() if p.kind is not p.VAR_KEYWORD}
        return {**(parameters_of(above) if above else {}), **own}
    return found


def _expected(error: Any) -> str:
    """The expectation of pydantic, in words."""
    if error["type"] == "greater_than_equal" and error["ctx"]["ge"] == 0:
        return "a number, 0 or more"
    words = {
        "float_type": "a number",
        "bool_type": "true or false",
        "list_type": "a list",
        "string_type": "a word",
    }
    text: str = words.get(error["type"], error["msg"].removeprefix("Input should be "))
    return text
