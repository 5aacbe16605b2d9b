"""Which runs belong together: parts and arms, from `sweep.json` or from the names of folders."""

import itertools
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genreg.errors import InputError
from genreg.records import Row
from genreg.report.runs import Run, find_runs, printable, read_config, read_run, recorded_command

BASELINES = ("none", "supervised", "gd", "sgd", "clip")
"""Arms that others are compared with where nobody says which."""

LARGER_IS_BETTER = {"accuracy", "modes", "quality", "precision", "recall"}
ARM_FOLDER = re.compile(r"(.+)-[0-9a-f]{8}")


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
        return given or recorded_command(self.runs[seed].path)


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


def read_parts(folders: Sequence[Path]) -> list[Part]:
    """The parts below the folders. Raises InputError, naming the folder, where there are no runs."""
    parts: list[Part] = []
    plain: dict[Path, list[Path]] = {}
    seen: set[Path] = set()
    for folder in folders:
        if not folder.is_dir():
            raise InputError("FOLDER", "a folder of runs", str(folder))
        paths = {path.resolve(): path for path in find_runs(folder)}
        sweeps = _sweeps(folder)
        claimed = {path for sweep in sweeps for path in _read_sweep(sweep, folder.resolve(), parts, seen)}
        if not paths and not claimed:
            raise InputError("FOLDER", "a folder with runs below it (folders seed=N)", str(folder))
        left = [path for real, path in paths.items() if real not in claimed | seen]
        seen |= claimed | paths.keys()
        if left and claimed:
            parts[-1].notes.append(f"{len(left)} runs below {folder} belong to no sweep and are left out")
        elif left:
            plain[folder] = left
    return parts + _plain_parts(plain)


def _sweeps(folder: Path) -> list[Path]:
    """The sweep files of `folder`: its own, those below it, or else the nearest above it."""
    below = [folder / "sweep.json", *sorted(folder.glob("*/sweep.json"))]
    found = [path for path in below if path.is_file()]
    above = (parent / "sweep.json" for parent in folder.resolve().parents)
    return found or list(itertools.islice((path for path in above if path.is_file()), 1))


def _read_sweep(path: Path, within: Path, parts: list[Part], seen: set[Path]) -> set[Path]:
    """Append the sweep's parts as far as they lie in `within`; the run folders that they claim."""
    try:
        sweep = json.loads(path.read_bytes())
        found = [_sweep_part(path.parent, part, sweep) for part in sweep["parts"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(str(path), "a sweep file", f"{type(error).__name__}: {error}") from error
    claimed: set[Path] = set()
    for part in found:
        part.arms = [arm for arm in part.arms if _related(arm.folder.resolve(), within)]
        claimed |= {run.path.resolve() for arm in part.arms for run in arm.runs.values()}
        if part.arms and not {run.path.resolve() for arm in part.arms for run in arm.runs.values()} <= seen:
            parts.append(part)
    return claimed


def _related(folder: Path, within: Path) -> bool:
    return folder.is_relative_to(within) or within.is_relative_to(folder)


def _sweep_part(root: Path, given: Row, sweep: Row) -> Part:
    arms = []
    for arm in given["arms"]:
        folder = root / arm["folder"]
        if not folder.resolve().is_relative_to(root.resolve()):
            raise ValueError(f"the folder {arm['folder']} leaves {root}")
        seeds = {
            int(seed): read_run(folder / f"seed={int(seed)}") for seed in arm.get("seeds", given["seeds"])
        }
        command = printable(arm.get("command") or "")
        arms.append(Arm(printable(arm["name"]), folder, seeds, dict(arm.get("values") or {}), command))
    if not arms:
        raise ValueError(f"part {given['name']} has no arms")
    part = Part(
        name=printable(given["name"]), arms=arms, baseline=printable(given.get("baseline") or arms[0].name),
        metric=printable(given["metric"]), mode=given.get("mode") or direction(given["metric"]),
        select=given.get("select"), threshold=given.get("threshold"),
        command=printable(sweep.get("command") or ""),
    )  # fmt: skip
    check_select(part.select, f"part {part.name}: select")
    if part.mode not in ("max", "min"):
        raise ValueError(f"mode {part.mode} is neither max nor min")
    _tell_apart(part)
    return part


def _plain_parts(folders: dict[Path, list[Path]]) -> list[Part]:
    """Parts by the folder that holds the arms' folders; the same arm in two places is one arm."""
    grouped: dict[str, dict[str, Arm]] = {}
    notes: dict[str, list[str]] = {}
    for folder, paths in folders.items():
        for path in paths:
            place = path.parent.parent.resolve()
            inside = place.relative_to(folder.resolve()) if place.is_relative_to(folder.resolve()) else Path()
            name = printable(inside if inside.parts else place.name)
            arms = grouped.setdefault(name, {})
            arm = arms.setdefault(path.parent.name, Arm(_short(path.parent.name), path.parent, {}))
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
    _tell_apart(part)
    names = [arm.name for arm in arms]
    part.baseline = next((name for name in BASELINES if name in names), names[0])
    arms.sort(key=lambda arm: arm.name != part.baseline)
    return part


def _default_metric(runs: Sequence[Run], selection: Sequence[str]) -> tuple[str, str]:
    """What is reported: the selected measure on test, else the trace, else whatever comes first."""
    names = next((list(run.last) for run in runs if run.last), [])
    wanted = ["test/" + selection[0].split("/", 1)[1]] if selection else ["w/trace"]
    left = [name for name in names if name.startswith("test/")] + [name for name in names if name != "step"]
    metric = next((name for name in [*wanted, *left] if name in names), wanted[0])
    return metric, selection[1] if selection and metric == wanted[0] else direction(metric)


def direction(metric: str) -> str:
    """`max` for accuracies, modes and shares, `min` for losses, distances and traces."""
    return "max" if metric.rsplit("/", 1)[-1] in LARGER_IS_BETTER else "min"


def check_select(metric: object, key: str) -> None:
    """Refuse to choose steps by anything but validation."""
    if metric is not None and not str(metric).startswith(("validation/", "validation_clean/")):
        raise InputError(key, "a validation metric (test data are for reporting, not for choosing)", metric)


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
        configs = [_flat(read_config(next(iter(arm.runs.values())).path)) for arm in group]
        ignored = ("seed", "output_dir", "data_dir", "logger", "device", "quiet", "checkpoint_every")
        keys = [
            k
            for k in dict.fromkeys(k for config in configs for k in config)
            if k.split(".")[0] not in ignored
        ]
        varied = [k for k in keys if len({repr(config.get(k)) for config in configs}) > 1]
        for arm, config in zip(group, configs, strict=True):
            arm.values = {printable(key): config.get(key) for key in varied}
            words = [f"{key.rsplit('.', 1)[-1]}={_text(value)}" for key, value in arm.values.items()]
            arm.name = ",".join([arm.name, *words])
        group.sort(key=lambda arm: [_order(value) for value in arm.values.values()])
    arms[:] = [arm for group in by_name.values() for arm in group]


def _tell_apart(part: Part) -> None:
    """No two arms of a part have the same name: the folder's own name is added to both."""
    names = [arm.name for arm in part.arms]
    for name in sorted({name for name in names if names.count(name) > 1}):
        twins = [arm for arm in part.arms if arm.name == name]
        part.notes.append(f"{len(twins)} arms are called {name}: told apart by their folders")
        for number, arm in enumerate(twins, start=1):
            own = printable(arm.folder.name)
            arm.name = own if len({twin.folder for twin in twins}) == len(twins) else f"{own} ({number})"


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
