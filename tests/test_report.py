"""`genreg report` and `genreg show` on folders made by hand."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Result
from synthetic import part_of, write_landscape, write_run, write_sweep

from genreg.report.evaluate import evaluate
from genreg.report.read.find import read_parts

Run = Callable[..., Result]
ARM, OTHER = "vat-0123abcd", "none-89efcdab"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two arms of three seeds: 0.9, 0.91, 0.95 against 0.8, 0.82, 0.84."""
    for seed, (a, b) in enumerate([(0.9, 0.8), (0.91, 0.82), (0.95, 0.84)]):
        write_run(tmp_path / "out/digits" / ARM / f"seed={seed}", a)
        write_run(tmp_path / "out/digits" / OTHER / f"seed={seed}", b)
    return tmp_path / "out"


def table(genreg: Run, *arguments: str) -> dict[str, dict[str, str]]:
    """The CSV of a report, by arm."""
    result = genreg("report", *arguments, "--format", "csv")
    assert result.code == 0, result.err
    return {row["arm"]: row for row in csv.DictReader(io.StringIO(result.out))}


def notes(genreg: Run, *arguments: str) -> str:
    result = genreg("report", *arguments, "--format", "json")
    assert result.code == 0, result.err
    return "\n".join(note for part in json.loads(result.out)["parts"] for note in part["notes"])


def test_values_are_read_where_validation_chose_and_paired_by_seed(genreg: Run, runs: Path) -> None:
    rows = table(genreg, str(runs))
    assert float(rows["vat"]["mean"]) == pytest.approx(0.92)
    assert float(rows["vat"]["median"]) == pytest.approx(0.91)
    assert float(rows["none"]["sd"]) == pytest.approx(0.02)
    assert float(rows["vat"]["difference_mean"]) == pytest.approx(0.1)
    assert rows["none"]["difference_mean"] == ""
    assert rows["vat"]["verdict"] == "too few pairs"


def test_the_smaller_is_better_where_the_part_says_so() -> None:
    verdicts = {}
    for mode in ("max", "min"):
        result = evaluate(
            part_of({"a": [1, 2, 3, 4, 5], "b": [2.1, 3, 4.1, 5, 6], "c": [1.3, 1.8, 2.5, 4.2, 5]}, mode)
        )
        verdicts[mode] = [arm.verdict for arm in result.arms]
    assert verdicts["max"] == ["", "better", "no difference shown"]
    assert verdicts["min"] == ["", "worse", "no difference shown"]


def test_the_verdict_is_corrected_for_the_number_of_arms() -> None:
    arms = {"a": [0.0] * 6, "b": [1.0, 0.2, 1.5, 0.9, -0.3, 0.8]}  # p = 0.035
    assert evaluate(part_of(arms)).arms[1].verdict == "better"
    others = {name: [1.0, -1.0, 0.5, -0.5, 0.2, -0.2] for name in ("c", "d")}
    assert evaluate(part_of(arms | others)).arms[1].verdict == "no difference shown"


def test_baseline_metric_and_selection_are_options(genreg: Run, runs: Path) -> None:
    rows = table(genreg, str(runs), "--baseline", "vat")
    assert float(rows["none"]["difference_mean"]) == pytest.approx(-0.1)
    rows = table(genreg, str(runs), "--metric", "validation/accuracy")
    assert list(rows) == ["vat", "none"]  # ordered by validation
    write_run(runs / "digits/vat-11111111/seed=0", 0.5, rows=[
        {"step": 1, "validation/loss": 3.0, "test/accuracy": 0.1},
        {"step": 2, "validation/loss": 1.0, "test/accuracy": 0.7},
        {"step": 3, "validation/loss": 1.0, "test/accuracy": 0.9},
    ], config="a: 1\n")  # fmt: skip
    rows = table(genreg, str(runs / "digits/vat-11111111"), "--select", "validation/loss")
    assert [float(row["mean"]) for row in rows.values()] == [0.7]  # the first of equal losses


