"""Landscapes: closed forms against autograd, replicas against themselves, the task."""

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Result
from torch import Tensor

from genreg.model.landscape import (
    Landscape,
    MatrixSensing,
    Quadratic,
    QuadraticParametrized,
    Rosenbrock,
    WideningValley,
)
from genreg.optimizer import anti_pgd, gradient_norm, pgd, sam
from genreg.task.landscape import Minimize

LANDSCAPES: dict[str, Callable[..., Landscape]] = {
    "valley": partial(WideningValley, d=7),
    "quadratic": partial(Quadratic, spectrum=[3.0, 1.0, -0.5, 0.0]),
    "rosenbrock": partial(Rosenbrock, start=[-1.2, 1.0, 0.3]),
    "quadratic_parametrized": partial(QuadraticParametrized, d=9, points=3, nonzero=2, w0_norm=3.0),
    "matrix_sensing": partial(MatrixSensing, d=4, measurements=6),
    "matrix_sensing_tiled": MatrixSensing,
}
RATES = {"valley": 1e-2, "quadratic": 1e-2, "rosenbrock": 1e-4, "quadratic_parametrized": 1e-2,
         "matrix_sensing": 1e-3, "matrix_sensing_tiled": 1e-3}  # fmt: skip
OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "gd": torch.optim.SGD, "pgd": pgd, "anti_pgd": anti_pgd, "sam": sam, "gradient_norm": gradient_norm,
    "anti_pgd_rademacher": partial(anti_pgd, noise="rademacher"), "pgd_adam": partial(pgd, base="adam"),
}  # fmt: skip


def minimize(
    landscape: str, optimizer: str, seed: int = 0, lr: float | None = None, **model: Any
) -> Minimize:
    make = partial(OPTIMIZERS[optimizer], lr=lr or RATES[landscape])
    return Minimize(model=partial(LANDSCAPES[landscape], **model), optimizer=make, seed=seed)


