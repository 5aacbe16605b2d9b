"""What the terminal shows at 40, 80 and 140 columns, and what a pipe gets."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Result
from rich.console import Console
from synthetic import part_of, write_run

from genreg.report.evaluate import evaluate
from genreg.report.judge.result import PartResult
from genreg.report.output import tables
from genreg.report.output.columns import columns
from genreg.report.output.summary import as_csv
from genreg.report.page import page
from genreg.run.display import Display, print_line

NAMES = ["gp", "frobenius_penalty,lr=0.0005,bound=1", "spectral_normalization,lr=0.0005,lr=0.002", "sn"]
"""The longest names that the sweeps make, and a longer one."""


@pytest.fixture
def result() -> PartResult:
    """Four arms of eight seeds, one with failures and therefore with a remark."""
    draw = np.random.default_rng(0)
    part = part_of({name: draw.normal(k / 3, 0.5, 8) for k, name in enumerate(NAMES)})
    for seed in range(3):
        part.arms[2].runs[seed].status = "failed"
    return evaluate(part)


def shown(result: PartResult, width: int) -> str:
    out = io.StringIO()
    tables.show([result], Console(file=out, width=width, force_terminal=True, color_system=None))
    return out.getvalue()


@pytest.mark.parametrize("width", [40, 80, 140])
def test_every_name_and_every_cell_can_be_read(result: PartResult, width: int) -> None:
    out = shown(result, width)
    assert max(map(len, out.splitlines())) <= width
    assert not re.search("┃┃|││|…", out)  # no column without a place
    whole = re.sub(r"[\s│┃]", "", out)
    for arm in result.arms:
        assert (arm.arm.name in out) == (len(arm.arm.name) <= width)
        assert arm.arm.name in whole
        for one in columns(result):
            if one.column.kind != "text":  # remarks are broken into lines beside other cells
                assert all(text.replace(" ", "") in whole for text in one.texts)
        for word in arm.remark.split():
            assert word in out


def test_a_wide_terminal_needs_one_table(result: PartResult) -> None:
    assert [shown(result, width).count("┏") for width in (40, 80, 140, 300)] == [0, 0, 2, 1]
    del result.arms[2]
    assert [shown(result, width).count("┏") for width in (40, 80, 140, 300)] == [0, 4, 2, 1]


def test_page_and_text_formats_say_the_remark(result: PartResult) -> None:
    remark = "failed: 3 against 0 of 8 pairs, ranked worst: judged by rank"
    for words in (
        page([result], Path()),
        tables.markdown([result]),
        tables.latex([result]),
        as_csv([result]),
    ):
        assert words.count(remark) == 1
    assert "sign flips of differences in rank, 8 pairs: p =" in page([result], Path())
    few = page([evaluate(part_of({"gp": [0.0, 0.0, 0.0], "sn": [0.02, 0.02, 0.022]}))], Path())
    assert "3 that both finished, their differences +0.02067 with sd 0.001155" in few
    assert "<dd>too few pairs</dd>" in few


def test_a_pipe_gets_whole_lines(genreg: Callable[..., Result], tmp_path: Path) -> None:
    name = "spectral_normalization" * 5
    for seed in range(2):
        write_run(tmp_path / f"out/part/{name}/seed={seed}", 0.9, status="failed", reason="diverged " * 30)
        write_run(tmp_path / f"out/part/none/seed={seed}", 0.8)
    lines = genreg("report", "out").out.splitlines()
    assert any(name in line and "│" in line for line in lines)
    assert any(line.startswith("note:") and line.count("diverged") == 30 for line in lines)


@pytest.mark.parametrize("width", [40, 80, 140])
@pytest.mark.parametrize("steps", [2000, 100_000])
def test_bar_step_speed_and_time_left_always_stay(
    width: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    consoles = [
        Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None) for _ in range(2)
    ]
    monkeypatch.setattr("genreg.run.display.Console", lambda **_: consoles[0])
    names = ["cross_entropy", "spectral_normalization", "gradient_penalty", "frobenius", "vat", "entropy"]
    with Display(steps, ["validation/accuracy"], ("validation/accuracy", "max")) as display:
        for step in (steps // 10, steps // 5):
            row = {f"train/{name}": 0.12345678 for name in names}
            display.show({"step": step, **row, "validation/accuracy": 0.987654}, {})
        assert display.bar
        display.bar.update(display.task, speed="1234 steps/s")
        consoles[1].print(display.bar.get_renderable())
    (line,) = consoles[1].file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(line) <= width
    bar, rest = line.split(f"{steps // 5}/{steps} 1234 steps/s ")
    assert len(bar.strip()) > 0
    assert len(bar) >= (14 if width >= 80 else 4)
    values = ["best 0.9877", *(f"{name} 0.1235" for name in names), "validation/accuracy 0.9877"]
    time, *kept = re.split(" +(?=[a-z])", rest.strip())
    assert re.fullmatch(r"\d+:\d\d:\d\d", time)
    assert kept == values[: len(kept)]  # dropped from the end, none of them cut
    assert len(kept) >= {40: 0, 80: 1, 140: 3}[width]


@pytest.mark.parametrize(("mode", "best"), [("max", 0.9), ("min", 0.2)])
def test_a_line_says_the_best_so_far_and_the_speed_of_this_start(
    mode: str, best: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a run that goes on from step 1000: 20 steps a second since."""
    display = Display(1300, ["validation/m"], ("validation/m", mode))
    display.bar = None
    for step, value in ((1000, 0.5), (1100, 0.2), (1200, 0.9), (1300, 0.4)):
        monkeypatch.setattr("time.monotonic", lambda step=step: step / 20)
        display.show({"step": step, "validation/m": value}, {})
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"step 1300/1300  20 steps/s  best {best}  validation/m 0.4"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "no evaluation was recorded"),
        ([{"step": 5, "train/vat": 0.25}, {"step": 7, "train/vat": 0.125, "features": "a"}], "last (step 7)"),
    ],
)
def test_show_says_why_a_run_failed(
    genreg: Callable[..., Result], tmp_path: Path, rows: list[dict[str, object]], said: str
) -> None:
    folder = write_run(tmp_path / "seed=0", 0.9, status="failed", reason="diverged: vat is nan at step 8",
                       step=8, best=None, last=None)  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(f"{row}\n".replace("'", '"') for row in rows))
    out = genreg("show", str(folder)).out
    assert "status    failed: diverged: vat is nan at step 8, 8 steps in 3.0 s" in out
    assert said in out
    assert ("0.125" in out) == bool(rows)
    assert "repeat    genreg train regularizer=vat" in out
    assert ("┏" in out) == bool(rows)


