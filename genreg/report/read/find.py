"""The parts below given folders: those of sweep.json, or those that the folders' names make."""

import itertools
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

from genreg.errors import InputError
from genreg.run.find import find_runs
from genreg.run.folder import SEED, Row, printable
from genreg.run.identity import PLUMBING
from genreg.run.metric import Better, baselines, to_report
from genreg.run.read import Run, flat, in_full, labels, of_one_data, read_run
from genreg.study import record
from genreg.study.model import Arm, Part, same_data, tell_apart

ARM_FOLDER = re.compile(r"(.+)-[0-9a-f]{8}")


def plain_parts(folders: dict[Path, list[Path]]) -> list[Part]:
    """Parts by the folder that holds the arms' folders; the same arm in two places is one arm."""
    grouped: dict[str, dict[str, Arm]] = {}
    notes: dict[str, list[str]] = {}
    for folder, paths in folders.items():
        named: dict[Path, str] = {}
        for path in paths:
            own = path.parent if SEED.fullmatch(path.name) else path  # a run called otherwise is an arm alone
            if own.parent not in named:
                named[own.parent] = _named_by(own.parent.resolve(), folder.resolve())
            name = named[own.parent]
            arms = grouped.setdefault(name, {})
            if own.name not in arms:
                arms[own.name] = Arm(_short(own.name), own)
            arm, run = arms[own.name], read_run(path)
            if run.seed in arm.runs:
                first = arm.runs[run.seed].path
                text = f"{arm.name} has seed {run.seed} twice: {first} is used, {path} is not"
                notes.setdefault(name, []).append(printable(text))
            else:
                arm.runs[run.seed] = run
    found = (_by_data(name, list(arms.values()), notes.get(name, [])) for name, arms in grouped.items())
    return [part for parts in found for part in parts]


def _named_by(place: Path, root: Path) -> str:
    """The name of a part, after the folder that holds its arms: from `root` on, else its last word."""
    inside = place.relative_to(root) if place.is_relative_to(root) else Path()
    return printable(inside if inside.parts else place.name)


def _by_data(name: str, arms: list[Arm], notes: list[str]) -> list[Part]:
    """The part of a folder; where its arms read different data, one for each, called by them."""
    for arm in arms:
        arm.runs, arm.other, arm.files = of_one_data(arm.runs)
    _find_values(arms)
    groups = same_data(arms)
    if len(groups) == 1:
        return [_plain_part(name, arms, notes)]
    data = [data for data, _ in groups]
    called = labels(data)
    notes.append(f"arms in {name} read different data, each told by itself: {'; '.join(in_full(data))}")
    return [
        _plain_part(f"{name} ({label})", own, notes if number == 0 else notes[-1:])
        for number, (label, (_, own)) in enumerate(zip(called, groups, strict=True))
    ]


def _plain_part(name: str, arms: list[Arm], notes: list[str]) -> Part:
    runs = [run for arm in arms for run in arm.runs.values()]
    selection = next((run.selection for run in runs if run.selection), [])
    metric, mode = _default_metric(runs, selection)
    part = Part(name, arms, "", metric, mode, selection[0] if selection else None, notes=list(notes))
    _name_by_values(arms)
    tell_apart(part)
    names = [arm.name for arm in arms]
    known = dict.fromkeys(name for run in runs for name in baselines(run.summary))
    part.baseline = next((name for name in known if name in names), names[0])
    arms.sort(key=lambda arm: arm.name != part.baseline)
    return part


def _default_metric(runs: Sequence[Run], selection: Sequence[str]) -> tuple[str, Better | None]:
    """The metric to report, and which way it is better where the selection says it of the same measure."""
    first = next((run for run in runs if run.last), None)
    keys, metrics = (list(first.last or ()), first.summary.get("metrics")) if first else ([], None)
    metric = to_report(keys, selection, metrics)
    if not selection or metric.partition("/")[2] != selection[0].partition("/")[2]:
        return metric, None
    return metric, "max" if selection[1] == "max" else "min"


def _short(folder: str) -> str:
    match = ARM_FOLDER.fullmatch(folder)
    return printable(match[1] if match else folder)


