"""Differences of a finished run from what the same command would make now: in code, in data."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from genreg.run import code, data
from genreg.run.folder import RunFolder
from genreg.run.identity import Config


@dataclass(frozen=True)
class Other:
    """Code and data that are other now; false where nothing is. unseen: why data cannot be compared."""

    code: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.code or self.data)


def other(folder: RunFolder, config: Config, look: data.Look, *, begun: bool = False) -> Other:
    """Compare a run with what would be made now. begun: it is not finished, and only its data matter.

    look: one for all runs that are asked for together.
    """
    return Other([] if begun else code.changed(folder), *data.compared(folder, config, look))


def words(others: Iterable[Other]) -> str:
    """`other code of model (genreg/model/mlp.py) and other data of mine.csv`, each once."""
    found = list(others)
    kinds = {"code": [part for one in found for part in one.code],
             "data": [part for one in found for part in one.data]}  # fmt: skip
    told = (f"other {kind} of {', '.join(dict.fromkeys(parts))}" for kind, parts in kinds.items() if parts)
    return " and ".join(told)
