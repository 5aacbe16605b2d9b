"""The runs of an arm, each with its folder and the command that makes it."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.read.runs import Run
from genreg.report.tell.numbers import number


@dataclass(frozen=True)
class RunLine:
    """One run in the list that a row opens."""

    seed: int
    status: str
    value: str
    seconds: str
    link: str
    folder: str
    command: str


def runs(result: PartResult, arm: ArmResult, base: Path) -> list[RunLine]:
    """By seed; links are relative to `base`."""
    values: dict[int, list[float]] = {}
    for (seed, _), value in arm.values.items():
        values.setdefault(seed, []).append(value)
    return [
        _line(run, values.get(run.seed, []), result, arm.arm.command_of(run.seed), base)
        for run in arm.arm.runs.values()
    ]


def _line(run: Run, values: list[float], result: PartResult, command: str, base: Path) -> RunLine:
    mean = sum(values) / len(values) if values else math.nan
    status = run.status if run.status != "failed" else f"failed: {run.reason}"
    folder = os.path.relpath(run.path, base)
    seconds = run.summary.get("seconds")
    shown = f"{seconds:.1f}" if isinstance(seconds, int | float) else ""
    link = "./" + quote(folder)  # a relative path whatever the name: never another scheme
    name = folder.encode(errors="replace").decode()
    return RunLine(run.seed, status, number(mean, result.metric), shown, link, name, command)
