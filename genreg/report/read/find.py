"""Reads the parts of the given folders: those of `sweep.json`, or those that the folders' names make."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

from genreg.errors import InputError
from genreg.report.read.data import of_one_data
from genreg.report.read.grouping import plain_parts
from genreg.report.read.parts import Arm, Part, Tried, check_select, tell_apart
from genreg.report.read.runs import Run, read_run
from genreg.run.folder import Row, find_runs, printable


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
    return parts + plain_parts(plain)


def _sweeps(folder: Path) -> list[Path]:
    """The sweep files of `folder`: its own, those below it, or else the nearest above it."""
    below = [folder / "sweep.json", *sorted(folder.glob("*/sweep.json"))]
    found = [path for path in below if path.is_file()]
    above = (parent / "sweep.json" for parent in folder.resolve().parents)
    return found or list(itertools.islice((path for path in above if path.is_file()), 1))


def _read_sweep(path: Path, within: Path, parts: list[Part], seen: set[Path]) -> set[Path]:
    """Append the sweep's parts as far as they lie in `within`; the run folders that they claim."""
    try:
        found = parts_of(json.loads(path.read_bytes()), path.parent)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(str(path), "a sweep file", f"{type(error).__name__}: {error}") from error
    claimed: set[Path] = set()
    for part in found:
        part.arms = [arm for arm in part.arms if _related(arm.folder.resolve(), within)]
        runs = (run for arm in part.arms for run in (*arm.runs.values(), *arm.other.values(), *arm.tried))
        own = {run.path.resolve() for run in runs}
        claimed |= own
        if part.arms and not own <= seen:
            parts.append(part)
    return claimed


def parts_of(sweep: Row, root: Path) -> list[Part]:
    """The parts that a sweep file's content names, whose folders lie in `root`."""
    return [_sweep_part(root, part, sweep) for part in sweep["parts"]]


def _related(folder: Path, within: Path) -> bool:
    return folder.is_relative_to(within) or within.is_relative_to(folder)


def _sweep_part(root: Path, given: Row, sweep: Row) -> Part:
    arms = [_arm(root, given, arm) for arm in given["arms"]]
    if not arms:
        raise ValueError(f"part {given['name']} has no arms")
    margin = given.get("margin")
    part = Part(
        name=printable(given["name"]), arms=arms, baseline=printable(given.get("baseline") or arms[0].name),
        metric=printable(given["metric"]), mode=given.get("mode"),
        select=given.get("select"), threshold=given.get("threshold"),
        command=printable(sweep.get("command") or ""), question=printable(sweep.get("question") or ""),
        margin=(float(margin["value"]), margin["unit"]) if margin else None,
        looks=tuple(map(int, given.get("looks") or ())), planned=given.get("planned", True) is True,
        seeds=tuple(map(int, given["seeds"])),
        group=printable(given.get("group") or ""), dataset=printable(given.get("dataset") or ""),
    )  # fmt: skip
    check_select(part.select, f"part {part.name}: select")
    if part.mode not in ("max", "min", None):
        raise ValueError(f"mode {part.mode} is neither max nor min")
    _check_threshold(part)
    tell_apart(part)
    return part


def _arm(root: Path, part: Row, given: Row) -> Arm:
    """An arm and its runs; one whose tuning is not over has no folder yet."""
    name, tuning = printable(given["name"]), given.get("tuning")
    tried = tuning and Tried(
        metric=printable(tuning["metric"]), planned=int(tuning["planned"]), space=dict(tuning["space"]),
        trials=[(dict(t["values"]), list(_runs(root, t["folder"], tuning["seeds"]).values()))
                for t in tuning["trials"]],
    )  # fmt: skip
    if tried:
        check_select(tried.metric, f"part {part['name']}: tune.metric")
    folder, seeds = given["folder"], given.get("seeds") or part["seeds"]
    runs, other, files = of_one_data({} if folder is None else _runs(root, folder, seeds))
    command = printable(given.get("command") or "")
    values = dict(given.get("values") or {})
    return Arm(name, root / (folder or name), runs, values, command, tried, other, files)


def _runs(root: Path, name: str, seeds: list[int]) -> dict[int, Run]:
    folder = root / name
    if not folder.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"the folder {name} leaves {root}")
    return {int(seed): read_run(folder / f"seed={int(seed)}") for seed in seeds}


def _check_threshold(part: Part) -> None:
    """Refuse a threshold that cannot be read, or that is not of validation."""
    if part.threshold is not None:
        check_select(part.threshold["metric"], f"part {part.name}: threshold")
        part.threshold = {**part.threshold, "value": float(part.threshold["value"])}
        if part.threshold.get("mode") not in (None, "max", "min"):
            raise ValueError(f"mode {part.threshold['mode']} is neither max nor min")
