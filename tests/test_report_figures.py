"""What the report draws, read back from its SVG and held against the data."""

import math
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from study import QUALITY, SEEDS, STEPS, write_study
from synthetic import part_of, write_run, write_sweep

from genreg.report.draw.svg import apart
from genreg.report.evaluate import evaluate
from genreg.report.figures import figures
from genreg.report.figures.curves import Figure
from genreg.report.figures.landscape import contours
from genreg.report.judge.result import COLORS, PartResult, plotted_arms
from genreg.report.judge.statistics import LEVEL, level_at, student
from genreg.report.read.find import read_parts

CSS = (Path(__file__).parents[1] / "genreg/report/page/page.css").read_text()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> list[PartResult]:
    return [evaluate(part) for part in read_parts([write_study(tmp_path_factory.mktemp("study"))])]


class Picture:
    """A figure read as a reader's eye does: places turned back into values."""

    def __init__(self, figure: Figure) -> None:
        self.caption = figure.caption
        self.root = ElementTree.fromstring(figure.image)
        self.x, self.y = (self._axis(self.root.get(f"data-{name}", "")) for name in "xy")

    @staticmethod
    def _axis(text: str) -> Callable[[float], float]:
        start, end, low, high, log = map(float, text.split()) if text else (0, 1, 0, 1, 0)

        def value(place: float) -> float:
            found = low + (place - start) / (end - start) * (high - low)
            return 10**found if log else found

        return value

    def all(self, kind: str) -> list[ElementTree.Element]:
        return [e for e in self.root.iter() if kind in e.get("class", "").split()]

    def points(self, element: ElementTree.Element) -> np.ndarray:
        places = [pair.split(",") for pair in element.get("points", "").split()]
        return np.array([(self.x(float(a)), self.y(float(b))) for a, b in places])

    def line(self, name: str) -> np.ndarray:
        (found,) = (e for e in self.all("line") if e.get("data-name") == name)
        return self.points(found)


def drawn_as(result: PartResult, word: str) -> Picture:
    (found,) = (figure for figure in figures(result) if word in figure.caption)
    return Picture(found)


@pytest.mark.full
def test_a_learning_curve_is_the_mean_of_its_seeds(study: list[PartResult]) -> None:
    picture = drawn_as(study[0], "against steps")
    line = picture.line("vat")
    rows = [run.folder.rows_with("test/accuracy") for run in study[0].arms[2].arm.done]
    means = [100 * np.mean([row[k]["test/accuracy"] for row in rows]) for k in range(len(STEPS))]
    np.testing.assert_allclose(line[:, 0], STEPS, rtol=1e-3)
    np.testing.assert_allclose(line[:, 1], means, rtol=1e-3)
    assert "mean and standard deviation over seeds" in picture.caption
    words = [e.text for e in picture.all("name")]
    assert sorted(filter(None, words)) == sorted(QUALITY)  # each line is named at its end


def test_validation_and_test_are_not_drawn_twice(study: list[PartResult]) -> None:
    captions = [figure.caption for result in study[:2] for figure in figures(result)]
    assert [c.split(" against steps")[0] for c in captions if " against steps," in c] == [
        "test/accuracy", "test/loss"]  # fmt: skip


def curve_of(tmp_path: Path, values: np.ndarray) -> Picture:
    """values: (seeds, evaluations) of a loss."""
    for seed, row in enumerate(values):
        rows = [{"step": 10 * (k + 1), "test/loss": float(v)} for k, v in enumerate(row)]
        write_run(tmp_path / f"none/seed={seed}", 0.5, rows=rows, best=None, last=rows[-1], selection=None)
    arms = [{"name": "none", "folder": "none"}]
    write_sweep(tmp_path, arms, metric="test/loss", mode="min", select=None, seeds=list(range(len(values))))
    (part,) = read_parts([tmp_path])
    return drawn_as(evaluate(part), "against steps")


