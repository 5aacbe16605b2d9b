"""Runs of different data are neither averaged nor paired, and what else arms differ in is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import Result
from sklearn.datasets import load_wine
from synthetic import write_run, write_sweep

from genreg.run.read import Data, data_of, settings_of

Genreg = Callable[..., Result]
OLD, NEW = "0a" * 32, "1b" * 32
SHORT = ["device=cpu", "logger=none", "steps=10", "eval_every=10"]


def write_table(path: Path, x: np.ndarray, y: np.ndarray) -> Path:
    lines = [",".join([*(f"x{k}" for k in range(x.shape[1])), "target"])]
    lines += [",".join(map(str, [*row, target])) for row, target in zip(x, y, strict=True)]
    path.write_text("\n".join(lines))
    return path


def write_tables(folder: Path) -> list[Path]:
    """Wine, whose features tell the class, and coin flips, whose features tell nothing."""
    wine, draw = load_wine(), np.random.default_rng(0)
    coins = draw.normal(size=(178, 4)), draw.integers(2, size=178)
    return [
        write_table(folder / "wine.csv", wine.data, wine.target),
        write_table(folder / "coins.csv", *coins),
    ]


def config(**more: Any) -> dict[str, Any]:
    """A run's own, with dotted keys in `more`; LABELED of a table without a word."""
    found: dict[str, Any] = {
        "name": None, "seed": 0, "steps": 2000, "precision": "fp32", "output_dir": "outputs",
        "dataset": {"_target_": "genreg.dataset.table", "path": "wine.csv", "labeled": 50, "validation": 0.2},
        "model": {"_target_": "genreg.model.MLP", "widths": [16]}, "regularizer": {},
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 1e-3},
        "task": {"_target_": "genreg.task.classify.Classify", "batch_size": 32, "label_noise": 0.0},
    }  # fmt: skip
    for dotted, value in more.items():
        *groups, key = dotted.split("__")
        node = found
        for group in groups:
            node = node[group]
        node[key] = value
    return found


def made(folder: Path, value: float, digest: str | None = None, day: int = 1, **more: Any) -> None:
    """A finished run that recorded the checksum of its file, if any."""
    write_run(folder, value, config=yaml.safe_dump(config(**more)))
    start = {"started": f"2026-01-{day:02}T00:00:00+00:00", "command": ["genreg", "train"]}
    data = {} if digest is None else {"data": {"wine.csv": digest}}
    (folder / "environment.json").write_text(json.dumps([start | data]))


def parts(genreg: Genreg, folder: str = "outputs") -> dict[str, Any]:
    answer = genreg("report", folder, "--format", "json")
    assert answer.code == 0, answer.err
    return {part["name"]: part for part in json.loads(answer.out)["parts"]}


def arms(part: dict[str, Any]) -> dict[str, Any]:
    return {arm["arm"]: arm for arm in part["arms"]}


@pytest.mark.full
def test_wine_and_coin_flips_are_no_arms_of_one_comparison(genreg: Genreg, tmp_path: Path) -> None:
    wine, coins = write_tables(tmp_path)
    typed = ["train", "-m", "dataset=table", f"dataset.path={wine},{coins}", "seed=range(5)", *SHORT]
    assert (answer := genreg(*typed)).code == 0, answer.err
    found = parts(genreg)
    assert list(found) == ["coins", "wine"]  # each called by its file
    assert all(list(arms(part)) == ["none"] and not part["notes"] for part in found.values())
    for place in (tmp_path / "outputs/wine").iterdir():  # as an earlier version called both
        place.rename(tmp_path / "outputs/coins" / place.name)
    (tmp_path / "outputs/coins").rename(tmp_path / "outputs/table")
    (tmp_path / "outputs/wine").rmdir()
    found = parts(genreg)
    assert list(found) == ["table (coins)", "table (wine)"] or list(found) == [
        "table (wine)",
        "table (coins)",
    ]
    assert {name: [arm["n"] for arm in part["arms"]] for name, part in found.items()} == {
        "table (wine)": [5], "table (coins)": [5]}  # fmt: skip
    assert found["table (wine)"]["arms"][0]["mean"] > found["table (coins)"]["arms"][0]["mean"] + 0.1
    assert not any(arm["verdict"] for part in found.values() for arm in part["arms"])
    (note,) = found["table (wine)"]["notes"]
    assert f"path={wine}" in note
    assert f"path={coins}" in note
    assert "better" not in genreg("report", "outputs", "--format", "summary").out
    assert genreg("plan", "outputs", "--difference", "5").code == 2  # no arm has another to be compared with
    assert "10 finished, 0 to run" in genreg(*typed).out  # found where the earlier version made them
    assert not (tmp_path / "outputs/wine").exists()


