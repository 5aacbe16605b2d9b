"""Runs trained as one tensor program leave what single runs leave, to the last bit."""

import json
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import yaml_options
from omegaconf import OmegaConf

from genreg import CONFIGS
from genreg.cli.compose import configs
from genreg.cli.jobs import Composer
from genreg.dataset import digits, two_moons
from genreg.model import MLP
from genreg.optimizer import anti_pgd
from genreg.regularizer import Regularizer
from genreg.run.factory import factory
from genreg.run.state import State
from genreg.study import groups
from genreg.study.job import Job, run, run_together
from genreg.task.classify import Classify
from genreg.task.replicas import Replicas

NODES: dict[str, Any] = {
    name: OmegaConf.to_container(OmegaConf.load(CONFIGS / "regularizer" / f"{name}.yaml"))
    for name in yaml_options("regularizer")
    if name != "none"
}
GROUPED = {name: node for name, node in NODES.items() if groups._declared(node["_target_"]) is not None}
TRIED = {"vat": {"power_iterations": 2}, "noise_consistency": {"samples": 3}, "input_noise": {"samples": 3},
         "gradient_penalty": {"points": "noised"}, "jacobian_penalty": {"estimator": "sampled", "probes": 3},
         "laplacian_penalty": {"estimator": "sampled", "probes": 3}}  # fmt: skip
OTHERS: list[dict[str, dict[str, Any]]] = [
    {"vat": {"direction": "exact", "target": "flow", "norm": "linf"}}, {"vat": {"scope": "batch"}},
    {"noise_consistency": {"divergence": "mse", "scope": "batch"}}, {"adversarial": {"norm": "l2"}},
    {"gradient_penalty": {"points": "interpolated", "one_sided": True}}, {"jacobian_penalty": {}},
    {"laplacian_penalty": {"estimator": "exact"}}, {"input_noise": {"distribution": "uniform"}},
    {"input_noise": {"distribution": "bernoulli", "mode": "multiplicative"}}, {"fgm": {"scope": "batch"}},
    {"vat": {}, "entropy": {}, "fgm": {}, "label_smoothing": {}, "r_drop": {"of": "unlabeled"}},
]  # fmt: skip


def methods(chosen: dict[str, dict[str, Any]], number: int) -> dict[str, Regularizer]:
    """The methods with these options; whatever may differ between replicas does."""
    made = {}
    for name, options in chosen.items():
        node = {**GROUPED[name], **options}
        for key in groups._declared(node["_target_"]) or ():
            if node[key]:
                node[key] *= 1 - 0.15 * number
        made[name] = factory(node, name)()
    return made


def tasks(chosen: dict[str, dict[str, Any]], replicas: int, optimizer: Any = None, dataset: Any = digits,
          dropout: float = 0.2, **model: Any) -> list[Classify]:  # fmt: skip
    """A task for each replica, alone or to be grouped: with other seeds, rates, strengths and dropout."""
    made = optimizer or (lambda n: partial(torch.optim.Adam, lr=1e-3 * (1 + n), fused=True))
    return [
        Classify(
            dataset=partial(dataset, labeled=24),
            batch_size=9,
            unlabeled_batch_size=11,
            seed=n,
            model=partial(MLP, **{"widths": [20, 13], "dropout": dropout and dropout + 0.1 * n, **model}),
            optimizer=made(n),
            regularizer=methods(chosen, n),
        )  # fmt: skip
        for n in range(replicas)
    ]


def same(make: Callable[[], list[Classify]], steps: int = 10) -> None:
    """Each step's terms, and in the end weights, states and evaluations, are those of single runs."""
    alone, together = make(), make()
    program = Replicas(together)
    for step in range(steps):
        for one, terms in zip(alone, program.step(step), strict=True):
            expected = one.step(step)
            assert list(terms) == list(expected)
            for name, term in terms.items():
                assert torch.equal(term, expected[name]), (step, name)
    for one, other in zip(alone, together, strict=True):
        assert one.evaluate() == other.evaluate()
        for a, b in ((one.weights(), other.weights()), (moments(one), moments(other))):
            assert a.keys() == b.keys()
            assert all(torch.equal(a[name], b[name]) for name in a)


def moments(task: Classify) -> dict[str, torch.Tensor]:
    state = task.state_dict()["optimizer"]["state"]
    return {f"{n}/{k}": v for n, values in state.items() for k, v in values.items() if v is not None}


