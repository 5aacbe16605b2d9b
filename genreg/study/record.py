"""The file sweep.json, in which a study stands for its reports and its next start: one reader, one writer."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from genreg.errors import InputError, unwritable
from genreg.files import write_atomic
from genreg.run.folder import Row, printable
from genreg.run.reader import clean_json, read_bytes
from genreg.study.check import check_select
from genreg.study.model import EACH, TOGETHER, Arm, Part, Study, Trial, Tuning, tell_apart

FILE = "sweep.json"

WRONG = (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError)
"""What `read` raises for a file that is none of ours."""


def read(path: Path) -> Study:
    """The study in a file sweep.json, of whose runs nothing is read yet.

    InputError for steps or trials chosen by anything but validation; one of `WRONG` for what is no such file.
    """
    given, root = clean_json(read_bytes(path)), path.parent
    command, question = (printable(given.get(key) or "") for key in ("command", "question"))
    parts = [replace(_part(root, part), command=command, question=question) for part in given["parts"]]
    return Study(printable(given.get("sweep") or ""), parts, root, command, question)


def _part(root: Path, given: Row) -> Part:
    """A part from its node. One of `WRONG` for what is of another format."""
    margin, seeds, looks = _margin(given), _numbers(given["seeds"]), _numbers(given.get("looks") or ())
    arms = [_arm(root, given["name"], arm, seeds) for arm in given["arms"]]
    if not arms:
        raise ValueError(f"part {given['name']} has no arms")
    part = Part(
        name=printable(given["name"]), arms=arms, baseline=printable(given.get("baseline") or arms[0].name),
        metric=printable(given["metric"]), mode=given.get("mode"),
        select=given.get("select"), threshold=_threshold(given),
        margin=margin, looks=looks, planned=given.get("planned", True) is True,
        seeds=seeds, fresh=int(given.get("fresh") or 0),
        family=EACH if given.get("family") == EACH else TOGETHER,
        group=printable(given.get("group") or ""), dataset=printable(given.get("dataset") or ""),
    )  # fmt: skip
    check_select(part.select, f"part {part.name}: select")
    if part.mode not in ("max", "min", None):
        raise ValueError(f"mode {part.mode} is neither max nor min")
    if any(one >= other for one, other in pairwise((0, *part.looks))):
        raise ValueError(f"looks {list(part.looks)} are not ever more seeds")
    tell_apart(part)
    return part


def _numbers(given: Sequence[Any]) -> tuple[int, ...]:
    """Seeds, or numbers of them; ValueError for others."""
    found = tuple(map(int, given))
    if isinstance(given, str) or any(number < 0 for number in found) or len({*found}) < len(found):
        raise ValueError(f"{given} are no seeds")
    return found


def _margin(part: Row) -> tuple[float, str] | None:
    given = part.get("margin")
    if not given:
        return None
    value, unit = float(given["value"]), given["unit"]
    if unit not in ("points", "absolute") or not 0 < value < math.inf:
        raise ValueError(f"margin {value:g} {unit} is no number above 0 with its unit")
    return value, unit


def _threshold(part: Row) -> Row | None:
    given = part.get("threshold")
    if given is None:
        return None
    check_select(given["metric"], f"part {printable(part['name'])}: threshold")
    if given.get("mode") not in (None, "max", "min"):
        raise ValueError(f"mode {given['mode']} is neither max nor min")
    return {**given, "value": float(given["value"])}


def _arm(root: Path, part: str, given: Row, seeds: tuple[int, ...]) -> Arm:
    """An arm from its node; one whose tuning is not over has no folder yet."""
    folder, own = given["folder"], given.get("seeds")
    arm = Arm(
        printable(given["name"]), None if folder is None else _inside(root, folder),
        dict(given.get("values") or {}), printable(given.get("command") or ""),
        _numbers(own) if own else seeds,
    )  # fmt: skip
    if tuning := given.get("tuning"):
        arm.tuning = Tuning(
            printable(tuning["metric"]), int(tuning["planned"]), _numbers(tuning["seeds"]),
            dict(tuning["space"]), str(tuning.get("sampler")),
            [Trial(dict(trial["values"]), _inside(root, trial["folder"])) for trial in tuning["trials"]],
        )  # fmt: skip
        check_select(arm.tuning.metric, f"part {part}: tune.metric")
    common = {"name": given["name"], "values": given.get("values")}
    arm.again = [_arm(root, part, common | own, seeds) for own in given.get("studies") or ()]
    return arm


def _inside(root: Path, name: str) -> Path:
    """The folder called so; ValueError for one outside of the study's."""
    folder = root / name
    if not folder.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"the folder {name} leaves {root}")
    return folder