def test_runs_of_one_arm_on_two_versions_of_a_file_are_not_averaged(genreg: Genreg, tmp_path: Path) -> None:
    folder = tmp_path / "outputs/wine/none-0123abcd"
    for seed in range(5):
        made(folder / f"seed={seed}", *((0.5, OLD, 1) if seed < 3 else (0.9, NEW, 2)))
    made(folder / "seed=5", 0.9)  # of a version that recorded no checksums: unknown is not different
    (part,) = parts(genreg).values()
    (arm,) = part["arms"]
    assert (arm["n"], arm["mean"]) == (3, pytest.approx(0.9))
    assert part["notes"] == [
        "none: 3 runs of other data are left out (wine.csv 0a0a0a0a in seeds 0 to 2; the newest run has "
        "wine.csv 1b1b1b1b)"
    ]
    (line,) = json.loads(genreg("ls", "outputs", "--format", "json").out)
    assert (line["status"], line["seeds"]) == ({"done": 3, "of other data": 3}, "3-5")
    assert line["mean"] == pytest.approx(0.9)
    (line,) = json.loads(genreg("ls", "outputs", "--where", "seed=0", "--format", "json").out)
    assert line["status"] == {"of other data": 1}


def test_a_notebook_has_every_run_and_says_its_data(tmp_path: Path) -> None:
    from genreg.report.frames import runs

    made(tmp_path / "wine/none-0123abcd/seed=0", 0.5, OLD)
    made(tmp_path / "wine/none-0123abcd/seed=1", 0.9, NEW, 2)
    made(tmp_path / "wine/none-0123abcd/seed=2", 0.9)
    table = runs(tmp_path)
    assert table.seed.tolist() == [0, 1, 2]
    assert table.data.tolist() == ["wine.csv 0a0a0a0a", "wine.csv 1b1b1b1b", ""]


def test_arms_of_two_versions_of_a_file_are_two_parts(genreg: Genreg, tmp_path: Path) -> None:
    for seed in range(5):
        made(tmp_path / f"outputs/wine/none-0123abcd/seed={seed}", 0.5 + seed / 100, OLD)
        made(tmp_path / f"outputs/wine/vat-1123abcd/seed={seed}", 0.9 + seed / 99, NEW)
    found = parts(genreg)
    assert [list(arms(part)) for part in found.values()] == [["none"], ["vat"]]
    assert list(found) == ["wine (wine.csv 0a0a0a0a)", "wine (wine.csv 1b1b1b1b)"]


@pytest.mark.parametrize(
    ("changed", "apart"),
    [
        ({"dataset__path": "coins.csv"}, True), ({"dataset__target": "color"}, True),
        ({"dataset__validation": 0.3}, True), ({"dataset__test": 0.2}, False),
        ({"dataset__targets": "auto"}, False), ({"dataset___target_": "genreg.dataset.npz"}, True),
        ({"task__label_noise": 0.2}, True), ({"dataset__test": 0.1}, True),
        ({"dataset__labeled": 200}, False), ({"dataset__subset": "first"}, False),
        ({"steps": 5}, False), ({"task__validation_items": 9}, False), ({"dataset__columns": ["a"]}, False),
    ],
)  # fmt: skip
def test_what_makes_data_different(changed: dict[str, Any], apart: bool) -> None:
    first, second = (Data(settings_of(config(**more)), {}) for more in ({}, changed))
    assert first.differs(second) is second.differs(first) is apart


