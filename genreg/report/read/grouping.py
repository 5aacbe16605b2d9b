"""Parts and arms of folders without a sweep file: what the names and configurations of the runs tell."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genreg.report.read.parts import Arm, Part, tell_apart
from genreg.report.read.runs import Run, read_run
from genreg.run.folder import SEED, Row, printable
from genreg.run.identity import PLUMBING
from genreg.run.metric import Better

BASELINES = ("none", "supervised", "gd", "sgd", "clip")
"""Arms that others are compared with where nobody says which."""

ARM_FOLDER = re.compile(r"(.+)-[0-9a-f]{8}")


def plain_parts(folders: dict[Path, list[Path]]) -> list[Part]:
    """Parts by the folder that holds the arms' folders; the same arm in two places is one arm."""
    grouped: dict[str, dict[str, Arm]] = {}
    notes: dict[str, list[str]] = {}
    for folder, paths in folders.items():
        for path in paths:
            own = path.parent if SEED.fullmatch(path.name) else path  # a run called otherwise is an arm alone
            place = own.parent.resolve()
            inside = place.relative_to(folder.resolve()) if place.is_relative_to(folder.resolve()) else Path()
            name = printable(inside if inside.parts else place.name)
            arms = grouped.setdefault(name, {})
            arm = arms.setdefault(own.name, Arm(_short(own.name), own, {}))
            run = read_run(path)
            if run.seed in arm.runs:
                first = arm.runs[run.seed].path
                text = f"{arm.name} has seed {run.seed} twice: {first} is used, {path} is not"
                notes.setdefault(name, []).append(printable(text))
            else:
                arm.runs[run.seed] = run
    return [_plain_part(name, list(arms.values()), notes.get(name, [])) for name, arms in grouped.items()]


def _plain_part(name: str, arms: list[Arm], notes: list[str]) -> Part:
    runs = [run for arm in arms for run in arm.runs.values()]
    selection = next((run.selection for run in runs if run.selection), [])
    metric, mode = _default_metric(runs, selection)
    part = Part(name, arms, "", metric, mode, selection[0] if selection else None, notes=notes)
    _name_by_values(arms)
    tell_apart(part)
    names = [arm.name for arm in arms]
    part.baseline = next((name for name in BASELINES if name in names), names[0])
    arms.sort(key=lambda arm: arm.name != part.baseline)
    return part


def _default_metric(runs: Sequence[Run], selection: Sequence[str]) -> tuple[str, Better | None]:
    """What is reported: the selected measure on test, else the trace, else whatever comes first.

    With it, which way the selection says that it is better.
    """
    names = next((list(run.last) for run in runs if run.last), [])
    wanted = ["test/" + selection[0].split("/", 1)[1]] if selection else ["w/trace"]
    left = [name for name in names if name.startswith("test/")] + [name for name in names if name != "step"]
    metric = next((name for name in [*wanted, *left] if name in names), wanted[0])
    if not selection or metric != wanted[0]:
        return metric, None
    return metric, "max" if selection[1] == "max" else "min"


def _short(folder: str) -> str:
    match = ARM_FOLDER.fullmatch(folder)
    return printable(match[1] if match else folder)


def _name_by_values(arms: list[Arm]) -> None:
    """Add to equal names the values in which their configurations differ."""
    by_name: dict[str, list[Arm]] = {}
    for arm in arms:
        by_name.setdefault(arm.name, []).append(arm)
    for group in by_name.values():
        if len(group) == 1:
            continue
        configs = [_flat(arm.config) for arm in group]
        keys = [
            k
            for k in dict.fromkeys(k for config in configs for k in config)
            if k.split(".")[0] not in PLUMBING
        ]
        varied = [k for k in keys if len({repr(config.get(k)) for config in configs}) > 1]
        for arm, config in zip(group, configs, strict=True):
            arm.values = {printable(key): config.get(key) for key in varied}
            arm.name = ",".join([arm.name, *value_words(arm)])
        group.sort(key=lambda arm: [_order(value) for value in arm.values.values()])
    arms[:] = [arm for group in by_name.values() for arm in group]


def value_words(arm: Arm) -> list[str]:
    """What was varied, as a name says it: `xi=0.1`."""
    return [f"{key.rsplit('.', 1)[-1]}={_text(value)}" for key, value in arm.values.items()]


def _flat(config: Any, prefix: str = "") -> Row:
    if not isinstance(config, dict):
        return {prefix: config}
    return {
        k: v for name, node in config.items() for k, v in _flat(node, f"{prefix}.{name}".lstrip(".")).items()
    }


def _text(value: object) -> str:
    return printable(f"{value:g}" if isinstance(value, float) and math.isfinite(value) else value)


def _order(value: object) -> tuple[int, float, str]:
    number = isinstance(value, int | float)
    return (0, float(value), "") if number else (1, 0.0, str(value))  # type: ignore[arg-type]
