"""What the report says first, on the page and in its summary, and what a row shows."""

import io
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from study import COMMAND, ITEMS, QUESTION, png, write_study
from synthetic import part_of, write_run
from test_report_effects import Rows, write_grid

from genreg.report.command import report
from genreg.report.draw.forest import NARROW, WIDE, Layout
from genreg.report.evaluate import evaluate
from genreg.report.figures.effects import pooled
from genreg.report.figures.landscape import EXACT, embedded
from genreg.report.judge.result import PartResult
from genreg.report.output.claims import judge
from genreg.report.output.numbers import SIGNS
from genreg.report.output.summary import summary
from genreg.report.output.tables import markdown, show
from genreg.report.output.tuned import best_three
from genreg.report.page import page
from genreg.report.page.rows import of_items
from genreg.report.read.find import read_parts

CSS = (Path(__file__).parents[1] / "genreg/report/page/page.css").read_text()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> list[PartResult]:
    results = [evaluate(part) for part in read_parts([write_study(tmp_path_factory.mktemp("study"))])]
    for result in results:
        result.claims = judge(result)
    return results


@pytest.mark.parametrize("layout", [WIDE, NARROW])
def test_effects_of_several_metrics_are_in_units_of_each_part_s_spread(
    study: list[PartResult], layout: Layout
) -> None:
    forest = Rows(study, layout)
    assert len(forest.rows) == 8
    assert [forest.shapes(f"#arm-{k}")[0][0] for k in ("0-2", "0-4", "1-2")] == [
        ["better"],
        ["worse"],
        ["no", "open"],
    ]
    vat = study[0].arms[2].comparison
    assert vat
    for k, way in (("0-2", 1), ("1-1", -1)):  # of a loss, smaller is better, and better is right
        part, arm = map(int, k.split("-"))
        found = study[part].arms[arm].comparison
        assert found
        expected = way * found.mean / pooled(study[part])
        assert forest.shapes(f"#arm-{k}")[0][1] == pytest.approx(expected, abs=0.05)
        assert forest.text(f"#arm-{k}").startswith(f"{expected:+.2f} [")
    assert "in standard deviations of one run" in forest.caption
    variances = [np.var(list(arm.values.values()), ddof=1) for arm in study[0].arms]
    assert pooled(study[0]) == pytest.approx(math.sqrt(np.mean(variances)))  # of as many seeds each


@pytest.mark.full
def test_each_of_several_questions_has_a_heading_and_a_short_answer(
    study: list[PartResult], tmp_path: Path
) -> None:
    grid = write_grid(tmp_path)
    grid.part.question = "Does the radius matter?"
    text = page([*study, grid], Path())
    head = text[: text.index("<main")]
    assert [re.sub(r"\s+", " ", h) for h in re.findall(r"<h2>([^<]+)</h2>", head)] == [
        "Does a smoother model generalize better?", "Does the radius matter?"]  # fmt: skip
    items = [
        " ".join(re.sub(r"<[^>]+>", " ", li).replace("&nbsp;", " ").split())
        for li in re.findall(r"<li>.*?</li>", head, re.S)
    ]
    base, vat = study[0].arms[0], study[0].arms[2]
    assert items[0].startswith(f"vat_200 ▲ better vat {100 * (vat.mean - base.mean):+.2f}, noise +")
    assert "▼ worse worse -" in items[0]
    assert items[3].startswith("part largest mean, test/accuracy %: ")
    assert len(items) == 4


@pytest.mark.full
def test_how_to_read_is_folded_behind_the_results_and_explains_what_is_there(
    study: list[PartResult], tmp_path: Path
) -> None:
    grid = write_grid(tmp_path)
    (small,), (large,) = (
        re.findall(r'<details class="how">.*?</details>', page(r, Path()), re.S) for r in ([grid], study)
    )
    terms = [re.findall(r"<dt>([^<]+)</dt>", text) for text in (small, large)]
    assert terms[0] == ["minus the baseline", "p (Holm)", "could show", "verdict"]
    assert {"failed", "looks", "equivalent", "tuning", "steps and seconds", "remark"} == set(terms[1]) - set(
        terms[0]
    )
    text = page([grid], Path())
    assert text.index('class="how"') > text.rindex('class="results"')


def test_what_the_test_sample_adds(study: list[PartResult]) -> None:
    vat, base = study[0].arms[2], study[0].arms[0]
    expected = 1.96 * math.sqrt((vat.mean * (1 - vat.mean) + base.mean * (1 - base.mean)) / ITEMS)
    assert of_items(study[0], vat) == pytest.approx(expected)
    assert f"at most ±{100 * expected:.2f}" in page(study, Path())
    assert math.isnan(of_items(study[1], study[1].arms[1]))  # no share