def test_show_of_a_run_without_a_summary_draws_no_empty_table(
    genreg: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "seed=0").mkdir()
    out = genreg("show", "seed=0").out
    assert "status    half-written\n" in out
    assert "no evaluation was recorded" in out
    assert "┏" not in out


def test_show_of_a_folder_above_one_run_is_of_that_run(genreg: Callable[..., Result], tmp_path: Path) -> None:
    write_run(tmp_path / "outputs/digits/vat-0000000a/seed=0", 0.9)
    assert genreg("show", "outputs").out == genreg("show", "outputs/digits/vat-0000000a/seed=0").out
    for seed in range(1, 7):
        write_run(tmp_path / f"outputs/digits/vat-0000000a/seed={seed}", 0.9)
    refused = genreg("show", "outputs")
    assert (refused.code, refused.out) == (2, "")
    assert "a run's folder (`genreg ls` lists all below it), got 'outputs'" in refused.err
    assert refused.err.count("outputs/digits/vat-0000000a/seed=") == 5


def test_the_line_of_a_run_whose_step_nothing_chose_has_its_first_metrics(
    capsys: pytest.CaptureFixture[str],
) -> None:
    last = {"step": 4, "w/loss": 0.5, "w/trace": 20.0, "w/distance": 1.0, "w/sharpness": 2.0}
    print_line({"last": last, "selection": None, "seconds": 1.0}, "a/seed=0")
    assert capsys.readouterr().out == (
        "a/seed=0: w/loss 0.5000  w/trace 20.0000  w/distance 1.0000  at step 4, 1.0 s\n")  # fmt: skip
