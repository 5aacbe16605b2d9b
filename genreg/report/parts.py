"""Parts and arms: which runs are compared, and on what."""

from dataclasses import dataclass, field
from pathlib import Path

from genreg.errors import InputError
from genreg.report.runs import Run
from genreg.run.folder import Row, printable

LARGER_IS_BETTER = {"accuracy", "modes", "high_quality", "precision", "recall"}


@dataclass
class Arm:
    """One configuration over its seeds. values: what was varied. command: how to make it, with seed=N."""

    name: str
    folder: Path
    runs: dict[int, Run]
    values: Row = field(default_factory=dict)
    command: str = ""

    def command_of(self, seed: int) -> str:
        """How that run is made: the sweep's command, or what the run itself recorded."""
        given = self.command.replace("seed=N", f"seed={seed}")
        return given or self.runs[seed].command


@dataclass
class Part:
    """Arms that are compared with one another on one metric. mode: `max` or `min` is better."""

    name: str
    arms: list[Arm]
    baseline: str
    metric: str
    mode: str
    select: str | None
    threshold: Row | None = None
    command: str = ""
    reselect: bool = False  # rows are chosen anew by `select`
    notes: list[str] = field(default_factory=list)


def direction(metric: str) -> str:
    """`max` for accuracies, modes and shares, `min` for losses, distances and traces."""
    return "max" if metric.rsplit("/", 1)[-1] in LARGER_IS_BETTER else "min"


def check_select(metric: object, key: str) -> None:
    """Refuse to choose steps by anything but validation."""
    if metric is not None and not str(metric).startswith(("validation/", "validation_clean/")):
        raise InputError(key, "a validation metric (test data are for reporting, not for choosing)", metric)


def tell_apart(part: Part) -> None:
    """No two arms of a part have the same name: the folder's own name is added to both."""
    names = [arm.name for arm in part.arms]
    for name in sorted({name for name in names if names.count(name) > 1}):
        twins = [arm for arm in part.arms if arm.name == name]
        part.notes.append(f"{len(twins)} arms are called {name}: told apart by their folders")
        for number, arm in enumerate(twins, start=1):
            own = printable(arm.folder.name)
            arm.name = own if len({twin.folder for twin in twins}) == len(twins) else f"{own} ({number})"
