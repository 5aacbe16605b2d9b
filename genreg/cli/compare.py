"""`genreg compare DATA`: methods tuned alike on data of one's own, from the file to a verdict and a page.

It writes a sweep file, runs it as `genreg train sweep=NAME` does, and reports on it.
"""

import hashlib
import json
import logging
import os
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
import yaml

from genreg.cli import compose, train
from genreg.cli.jobs import Composer
from genreg.cli.kind import Kind, kind_of
from genreg.dataset import Dataset
from genreg.download import data_dir_of, place_of
from genreg.errors import InputError, nearest
from genreg.files import write_atomic
from genreg.groups import nodes, options
from genreg.run.build import build_task, choose_device, dataset_of
from genreg.run.find import find_runs
from genreg.run.folder import Row
from genreg.run.identity import Config, data_name
from genreg.run.read import read_run
from genreg.study.batch import SweepFailedError
from genreg.study.job import Job, key, merged, of_hydra, value
from genreg.study.local import cores
from genreg.study.model import FEWEST
from genreg.study.table import clock

RATE = {"optimizer.lr": {"low": 3e-4, "high": 1e-2, "log": True}}
METHODS = ["none", "noise_consistency", "vat"]
OF_REAL_TARGETS = ["none", "input_noise", "l2"]
"""Methods by default, of classes and of real targets, for which vat is not defined."""
MLP = ["model=mlp", "model.widths=[128,128]", "steps=500"]
SLOW = ["task.unlabeled_batch_size=64", "steps=300"]
TEXTS = ["model=char_cnn", "model.width=32", "model.channels=32", *SLOW]
PICTURES = ["model=conv_small", "model.widths=[16,32,32,32,32]", *SLOW]
LEAST = 12
"""Pixels of a side from which on pictures get convolutions."""
PROBE = 5  # steps of each method that are timed
TYPED = {"dataset.target": "--target", "dataset.label": "--target", "dataset.labeled": "--labeled"}
"""Keys that an option of `genreg compare` sets, by which an error names them."""


@dataclass(frozen=True)
class Question:
    """A comparison as it was typed.

    methods: None for `METHODS`. studies: at most; from `FEWEST` on they are added until all is decided.
    given: further overrides, of every run.
    """

    data: str
    target: str | None
    labeled: int | None
    methods: Sequence[str] | None
    studies: int
    trials: int
    given: Sequence[str]


def compare(question: Question, dry_run: bool) -> None:
    """Say the plan, write it as a sweep file, run it and report.

    dry_run: only say it. InputError for what does not fit, before anything is written.
    """
    arms_of(question.methods or METHODS)
    own = [o for o in question.given if not (of_hydra(o) or key(o) in ("output_dir", "device"))]
    about = [o for o in question.given if o not in own]
    with compose.configs():
        kind, config, data = _read(question, own)
        arms, spaces = arms_of(question.methods or (METHODS if data.classes else OF_REAL_TARGETS))
        _check(question.given, spaces)
        overrides = merged([*kind.overrides, *_fitting(data, question)], own)
        part = _part(question, data, arms, spaces, overrides)
        name, text = _file(question, config, part)
        root = Path(typed_value(about, "output_dir") or f"outputs/{name}")
        command = ["sweep=" + name, "--config-dir", str(root), *about]
        jobs = Composer().jobs([merged([*own_arm, *overrides], about) for own_arm in arms.values()])
        _say(question, kind, data, part, _seconds(jobs, root))
    path = root / "sweep" / f"{name}.yaml"
    if dry_run:
        print(f"sweep file, not written: {path}\n{text}", end="")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomic(path) as file:
        file.write(text.encode())
    again = shlex.join(["genreg", "train", *command])
    print(f"sweep file: {path}\nto go on from it: {again}", flush=True)
    _run(command, root)


def typed_value(overrides: Sequence[str], name: str) -> str | None:
    """The value that was typed for a key, or None."""
    return next((value(o) for o in overrides if key(o) == name), None)


def _check(given: Sequence[str], spaces: dict[str, Row]) -> None:
    """InputError for an override of what the comparison itself chooses."""
    tuned = {*RATE, *(path for space in spaces.values() for path in space)}
    for override in given:
        if "=" not in override:
            raise InputError("genreg compare", "one file or folder, then KEY=VALUE", override)
        if key(override) in tuned:
            raise InputError(key(override), "a key that is not tuned", override)
        if key(override) in ("regularizer", "sweep", "experiment"):
            raise InputError(key(override), "none here: --methods says what is compared", override)


def _run(command: list[str], root: Path) -> None:
    from genreg.report.command import report

    try:
        train.main(command)
    except SweepFailedError as error:
        if error.exit_code == 1:  # runs that failed are results
            report([root])
        raise
    report([root])


def arms_of(methods: Sequence[str]) -> tuple[dict[str, list[str]], dict[str, Row]]:
    """Overrides and space of each arm: those of `sweep=catalogue`, or the method with its rate alone.

    InputError for fewer than two methods, or one that there is not. `vat+entropy` is both together.
    """
    known = nodes("sweep")["catalogue"]["parts"]["catalogue"]
    arms: dict[str, list[str]] = {}
    spaces: dict[str, Row] = {}
    for name in methods:
        for one in name.split("+"):
            if one not in options("regularizer"):
                near = nearest(one, options("regularizer"))
                raise InputError("--methods", "options of the group regularizer", one, near)
        arms[name] = known["arms"].get(name, [f"regularizer=[{name.replace('+', ',')}]"])
        own = [known["tune"]["space"].get(one, {}) for one in name.split("+")]
        spaces[name] = {path: axis for space in own for path, axis in space.items()}
    if len(arms) < 2 or len(arms) < len(methods):
        raise InputError("--methods", "two methods or more, each once", ",".join(methods))
    return arms, spaces