@pytest.mark.parametrize("name", ["none", *GROUPED])
def test_a_replica_of_each_method_is_its_single_run(name: str) -> None:
    chosen = {} if name == "none" else {name: TRIED.get(name, {})}
    pictures = "pictures" in getattr(factory(NODES.get(name, NODES["l2"]), name)(), "reads", ())
    dataset = digits if pictures else partial(two_moons)
    same(partial(tasks, chosen, 3, dataset=dataset))


@pytest.mark.full
@pytest.mark.parametrize("replicas", [2, 5])
@pytest.mark.parametrize("chosen", [*({name: {}} for name in GROUPED), *OTHERS], ids=str)
def test_replicas_of_all_options(chosen: dict[str, dict[str, Any]], replicas: int) -> None:
    same(
        partial(
            tasks, chosen, replicas, batch_norm=replicas == 2, widths=[32, 16] if replicas == 2 else [20, 13]
        )
    )
    if "r_drop" not in chosen:
        same(partial(tasks, chosen, replicas, dropout=0.0, widths=[64, 30]), steps=30)


@pytest.mark.full
@pytest.mark.parametrize("model", [
    {"widths": []}, {"widths": [1]}, {"widths": [7]}, {"widths": [64, 64]},
    {"batch_norm": True, "dropout": 0.4, "widths": [48]},
    *({"activation": name} for name in ("leaky_relu", "tanh", "gelu", "softplus")),
], ids=str)  # fmt: skip
def test_replicas_of_all_models(model: dict[str, Any]) -> None:
    for dataset in (two_moons, digits):
        same(partial(tasks, {"vat": {}, "fgm": {}}, 5, dataset=dataset, **model), steps=30)


