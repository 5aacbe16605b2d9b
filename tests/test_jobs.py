"""Jobs: copies of one composition are those that Hydra composes; what a cluster is given is written down."""

import json
import logging
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from genreg.cli.compose import configs
from genreg.cli.jobs import Composer
from genreg.errors import GenregError
from genreg.study import slurm
from genreg.study.job import Job

FILES = {
    "experiment/bound.yaml": "# @package _global_\nname: bound\nmodel: {widths: ['${steps}']}\n",
    "experiment/hydra.yaml": "# @package _global_\nname: ${hydra:job.name}\n",
    "experiment/seeded.yaml": "# @package _global_\nname: seeded\nlog_every: ${seed}\n",
    "experiment/logs.yaml": "# @package _global_\nhydra: {job: {env_set: {RATE: '${optimizer.lr}'}}}\n",
}
COPIED = [
    ["regularizer=vat", "regularizer.vat.xi=0.1"],
    ["regularizer=vat", "regularizer.vat.xi=1e0", "optimizer.lr=1"],
    ["experiment=vat_200/vat", "steps=7", "regularizer.vat.epsilon=2", "name='a-b'"],
    ["experiment=vat_200/vat", "regularizer=entropy", "optimizer.lr=0.1"],  # leaves vat behind
    ["regularizer=[vat,entropy]", "regularizer.vat.weight={start: 0, end: 1, steps: 5}"],
    ["model.widths=[8,8]", "device=cpu", "output_dir=elsewhere", "quiet=true"],
    ["optimizer=sgd", "optimizer.momentum=null"],
    ["experiment=bound", "steps=9"],
    ["task=wgan", "dataset=gaussian_ring", "model=mlp_gan", "generator_optimizer.lr=1e-4"],
    ["generator_optimizer.lr=1e-4"],
    ["optimizer.momentun=0.1"],
    ["optimizer.lr.x=0.1"],
    ["regularizer.vat.xi=0.1"],
    ["optimizer=nadir", "optimizer.lr=0.1"],
    ["steps=-1"],
    ["steps=two"],
    ["model.widths=[8"],
    ["experiment=seeded", "steps=3"],
    ["experiment=seeded", "log_every=3"],
]  # fmt: skip
COMPOSED = [
    ["++optimizer.betas=[0.8,0.9]", "optimizer.lr=0.1"],
    ["optimizer.lr=0.1", "++optimizer={lr: 0.2}"],
    ["+foo=1", "steps=3"],
    ["~scheduler", "steps=3"],
    ["eval_every=${steps}", "steps=3"],
    ["experiment=hydra", "steps=3"],
    ["experiment=logs", "optimizer.lr=0.1"],
    ["optimizer.lr=0.1,0.2"],
    ["hydra.job.name=other", "steps=3"],
    ["hydra.sweep.dir=there", "output_dir=there"],
]


def outcome(
    composer: Composer, overrides: list[str], caplog: pytest.LogCaptureFixture
) -> tuple[Job | str, list[str]]:
    """The job, or the words of its refusal; and what was logged."""
    caplog.clear()
    try:
        return composer.jobs([overrides])[0], caplog.messages[:]
    except GenregError as error:
        return str(error), caplog.messages[:]


@pytest.mark.full
@pytest.mark.parametrize("copied", [True, False])
def test_a_copied_arm_is_a_composed_arm(
    copied: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    caplog.set_level(logging.WARNING)
    about = [f"hydra.searchpath=['file://{tmp_path}']"]
    lists = COPIED if copied else COMPOSED
    with configs():
        quick = Composer(about)
        found = [outcome(quick, own, caplog) for own in lists]
        bound = [] if copied else [own for own in lists if quick._copied(own) is None]
        monkeypatch.setattr(Composer, "_copied", lambda *_: None)
        expected = [outcome(Composer(about), own, caplog) for own in lists]
    for own, one, other in zip(lists, found, expected, strict=True):
        assert one == other, own
    if not copied:
        assert bound == lists  # what may mean more than a value is left to Hydra


class Executor:
    """submitit's, of a cluster that numbers its arrays from 7."""

    arrays = count(7)

    def __init__(self, folder: Path) -> None:
        self.array = next(self.arrays)

    def update_parameters(self, **_: Any) -> None:
        """Any are good."""

    def map_array(self, _: Any, jobs: list[Any]) -> list[Any]:
        return [SimpleNamespace(job_id=f"{self.array}_{k}") for k in range(len(jobs))]


def test_the_record_of_an_array_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", SimpleNamespace(SlurmExecutor=Executor))
    jobs: Any = [SimpleNamespace(folder=SimpleNamespace(path=tmp_path / name)) for name in "ab"]
    tasks = slurm._submit(jobs, slurm.Options(), tmp_path)
    assert tasks == {str(tmp_path / "a"): "7_0", str(tmp_path / "b"): "7_1"}
    assert json.loads((tmp_path / "7.json").read_text()) == tasks

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        slurm._submit(jobs, slurm.Options(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["7.json"]
