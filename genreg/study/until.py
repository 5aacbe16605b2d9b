"""Seeds until decided: how often a comparison is looked at, and where it ends."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from genreg.errors import InputError
from genreg.parameters import STRICT, Count, Positive, blame
from genreg.study.model import FEWEST

LIMIT = 100
"""Seeds at most where a file gives only minutes."""

LOOKS = 1000
"""Seeds at most of a comparison that is looked at again and again: its test simulates every look."""


@dataclass(config=STRICT, kw_only=True)
class Until:
    """A comparison gets more seeds until it is decided, or one of the limits is met.

    margin: a difference that is not worth having, `1 points` of a share in percent or `0.1 absolute` in the
    metric's own unit; a comparison that is shown to be within it is decided. first: seeds at the first look.
    looks: `every` seed from there on, or a list. most: seeds at most. minutes: of the part's own runs, summed
    up, after which no seed is added.
    """

    margin: str | None = None
    first: Annotated[Count, Field(ge=FEWEST, le=LOOKS)] = FEWEST
    looks: Literal["every"] | list[Annotated[Count, Field(le=LOOKS)]] = "every"
    most: Annotated[Count, Field(le=LOOKS)] | None = None
    minutes: Positive | None = None

    @property
    def plan(self) -> list[int]:
        """The numbers of seeds at which it looks."""
        if isinstance(self.looks, list):
            return sorted({self.first, *self.looks})
        return list(range(self.first, (self.most or LIMIT) + 1))


DECIDED = Until(most=20)
"""What `--until decided` means for a part that says nothing of its own."""


def read_until(key: str, node: Any) -> Until:
    """The checked content of `until`; InputError names the first bad key."""
    if not isinstance(node, dict):
        raise InputError(key, "first, looks, most, minutes and margin", node)
    if node.get("margin") is not None:
        margin_of(f"{key}.margin", node["margin"])
    with blame(key, Until):
        until = Until(**node)
    if until.most is None and until.minutes is None and until.looks == "every":
        raise InputError(key, "a limit: most (seeds) or minutes")
    if until.looks == "every" and (most := until.most or LIMIT) < until.first:
        raise InputError(f"{key}.most", f"at least as many as at the first look, {until.first}", most)
    if until.plan[0] < until.first:
        raise InputError(f"{key}.looks", f"numbers of seeds from first={until.first} on", until.plan[0])
    if until.most is not None and until.plan[-1:] != [until.most]:
        raise InputError(
            f"{key}.looks", f"a last look at most={until.most} seeds", until.plan[-1:] or until.first
        )
    return until


def margin_of(key: str, text: object) -> tuple[float, str]:
    """A margin as number and unit; InputError for one without a unit."""
    match = re.fullmatch(r"\s*([0-9.]+(?:e-?[0-9]+)?)\s+(points?|absolute)\s*", str(text))
    if not match or float(match[1]) <= 0:
        units = "a number above 0 and its unit: '1 points' of a share in percent, or '0.1 absolute'"
        raise InputError(key, units, text)
    return float(match[1]), "absolute" if match[2] == "absolute" else "points"
