"""What a classifier makes of the plane, at the steps that were asked for."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Result, small_task
from PIL import Image
from torch import nn

from genreg.dataset import digits, gaussian_ring, two_moons
from genreg.errors import InputError
from genreg.measure import LDS
from genreg.model import MLP
from genreg.report.figures.landscape import embedded
from genreg.run.pictures import CAPTION, beside
from genreg.task.evaluation import SIDE, margins, picture

TINY = partial(MLP, widths=[8])


def moons(**options: Any) -> Any:
    return small_task(dataset=two_moons, model=TINY, **options)


@pytest.mark.full
def test_frames_and_a_panel_at_steps_that_are_not_evaluated(genreg: Callable[..., Result]) -> None:
    arguments = ["experiment=two_moons/vat", "steps=12", "eval_every=5", "log_every=4", "device=cpu",
                 "task.frames=[0,3,10,12,99]", "logger=none", "output_dir=out"]  # fmt: skip
    assert genreg("train", *arguments).code == 0
    (folder,) = Path("out").glob("two_moons/*/seed=0")
    assert {path.name for path in (folder / "samples").iterdir()} == {f"step={n}.png" for n in (0, 3, 10, 12)}
    panel, frame = (np.asarray(Image.open(folder / name)) for name in ("samples.png", "samples/step=3.png"))
    height, width, _ = frame.shape
    assert panel.shape == (height + CAPTION, 4 * width, 3)
    assert np.array_equal(panel[CAPTION:, width : 2 * width], frame)


@pytest.mark.full
def test_the_report_shows_all_steps_in_one_picture(genreg: Callable[..., Result]) -> None:
    arguments = ["steps=3", "task.frames=[0,3]", "device=cpu", "logger=none", "output_dir=out"]
    assert genreg("train", "experiment=two_moons/none", *arguments).code == 0
    assert genreg("report", "out", "--output", "page.html").code == 0
    (panel,) = Path("out").rglob("samples.png")
    page = Path("page.html").read_text()
    assert embedded(panel) in page
    assert page.count("data:image/webp") == 1


@pytest.mark.full
def test_a_run_without_frames_draws_nothing(genreg: Callable[..., Result]) -> None:
    assert genreg("train", "experiment=smoke/vat", "steps=2", "device=cpu", "output_dir=out").code == 0
    assert not list(Path("out").rglob("samples*"))


@pytest.mark.full
def test_drawing_leaves_the_run_as_it_was(genreg: Callable[..., Result]) -> None:
    """Rows are the same bytes with and without pictures."""
    common = ["experiment=two_moons/vat", "steps=20", "checkpoint_every=5", "device=cpu", "logger=none"]
    for name, frames in (("drawn", "[0,7,20]"), ("plain", "null")):
        genreg("train", *common, f"task.frames={frames}", f"output_dir={name}")
    rows = [path.read_bytes() for name in ("drawn", "plain") for path in Path(name).rglob("metrics.jsonl")]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("data", [digits, two_moons])
def test_only_points_of_the_plane_have_a_picture(data: Any) -> None:
    if data is digits:
        with pytest.raises(
            InputError, match=r"task\.frames: expected null for a dataset that has no classes of"
        ):
            small_task(dataset=data, frames=[0])
    else:
        assert small_task(dataset=data, model=TINY, frames=[0]).images()["samples"].dtype == np.uint8


def test_the_shade_is_that_of_the_measure_at_each_point() -> None:
    task = moons()
    lds, x = LDS(epsilon=0.2, items=7), task.dataset.test.x[:7]
    each = lds.of_items(task.model, x, task.dataset.test.y[:7])
    assert each.shape == (7,)
    assert lds(task.model, x, task.dataset.test.y[:7]).value == pytest.approx(each.mean().item())


def test_margins_are_zero_where_the_prediction_changes() -> None:
    outputs = torch.randn(SIDE * SIDE, 4, generator=torch.Generator().manual_seed(0))
    found = margins(outputs)
    assert len(found) == 3
    for c, margin in enumerate(found):
        assert np.array_equal(margin.ravel() > 0, (outputs.argmax(1) == c).numpy())


class Half(nn.Module):
    """Class 1 to the right of 0.5."""

    def __init__(self) -> None:
        super().__init__()
        self.anything = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack((0.5 - x[:, 0], x[:, 0] - 0.5), 1)


def test_the_boundary_stands_where_the_model_has_it() -> None:
    data: Any = two_moons()
    page = picture(Half(), data, {})  # type: ignore[arg-type]
    dark = (
        (page.max(2) < 60) & (np.arange(page.shape[1]) > 15) & (np.arange(page.shape[1]) < page.shape[1] - 15)
    )
    rows = dark[20:-20].mean(0)
    line = int(rows.argmax())
    assert rows[line] > 0.8
    assert (rows > 0.8).sum() <= 3
    low, high = data.unlabeled[:, 0].min().item(), data.unlabeled[:, 0].max().item()
    margin = 0.15 * (high - low)
    assert line / page.shape[1] == pytest.approx((0.5 - low + margin) / (high - low + 2 * margin), abs=0.02)


def test_several_classes_without_a_measure() -> None:
    task = small_task(dataset=gaussian_ring, model=TINY, frames=[0])
    assert task.images()["samples"].shape[2] == 3


def test_pictures_of_one_row_keep_their_order(tmp_path: Path) -> None:
    for k in range(3):
        Image.new("RGB", (30, 20), (80 * k, 0, 0)).save(tmp_path / f"{k}.png")
    page = beside({str(k): tmp_path / f"{k}.png" for k in (2, 0, 1)})
    assert page[CAPTION:, ::30, 0].tolist() == [[160, 0, 80]] * 20