def test_a_band_that_would_cross_zero_is_the_middle_half(tmp_path: Path) -> None:
    values = np.array([[1.0, 0.5], [1.1, 0.4], [0.9, 0.6], [1.0, 9.0], [1.0, 0.5]])
    picture = curve_of(tmp_path, values)
    assert "median and the middle half over seeds" in picture.caption
    np.testing.assert_allclose(picture.line("none")[:, 1], np.median(values, 0), rtol=2e-3)
    (band,) = picture.all("band")
    low, high = picture.points(band)[:2, 1], picture.points(band)[:1:-1, 1]
    np.testing.assert_allclose([low, high], np.quantile(values, [0.25, 0.75], 0), rtol=2e-2, atol=2e-3)


def test_values_over_decades_stand_on_a_logarithmic_axis(tmp_path: Path) -> None:
    values = np.array([[100.0, 10.0, 0.1], [101.0, 10.1, 0.11]])
    picture = curve_of(tmp_path, values)
    assert picture.root.get("data-y", "").endswith(" 1")
    np.testing.assert_allclose(picture.line("none")[:, 1], values.mean(0), rtol=1e-2)
    assert "mean and standard deviation" in picture.caption


def test_the_best_arms_and_the_baseline_are_drawn() -> None:
    values = {"none": [0.0, 0.1], **{f"arm{k}": [float(k), k + 0.1] for k in range(12)}}
    result = evaluate(part_of(values))
    names = [arm.arm.name for _, arm in plotted_arms(result)]
    assert names == ["none", *(f"arm{k}" for k in range(5, 12))]
    assert [color for color, _ in plotted_arms(result)] == list(range(COLORS))
    smaller = evaluate(part_of(values, "min"))
    assert [arm.arm.name for _, arm in plotted_arms(smaller)] == ["none", *(f"arm{k}" for k in range(7))]


def test_every_run_is_a_dot_and_pairs_are_joined(study: list[PartResult]) -> None:
    picture = drawn_as(study[0], "of each seed")
    dots = picture.all("dot")
    assert len(dots) == SEEDS * len(QUALITY)
    assert len(picture.all("pair")) == SEEDS
    titles = {e.findtext("title") for e in dots}
    vat, base = study[0].arms[2], study[0].arms[0]
    for seed in range(SEEDS):
        value, other = (100 * arm.values[seed, None] for arm in (vat, base))
        assert f"vat, seed {seed}: {value:.2f}, {value - other:+.2f} against supervised" in titles
    assert "failed, not drawn: sn 2" in drawn_as(study[1], "of each seed").caption


def test_runs_pass_the_threshold_one_by_one(study: list[PartResult]) -> None:
    picture = drawn_as(study[1], "has passed 0.05")
    for arm in study[1].arms:
        steps = sorted(t.steps for t in arm.times.values() if math.isfinite(t.steps))
        line = picture.line(arm.arm.name)
        assert line[-1, 1] == pytest.approx(100 * len(steps) / 8, abs=0.5)  # two runs of sn failed
        ups = line[1:][np.diff(line[:, 1]) > 1][:, 0]
        np.testing.assert_allclose(ups, steps, rtol=2e-2)


def test_effects_after_each_look_have_the_look_s_interval(study: list[PartResult]) -> None:
    picture = drawn_as(study[0], "after so many seeds")
    arm, base = study[0].arms[2], study[0].arms[0]
    assert arm.comparison
    assert "intervals of the level of each look" in picture.caption
    line = picture.line("vat")
    np.testing.assert_allclose(line[:, 0], range(5, SEEDS + 1), rtol=1e-2)
    for n, mean in line:
        d = [arm.values[s, None] - base.values[s, None] for s in range(round(n))]
        assert mean == pytest.approx(100 * np.mean(d), abs=0.03)
    (band,) = (e for e in picture.all("band") if "c2" in e.get("class", ""))
    points = picture.points(band)
    ends = 100 * arm.comparison.low, 100 * arm.comparison.high
    assert points[len(line) - 1, 1] == pytest.approx(ends[0], abs=0.05)
    assert points[len(line), 1] == pytest.approx(ends[1], abs=0.05)
    first = [arm.values[s, None] - base.values[s, None] for s in range(5)]
    _, low, high = student(first, level_at(5, study[0].rule.plan, LEVEL))
    assert (points[0, 1], points[-1, 1]) == pytest.approx((100 * low, 100 * high), abs=0.05)
    assert student(first)[1] > low + 0.002  # wider than 95 %
    (margin,) = picture.all("margin")
    top, height = float(margin.get("y", "")), float(margin.get("height", ""))
    assert (picture.y(top), picture.y(top + height)) == pytest.approx((1, -1), abs=0.05)