@pytest.mark.parametrize("metric", ["test/accuracy", "test_clean/accuracy", "train/loss", "w/trace"])
def test_a_choice_on_anything_but_validation_is_refused(genreg: Run, runs: Path, metric: str) -> None:
    result = genreg("report", str(runs), "--select", metric)
    assert result.code == 2
    assert result.err.startswith("genreg: --select: expected a validation metric")
    assert len(result.err.splitlines()) == 1
    write_sweep(runs, [{"name": "none", "folder": f"digits/{OTHER}"}], select=metric)
    assert genreg("report", str(runs)).code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "FOLDER: expected a folder of runs, got 'missing'"),
        (["empty"], "FOLDER: expected a folder with runs below it (folders seed=N), got 'empty'"),
        (["out", "--baseline", "vatt"], "--baseline: expected the name of an arm, got 'vatt'"),
        (["out", "--metric", "test/acuracy"], "metric: expected a metric of the runs of digits"),
        (
            ["out", "--format", "xml"],
            "--format: expected one of html, markdown, csv, json, latex, summary, got 'xml'",
        ),
        (["out", "--output", "report.doc"], "--output: expected a name that ends in"),
        (["out", "--output", "no/such/report.html"], "--output: expected a file that can be written"),
    ],
)
def test_bad_input_is_one_line(genreg: Run, runs: Path, arguments: list[str], message: str) -> None:
    (runs.parent / "empty").mkdir()
    result = genreg("report", *arguments)
    assert result.code == 2
    assert result.err.startswith(f"genreg: {message}")
    assert len([line for line in result.err.splitlines() if not line.startswith("  nearest")]) == 1


def test_of_failed_runs_alone_the_report_says_why_and_what_to_do(genreg: Run, tmp_path: Path) -> None:
    """Alone, and with a part that has results."""
    reason = "diverged: vat is nan at step 8; try a smaller optimizer.lr or weight"
    for arm, seed in ((ARM, 0), (ARM, 1), (OTHER, 0)):
        write_run(tmp_path / "out/digits" / arm / f"seed={seed}", 0.9, status="failed", reason=reason,
                  best=None, last=None)  # fmt: skip
    result = genreg("report", "out")
    assert result.code == 0, result.err
    assert f"all 3 runs failed, so there is nothing to compare: {reason}. Next: " in result.out
    assert "retry_failed=true" in result.out
    write_run(tmp_path / "out/moons" / ARM / "seed=0", 0.9)
    assert table(genreg, "out")["vat"]["mean"] == "0.9"
    write_run(tmp_path / "out/digits" / OTHER / "seed=1", 0.9)
    assert "runs failed, so" not in notes(genreg, "out")


def test_every_lost_run_is_named_with_its_reason(genreg: Run, runs: Path) -> None:
    write_run(runs / "digits" / ARM / "seed=3", 0.9, status="failed", reason="diverged: vat is nan at step 8")
    write_run(runs / "digits" / ARM / "seed=4", 0.9, status="interrupted")
    (runs / "digits" / ARM / "seed=5").mkdir()
    damaged = write_run(runs / "digits" / ARM / "seed=6", 0.9) / "summary.json"
    damaged.write_text(damaged.read_text()[:50])
    odd = write_run(runs / "digits" / ARM / "seed=7", 0.9) / "summary.json"
    odd.write_text(json.dumps({"status": "done", "last": {"step": 1, "test/accuracy": "high"}}))
    write_run(runs / "digits" / ARM / "seed=8", 0.9)
    row = table(genreg, str(runs))["vat"]
    assert (row["n"], row["failed"], row["unfinished"], row["difference_n"]) == ("4", "1", "4", "3")
    assert notes(genreg, str(runs)).splitlines() == [
        "vat, seed 3: failed (diverged: vat is nan at step 8)",
        "vat, seed 4: interrupted",
        "vat, seed 5: no summary.json yet",
        "vat, seeds 6, 7: damaged summary.json",
        "vat and none differ in seed 8: only common ones are paired",
    ]