def test_a_share_of_something_else_is_not_of_the_test_items() -> None:
    """Precision of a generator is a share of its samples; such runs choose their step by another measure."""
    part = part_of({"none": [0.4] * 5, "vat": [0.5] * 5})
    for run in part.runs():
        run.summary |= {"items": {"test": 100}, "metrics": {"score": {"better": "max", "unit": "%"}}}
        run.summary["selection"] = ["validation/score", "max"]
    result = evaluate(part)
    assert of_items(result, result.arms[1]) == pytest.approx(1.96 * math.sqrt(0.4 * 0.6 / 100 + 0.25 / 100))
    for run in part.runs():
        run.summary["selection"] = ["validation/wasserstein", "min"]
    assert math.isnan(of_items(result, result.arms[1]))


def test_the_page_says_first_what_was_asked_and_what_came(study: list[PartResult]) -> None:
    text = page(study, Path())
    head = text[: text.index("<main")]
    assert f"<h1>{QUESTION}</h1>" in head
    counts = "5 claims: 2 reproduced, 3 not tested; 8 comparisons: 5 better, 2 worse, 1 no difference shown."
    assert counts in head
    assert all(word in head for word in ("2026-11-25", "commit 01234567 ", "on a pretend GPU", "1.6 hours"))
    places = set(re.findall(r' id="([^"]+)"', text))
    links = set(re.findall(r' href="#([^"]+)"', text))
    assert links <= places
    assert {f"part-{k}" for k in range(3)} <= links  # every part is reachable


def test_no_verdict_is_told_by_color_alone(study: list[PartResult]) -> None:
    badges = re.findall(
        r'class="badge [^"]*"><span aria-hidden="true">(.)</span>&nbsp;([^<]+)<', page(study, Path())
    )
    assert {word for _, word in badges} == {
        "better",
        "worse",
        "no difference shown",
        "reproduced",
        "not tested",
    }
    assert all(SIGNS[word] == sign for sign, word in badges)
    assert len(set(SIGNS.values())) == len(SIGNS)


def test_columns_that_decide_are_in_every_row(study: list[PartResult]) -> None:
    text = page(study, Path())
    head = re.findall(r"<thead role.*?</thead>", text, re.S)[0]
    assert [re.sub(r"<[^>]+>|\u200b", "", cell) for cell in re.findall(r"<th .*?</th>", head)] == [
        "arm", "test/accuracy %, mean (sd)", "minus supervised [interval]", "around zero", "p (Holm)",
        "verdict",
    ]  # fmt: skip
    hidden = re.findall(r"([^{}]*)\{[^{}]*display: none", CSS)
    assert hidden
    assert not [rule for rule in hidden if re.search(r"verdict|difference|picture", rule)]


def test_claims_are_counted_by_verdict(study: list[PartResult]) -> None:
    claims = study[2].claims
    claims[0].verdict, claims[1].verdict, claims[2].verdict = "not reproduced", "not tested", "not decided"
    try:
        text = page(study, Path())
    finally:
        for one in claims:
            one.verdict = "not tested"
    assert "5 claims: 2 reproduced, 1 not, 1 not decided, 1 not tested; " in text
    assert len(re.findall(r'class="badge not-tested"', text)) == 1


def test_claims_about_arms_that_are_not_here_are_one_sentence() -> None:
    part = part_of({"gp": [0.4] * 5, "sn": [0.5] * 5})
    part.name = "wgan_sn"
    result = evaluate(part)
    result.claims = judge(result)
    words = "6 claims not tested, of arms that are not here: gp_one_sided, clip, frobenius"
    console = Console(file=io.StringIO(), width=200)
    show([result], console)
    for text in (summary([result]), markdown([result]), page([result], Path()), console.file.getvalue()):  # type: ignore[attr-defined]
        assert text.count(words) == 1
        assert "no arm is called" not in text


def test_the_summary_is_one_page_with_a_line_for_each_arm(study: list[PartResult]) -> None:
    lines = summary(study).splitlines()
    assert lines[0] == f"# {QUESTION}"
    assert (
        lines[2]
        == "5 claims: 2 reproduced, 3 not tested; 8 comparisons: 5 better, 2 worse, 1 no difference shown."
    )
    assert lines[4] == "2026-11-25, commit 01234567, on a pretend GPU, 1.6 hours in 101 runs."
    vat = study[0].arms[2]
    assert vat.comparison
    mean, sd, difference, low, high = (
        100 * v for v in (vat.mean, vat.sd, vat.comparison.mean, vat.comparison.low, vat.comparison.high)
    )
    effect = f"{difference:+.2f} [{low:+.2f}, {high:+.2f}], p < 1e-4, better"
    ends = f"P(better) 100 % [64, 100], corrected for stopping {difference:+.2f}"
    assert f"- ▲ vat: {mean:.2f} ({sd:.2f}), n = 10, {effect}, {ends}" in lines
    assert sum(line.startswith("- ✓ reproduced: ") for line in lines) == 2
    assert sum(line.startswith("- – not tested: ") for line in lines) == 3
    assert lines[-1] == f"    {COMMAND}"
    assert len(lines) < 60