OPTIMIZERS: dict[str, Callable[[int], Any]] = {
    "AdamW": lambda n: partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.1 * n, fused=True),
    "Adam, alike": lambda n: partial(torch.optim.Adam, lr=1e-3, weight_decay=0.1, fused=True),
    "Adam, plain": lambda n: partial(torch.optim.Adam, lr=1e-3 if n else 2e-3, amsgrad=True),
    "SGD": lambda n: partial(torch.optim.SGD, lr=0.1, momentum=0.9 if n else 0.5, fused=True),
    "RMSprop": lambda n: partial(torch.optim.RMSprop, lr=1e-3),
    "anti_pgd": lambda n: partial(anti_pgd, lr=0.01, sigma=0.01 * (1 + n)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_replicas_of_each_optimizer(name: str) -> None:
    same(partial(tasks, {}, 3, OPTIMIZERS[name], two_moons))


def test_every_optimizer_that_is_declared_is_tried() -> None:
    declared = {
        target.rpartition(".")[2] for target in groups.constant_of("genreg.optimizer.joint", "REPLICAS")
    }
    assert declared <= {name.partition(",")[0] for name in OPTIMIZERS} | {"pgd"}  # one code with anti_pgd


# ---- whole folders

RUN = ["dataset=two_moons", "dataset.labeled=20", "model.widths=[16]", "regularizer=vat", "measure=hessian_trace",
       "steps=40", "eval_every=10", "log_every=5", "checkpoint_every=10", "logger=none", "quiet=true",
       "scheduler=cosine"]  # fmt: skip


def jobs(folder: Path, *each: list[str]) -> list[Job]:
    with configs():
        return Composer().jobs([[*RUN, f"output_dir={folder}", *own] for own in each])


def left_by(folder: Path) -> dict[str, Any]:
    """What each run folder says, without times and places."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("summary.json")):
        summary = json.loads(path.read_text())
        summary.pop("seconds")
        weights = {p.name: torch.load(p, weights_only=True) for p in path.parent.glob("*weights.pt")}
        tensors = {f"{file}/{k}": v.tolist() for file, state in weights.items() for k, v in state.items()}
        rows = (path.parent / "metrics.jsonl").read_bytes()
        names = {p.name for p in path.parent.iterdir() if not p.name.startswith("checkpoint")}
        found[path.parent.relative_to(folder).as_posix()] = summary, tensors, rows, names
    return found


ARMS = [["seed=0"], ["seed=1", "regularizer.vat.epsilon=1"], ["seed=1", "optimizer.lr=3e-2"], ["seed=2"]]


def together(made: list[Job]) -> list[str]:
    return [outcome.status for outcome in run_together(made, True, lambda job: None)]


def test_folders_are_those_of_single_runs(tmp_path: Path) -> None:
    for job in jobs(tmp_path / "alone", *ARMS):
        run(job, retry_failed=True)
    assert together(made := jobs(tmp_path / "together", *ARMS)) == ["done"] * 4
    assert left_by(tmp_path / "together") == left_by(tmp_path / "alone")
    assert all(job.folder.environments()[0]["replicas"] == 4 for job in made)
    assert together(made) == ["done"] * 4  # which were found finished: no further start is recorded
    assert all(len(job.folder.environments()) == 1 for job in made)


def test_a_replica_that_diverges_ends_alone(tmp_path: Path) -> None:
    arms = [*ARMS, ["seed=3", "optimizer.lr=1e30"]]
    for job in jobs(tmp_path / "alone", *arms):
        run(job, retry_failed=True)
    assert together(jobs(tmp_path / "together", *arms)) == ["done"] * 4 + ["failed"]
    assert left_by(tmp_path / "together") == left_by(tmp_path / "alone")


def test_a_stopped_group_goes_on_alone_and_in_other_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for job in jobs(tmp_path / "alone", *ARMS):
        run(job, retry_failed=True)
    made = jobs(tmp_path / "together", *ARMS)
    record = State.record

    def stop_at(step: int) -> None:
        def recorded(self: State, terms: Any) -> None:
            record(self, terms)
            if self.step == step and "seed=0" in str(self.folder.path):
                os.kill(os.getpid(), signal.SIGTERM)

        monkeypatch.setattr(State, "record", recorded)

    stop_at(25)
    assert together(made[:3]) == ["interrupted"] * 3
    stop_at(33)
    assert run(made[0], retry_failed=True).status == "interrupted"
    steps = [int(max(job.folder.path.glob("checkpoint-*")).name.split("-")[1]) for job in made[:3]]
    assert steps == [33, 25, 25]
    monkeypatch.undo()
    assert together(made) == ["done"] * 4  # from steps 33, 25, 25 and 0
    assert left_by(tmp_path / "together") == left_by(tmp_path / "alone")


def test_a_program_that_fails_goes_on_in_halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, seen = Replicas.step, []

    def short(self: Replicas, number: int) -> Any:
        if len(self.tasks) > 2 and number == 15:
            raise torch.OutOfMemoryError("out of memory")
        seen.append(len(self.tasks))
        return step(self, number)

    monkeypatch.setattr(Replicas, "step", short)
    assert together(jobs(tmp_path / "together", *ARMS)) == ["done"] * 4
    assert seen == [4] * 15 + [2] * 60  # each half from its checkpoint of step 10
    for job in jobs(tmp_path / "alone", *ARMS):
        run(job, retry_failed=True)
    assert left_by(tmp_path / "together") == left_by(tmp_path / "alone")


def parts(*each: list[str], replicas: Any = "auto", workers: int = 1) -> list[list[int]]:
    return groups.grouped(jobs(Path("outputs"), *each), replicas, workers)


def test_jobs_are_grouped_by_all_but_seed_and_strengths() -> None:
    seeds = [[f"seed={n}"] for n in range(6)]
    assert parts(*seeds) == [[0, 1, 2, 3, 4, 5]]
    assert parts(*seeds, workers=2) == [[0, 1, 2, 3, 4, 5]]  # two of three would be too small
    assert parts(*seeds, replicas=4) == [[0, 1, 2], [3, 4, 5]]
    assert parts(*seeds, replicas=1) == [[n] for n in range(6)]
    other = [[f"seed={n}", "regularizer.vat.power_iterations=2"] for n in range(4)]
    none = [[f"seed={n}", "regularizer.vat.weight=0"] for n in range(4)]  # is left out: another program
    assert parts(*other, *seeds[:4], *none) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    strengths = [[f"regularizer.vat.weight={w}", f"optimizer.lr={w}"] for w in (0.1, 1, 2.5, 3)]
    assert parts(*strengths) == [[0, 1, 2, 3]]


@pytest.mark.parametrize(("override", "why"), [
    ("precision=bf16", "precision=bf16"), ("regularizer=l2", "regularizer.l2 (L2)"), ("optimizer=sam", "optimizer (sam)"),
    ("task=alternate", "task (Alternate)"), ("model=conv_small", "model (Conv)"),
    ("regularizer.vat.weight={start: 0, end: 1, steps: 9}", "the ramp of vat"),
])  # fmt: skip
def test_others_stay_alone_with_a_word_why(override: str, why: str) -> None:
    made = jobs(Path("outputs"), *([override, f"seed={n}"] for n in range(4)))
    assert {groups.reason(job.config) for job in made} == {why}
    assert groups.remarks(made, "auto", 1) == [f"4 jobs alone: {why} is not grouped"]
    assert groups.grouped(made, "auto", 1) == [[0], [1], [2], [3]]