def _read(question: Question, own: list[str]) -> tuple[Kind, Row, Dataset]:
    """The kind of the data, the configuration that reads them, and the data.

    InputError names what was typed.
    """
    try:
        folder = typed_value(own, "data_dir") or os.environ.get("GENREG_DATA")
        place = place_of(question.data, data_dir_of(folder))
        kind = kind_of(place, question.data, question.target, question.labeled, own)
        config = compose.plain(compose.compose(merged(kind.overrides, own)))
        return kind, config, dataset_of(config)(seed=0)
    except InputError as error:
        if error.key not in TYPED:
            raise
        raise InputError(TYPED[error.key], error.expected, error.got, error.nearest) from error


def _fitting(data: Dataset, question: Question) -> list[str]:
    """The model for such data, the loss for their targets, and a validation as small as the labels."""
    if not data.outputs:
        raise InputError("DATA", "data with labels", question.data)
    shape = data.input_shape
    pictures = len(shape) == 3 and min(shape[1:]) >= LEAST
    small = question.labeled is not None and len(data.labeled) < len(data.validation)
    return [
        *(TEXTS if data.vocabulary else PICTURES if pictures else MLP),
        *([] if data.classes else ["loss=mse"]),
        *([f"task.validation_items={len(data.labeled)}"] if small else []),
        "eval_every=50", "logger=none",
    ]  # fmt: skip


def _part(
    question: Question,
    data: Dataset,
    arms: dict[str, list[str]],
    spaces: dict[str, Row],
    overrides: list[str],
) -> Row:
    """The part of the sweep file."""
    metric = "accuracy" if data.classes else "mse"
    most = question.studies
    margin = {"margin": "1 points"} if data.classes else {}
    return {
        "arms": arms,
        "baseline": "none" if "none" in arms else next(iter(arms)),
        "overrides": overrides,
        "metric": f"test/{metric}",
        "select": f"validation/{metric}",
        **margin,
        "tune": {
            "trials": question.trials,
            "seeds": 1,
            "studies": {"first": FEWEST, "most": most} if most > FEWEST else most,
            "fresh": 1,
            "space": {"*": RATE, **spaces},
        },
    }


def _file(question: Question, config: Row, part: Row) -> tuple[str, str]:
    """Name and content of the sweep file. However many studies there are to be, the name is the same."""
    data = data_name(config["dataset"])
    few = f" with {question.labeled} labels" if question.labeled else ""
    asked = f"Which of {', '.join(part['arms'])} is best on {data}{few}, each tuned alike?"
    lasting = {**part, "tune": {**part["tune"], "studies": None}}
    digest = hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()[:8]
    node = {"question": asked, "parts": {data: part}}
    text = yaml.safe_dump(node, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
    return f"{data}-{digest}", f"# {asked}\n{text}"


def _runs(part: Row, studies: int) -> int:
    """The runs of so many studies: of each arm its trials and the comparison."""
    tune = part["tune"]
    each: int = tune["trials"] * tune["seeds"] + tune["fresh"]
    return len(part["arms"]) * studies * each


def _say(question: Question, kind: Kind, data: Dataset, part: Row, seconds: float) -> None:
    """Print what was read, what is about to be run, and how long it may take."""
    metric = part["metric"]
    of = f"{data.classes} classes" if data.classes else "real targets, so a regression"
    print(f"{data.told}\n{kind.words}; {of}: {metric}, {' '.join(part['overrides'])}")
    for line in _remarks(question, part):
        print(line)
    few, most, trials = min(FEWEST, question.studies), question.studies, question.trials
    studies, runs, took = (
        " to ".join(dict.fromkeys(map(str, ends)))
        for ends in ((few, most), (_runs(part, few), _runs(part, most)),
                     [clock(_runs(part, n) * seconds / cores()) for n in (few, most)])
    )  # fmt: skip
    print(
        f"{len(part['arms'])} methods, each tuned by {trials} trial{'s' * (trials > 1)} and compared on a "
        f"fresh seed: {studies} {'studies' if most > 1 else 'study'}, {runs} runs\n"
        f"estimated time: about {took} with {cores()} at once",
        flush=True,
    )


def _remarks(question: Question, part: Row) -> Iterator[str]:
    space = part["tune"]["space"]
    if rate := [arm for arm in part["arms"] if not space[arm] and arm != "none"]:
        yield f"of {', '.join(rate)} only the learning rate is tuned"
    if question.studies < FEWEST:
        yield f"no verdict from fewer than {FEWEST} studies"


def _seconds(jobs: list[Job], root: Path) -> float:
    """The mean seconds of a run: of those that have finished, or as a few steps of each method take.

    InputError for a method that does not fit the data.
    """
    took = [read_run(path).summary.get("seconds") for path in (find_runs(root) if root.is_dir() else ())]
    if known := [seconds for seconds in took if seconds is not None]:
        return fmean(known)
    torch.set_num_threads(1)  # as in a worker
    logging.disable(logging.WARNING)  # said when the data were read
    try:
        return fmean(_timed(job.config) for job in jobs)
    finally:
        logging.disable(logging.NOTSET)


def _timed(config: Config) -> float:
    """The seconds that a run takes, by those of a few steps and of one evaluation."""
    task = build_task(config, choose_device(config["device"]))
    task.step(0)
    began = time.perf_counter()
    for step in range(1, PROBE + 1):
        task.step(step)
    stepped = time.perf_counter()
    task.evaluate()
    steps: int = config["steps"]
    evaluations: float = steps / config["eval_every"]
    return steps * (stepped - began) / PROBE + evaluations * (time.perf_counter() - stepped)