def _find_values(arms: list[Arm]) -> None:
    """Find for arms of equal names the values in which their configurations differ, and put them in order."""
    by_name = _named(arms)
    for group in by_name:
        if len(group) == 1:
            continue
        configs = [flat(arm.config) for arm in group]
        keys = [
            k
            for k in dict.fromkeys(k for config in configs for k in config)
            if k.split(".")[0] not in PLUMBING
        ]
        varied = [k for k in keys if len({repr(config.get(k)) for config in configs}) > 1]
        for arm, config in zip(group, configs, strict=True):
            arm.values = {printable(key): config.get(key) for key in varied}
        group.sort(key=lambda arm: [_order(value) for value in arm.values.values()])
    arms[:] = [arm for group in by_name for arm in group]


def _name_by_values(arms: list[Arm]) -> None:
    """Add to equal names the values in which they differ."""
    for group in _named(arms):
        varied = {k for k in group[0].values if len({repr(arm.values.get(k)) for arm in group}) > 1}
        for arm in group:
            told = {key: value for key, value in arm.values.items() if key in varied}
            arm.name = ",".join([arm.name, *_words(told)])


def _named(arms: Sequence[Arm]) -> list[list[Arm]]:
    """The arms of each name."""
    by_name: dict[str, list[Arm]] = {}
    for arm in arms:
        by_name.setdefault(arm.name, []).append(arm)
    return list(by_name.values())


def value_words(arm: Arm) -> list[str]:
    """The varied values, as a name says them: `xi=0.1`."""
    return _words(arm.values)


def _words(values: Row) -> list[str]:
    return [f"{key.rsplit('.', 1)[-1]}={_text(value)}" for key, value in values.items()]


def _text(value: object) -> str:
    return printable(f"{value:g}" if isinstance(value, float) and math.isfinite(value) else value)


def _order(value: object) -> tuple[int, float, str]:
    number = isinstance(value, int | float)
    return (0, float(value), "") if number else (1, 0.0, str(value))  # type: ignore[arg-type]


def read_parts(folders: Sequence[Path]) -> list[Part]:
    """The parts below the folders. Raises InputError, naming the folder, where there are no runs.

    A sweep file that is none of ours is a note, and its runs are left out; an error if there is nothing else.
    """
    parts: list[Part] = []
    wrong: list[InputError] = []
    plain: dict[Path, list[Path]] = {}
    seen: set[Path] = set()
    for folder in folders:
        if not folder.is_dir():
            raise InputError("FOLDER", "a folder of runs", str(folder))
        paths = {path.resolve(): path for path in find_runs(folder)}
        sweeps = sweep_files(folder)
        before = len(wrong)
        claimed = {
            path for sweep in sweeps for path in _read_sweep(sweep, folder.resolve(), parts, seen, wrong)
        }
        if not paths and not claimed:
            raise InputError("FOLDER", "a folder with runs below it (folders seed=N)", str(folder))
        left = [path for real, path in paths.items() if real not in claimed | seen]
        seen |= claimed | paths.keys()
        if left and claimed:
            parts[-1].notes.append(f"{len(left)} runs below {folder} belong to no sweep and are left out")
        elif left and len(wrong) == before:
            plain[folder] = left
    parts += plain_parts(plain)
    if wrong and not parts:
        raise wrong[0]
    for error in wrong:
        parts[-1].notes.append(printable(f"{error}: its runs are left out"))
    return parts


def sweep_files(folder: Path) -> list[Path]:
    """The sweep files of `folder`: its own, those below it, or else the nearest above it."""
    below = [folder / record.FILE, *sorted(folder.glob(f"*/{record.FILE}"))]
    found = [path for path in below if os.path.lexists(path)]
    above = (parent / record.FILE for parent in folder.resolve().parents)
    return found or list(itertools.islice((path for path in above if os.path.isfile(path)), 1))


def _read_sweep(
    path: Path, within: Path, parts: list[Part], seen: set[Path], wrong: list[InputError]
) -> set[Path]:
    """Append the sweep's parts as far as they lie in `within`, or what is wrong; the runs that they claim."""
    try:
        found = [part.with_runs() for part in record.read(path).parts]
    except record.WRONG as error:
        wrong.append(InputError(str(path), "a sweep file", f"{type(error).__name__}: {error}"))
        return set()
    claimed: set[Path] = set()
    for part in found:
        part.arms = [arm for arm in part.arms if _related((arm.folder or path.parent).resolve(), within)]
        runs = (run for arm in part.arms for run in (*arm.runs.values(), *arm.other.values(), *arm.tried))
        own = {run.path.resolve() for run in runs}
        claimed |= own
        if part.arms and not own <= seen:
            parts.append(part)
    return claimed


def _related(folder: Path, within: Path) -> bool:
    return folder.is_relative_to(within) or within.is_relative_to(folder)
