"""The grid of the loss that a landscape leaves behind, against closed forms."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from test_landscape import LANDSCAPES

from genreg.model.landscape import Landscape, Rosenbrock, WideningValley
from genreg.optimizer import pgd
from genreg.run import checkpoint
from genreg.task.landscape import SIDE, Minimize, span

FLAT = partial(Rosenbrock, start=[-1.2, 1.0])


def run(model: partial[Landscape], steps: int = 4) -> Minimize:
    task = Minimize(model=model, optimizer=partial(torch.optim.SGD, lr=1e-4))
    for step in range(steps):
        task.evaluate()
        task.step(step)
    task.evaluate()
    return task


@pytest.mark.parametrize("make", [LANDSCAPES["valley"], FLAT])
def test_the_loss_at_the_coordinates_is_the_loss(make: partial[Landscape]) -> None:
    model = make(replicas=5, dtype="float64")
    with torch.no_grad():
        for p in model.parameters():
            p += torch.randn(p.shape, generator=torch.Generator().manual_seed(0), dtype=p.dtype)
    loss = model.loss_at(model.coordinates())
    assert loss is not None
    torch.testing.assert_close(loss, model().detach(), check_dtype=False)


@pytest.mark.parametrize("name", ["quadratic", "rosenbrock", "quadratic_parametrized", "matrix_sensing"])
def test_no_contours_where_coordinates_do_not_determine_the_loss(name: str) -> None:
    assert "contours" not in run(LANDSCAPES[name]).results()  # rosenbrock: here of three coordinates


def test_the_grid_is_of_the_closed_form_and_covers_the_paths(tmp_path: Path) -> None:
    found = run(partial(WideningValley, replicas=3, v0=2.0)).results()
    checkpoint.save_arrays(tmp_path, "contours.npz", found["contours"])
    grid, paths = np.load(tmp_path / "contours.npz"), found["replicas"]
    u_squared, v = grid["w/u_squared"].astype(float), grid["w/v"].astype(float)
    assert grid["loss"].shape == (SIDE, SIDE)
    assert grid["loss"].dtype == np.float32
    np.testing.assert_allclose(grid["loss"], 0.5 * v[:, None] ** 2 * u_squared[None], rtol=1e-5)
    for name, values in (("w/u_squared", u_squared), ("w/v", v)):
        assert values[0] < paths[name].min()
        assert paths[name].max() < values[-1]
    assert u_squared[0] >= 0  # no length is negative
    assert (tmp_path / "contours.npz").stat().st_size < 16_000


@pytest.mark.parametrize(
    ("values", "ends"),
    [((0.0, 10), (0, 11)), ((-1.0, 9), (-2, 10)), ((-10.0, 0), (-11, 0)), ((4.0, 4), (3.6, 4.4))],
)
def test_the_grid_lies_on_the_side_of_zero_where_the_paths_are(
    values: tuple[float, float], ends: tuple[float, float]
) -> None:
    found = span(torch.tensor(values))
    assert (found[0].item(), found[-1].item()) == pytest.approx(ends)


def test_the_same_run_leaves_the_same_grid_and_the_dead_are_left_out() -> None:
    ours, theirs = run(FLAT).results()["contours"], run(FLAT).results()["contours"]
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    task = Minimize(model=partial(FLAT, replicas=2), optimizer=partial(pgd, lr=1e-4, sigma=0.0))
    with torch.no_grad():
        task.model.w[1] = 1e15  # its loss is beyond float32
    task.step(0)
    task.evaluate()
    assert task.results()["contours"]["w/x"].max() < 0
