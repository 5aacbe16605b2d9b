"""For papers: columns and names of tables, LaTeX that fits, and `genreg figure`, read back."""

import csv
import io
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import Result
from synthetic import METRICS, write_run

from genreg.report.draw.forest import Effect, Forest, Group
from genreg.report.draw.paper import DASHES, LIGHT, MARKERS, draw_forest
from genreg.report.figure import KINDS, as_in_papers
from genreg.report.judge.result import COLORS

Run = Callable[..., Result]
QUALITY = {"none": 0.80, "vat": 0.88, "l2": 0.70, "r_drop": 0.801}
STEPS = (100, 200, 300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two parts: methods with a threshold, and a grid; six seeds each."""
    root, draw = tmp_path_factory.mktemp("paper"), np.random.default_rng(0)
    arms: list[dict[str, Any]] = [{"name": name, "folder": f"methods/{name}"} for name in QUALITY]
    grid: list[dict[str, Any]] = [{"name": "none", "folder": "methods/none"}]
    for epsilon, xi in itertools.product((0.1, 1.0), (1e-6, 10.0)):
        name = f"vat,epsilon={epsilon},xi={xi}"
        grid.append({"name": name, "folder": name, "values": {"vat.epsilon": epsilon, "vat.xi": xi}})
    for arm, seed in itertools.product([*arms, *grid[1:]], range(6)):
        value = QUALITY.get(arm["name"], 0.82) + draw.normal(0, 0.02)
        shares = [value * s / (s + 20) for s in STEPS[:-1]] + [value]
        rows = [
            {"step": s, "validation/accuracy": v, "test/accuracy": v}
            for s, v in zip(STEPS, shares, strict=True)
        ]
        write_run(
            root / arm["folder"] / f"seed={seed}",
            value,
            rows=rows,
            best=rows[-1],
            last=rows[-1],
            metrics=METRICS,
        )
    common = {
        "baseline": "none",
        "metric": "test/accuracy",
        "select": "validation/accuracy",
        "seeds": list(range(6)),
    }
    threshold = {"metric": "validation/accuracy", "value": 0.75, "mode": "max"}
    parts = [
        common | {"name": "methods", "arms": arms, "threshold": threshold},
        common | {"name": "grid", "arms": grid},
    ]
    (root / "sweep.json").write_text(json.dumps({"sweep": "paper", "parts": parts}))
    return root


@pytest.mark.full
def test_columns_are_those_that_were_typed(genreg: Run, folder: Path) -> None:
    typed = ["--columns", "verdict,arm,difference_low"]
    table = list(csv.reader(io.StringIO(genreg("report", str(folder), "--format", "csv", *typed).out)))
    assert table[0] == ["part", "verdict", "arm", "difference_low"]
    rows = {row[2]: row for row in table if row[0] == "methods"}
    assert rows["vat"][1] == "better"
    assert float(rows["vat"][3]) > 0
    markdown = genreg("report", str(folder), "--format", "markdown", *typed).out.splitlines()
    assert "| verdict | arm | difference low |" in markdown
    latex = genreg("report", str(folder), "--format", "latex", *typed).out
    assert r"better & vat & $+" in latex
    shown = genreg("report", str(folder), "--output", "page.html", *typed).out
    assert "difference low" in shown
    assert "median" not in shown
    assert "median" in Path("page.html").read_text()  # the page has all


MATHS = "figure: expected names whose $...$ is mathematics"
WRONG = {
    "report --columns arm,men": "--columns: expected columns as `--format csv` calls them",
    "report --columns arm --format json": "--columns: expected --format markdown, csv, latex",
    "report --rename vatt=VAT": "--rename: expected an arm, or a word of its name, got 'vatt'",
    "report --rename vat": "--rename: expected old=new, separated by commas",
    "report --rename vat=none": "--rename: expected different names for the arms of methods",
    "figure effect": "KIND: expected one of effects, curves, grid, times, got 'effect'\n  nearest: effects",
    "figure effects -o x.doc": "--output: expected a name that ends in .pdf, .svg, .png",
    "figure effects -o no/such/x.pdf": "--output: expected a file that can be written",
    "figure curves": "--part: expected one of methods, grid, got 'none'",
    "figure curves --part grit": "--part: expected one of methods, grid, got 'grit'\n  nearest: grid",
    "figure grid --part methods": "FOLDER: expected arms of one method in which one or two numbers",
    "figure times --part grid": "FOLDER: expected a part with a threshold",
    "figure effects --width 0": "--width: expected inches, more than 0 and at most 40, got 0.0",
    "figure effects --height nan": "--height: expected inches, more than 0 and at most 40",
    "figure effects --height 0.2": "--width, --height: expected inches in which names and numbers have room",
    "figure effects --rename vat=$\\no$": MATHS,
    "figure effects --metric test/acc": "metric: expected a metric of the runs of methods",
}


DRAWN = ("no/such", "--height 0.2", "$")
LINES = [pytest.param(line, marks=pytest.mark.full if any(word in line for word in DRAWN) else ())
         for line in WRONG]  # fmt: skip
"""Those that are refused after they were drawn take longer."""


@pytest.mark.parametrize("line", LINES)
def test_what_cannot_be_drawn_is_one_line(genreg: Run, folder: Path, line: str) -> None:
    verb, *more = line.split()
    message = WRONG[line]
    output = ["-o", "x.svg"] if verb == "figure" and "-o" not in more else []
    kind = more[:1] if verb == "figure" else []
    answer = genreg(verb, *kind, str(folder), *more[len(kind) :], *output)
    assert answer.code == 2
    assert message in answer.err
    assert len([line for line in answer.err.splitlines() if not line.startswith("  nearest")]) == 1
    assert not Path("x.svg").exists()


@pytest.mark.full
def test_a_new_name_stands_everywhere(genreg: Run, folder: Path) -> None:
    typed = ["--rename", "none=Labels alone,vat=VAT,epsilon=ε"]
    content = json.loads(genreg("report", str(folder), "--format", "json", *typed).out)
    first, second = content["parts"]
    assert [arm["arm"] for arm in first["arms"]] == ["Labels alone", "VAT", "l2", "r_drop"]
    assert first["baseline"] == second["baseline"] == "Labels alone"
    assert second["arms"][1]["arm"] == "VAT,ε=0.1,xi=1e-06"
    plain = json.loads(genreg("report", str(folder), "--format", "json").out)["parts"][0]
    assert [arm["mean"] for arm in first["arms"]] == [arm["mean"] for arm in plain["arms"]]
    genreg("report", str(folder), "--output", "page.html", *typed)
    text = Path("page.html").read_text()
    assert "VAT,ε=0.1" in text
    assert not re.search(r">\s*none\s*<|minus none", text)


@pytest.mark.full
def test_claims_know_arms_by_their_own_names(tmp_path: Path, genreg: Run) -> None:
    for name, seed in itertools.product(("supervised", "vat"), range(10)):
        write_run(
            tmp_path / f"vat_200/{name}-0123abcd/seed={seed}", 0.8 + 0.1 * (name == "vat") + seed / 1000
        )
    given = ["report", str(tmp_path), "--format", "json"]
    plain = json.loads(genreg(*given).out)["parts"][0]["claims"]
    named = json.loads(genreg(*given, "--rename", "vat=VAT,supervised=Labels").out)["parts"][0]["claims"]
    assert [claim["verdict"] for claim in plain] == [claim["verdict"] for claim in named]
    assert {claim["verdict"] for claim in named} > {"not tested"}
    assert any("VAT minus Labels" in claim["why"] for claim in named)


def inches(latex: str) -> float:
    """The width of a table as TeX would set it in Computer Modern of 8 points, columns 8 points apart."""
    from matplotlib import cbook
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(fname=str(Path(cbook._get_data_path("fonts/ttf/cmr10.ttf"))))
    rows = [line.removesuffix(r" \\").split(" & ") for line in latex.splitlines() if line.endswith(r" \\")]

    def width(cell: str) -> float:
        plain, _, small = re.sub(r"\\mathbf|\\ |[{}$\\]", "", cell.replace(r"\pm", " +")).partition(
            "scriptsize"
        )
        return sum(float(TextPath((0, 0), text, size, prop=font).get_extents().width) if text.strip() else 0.0
                   for text, size in ((plain, 8), (small, 7)))  # fmt: skip

    columns = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return (sum(columns) + 8 * (len(columns) - 1)) / 72


@pytest.mark.full
def test_latex_fits_a_column_and_is_rounded_by_the_spread(genreg: Run, folder: Path) -> None:
    methods, grid, _ = genreg("report", str(folder), "--format", "latex").out.split(r"\end{table")
    for table in (methods, grid):
        assert inches(table) < 3.25  # of ICML; one of IEEE has 3.5
        assert r"\begin{table}" in table
    arms = json.loads(genreg("report", str(folder), "--format", "json").out)["parts"][0]["arms"]
    vat = next(arm for arm in arms if arm["arm"] == "vat")
    row = next(line for line in methods.splitlines() if line.startswith("vat"))
    ends = (100 * vat[f"difference_{end}"] for end in ("mean", "low", "high"))
    mean, low, high = (f"{end:+.1f}" for end in ends)  # sd about 2: two digits are one decimal
    assert row.startswith(
        rf"vat & ${100 * vat['mean']:.1f} \pm {100 * vat['sd']:.1f}$ & $\mathbf{{{mean}}}$ "
    )
    assert f"[{low}, {high}]" in row
    assert r"\mathbf" not in next(line for line in methods.splitlines() if line.startswith(r"r\_drop"))
    assert r"arm of vat" in grid
    assert "epsilon=0.1,xi=1e-06 &" in grid
    keys = "arm,n,mean,sd,median,verdict,difference_mean,difference_adjusted"
    wide = genreg("report", str(folder), "--format", "latex", "--columns", keys).out
    assert r"\begin{table*}" in wide
    assert inches(wide.split(r"\end{table")[0]) > 3.25


def svg(path: Path) -> SimpleNamespace:
    root = ElementTree.parse(path).getroot()
    size = [float(root.get(key, "").removesuffix("pt")) / 72 for key in ("width", "height")]
    return SimpleNamespace(
        size=size, texts=[e.text.strip() for e in root.iter() if e.tag.endswith("text") and e.text]
    )


@pytest.mark.full
def test_effects_for_a_paper(genreg: Run, folder: Path) -> None:
    assert (
        genreg("figure", "effects", str(folder), "-o", "x.svg", "--width", "4", "--part", "methods").code == 0
    )
    drawn = svg(Path("x.svg"))
    assert drawn.size[0] == pytest.approx(4)
    assert {"VAT", "L2", "R-Drop", "test accuracy minus none (points)"} <= set(drawn.texts)
    arms = json.loads(genreg("report", str(folder), "--format", "json").out)["parts"][0]["arms"]
    vat = next(arm for arm in arms if arm["arm"] == "vat")
    numbers = (100 * vat[f"difference_{end}"] for end in ("mean", "low", "high"))
    assert "{:+.2f} [{:+.2f}, {:+.2f}]".format(*numbers) in drawn.texts
    genreg("figure", "effects", str(folder), "-o", "all.svg", "--rename", "vat=ours")
    assert {"methods", "grid", "ours"} <= set(svg(Path("all.svg")).texts)  # a heading for each part


def test_a_mean_far_out_stands_at_its_value() -> None:
    """Few effects leave the page's scale; a print has no number under a pointer."""
    from matplotlib.figure import Figure

    means = (30.0, -1.0, 0.5, 0.2)
    effects = [Effect("", f"arm {n}", "undecided", m, m - 90, m + 0.4, "") for n, m in enumerate(means)]
    forest = Forest("", [Group("", "part", "test/accuracy minus none", effects)], "points", 1.0)
    axes = Figure().add_subplot()
    draw_forest(forest, axes)
    marks = {line.get_ydata()[0]: line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"}
    assert [marks[row] for row in range(4)] == list(means)
    assert axes.get_xlim()[1] > 30 > forest.reach


@pytest.mark.full
@pytest.mark.parametrize("what", ["curves methods", "times methods", "grid grid", "curves grid"])
def test_each_kind_for_a_paper(genreg: Run, folder: Path, what: str) -> None:
    kind, part = what.split()
    given = ["figure", kind, str(folder), "--part", part]
    assert genreg(*given, "-o", "x.svg").code == 0
    drawn = svg(Path("x.svg"))
    assert drawn.size == pytest.approx([3.25, 0.75 * 3.25])
    axes = {
        "curves": {"step", "test accuracy (%)"},
        "times": {"step", "runs (%)"},
        "grid": {"epsilon", "xi"},
    }[kind]
    names = {"methods": {"VAT", "L2", "R-Drop", "none"}, "grid": {"none", "epsilon=0.1,xi=1e-06"}}[part]
    assert axes | (set() if kind == "grid" else names) <= set(drawn.texts)
    assert len([text for text in drawn.texts if re.fullmatch(r"\d\d\.\d\d", text)]) == 4 * (kind == "grid")


@pytest.mark.full
def test_the_files_are_what_journals_want(genreg: Run, folder: Path) -> None:
    given = ["figure", "curves", str(folder), "--part", "methods", "--width", "3", "--height", "2"]
    for suffix in ("pdf", "png"):
        assert genreg(*given, "-o", f"x.{suffix}").code == 0
    pdf = Path("x.pdf").read_bytes()
    assert b"/FontFile2" in pdf  # TrueType, embedded
    assert b"/Type3" not in pdf
    assert [float(v) for v in re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", pdf)[0]] == [216, 144]
    assert genreg(*given, "-o", "y.pdf").code == 0
    assert Path("y.pdf").read_bytes() == pdf
    from PIL import Image

    with Image.open("x.png") as image:
        assert image.size == (900, 600)


def test_lines_of_a_paper_are_those_of_the_page() -> None:
    assert len(MARKERS) == COLORS == len([name for name in LIGHT if re.fullmatch(r"c\d", name)])
    assert set(DASHES) == set(range(2, COLORS))
    assert all(len(dash) % 2 == 0 for dash in DASHES.values())


def test_methods_are_called_as_in_papers() -> None:
    names = as_in_papers()
    assert {names[key] for key in ("vat", "r_drop", "anti_pgd", "sam", "gd", "adamw", "pi_model")} == {
        "VAT", "R-Drop", "Anti-PGD", "SAM", "GD", "AdamW", "Pi-model"}  # fmt: skip
    assert (names["none"], names["hidden_noise"]) == ("none", "hidden_noise")
    assert set(KINDS) == {"effects", "curves", "grid", "times"}