def test_without_a_plan_the_interval_is_students_at_each_number() -> None:
    draw = np.random.default_rng(1)
    values = {"none": draw.normal(0, 1, 9), "vat": draw.normal(1, 1, 9)}
    picture = drawn_as(evaluate(part_of(values)), "mean and 95 % interval")
    (band,) = picture.all("band")
    low = picture.points(band)[:7, 1]
    for n in range(5, 10):
        _, end, _ = student((values["vat"] - values["none"])[:n])
        assert low[n - 3] == pytest.approx(end, abs=0.03)


def test_contours_are_of_the_loss_and_of_every_grid_once(study: list[PartResult]) -> None:
    names = ["w/u_squared", "w/v"]
    folders = [arm.arm.done[0].path for arm in study[2].arms]
    lines = contours(folders, names)
    levels: dict[int, list[float]] = {}
    for level, points in lines:
        levels.setdefault(level, []).extend(0.5 * points[:, 1] ** 2 * points[:, 0])
    assert len(levels) >= 6
    centers = [float(np.median(found)) for found in levels.values()]
    assert all(a < b for a, b in pairwise(centers))
    for found in list(levels.values())[-4:]:  # between points of the grid the loss is curved
        np.testing.assert_allclose(found, np.median(found), rtol=0.05)
    everywhere = np.concatenate([points[:, 0] for _, points in lines])
    assert everywhere.min() < 11 < 36 < everywhere.max()  # from where anti_pgd ended to where pgd did
    picture = drawn_as(study[2], "paths of up to")
    assert "over contours of the loss" in picture.caption
    assert len(picture.all("contour")) == len(lines)
    assert len(picture.all("thin")) == 3 * 4


def test_no_contours_where_the_run_left_none(study: list[PartResult]) -> None:
    assert contours([study[0].arms[0].arm.done[0].path], ["w/u_squared", "w/v"]) == []


def test_tuning_shows_what_so_many_trials_find(study: list[PartResult]) -> None:
    tuned = study[0].arms[2].tuning
    assert tuned
    line = drawn_as(study[0], "trials are expected to find").line("vat")
    np.testing.assert_allclose(line[:, 1], np.multiply(100, tuned.expected_best()), atol=0.02)
    picture = drawn_as(study[0], "against optimizer.lr")
    assert len(picture.all("dot")) == len(tuned.trials) == 6
    (ring,) = picture.all("ring")
    assert tuned.winner
    assert picture.x(float(ring.get("cx", ""))) == pytest.approx(1e-2, rel=2e-2)
    assert picture.y(float(ring.get("cy", ""))) == pytest.approx(100 * tuned.winner.mean, abs=0.05)


def contrast(one: str, other: str) -> float:
    """WCAG 2.1, relative luminance."""

    def luminance(color: str) -> float:
        parts = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_every_text_of_a_picture_has_enough_contrast() -> None:
    """Names at line ends have the colors of their lines; axe does not look into SVG."""
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in CSS.split("@media")[:2])
    for theme in (light, dark):
        for name in [*(f"c{k}" for k in range(COLORS)), "ink", "quiet", "good", "bad", "open"]:
            assert min(contrast(theme[name], theme[back]) for back in ("card", "paper")) >= 4.5, name
    assert len({light[f"c{k}"] for k in range(COLORS)}) == COLORS


def test_names_at_line_ends_do_not_meet() -> None:
    places = apart([10.0, 11.0, 12.0, 100.0], 14, 100)
    assert places == [10, 24, 38, 100]
    assert apart([99.0, 100.0], 14, 100) == [86, 100]