def test_a_checksum_tells_data_of_one_name_wherever_they_lie() -> None:
    here, there = (settings_of(config(dataset__path=path)) for path in ("wine.csv", "/data/wine.csv"))
    assert Data(here, {}).differs(Data(there, {}))
    assert not Data(here, {"wine.csv": OLD}).differs(Data(there, {"wine.csv": OLD}))
    assert Data(here, {"wine.csv": OLD}).differs(Data(there, {"wine.csv": NEW}))
    assert not Data(here, {"wine.csv": OLD}).differs(Data(here, {}))
    assert not Data(here, {}).differs(Data(settings_of({"dataset": 3}), {"wine.csv": OLD}))


def test_weights_trained_again_are_other_data_and_chosen_ones_a_difference_of_models() -> None:
    first, second = ({"dataset": {}, "model": {"pretrained": name}} for name in ("a", "b"))
    old, new = ({"model.pretrained/weights.pt": digest} for digest in (OLD, NEW))
    assert data_of(first, old).differs(data_of(first, new))
    assert not data_of(first, old).differs(data_of(second, new))
    old, new = ({"features/mnist/weights.pt": digest} for digest in (OLD, NEW))  # of a generator's pictures
    assert data_of({"dataset": {}}, old).differs(data_of({"dataset": {}}, new))


@pytest.mark.parametrize("data", [None, 3, [], {"wine.csv": 5}, {"wine.csv": {}}, ["wine.csv"]])
def test_records_of_anyone_are_read(genreg: Genreg, tmp_path: Path, data: Any) -> None:
    folder = tmp_path / "outputs/wine/none-0123abcd"
    made(folder / "seed=0", 0.5, OLD)
    made(folder / "seed=1", 0.5)
    (folder / "seed=1/environment.json").write_text(json.dumps([{"data": data, "started": 5}, 4]))
    (part,) = parts(genreg).values()
    assert part["arms"][0]["n"] == 2


def test_a_run_that_went_on_with_another_file_is_like_neither(genreg: Genreg, tmp_path: Path) -> None:
    folder = tmp_path / "outputs/wine/none-0123abcd"
    for seed in range(2):
        made(folder / f"seed={seed}", 0.5, NEW, day=2)
    starts = [{"data": {"wine.csv": digest}, "resumed": digest == NEW} for digest in (OLD, NEW)]
    (folder / "seed=0/environment.json").write_text(json.dumps(starts))
    (part,) = parts(genreg).values()
    assert part["arms"][0]["n"] == 1
    assert "wine.csv 0a0a0a0a then 1b1b1b1b in seed 0" in part["notes"][0]


def sweep(root: Path, digests: dict[str, str | None], **part: Any) -> None:
    """Arms of five seeds, and what each read."""
    for place, (name, digest) in enumerate(digests.items()):
        for seed in range(5):
            value = 0.5 + place / 5 + (seed * (place + 1) % 3) / 100
            made(root / name / f"seed={seed}", value, digest, **part.get("of", {}).get(name, {}))
    part.pop("of", None)
    given = [{"name": name, "folder": name} for name in digests]
    write_sweep(root, given, **{"baseline": next(iter(digests)), "seeds": list(range(5)), **part})


def test_arms_of_a_sweep_whose_data_changed_are_not_paired(genreg: Genreg, tmp_path: Path) -> None:
    sweep(tmp_path / "out", {"none": OLD, "vat": NEW, "l2": None})
    (part,) = parts(genreg, "out").values()
    found = arms(part)
    assert (found["vat"]["verdict"], found["vat"]["difference_mean"]) == ("not judged", None)
    assert found["vat"]["mean"] == pytest.approx(
        0.7 + 0.004 * 2, abs=0.01
    )  # of its own runs, which are alike
    assert found["l2"]["verdict"] == "better"  # unknown is not different
    assert part["notes"] == [
        "arms read different data (wine.csv 0a0a0a0a in none, l2; wine.csv 1b1b1b1b in vat): "
        "only those of the data of none are compared"
    ]
    assert (
        "other data than the baseline's: not compared" in genreg("report", "out", "--format", "summary").out
    )
    page = genreg("report", "out")
    assert "only those of the data of none are compared" in page.out
    assert "only those of the data of none are compared" in (tmp_path / "out/report.html").read_text()
    (tmp_path / "out/none/seed=0/environment.json").write_text("[]")
    out = genreg("plan", "out", "--difference", "5").out
    assert "l2" in out
    assert "vat" not in out


