"""`genreg check`: rows against summaries, summaries against verdicts, and runs that are made again."""

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Result
from synthetic import write_run, write_sweep

from genreg import groups
from genreg.cli.check import ROUNDING, largest
from genreg.errors import Interrupted
from genreg.report.check import differences
from genreg.run import display

Genreg = Callable[..., Result]
TINY = ["dataset=two_moons", "model.widths=[4]", "steps=4", "eval_every=2", "log_every=1", "quiet=true",
        "device=cpu", "logger=none", "output_dir=study"]  # fmt: skip


@pytest.fixture(autouse=True)
def unpacked(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Archives are unpacked, and runs made again, in a folder of the test's own: nothing may stay there."""
    place = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr("tempfile.tempdir", str(place))
    yield
    groups.OWN.clear()
    assert not [path for path in place.iterdir() if not path.name.startswith("torchinductor")]  # torch's own


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two trained runs of one arm below `study`."""
    from genreg.cli.compose import compose, configs, plain
    from genreg.run.train import train

    place = tmp_path_factory.mktemp("trained")
    with configs():
        config = plain(compose([*TINY, f"output_dir={place / 'study'}"]))
    for seed in (0, 1):
        train({**config, "seed": seed}, in_sweep=True)
    return place


@pytest.fixture
def here(genreg: Genreg, trained: Path, tmp_path: Path) -> Path:
    """The current folder, with these runs."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def run_of(here: Path, seed: int = 0) -> Path:
    (found,) = here.glob(f"study/**/seed={seed}")
    return found


def write_study(place: Path) -> None:
    """A part with a verdict: six pairs."""
    for name, value in {"none": 0.5, "vat": 0.6}.items():
        for seed in range(6):
            write_run(place / "study" / name / f"seed={seed}", value + (seed**2 % 5) / 100 * (name == "vat"))
    arms = [{"name": name, "folder": name} for name in ("none", "vat")]
    write_sweep(place / "study", arms, seeds=list(range(6)))


def change(path: Path, name: str, before: str, after: str) -> None:
    """Another text in one member."""
    with zipfile.ZipFile(path) as found:
        files = {one: found.read(one).decode() for one in found.namelist()}
    (full,) = (one for one in files if one.endswith(name))
    assert before in files[full]
    with zipfile.ZipFile(path, "w") as found:
        for one, content in files.items():
            found.writestr(one, content.replace(before, after) if one == full else content)


@pytest.mark.parametrize(
    ("name", "before", "after", "says"),
    [
        (  # the row that was chosen
            "vat/seed=3/metrics.jsonl", '"test/accuracy": 0.64}', '"test/accuracy": 0.74}',
            ["summaries: 11 of 12", "vat/seed=3: best test/accuracy was 0.64, by its rows 0.74",
             "part, vat: ", "mean was 0.6"],
        ),
        (  # another row would be chosen
            "none/seed=1/metrics.jsonl", '"validation/accuracy": 0.2', '"validation/accuracy": 0.9',
            ["none/seed=1: best step was 20, by its rows 10", "part, none: mean was 0.5, is 0.45"],
        ),
        (  # the summary alone: verdicts rest on rows
            "vat/seed=0/summary.json", '"test/accuracy": 0.6}', '"test/accuracy": 0.9}',
            ["summaries: 11 of 12", "best test/accuracy was 0.9, by its rows 0.6",
             "verdicts: 1 of 1 are what the rows give\n"],
        ),
        ("vat/seed=0/summary.json", '"done"', '"failed"', ["part, vat: ", "failed was 0, is 1"]),
        ("verdicts.json", '"better"', '"worse"',
         ["summaries: 12 of 12", "verdicts: 0 of 1", "part, vat: verdict was worse, is better"]),
        ("verdicts.json", '"part, vat"', '"part, entropy"',
         ["part, entropy: is recorded, and not found", "part, vat: is found, and not recorded"]),
        ("vat/seed=5/metrics.jsonl", '{"step": 20', '["step": 20', ["vat/seed=5: its rows cannot be read"]),
        ("vat/seed=5/metrics.jsonl", '"validation/accuracy": 0.6', '"validation/accuracy": "0.6"',
         ["vat/seed=5: its rows cannot be read"]),
    ],
)  # fmt: skip
def test_what_is_not_as_recorded_is_said(
    genreg: Genreg, tmp_path: Path, name: str, before: str, after: str, says: list[str]
) -> None:
    write_study(tmp_path)
    genreg("pack", "study", "study.zip")
    right = genreg("check", "study.zip")
    assert right == Result(0, "summaries: 12 of 12 are what their rows say\n"
                           "verdicts: 1 of 1 are what the rows give\nall of it holds\n", "")  # fmt: skip
    change(tmp_path / "study.zip", name, before, after)
    answer = genreg("check", "study.zip")
    assert answer.code == 1, answer
    assert answer.out.endswith("not all of it holds\n")
    for words in says:
        assert words in answer.out, answer.out


def test_a_verdict_of_a_tampered_summary_is_found(genreg: Genreg, tmp_path: Path) -> None:
    """Before it was packed."""
    write_study(tmp_path)
    for path in tmp_path.glob("study/vat/seed=*/summary.json"):
        path.write_text(path.read_text().replace('"test/accuracy": 0.6', '"test/accuracy": 0.4'))
    genreg("pack", "study", "study.zip")
    answer = genreg("check", "study.zip")
    assert answer.code == 1
    assert "part, vat: verdict was worse, is better" in answer.out


def test_runs_made_again_are_equal_to_the_byte(genreg: Genreg, here: Path) -> None:
    genreg("pack", "study", "study.zip")
    answer = genreg("check", "study.zip", "--rerun", "5", "--seed", "7")
    assert answer.code == 0, answer
    assert "made again: 2 of 2 runs, drawn by --seed 7" in answer.out
    for seed in (0, 1):
        name = run_of(here, seed).relative_to(here / "study")
        assert f"  equal to the byte      {name}\n" in answer.out
    assert "code, data, versions, device and threads are as recorded" in answer.out
    assert sorted(path.name for path in here.iterdir()) == ["study", "study.zip"]


@pytest.mark.full
def test_a_seed_draws_the_same_runs(genreg: Genreg, here: Path) -> None:
    genreg("pack", "study", "study.zip")
    once = [genreg("check", "study.zip", "--rerun", "1", "--seed", seed).out for seed in ("3", "3", "4", "5")]
    assert [out.count("equal to the byte") for out in once] == [1, 1, 1, 1]
    assert once[0] == once[1]
    assert len({out.partition("seed=")[2][:1] for out in once}) == 2


@pytest.mark.full
@pytest.mark.parametrize(
    ("factor", "words", "code"), [(1 + 1e-6, "within rounding", 0), (1.1, "different", 1)]
)
def test_a_row_on_which_no_verdict_rests(
    genreg: Genreg, here: Path, factor: float, words: str, code: int
) -> None:
    """Only making the run again shows that it was changed, and how much."""
    path = run_of(here) / "metrics.jsonl"
    first, rest = path.read_text().split("\n", 1)
    row = json.loads(first)
    path.write_text(json.dumps({**row, "train/loss": factor * row["train/loss"]}) + "\n" + rest)
    genreg("pack", "study", "study.zip")
    assert genreg("check", "study.zip").code == 0
    answer = genreg("check", "study.zip", "--rerun", "2")
    assert answer.code == code
    assert words in answer.out
    assert "of the largest train/loss" in answer.out
    assert answer.out.count("equal to the byte") == 1


@pytest.mark.full
def test_other_code_data_and_versions_are_said(genreg: Genreg, here: Path) -> None:
    path = run_of(here) / "environment.json"
    (start,) = json.loads(path.read_text())
    start["code"]["model"]["digest"], start["packages"]["torch"], start["threads"] = "aa", "1.0", 2
    path.write_text(json.dumps([start]))
    genreg("pack", "study", "study.zip")
    out = genreg("check", "study.zip", "--rerun", "2").out
    assert "not as recorded:\n" in out
    assert "  code of model is not what it was\n" in out
    assert f"  packages torch was 1.0, is {torch.__version__}\n" in out
    assert "threads" not in out  # as many as were recorded
    assert torch.get_num_threads() == 1


@pytest.mark.full
def test_a_run_that_cannot_be_made_is_a_line(genreg: Genreg, here: Path) -> None:
    path = run_of(here) / "config.yaml"
    path.write_text(path.read_text().replace("labeled: ", "labeled: -"))
    genreg("pack", "study", "study.zip")
    answer = genreg("check", "study.zip", "--rerun", "2")
    assert answer.code == 1
    assert "  not made               " in answer.out
    assert "dataset.labeled: expected" in answer.out


@pytest.mark.full
def test_a_run_of_an_archive_is_repeated(genreg: Genreg, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "draw", lambda *_: None)
    genreg("pack", "study", "study.zip")
    name = run_of(here).relative_to(here)
    assert genreg("train", "--like", f"study.zip/{name}").code == 0
    (again,) = here.glob("outputs/again/**/metrics.jsonl")
    assert again.read_bytes() == (run_of(here) / "metrics.jsonl").read_bytes()


def test_ctrl_c_leaves_nothing(genreg: Genreg, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from genreg.cli import check
    from genreg.run.train import train

    made: list[Any] = []

    def stopped(config: dict[str, Any], **how: Any) -> Any:
        if made:
            raise Interrupted("interrupted at step 2; the same command resumes it")
        made.append(train(config, **how))

    monkeypatch.setattr(check, "train", stopped)
    genreg("pack", "study", "study.zip")
    answer = genreg("check", "study.zip", "--rerun", "2")
    assert answer.code == 130
    assert answer.err == "genreg: interrupted: 1 of 2 runs were made again\n"
    assert sorted(path.name for path in here.iterdir()) == ["study", "study.zip"]


@pytest.mark.full
def test_a_landscape_and_a_run_that_fails(
    genreg: Genreg, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replicas are held against their arrays; a run that diverges is as it was if it diverges alike."""
    monkeypatch.setattr(display, "draw", lambda *_: None)
    given = [*TINY[3:], "task=landscape", "model=widening_valley", "model.d=3", "model.replicas=3"]
    assert genreg("train", *given, "steps=20").code == 0
    failed = genreg("train", *TINY, "optimizer=sgd", "optimizer.lr=1e30", "steps=50")
    assert failed.code == 1, failed
    genreg("pack", "study", "study.zip")
    answer = genreg("check", "study.zip", "--rerun", "9")
    assert answer.out.count("equal to the byte") == 4, answer
    (path,) = here.glob("study/**/replicas.npz")
    arrays = dict(np.load(path))
    arrays["w/trace"][0] *= 2
    np.savez_compressed(path, **arrays)
    genreg("pack", "study", "study.zip", "--force")
    answer = genreg("check", "study.zip", "--rerun", "9")
    assert answer.code == 1
    assert "of the largest replicas.npz w/trace" in answer.out


def test_the_largest_difference() -> None:
    before = {"step": np.array([1, 2]), "loss": np.array([10.0, 0.1]), "name": np.array(["a", "b"])}
    assert largest(before, {**before, "loss": np.array([10.0, 0.1001])})[0] == pytest.approx(1e-5)
    assert largest(before, {**before, "loss": np.array([10.1, 0.1])}) == (
        pytest.approx(1e-2), "by at most 1.0e-02 of the largest loss")  # fmt: skip
    for other in (np.array(["a", "c"]), np.array([1, 2])):
        assert largest(before, {**before, "name": other})[0] > ROUNDING
    assert largest(before, {key: before[key] for key in ("step", "loss")})[0] == np.inf
    died = {"x": np.array([1.0, np.nan])}
    assert largest(died, {"x": np.array([1.0, np.nan])})[0] == 0
    assert largest(died, {"x": np.array([1.0, 2.0])})[0] == np.inf


def test_a_later_version_may_know_more_columns() -> None:
    before = {"a": {"verdict": "better", "mean": 0.5, "old": 1}, "claim": {"verdict": "reproduced"}}
    now = {"a": {"verdict": "better", "mean": 0.5 + 1e-12, "new": 2}, "claim": {"verdict": "reproduced"},
           "new": {"verdict": "reproduced"}}  # fmt: skip
    assert list(differences(before, now)) == []
    now["a"]["verdict"] = "worse"
    assert list(differences(before, now)) == [("a", "verdict was better, is worse")]


def test_an_archive_has_no_place_of_this_machine_and_finds_data_at_another(
    genreg: Genreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data/a.npz", X=draw.normal(size=(200, 2)).astype(np.float32), y=np.arange(200) % 2)
    monkeypatch.setenv("GENREG_DATA", str(tmp_path / "data"))
    split = ["dataset.validation=50", "dataset.test=50", "dataset.labeled=20"]
    typed = ["dataset=npz", "dataset.path=a.npz", *split, *TINY[1:-1], f"output_dir={tmp_path / 'study'}"]
    assert genreg("train", *typed).code == 0
    assert genreg("pack", "study", "x.zip").code == 0
    with zipfile.ZipFile("x.zip") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert not [name for name, content in contents.items() if str(tmp_path).encode() in content]
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    monkeypatch.setenv("GENREG_DATA", str(tmp_path / "elsewhere"))
    answer = genreg("check", "x.zip", "--rerun", "1")
    assert "equal to the byte" in answer.out, answer
    assert answer.code == 0