def write(study: Study) -> None:
    """Write root/sweep.json, whole or not at all, unless it is as it would be."""
    content = {
        "sweep": study.name, "command": study.command, "question": study.question,
        "parts": [_part_node(study.root, part) for part in study.parts],
    }  # fmt: skip
    path, text = study.root / FILE, json.dumps(content, indent=2).encode() + b"\n"
    try:
        if path.is_file() and read_bytes(path) == text:
            return
        study.root.mkdir(parents=True, exist_ok=True)
        with write_atomic(path) as file:
            file.write(text)
    except OSError as error:
        raise unwritable("output_dir", error) from error


def _part_node(root: Path, part: Part) -> Row:
    return {
        "name": part.name, "baseline": part.baseline, "metric": part.metric,
        "mode": part.mode, "select": part.select, "threshold": part.threshold,
        "margin": {"value": part.margin[0], "unit": part.margin[1]} if part.margin else None,
        "group": part.group, "dataset": part.dataset,
        "seeds": part.seeds, "looks": part.looks, "planned": part.planned,
        **({"fresh": part.fresh} if part.fresh else {}),
        **({"family": part.family} if part.family == EACH else {}),
        "arms": [_arm_node(root, part, arm) for arm in part.arms],
    }  # fmt: skip


def _arm_node(root: Path, part: Part, arm: Arm) -> Row:
    node: Row = {"name": arm.name, "folder": _name(root, arm.folder), "values": arm.values}
    node |= _study_node(root, part, arm)
    if arm.again:
        node["studies"] = [_study_node(root, part, one) for one in arm.again]
    return node


def _study_node(root: Path, part: Part, arm: Arm) -> Row:
    """The arm in one study: its folder, its seeds, its tuning."""
    node: Row = {"folder": _name(root, arm.folder), "command": arm.command}
    if tuple(arm.seeds) != part.seeds:
        node["seeds"] = list(arm.seeds)
    if tuning := arm.tuning:
        trials = [{"values": trial.values, "folder": _name(root, trial.folder)} for trial in tuning.trials]
        node["tuning"] = {
            "metric": tuning.metric, "planned": tuning.planned, "sampler": tuning.sampler,
            "seeds": tuning.seeds, "space": tuning.space, "trials": trials,
        }  # fmt: skip
    return node


def _name(root: Path, folder: Path | None) -> Any:
    return None if folder is None else folder.relative_to(root).as_posix()


def seen_before(root: Path) -> dict[str, Part]:
    """The parts of the file in `root` whose results could be seen: a run of the comparison has finished."""
    try:
        found = [part.with_runs() for part in read(root / FILE).parts]
    except FileNotFoundError:
        return {}
    except OSError as error:  # it may say which looks were taken by hand: not to be written over
        raise unwritable("output_dir", error) from error
    except (InputError, *WRONG):  # it is written anew
        return {}
    return {part.name: part for part in found if any(run.status == "done" for run in part.runs())}


def mark_changes(part: Part, before: Part) -> None:
    """Note that seeds were changed by hand after results were seen: looks are the old and the new numbers.

    Where one tuning becomes several studies, nothing is noted: one study alone gives no verdict of methods.
    """
    same = (part.seeds, part.fresh, part.looks, True) == (
        before.seeds, before.fresh, before.looks, before.planned)  # fmt: skip
    if part.fresh and not before.fresh:
        return
    if not same and {arm.folder for arm in part.arms} & {arm.folder for arm in before.arms}:
        old, new = (one.looks or (len(one.units),) for one in (before, part))
        part.looks, part.planned = tuple(sorted({*old, *new})), False
