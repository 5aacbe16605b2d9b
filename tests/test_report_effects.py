"""The page's first answers: all effects in one picture, short answers, names and bands in pictures."""

import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from synthetic import part_of, write_run, write_sweep
from test_report_figures import Picture, drawn_as

from genreg.report.draw.forest import NARROW, WIDE, Layout
from genreg.report.evaluate import evaluate
from genreg.report.figures import figures
from genreg.report.figures.effects import ROWS, effects
from genreg.report.judge.pairs import DECIDED
from genreg.report.judge.result import PartResult
from genreg.report.output.numbers import labels
from genreg.report.output.summary import answer
from genreg.report.page import page
from genreg.report.read.find import read_parts

EPSILONS, XIS = (0.01, 0.1, 1.0, 10.0), (1e-6, 1e-3, 10.0)


def write_grid(root: Path) -> PartResult:
    """Two numbers of one method, three seeds: too few pairs for any verdict."""
    draw = np.random.default_rng(0)
    arms = [{"name": "none", "folder": "none"}]
    for epsilon, xi in itertools.product(EPSILONS, XIS):
        name = f"vat,epsilon={epsilon},xi={xi}"
        arms.append({"name": name, "folder": name, "values": {"vat.epsilon": epsilon, "vat.xi": xi}})
    for arm, seed in itertools.product(arms, range(3)):
        write_run(root / str(arm["folder"]) / f"seed={seed}", 0.8 + draw.normal(0, 0.01))
    write_sweep(root, arms)
    (part,) = read_parts([root])
    return evaluate(part)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> PartResult:
    return write_grid(tmp_path_factory.mktemp("grid"))


class Rows:
    """A forest read back: a row's shapes and text, and the value at each place."""

    def __init__(self, results: list[PartResult], layout: Layout = WIDE) -> None:
        found = effects(results)
        assert found
        self.caption, self.root = found.title, ElementTree.fromstring(found.svg(layout))
        self.rows = {e.get("href", ""): e for e in self.root.iter() if e.get("class") == "row"}
        labels = [
            (e.text or "", float(e.get("x", "0")))
            for e in self.root.findall("{*}text") + self.root.findall("text")
        ]
        ticks = [(float(text), x) for text, x in labels if re.fullmatch(r"-?[\d.]+", text)]
        (first, start), (last, end) = ticks[0], ticks[-1]
        self.value = lambda place: first + (place - start) / (end - start) * (last - first)

    def shapes(self, link: str) -> list[tuple[list[str], float]]:
        """The classes of each shape and the value at its place: the verdict's first, then arrows."""
        found = self.rows[link].findall("path")
        places = (re.findall(r"-?[\d.]+", e.get("transform", ""))[0] for e in found)
        return [
            (e.get("class", "").split()[1:], self.value(float(x))) for e, x in zip(found, places, strict=True)
        ]

    def text(self, link: str) -> str:
        return self.rows[link].findall("text")[1].text or ""


@pytest.mark.parametrize("mode", ["max", "min"])
def test_effects_of_one_metric_stand_at_the_numbers_beside_them(mode: str) -> None:
    draw = np.random.default_rng(0)
    values = {
        name: draw.normal(mean, 0.2, 6) for name, mean in (("none", 0), ("vat", 3), ("l2", -4), ("l1", 0))
    }
    result = evaluate(part_of(values, mode))  # type: ignore[arg-type]
    forest = Rows([result])
    for k in (1, 2, 3):
        mean, _, _ = map(float, re.findall(r"[-+][\d.]+", forest.text(f"#arm-0-{k}")))
        assert forest.shapes(f"#arm-0-{k}")[0][1] == pytest.approx(mean, abs=0.05)
    places = [forest.rows[f"#arm-0-{k}"].findall("path")[0].get("transform", "") for k in (1, 2)]
    vat, l2 = (float(re.findall(r"[\d.]+", place)[0]) for place in places)
    assert (vat > l2) == (mode == "max")  # better is right
    assert "in test/score" in forest.caption