def vector(model: Landscape) -> Tensor:
    """One replica's weights as a vector."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def loss_of(model: Landscape) -> Callable[[Tensor], Tensor]:
    """L of a weight vector, of a model of one replica."""
    shapes = {name: p.shape for name, p in model.named_parameters()}

    def loss(w: Tensor) -> Tensor:
        parts = w.split([shape.numel() for shape in shapes.values()])
        weights = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        return torch.func.functional_call(model, weights, ())[0]

    return loss


@pytest.mark.parametrize("name", LANDSCAPES)
def test_closed_forms_agree_with_autograd(name: str) -> None:
    model = LANDSCAPES[name](dtype="float64", seed=5)
    w, loss = vector(model), loss_of(model)
    value, gradient = model.value_and_gradient()
    assert value.item() == pytest.approx(loss(w).item(), rel=1e-12)
    flat = torch.cat([g.detach().flatten() for g in gradient])
    torch.testing.assert_close(flat, torch.func.grad(loss)(w), rtol=1e-10, atol=1e-12)
    exact = torch.func.hessian(loss)(w).trace()
    torch.testing.assert_close(model.hessian_trace()[0], exact, rtol=1e-10, atol=1e-10)


def test_minima_are_where_they_are_said_to_be() -> None:
    rosenbrock = Rosenbrock(start=[1.0, 1.0, 1.0])
    assert rosenbrock().item() == 0
    assert WideningValley(v0=0.0)().item() == 0
    regression = QuadraticParametrized(d=9, points=3, nonzero=2, dtype="float64")
    regression.w.data[:] = regression.target.sqrt()
    assert regression().item() == pytest.approx(0, abs=1e-24)
    assert regression.coordinates()["test_error"].item() == 0
    sensing = MatrixSensing(d=4, rank=2, measurements=6, dtype="float64")
    values, vectors = torch.linalg.eigh(sensing.target)
    sensing.u.data[0] = vectors * values.clamp_min(0).sqrt()
    assert sensing().item() == pytest.approx(0, abs=1e-24)
    assert sensing.target.norm().item() == pytest.approx(1)
    assert (values > 1e-9).sum() == 2


@pytest.mark.pairs
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", LANDSCAPES)
def test_replica_k_of_many_is_replica_k_alone_bit_for_bit(name: str, optimizer: str) -> None:
    many = minimize(name, optimizer, replicas=37)
    for step in range(25):
        many.step(step)
    for k in (0, 1, 15, 16, 36):
        alone = minimize(name, optimizer, replicas=1, first_replica=k)
        for step in range(25):
            alone.step(step)
        for ours, theirs in zip(many.weights().values(), alone.weights().values(), strict=True):
            assert torch.equal(ours[k], theirs[0])


@pytest.mark.pairs
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", [n for n in LANDSCAPES if n != "matrix_sensing_tiled"])
def test_resumed_in_the_middle_ends_with_the_same_bits(name: str, optimizer: str, tmp_path: Path) -> None:
    through, first, second = (minimize(name, optimizer, replicas=3) for _ in range(3))
    for step in range(20):
        through.step(step)
        if step in (4, 14):
            through.evaluate()
    for step in range(9):
        first.step(step)
        if step == 4:
            first.evaluate()
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for step in range(9, 20):
        second.step(step)
        if step == 14:
            second.evaluate()
    for task in (through, second):
        task.evaluate()
    ours, theirs = second.results()["replicas"], through.results()["replicas"]
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert all(
        torch.equal(a, b) for a, b in zip(second.weights().values(), through.weights().values(), strict=True)
    )


def test_a_replica_that_diverges_dies_alone_and_is_recorded() -> None:
    """With lr 3 on curvature 1 a loss grows fourfold a step: one that starts at 5e37 overflows first."""
    task = Minimize(
        model=partial(Quadratic, spectrum=[1.0], replicas=4),
        optimizer=partial(OPTIMIZERS["gd"], lr=3.0),
    )
    with torch.no_grad():
        task.model.w[2] *= 1e19  # the largest float32 is 3.4e38
    terms = [task.step(step) for step in range(4)]
    row = task.evaluate()
    assert row["replicas/alive"] == 3
    assert all(math.isfinite(term["loss"]) for term in terms)
    assert math.isfinite(row["w/loss"])
    assert task.results()["replicas"]["died"].tolist() == [-1, -1, 1, -1]
    for step in range(4, 80):
        task.step(step)
    assert math.isnan(task.evaluate()["w/loss"])
    assert (task.results()["replicas"]["died"] >= 0).all()


def test_all_dead_stops_the_run_and_says_so(genreg: Callable[..., Result]) -> None:
    answer = genreg("train", "task=landscape", "model=rosenbrock", "optimizer.lr=1", "logger=none",
                    "model.replicas=3")  # fmt: skip
    assert answer.code == 1
    assert "diverged: loss is nan at step" in answer.err


@pytest.mark.parametrize("choice", ["dataset=digits", "regularizer=vat", "measure=sharpness", "loss=mse"])
def test_a_landscape_takes_no_data(genreg: Callable[..., Result], choice: str) -> None:
    answer = genreg("train", "task=landscape", choice, "logger=none")
    assert answer.code == 2
    group, option = choice.split("=")
    assert f"{group}: expected none with task=landscape, got" in answer.err
    assert option in answer.err.lower()
    with pytest.raises(ValueError, match=group):
        Minimize(model=LANDSCAPES["valley"], optimizer=OPTIMIZERS["gd"], **{group: lambda: None})


@pytest.mark.full
def test_run_folder_holds_every_replica(genreg: Callable[..., Result], tmp_path: Path) -> None:
    answer = genreg("train", "experiment=anti_pgd_valley/anti_pgd", "model.replicas=5", "steps=40",
                    "log_every=10", "eval_every=20", "logger=none")  # fmt: skip
    assert answer.code == 0, answer.err
    (folder,) = (tmp_path / "outputs" / "anti_pgd_valley").glob("anti_pgd-*/seed=0")
    replicas = np.load(folder / "replicas.npz")
    assert replicas["step"].tolist() == [20, 40]
    assert replicas["w/trace"].shape == replicas["z/trace"].shape == (2, 5)
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["w/trace"] == pytest.approx(replicas["w/trace"][-1].mean())
    assert last["w_stderr/trace"] == pytest.approx(
        replicas["w/trace"][-1].std(ddof=1) / math.sqrt(5), rel=1e-5
    )


def valley_reference(arm: str, steps: int, replicas: int) -> np.ndarray:
    """The three update rules in numpy, float64, a loop over nothing but steps: traces at the end."""
    draw = np.random.default_rng(0)
    eta, sigma, d = 0.01, 0.05, 100
    u, v = np.full((replicas, d), 0.5), np.ones((replicas, 1))
    old_u, old_v = np.zeros_like(u), np.zeros_like(v)
    for _ in range(steps):
        du, dv = v**2 * u, v * (u**2).sum(1, keepdims=True)
        new_u, new_v = sigma * draw.standard_normal(u.shape), sigma * draw.standard_normal(v.shape)
        u, v = u - eta * du, v - eta * dv
        if arm != "gd":
            u, v = u + new_u, v + new_v
        if arm == "anti_pgd":
            u, v = u - old_u, v - old_v
            old_u, old_v = new_u, new_v
    return (u**2).sum(1) + d * v[:, 0] ** 2


@pytest.mark.full
def test_valley_has_the_published_ordering_and_agrees_with_numpy() -> None:
    """2,000 steps, 100 replicas: trace Anti-PGD < GD < PGD, each within 4 errors of the reference."""
    traces = {}
    for arm in ("gd", "pgd", "anti_pgd"):
        task = minimize("valley", arm, d=100, replicas=100)
        for step in range(2000):
            task.step(step)
        traces[arm] = task.model.hessian_trace().detach().numpy()
        reference = valley_reference(arm, 2000, 100)
        error = math.sqrt(traces[arm].var() / 100 + reference.var() / 100)
        assert abs(traces[arm].mean() - reference.mean()) < 4 * error + 1e-3
    assert traces["anti_pgd"].max() < traces["gd"].min() < traces["gd"].max() < traces["pgd"].min()


@pytest.mark.full
def test_killed_and_started_again_ends_with_the_same_bytes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "genreg", "train", "experiment=anti_pgd_valley/anti_pgd", "logger=none",
               "model.replicas=20", "steps=2000", "checkpoint_every=100", "eval_every=70", "log_every=30",
               "quiet=true"]  # fmt: skip
    ends = []
    for kill in (True, False):
        folder = tmp_path / str(kill)
        if kill:
            process = subprocess.Popen([*command, f"output_dir={folder}"])
            end = time.monotonic() + 60
            while len(list(folder.rglob("checkpoint-*.pt"))) < 2 and time.monotonic() < end:
                time.sleep(0.005)
            process.kill()
            assert process.wait() != 0
        subprocess.run([*command, f"output_dir={folder}"], check=True)
        (run,) = folder.glob("*/*/seed=0")
        arrays = np.load(run / "replicas.npz")
        rows = (run / "metrics.jsonl").read_bytes()
        ends.append((rows, {name: arrays[name].tobytes() for name in arrays}))
    assert ends[0] == ends[1]


@pytest.mark.slow
def test_anti_pgd_decays_at_the_rate_of_the_discrete_theory() -> None:
    """|u|^2 at z shrinks by 4 eta sigma^2 / (2 - a) a step, a = eta (|u|^2 + d sigma^2): within 4 errors."""
    eta, sigma, d = 0.01, 0.05, 100
    task = minimize("valley", "anti_pgd", d=d, replicas=400)
    for step in range(12_000):
        task.step(step)
        if step in (1_999, 11_999):
            task.evaluate()
    before, after = (row.double().numpy() for row in task.results()["replicas"]["z/u_squared"])
    rates = -np.log(after / before) / 10_000
    x = start = before.mean()
    for _ in range(10_000):
        x *= 1 - 4 * eta * sigma**2 / (2 - eta * (x + d * sigma**2))
    theory = -math.log(x / start) / 10_000
    error = rates.std(ddof=1) / math.sqrt(len(rates))
    assert rates.mean() == pytest.approx(theory, abs=4 * error)
    assert error < 2e-3 * theory  # tight enough to refuse 2 eta sigma^2, which is 7 % lower
    assert rates.mean() > 1.05 * 2 * eta * sigma**2


@pytest.mark.parametrize("name", LANDSCAPES)
def test_the_noise_free_iterate_is_seen_as_a_whole(name: str) -> None:
    """Every z/ of a row is that of z = w - xi, also of coordinates, which may be views of w."""
    task = minimize(name, "anti_pgd", replicas=3)
    for step in range(4):
        task.step(step)
    row = task.evaluate()
    with task.optimizer.noise_free():  # type: ignore[attr-defined]
        seen = {name: values.double().mean().item() for name, values in task.model.coordinates().items()}
    if not seen:
        pytest.skip("a landscape without coordinates")
    assert {name: row[f"z/{name}"] for name in seen} == pytest.approx(seen, rel=1e-12)
    assert any(row[f"z/{name}"] != row[f"w/{name}"] for name in seen)