def test_the_summary_of_many_arms_is_still_one_page() -> None:
    values = {"none": [0.0] * 5, **{f"arm{k}": [k + 0.1 * s for s in range(5)] for k in range(40)}}
    lines = summary([evaluate(part_of(values))]).splitlines()
    assert len(lines) < 20
    assert "- and 33 more" in lines
    assert any(line.startswith("- ▲ arm39: ") for line in lines)


def test_names_stay_text_in_the_summary() -> None:
    text = summary([evaluate(part_of({"none": [0.0] * 5, "<b>[x](y)`*": [1.0, 2, 3, 4, 5]}))])
    assert r"- ▲ &lt;b>[x]\(y)\`\*: 3 (1.581), n = 5," in text


def test_the_summary_is_a_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_study(tmp_path / "study")
    report([root], form="summary")
    assert capsys.readouterr().out.startswith(f"# {QUESTION}\n")
    assert not (root / "report.html").exists()


def test_tuning_and_looks_are_told_below_the_table(study: list[PartResult]) -> None:
    notes = study[0].notes
    assert (
        "seeds are added until every comparison is decided: looks at 5, 6, ..., 10; p accounts for all "
        "looks, and an interval is at the level of the last look"
    ) in notes
    assert "a difference below 1 points is not worth having (margin)" in notes
    tuned = study[0].arms[2].tuning
    assert tuned
    assert tuned.winner
    there, here = 100 * tuned.winner.mean, 100 * np.mean(tuned.fresh)
    assert (
        "vat: best of 6 trials on validation/accuracy: optimizer.lr=0.01, vat.epsilon=2.0 "
        f"({there:.2f} there, {here:.2f} on these seeds: luck {there - here:+.2f}); "
        "at an end of its range: optimizer.lr, vat.epsilon"
    ) in notes
    best = sorted(tuned.trials, key=lambda trial: -trial.mean)[:3]
    said = best_three(tuned).split("; ")
    assert [float(text.split(" ")[0]) for text in said] == pytest.approx(
        [100 * t.mean for t in best], abs=6e-3
    )
    assert said[0].endswith("(optimizer.lr=0.01, vat.epsilon=2.0)")


def test_a_picture_is_embedded_small_and_whole(tmp_path: Path) -> None:
    def decoded(path: Path) -> tuple[Image.Image, int]:
        import base64

        data = base64.b64decode(embedded(path).removeprefix("data:image/webp;base64,"))
        return Image.open(io.BytesIO(data)), len(data)

    (tmp_path / "gray.png").write_bytes(png())
    image, _ = decoded(tmp_path / "gray.png")
    assert np.array(image.convert("RGB")).tolist() == np.full((8, 8, 3), 128).tolist()
    draw = np.random.default_rng(0)
    Image.fromarray(draw.integers(0, 256, (200, 200, 3), np.uint8)).save(tmp_path / "noise.png")
    image, size = decoded(tmp_path / "noise.png")
    assert image.size == (200, 200)
    assert size < (tmp_path / "noise.png").stat().st_size / 2  # which is more than EXACT
    assert (tmp_path / "noise.png").stat().st_size > EXACT
    (tmp_path / "cut.png").write_bytes(png()[:40])
    (tmp_path / "other.png").write_bytes(b"GIF89a")
    assert embedded(tmp_path / "cut.png") == embedded(tmp_path / "other.png") == ""


def test_a_study_makes_a_small_page(study: list[PartResult]) -> None:
    assert len(page(study, Path())) < 200_000  # 101 runs


@pytest.mark.full
def test_a_page_with_many_pictures_stays_under_a_megabyte(tmp_path: Path) -> None:
    """209 runs of 16 arms, each with a grid of samples of 270 by 270 pixels in color."""
    draw, arms = np.random.default_rng(0), []
    steps = range(50, 2050, 50)
    for k in range(16):
        for seed in range(13):
            values = np.exp(-0.003 * np.array(steps)) + draw.random(len(steps)) / 10
            rows = [{"step": s, "test/loss": float(v)} for s, v in zip(steps, values, strict=True)]
            path = tmp_path / f"arm{k}/seed={seed}"
            write_run(path, 0.5, rows=rows, best=None, last=rows[-1], selection=None)
        (tmp_path / f"arm{k}/seed=0/samples").mkdir()
        blocks = Image.fromarray(draw.integers(0, 256, (48, 48, 3), np.uint8))
        blocks.resize((270, 270)).save(tmp_path / f"arm{k}/seed=0/samples/step=2000.png")
        arms.append({"name": f"arm{k}", "folder": f"arm{k}", "command": "genreg train seed=N"})
    common = {"metric": "test/loss", "mode": "min", "select": None, "seeds": list(range(13))}
    halves = [common | {"name": f"half{k}", "arms": arms[8 * k : 8 * k + 8]} for k in range(2)]
    (tmp_path / "sweep.json").write_text(json.dumps({"sweep": "demo", "parts": halves}))
    text = page([evaluate(part) for part in read_parts([tmp_path])], tmp_path)
    assert text.count("data:image/webp") == 16
    assert len(text.encode()) < 1_000_000