def test_every_decided_effect_of_many_is_shown() -> None:
    draw, shift = np.random.default_rng(0), {66: 3.0, 3: -3.0, 67: -3.0, 68: -3.0}
    values = {"none": draw.normal(0, 0.1, 6)}
    for k in range(ROWS + 10):
        values[f"arm{k}"] = draw.normal(shift.get(k, 0), 0.1 if k < 12 or k in shift else 2.0, 6)
    part = part_of(values)  # type: ignore[arg-type]
    part.margin = (0.9, "absolute")
    result = evaluate(part)
    verdicts = [arm.verdict for arm in result.arms]
    assert (verdicts.count("better"), verdicts.count("worse"), verdicts.count("equivalent")) == (1, 3, 11)
    forest = Rows([result])
    assert {f"#arm-0-{k}" for k, word in enumerate(verdicts) if word in DECIDED} <= forest.rows.keys()
    assert 15 < len(forest.rows) <= ROWS
    left = ROWS + 10 - len(forest.rows)
    assert f"{left} more, all of them undecided, are in the tables below" in forest.caption


def test_what_leaves_the_scale_ends_in_an_arrow_and_keeps_its_shape() -> None:
    draw = np.random.default_rng(0)
    near = {f"near{k}": draw.normal(0.1 * k, 0.1, 6) for k in range(6)}
    wide = [-30, 30, -25, 28, 1, -2]
    values = {"none": draw.normal(0, 0.1, 6), **near, "far": draw.normal(-50, 0.1, 6), "wide": wide}
    result = evaluate(part_of(values))
    # the spread of `wide` is in the unit of the scale: of the arms without it
    result.arms[-1].apart = "not pooled"
    forest = Rows([result])
    assert "An arrow: it goes on beyond the scale." in forest.caption
    tips = {link: [x for words, x in forest.shapes(link) if "tip" in words] for link in forest.rows}
    assert len(tips["#arm-0-8"]) == 2  # on both sides of an interval
    assert len(tips["#arm-0-7"]) == 1
    assert tips["#arm-0-7"][0] < 0
    assert forest.shapes("#arm-0-7")[0][0] == ["worse"]  # the shape of the verdict, inside
    assert forest.shapes("#arm-0-7")[0][1] > tips["#arm-0-7"][0]
    assert not any(tips[f"#arm-0-{k}"] for k in range(1, 7))
    assert (
        "An arrow"
        not in Rows([evaluate(part_of({"none": [0.0, 1, 2, 3, 4], "vat": [1.0, 2, 4, 4, 5]}))]).caption
    )


@pytest.mark.parametrize(("name", "wide", "narrow"), [
    ("digits", "{}: test/score minus none", "{}: test/score minus none"),
    ("a_rather_long_name/digits_label_noise", "{}: test/score minus none", "{}"),
])  # fmt: skip
def test_a_header_is_whole_or_the_name_alone(name: str, wide: str, narrow: str) -> None:
    part = part_of({"none": [0.4] * 5, "vat": [0.5] * 5})
    part.name = name
    for layout, words in ((WIDE, wide), (NARROW, narrow)):
        found = [
            e.text for e in Rows([evaluate(part)], layout).root.iter() if e.get("class") == "label group"
        ]
        assert found == [words.format(name)]


def test_names_lose_what_all_share() -> None:
    names = [
        "none",
        "vat,epsilon=0.1,xi=1e-06,n=1",
        "vat,epsilon=10.0,xi=1e-06,n=1",
        "vat,epsilon=10.0,xi=1,n=1",
    ]
    assert labels(names, 30) == ["none", "epsilon=0.1,xi=1e-06", "epsilon=10.0,xi=1e-06", "epsilon=10.0,xi=1"]
    assert labels(names, 14) == ["none", "0.1, 1e-06", "10.0, 1e-06", "10.0, 1"]
    assert labels(["vat,xi=1", "lds,xi=1"], 30) == ["vat", "lds"]
    assert labels(["a,betas=[0,1]", "a,betas=[0,2]"], 30) == ["betas=[0,1]", "betas=[0,2]"]
    assert labels(["vat,xi=1"], 30) == ["vat,xi=1"]
    assert labels(["vat", "vat,xi=1"], 30) == ["vat", "vat,xi=1"]
    assert labels(["vat,a=1", "vat,b=1"], 6) == ["a=1", "b=1"]  # by their values they would be alike