def test_a_claim_is_not_tested_on_different_data(genreg: Genreg, tmp_path: Path) -> None:
    sweep(tmp_path / "out", {"supervised": OLD, "noise": None, "vat": NEW}, name="vat_200")
    (part,) = parts(genreg, "out").values()
    found = {(claim["better"], claim["than"]): claim for claim in part["claims"]}
    assert found["vat", "supervised"]["verdict"] == "not tested"
    assert found["vat", "supervised"]["why"] == "the two arms were made with different data"
    assert found["vat", "noise"]["verdict"] != "not tested"


def test_tuning_on_other_data_is_told(genreg: Genreg, tmp_path: Path) -> None:
    root = tmp_path / "out"
    sweep(root, {"none": NEW})
    made(root / "trial/seed=100", 0.5, OLD)
    tuning = {"metric": "validation/accuracy", "planned": 1, "space": {"steps": [9]}, "seeds": [100],
              "trials": [{"values": {"steps": 9}, "folder": "trial"}]}  # fmt: skip
    write_sweep(root, [{"name": "none", "folder": "none", "tuning": tuning}], seeds=list(range(5)))
    (part,) = parts(genreg, "out").values()
    assert "none: not all trials and runs read the same wine.csv: tuned on other data" in part["notes"]


def differences(part: dict[str, Any]) -> list[str]:
    start = "arms differ in more than their method: "
    return [note.removeprefix(start) for note in part["notes"] if note.startswith(start)]


def test_what_arms_differ_in_beside_their_method_is_one_remark(genreg: Genreg, tmp_path: Path) -> None:
    less = {
        "steps": 500, "dataset__labeled": 200, "task__validation_items": 20,
        "model": {"_target_": "genreg.model.Linear"}, "task___target_": "genreg.task.alternate.Alternate",
        "optimizer__lr": 0.1, "optimizer___target_": "torch.optim.SGD", "measure": {"fid": {}},
        "regularizer": {"vat": {"_target_": "genreg.regularizer.VAT"}}, "device": "cuda",
    }  # fmt: skip
    for name, more in {"none-0123abcd": {}, "l2-1123abcd": {}, "vat-2123abcd": less}.items():
        made(tmp_path / "outputs/wine" / name / "seed=0", 0.5, NEW, **more)
    (part,) = parts(genreg).values()
    assert differences(part) == [
        "dataset.labeled (50, but 200 in vat), model (MLP, but Linear in vat), steps (2000, but 500 in vat), "
        "task.validation_items (null, but 20 in vat)"
    ]


def test_what_a_part_varies_on_purpose_is_no_remark(genreg: Genreg, tmp_path: Path) -> None:
    """A grid over labeled items is one part; so is a sweep's, also of what it tuned."""
    for n in (10, 50):
        for name in ("none", "vat"):
            method = {"regularizer": {"vat": {}}} if name == "vat" else {}
            made(tmp_path / f"outputs/wine/{name}-{n:08}/seed=0", 0.5, NEW, dataset__labeled=n, **method)
    (part,) = parts(genreg).values()
    assert sorted(arms(part)) == ["none,labeled=10", "none,labeled=50", "vat,labeled=10", "vat,labeled=50"]
    assert not differences(part)
    sweep(tmp_path / "out", {"none": NEW, "vat": NEW}, of={"vat": {"model__widths": [64], "steps": 9}})
    content = json.loads((tmp_path / "out/sweep.json").read_text())
    for number, arm in enumerate(content["parts"][0]["arms"]):
        arm["values"] = {"steps": [2000, 9][number]}
        space = {"model.widths": [[16], [64]]} if number else {}
        arm["tuning"] = {
            "metric": "validation/accuracy",
            "planned": 1,
            "space": space,
            "seeds": [],
            "trials": [],
        }
    (tmp_path / "out/sweep.json").write_text(json.dumps(content))
    assert not differences(parts(genreg, "out")["part"])
