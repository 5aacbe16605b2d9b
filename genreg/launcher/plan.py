"""sweep.json: what a sweep is made of, for `genreg report`."""

import json
import os
import shlex
from pathlib import Path
from typing import Any

from genreg.errors import InputError
from genreg.launcher.job import Job
from genreg.launcher.overrides import key, merged
from genreg.launcher.sweep import Arm, Sweep


def batches(arms: list[Arm], given: list[str]) -> tuple[list[Arm], list[list[str]]]:
    """The arm and the overrides of every job, seed by seed, so that early results can be compared.

    given: overrides that hold for every arm.
    """
    pairs: list[tuple[Arm, int]] = []
    for part in dict.fromkeys(arm.part for arm in arms):
        own = [arm for arm in arms if arm.part == part]
        pairs += [(arm, seed) for seed in own[0].seeds for arm in own]
    return [arm for arm, _ in pairs], [[*merged(arm.overrides, given), f"seed={seed}"] for arm, seed in pairs]


def write(
    folder: Path, name: str, command: list[str], sweep: Sweep, owners: list[Arm], jobs: list[Job]
) -> None:
    """Write folder/sweep.json, whole or not at all.

    owners: the arm of each job. InputError if arms of one part end in one folder.
    """
    first: dict[tuple[str, str], tuple[Arm, Job]] = {}
    for arm, job in zip(owners, jobs, strict=True):
        first.setdefault((arm.part, arm.name), (arm, job))
    parts = []
    for part_name, part in sweep.parts.items():
        own = [pair for (of, _), pair in first.items() if of == part_name]
        parts.append({
            "name": part_name, "baseline": part.baseline or own[0][0].name, "metric": part.metric,
            "mode": part.mode, "select": part.select,
            "threshold": part.threshold and {"metric": part.threshold.metric, "value": part.threshold.value},
            "seeds": own[0][0].seeds, "arms": [_arm(folder, arm, job) for arm, job in own],
        })  # fmt: skip
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f"sweep.json.{os.getpid()}"
        whole = {"sweep": name, "command": shlex.join(["genreg", "train", *command]), "parts": parts}
        unfinished.write_text(json.dumps(whole, indent=2) + "\n")
        unfinished.replace(folder / "sweep.json")
    except OSError as error:
        raise InputError("output_dir", "a folder that can be written", str(error)) from error


def _arm(folder: Path, arm: Arm, job: Job) -> dict[str, Any]:
    overrides = [override for override in job.overrides if key(override) != "seed"]
    return {
        "name": arm.name,
        "folder": job.folder.path.parent.relative_to(folder).as_posix(),
        "values": arm.values,
        "command": shlex.join(["genreg", "train", *overrides]) + " seed=N",
    }