def test_names_of_a_grid_are_not_cut(grid: PartResult) -> None:
    for figure in figures(grid)[1:]:
        assert "…" not in figure.image
        names = {name for _, name in figure.legend}
        assert {"none"} < names <= {arm.arm.name for arm in grid.arms}  # in full below it


def test_the_answer_of_a_grid_stands_before_its_list(grid: PartResult) -> None:
    text = page([grid], Path())
    assert text.count('class="heat"') == len(EPSILONS) * len(XIS)
    assert text.index('class="heat"') < text.index('<table class="results"')
    assert 'id="effects"' not in text  # twelve times "too few pairs"
    best = max(grid.arms, key=lambda arm: arm.mean)
    base, mean = grid.arms[0], f"{100 * best.mean:.2f}"
    assert answer(grid) == [
        ("", f"largest mean, test/accuracy %: {best.arm.name} {mean} (none {100 * base.mean:.2f})"),
        ("too few pairs", "12 arms"),
    ]


def test_a_band_ends_where_one_seed_is_left(tmp_path: Path) -> None:
    arms, draw = [{"name": "none", "folder": "none"}], np.random.default_rng(0)
    for k, epsilon in enumerate((0.01, 0.1, 1.0, 10.0, 100.0)):
        arms.append(
            {"name": f"vat,epsilon={epsilon}", "folder": f"vat{k}", "values": {"vat.epsilon": epsilon}}
        )  # type: ignore[dict-item]
    for arm, seed in itertools.product(arms, range(4)):
        failed = arm["folder"] == "vat2" and seed > 0
        write_run(tmp_path / arm["folder"] / f"seed={seed}", 0.5 + draw.normal(0, 0.05),
                  **({"status": "failed", "reason": "diverged"} if failed else {}))  # fmt: skip
    write_sweep(tmp_path, arms, seeds=list(range(4)))
    (part,) = read_parts([tmp_path])
    result = evaluate(part)
    picture = drawn_as(result, "against epsilon")
    bands = [picture.points(band) for band in picture.all("band")]
    found = {
        round(x, 3): [y for a, y in band if round(a, 3) == round(x, 3)] for band in bands for x, _ in band
    }
    assert len(bands) == 2
    assert len(found) == 4  # none at epsilon 1
    for ends in found.values():
        assert max(ends) - min(ends) > 1
    (line,) = picture.all("line")
    assert len(picture.points(line)) == 5
    assert "no band: one run is left" in picture.caption


def test_a_caption_counts_the_lines_that_are_drawn() -> None:
    draw = np.random.default_rng(0)
    part = part_of({"none": draw.normal(0, 1, 6), "vat": draw.normal(1, 1, 6), "l2": draw.normal(1, 1, 2)})
    picture = drawn_as(evaluate(part), "after so many seeds")
    assert len(picture.all("line")) == 1
    assert picture.caption.endswith("; 1 of 2 arms besides the baseline, those that have such values")
    many = part_of({f"arm{k}": draw.normal(k, 1, 6) for k in range(12)})
    picture = drawn_as(evaluate(many), "after so many seeds")
    assert len(picture.all("line")) == 7
    assert picture.caption.endswith("; 7 of 11 arms besides the baseline, the best")


def test_a_line_of_one_point_has_a_mark(tmp_path: Path) -> None:
    for name, steps in (("none", (10, 20, 30)), ("short", (10,))):
        rows = [{"step": s, "test/loss": 1.0 + s / 10} for s in steps]
        for seed in range(2):
            write_run(
                tmp_path / name / f"seed={seed}", 0.5, rows=rows, best=None, last=rows[-1], selection=None
            )
    arms = [{"name": name, "folder": name} for name in ("none", "short")]
    write_sweep(tmp_path, arms, metric="test/loss", mode="min", select=None, seeds=[0, 1])
    (part,) = read_parts([tmp_path])
    picture: Picture = drawn_as(evaluate(part), "against steps")
    assert len(picture.all("line")) == 1
    (mark,) = picture.all("dot")
    x, y = map(float, re.findall(r"[\d.]+", mark.get("transform", "")))
    assert (picture.x(x), picture.y(y)) == pytest.approx((10, 2), abs=0.02)