def test_a_sweep_file_names_what_is_missing_and_how_to_make_it(genreg: Run, runs: Path) -> None:
    arms = [{"name": "none", "folder": f"digits/{OTHER}", "command": "genreg train seed=N"},
            {"name": "vat,xi=0.1", "folder": f"digits/{ARM}", "command": "genreg train seed=N"},
            {"name": "new", "folder": "digits/new-00000000"}]  # fmt: skip
    write_sweep(runs, arms, seeds=[0, 1, 2, 3], threshold={"metric": "validation/accuracy", "value": 0.85})
    content = json.loads(genreg("report", str(runs), "--format", "json").out)["parts"][0]
    assert content["command"] == "genreg train sweep=demo"
    assert "none, seed 3: missing" in content["notes"]
    assert "new, seeds 0 to 3: missing" in content["notes"]
    none, vat, new = content["arms"]
    assert new["verdict"] == "too few pairs"
    assert vat["runs"][2]["command"] == "genreg train seed=2"
    assert (vat["reached"], vat["median_steps"], vat["median_seconds"]) == (3, 20, 2.0)
    assert (none["reached"], none["median_steps"]) == (0, None)  # censored: never
    none_row = next(
        line
        for line in genreg("report", str(runs), "--format", "markdown").out.splitlines()
        if "| none |" in line
    )
    assert "| 0 of 3 | never | never |" in none_row
    for inside in (f"digits/{ARM}", f"digits/{ARM}/seed=1"):  # the sweep file of a parent folder
        found = json.loads(genreg("report", str(runs / inside), "--format", "json").out)["parts"][0]
        assert [arm["arm"] for arm in found["arms"]] == ["vat,xi=0.1"]


def test_a_damaged_or_escaping_sweep_file_is_one_line(genreg: Run, runs: Path) -> None:
    write_sweep(runs, [{"name": "none", "folder": "../../etc"}])
    result = genreg("report", str(runs))
    assert (result.code, len(result.err.splitlines())) == (2, 1)
    for threshold in (
        {"metric": "test/accuracy", "value": 1},
        {"metric": "validation/accuracy", "value": "high"},
    ):
        write_sweep(runs, [{"name": "none", "folder": f"digits/{OTHER}"}], threshold=threshold)
        result = genreg("report", str(runs))
        assert (result.code, len(result.err.splitlines())) == (2, 1)
    (runs / "sweep.json").write_text('{"sweep": ')
    result = genreg("report", str(runs))
    assert (result.code, len(result.err.splitlines())) == (2, 1)


def test_equal_names_are_told_apart_and_nothing_is_lost(genreg: Run, runs: Path) -> None:
    for k, xi in enumerate(["0.1", "1.0e-06"]):
        folder = runs / f"digits/vat-{k:08x}/seed=0"
        write_run(folder, 0.5 + k / 10, config=f"seed: 0\nregularizer:\n  vat:\n    xi: {xi}\n")
    (runs / "digits" / ARM).rename(runs / "digits/entropy-0123abcd")
    assert set(table(genreg, str(runs))) == {"none", "entropy", "vat,xi=1e-06", "vat,xi=0.1"}
    arms = [{"name": "a", "folder": f"digits/{OTHER}"}, {"name": "a", "folder": "digits/entropy-0123abcd"}]
    write_sweep(runs, arms)
    assert set(table(genreg, str(runs))) == {OTHER, "entropy-0123abcd"}
    assert "2 arms are called a: told apart by their folders" in notes(genreg, str(runs))
    assert "2 runs below" in notes(genreg, str(runs))  # those that the sweep file does not have


def test_one_arm_in_two_folders_is_one_arm(genreg: Run, runs: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "more/digits" / ARM / "seed=2", 0.1)
    write_run(tmp_path / "more/digits" / ARM / "seed=9", 0.9)
    row = table(genreg, str(runs), str(tmp_path / "more"))["vat"]
    assert (row["n"], row["difference_n"]) == ("4", "3")
    assert "vat has seed 2 twice" in notes(genreg, str(runs), str(tmp_path / "more"))


