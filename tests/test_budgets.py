"""Counts that no noise moves: kernels and Python calls of a step, modules imported at a start.

budgets.json holds what was counted. A count above it by more than a twentieth fails (of calls on Python 3.13,
which makes more of them, a tenth; of modules, which depend on versions of packages, a fifth): make it
smaller, or write the new one there and say in the commit why.
"""

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from test_replica_folders import jobs

from genreg.dataset import two_moons
from genreg.model import MLP
from genreg.optimizer import gradient_norm, sam
from genreg.regularizer import VAT
from genreg.study.job import run
from genreg.study.local import preload
from genreg.task.classify import Classify

CALLS = 1.05 if sys.version_info < (3, 13) else 1.1
BUDGETS: dict[str, int] = json.loads((Path(__file__).parent / "budgets.json").read_text())


def within(name: str, count: int, slack: float = 1.05) -> None:
    assert count <= BUDGETS[name] * slack, f"{name}: {count}, {BUDGETS[name]} before"


ADAM = partial(torch.optim.Adam, lr=1e-3, fused=True)


def tasks(methods: bool, replicas: int, optimizer: Any = ADAM) -> list[Classify]:
    return [
        Classify(
            dataset=two_moons,
            model=partial(MLP, widths=[64, 64]),
            seed=seed,
            regularizer={"vat": VAT()} if methods else {},
            optimizer=optimizer,
        )
        for seed in range(replicas)
    ]


def kernels(step: Callable[[int], Any]) -> int:
    """Operations of a step that are no views."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        step(3)
    inner = ("aten::view", "aten::t", "aten::transpose", "aten::as_strided", "aten::select", "aten::slice",
             "aten::unbind", "aten::detach", "aten::expand", "aten::empty", "aten::reshape")  # fmt: skip
    events = [event for event in profile.events() if event.name.startswith("aten::")]
    return sum(event.cpu_parent is None or not event.cpu_parent.name.startswith("aten::")
               for event in events if not event.name.startswith(inner))  # fmt: skip


def calls(step: Callable[[int], Any]) -> int:
    """Python functions that a step calls."""
    count = 0

    def note(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        step(4)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("methods", [False, True], ids=["none", "vat"])
@pytest.mark.parametrize("replicas", [1, 8, 32])
def test_a_step_launches_and_calls_no_more_than_before(methods: bool, replicas: int) -> None:
    made = tasks(methods, replicas)
    step = made[0].step if replicas == 1 else made[0].program(made).step
    for number in range(3):
        step(number)
    name = f"{'vat' if methods else 'none'}, {replicas} runs"
    within(f"kernels of a step, {name}", kernels(step))
    within(f"calls of a step, {name}", calls(step), CALLS)


@pytest.mark.parametrize("optimizer", [sam, gradient_norm], ids=["sam", "gradient_norm"])
def test_a_step_uphill_launches_and_calls_no_more_than_before(optimizer: Any) -> None:
    """Both passes and the move: kernels of a plain SAM, over weights one by one, are 123."""
    (task,) = tasks(False, 1, optimizer)
    for number in range(3):
        task.step(number)
    within(f"kernels of a step, {optimizer.__name__}", kernels(task.step))
    within(f"calls of a step, {optimizer.__name__}", calls(task.step), CALLS)


@pytest.mark.full
@pytest.mark.parametrize("verb", ["--help", "train --help", "ls .", "data list"])
def test_a_verb_imports_no_more_than_before(tmp_path: Path, verb: str) -> None:
    code = ("import sys, atexit; from genreg.__main__ import main; "
            "atexit.register(lambda: print(len(sys.modules), file=sys.stderr)); main()")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, *verb.split()], cwd=tmp_path, capture_output=True, text=True
    )
    within(f"modules of genreg {verb}", int(done.stderr.splitlines()[-1]), 1.2)


@pytest.mark.full
def test_a_finished_run_and_a_report_do_without_torch_and_hydra(tmp_path: Path) -> None:
    small = ["train", "experiment=smoke/none", "steps=2", "logger=none", "output_dir=out"]
    code = ("import sys, atexit; from genreg.__main__ import main; atexit.register(lambda: "
            "print({'torch', 'hydra', 'scipy.stats'} & {*sys.modules}, len(sys.modules), file=sys.stderr)); "
            "main()")  # fmt: skip
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for number, command in enumerate((small, small, ["report", "out"], ["ls", "out"], ["show", "out"])):
        done = subprocess.run(
            [sys.executable, "-c", code, *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        heavy, _, count = done.stderr.splitlines()[-1].rpartition(" ")
        assert number == 0 or heavy == "set()", (command, heavy)
        if number:
            within(f"modules of genreg {command[0]}, of a finished run", int(count), 1.2)


def imported(made: list[Any], pipe: Any) -> None:
    before = set(sys.modules)
    assert run(made[0], retry_failed=True).status == "done"
    pipe.send(sorted(set(sys.modules) - before))


@pytest.mark.full
def test_a_forked_worker_imports_next_to_nothing(tmp_path: Path) -> None:
    made = jobs(tmp_path, ["seed=0", "dataset=digits", "dataset.labeled=100"])
    preload(made)
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    fork.Process(target=imported, args=(made, theirs)).start()
    assert ours.poll(60)
    within("modules imported after the fork", len(ours.recv()), 1.2)