def test_replicas_are_the_units_of_a_landscape(genreg: Run, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    start = draw.normal(20, 5, 30)
    write_landscape(tmp_path / "out/anti_pgd_valley/gd-00000000/seed=0", start)
    write_landscape(tmp_path / "out/anti_pgd_valley/anti_pgd-00000000/seed=0", start - draw.normal(5, 1, 30))
    rows = table(genreg, "out")
    assert (rows["gd"]["n"], rows["anti_pgd"]["n"], rows["anti_pgd"]["verdict"]) == ("30", "30", "better")
    assert float(rows["gd"]["mean"]) == pytest.approx(start.mean())
    claims = json.loads(genreg("report", "out", "--format", "json").out)["parts"][0]["claims"]
    assert [claim["verdict"] for claim in claims] == ["reproduced", "not tested", "not tested"]
    assert "no arm is called pgd" in claims[1]["why"]


def test_dead_replicas_are_failures(genreg: Run, tmp_path: Path) -> None:
    folder = write_landscape(tmp_path / "out/valley/gd-00000000/seed=0", np.array([1.0, 2.0, 99.0]))
    arrays = dict(np.load(folder / "replicas.npz"))
    np.savez(folder / "replicas.npz", **arrays | {"died": np.array([-1, -1, 7])})
    row = table(genreg, "out")["gd"]
    assert (row["n"], row["failed"], row["unfinished"], float(row["mean"])) == ("2", "1", "0", 1.5)
    assert notes(genreg, "out") == "gd: 1 replicas died and are left out of the mean"


def test_text_formats_escape_and_agree(genreg: Run, runs: Path) -> None:
    (runs / "digits" / ARM).rename(runs / "digits/v&t_|<b>\x1b[31m-0123abcd")
    markdown = genreg("report", str(runs), "--format", "markdown").out
    assert r"| v&amp;t_\|&lt;b&gt;" in markdown
    assert "\x1b" not in markdown
    latex = genreg("report", str(runs), "--output", "table.tex")
    assert latex.out == ""
    assert r"v\&t\_|$<$b$>$" in Path("table.tex").read_text()
    shown = genreg("report", str(runs)).out
    assert "\x1b[31m" not in shown
    assert "92.00" in shown
    assert "92.00" in markdown
    assert (runs / "report.html").exists()


def test_show_says_what_a_run_was(genreg: Run, runs: Path) -> None:
    result = genreg("show", str(runs / "digits" / ARM / "seed=1"))
    assert result.code == 0
    for text in (
        "status    done, 30000 steps in 3.0 s",
        "0.91",
        "seed: 0",
        "repeat    genreg train regularizer=vat",
    ):
        assert text in result.out
    wrong = genreg("show", str(runs / "digits" / ARM))
    assert wrong.code == 2
    assert "seed=0" in wrong.err.splitlines()[1]


@pytest.mark.full
def test_report_and_show_never_import_torch_or_hydra(runs: Path) -> None:
    code = (
        "import sys; from genreg.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "sys.exit(str({'torch', 'hydra', 'wandb', 'sklearn'} & set(sys.modules)))"
    )
    for arguments in (
        ["report", str(runs)],
        ["ls", str(runs)],
        ["show", str(runs / "digits" / ARM / "seed=0")],
        ["--help"],
    ):
        answer = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert answer.stderr == "set()\n"


@pytest.mark.full
def test_real_runs_are_reported(genreg: Run) -> None:
    sweep: Any = ["-m", "experiment=smoke/none,smoke/vat", "seed=range(2)", "logger=none", "device=cpu"]
    assert genreg("train", *sweep).code == 0
    parts = read_parts([Path("outputs")])
    result = evaluate(parts[0])
    assert [arm.arm.name for arm in result.arms] == ["none", "vat"]
    summary = json.loads((result.arms[1].arm.folder / "seed=1/summary.json").read_text())
    assert result.arms[1].values[1, None] == summary["best"]["test/accuracy"]
    assert genreg("report", "outputs").code == 0
