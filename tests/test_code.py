"""A finished run knows the code that it was made with; other code is said, and --again repeats the run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import SMOKE, Result

from genreg.download import sha256
from genreg.run.find import find_runs
from genreg.run.folder import RunFolder

Genreg = Callable[..., Result]
METHOD = """from genreg.regularizer import Regularizer


class {name}(Regularizer):
    reads = frozenset({{"labeled"}})

    def __init__(self, weight):
        self.weight = weight

    def penalty(self, forward):
        return {scale} * forward.logits.square().mean()
"""


def write(folder: Path, name: str, scale: int) -> list[str]:
    """A method of one's own in a folder; the arguments that train with it."""
    (folder / "regularizer").mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(METHOD.format(name=name, scale=scale))
    (folder / "regularizer" / f"{name}.yaml").write_text(
        f"{name}:\n  _target_: {name}.{name}\n  weight: 1.0\n"
    )
    return ["train", "--config-dir", str(folder), *SMOKE, f"regularizer={name}", "name=null"]


def summaries(folder: Path) -> list[Path]:
    return [path.parent for path in folder.rglob("summary.json")]


@pytest.mark.full
def test_every_target_is_recorded_by_its_source(genreg: Genreg, tmp_path: Path) -> None:
    genreg("train", *SMOKE)
    (folder,) = summaries(tmp_path)
    (start,) = RunFolder(folder).environments()
    import genreg.regularizer.vat as vat

    found = {"module": "genreg.regularizer.vat", "digest": sha256(Path(vat.__file__))}
    assert start["code"]["regularizer.vat"] == found
    assert start["code"]["optimizer"]["digest"].startswith("torch ")
    assert {"task", "dataset", "model", "loss"} < start["code"].keys()
    assert "logger" not in str(start["code"])


@pytest.mark.full
def test_other_code_is_said_and_again_repeats(genreg: Genreg, tmp_path: Path) -> None:
    typed = write(tmp_path / "mine", "own_a", 1)
    assert (answer := genreg(*typed)).code == 0, answer.err
    (folder,) = summaries(tmp_path)
    rows = (folder / "metrics.jsonl").read_bytes()
    assert "finished already: " in genreg(*typed).out
    method = tmp_path / "mine" / "own_a.py"
    method.write_text(method.read_text() + "\n# a comment is other code too\n")
    said = "finished already, with other code of regularizer.own_a (own_a.py): --again repeats it"
    assert said in genreg(*typed).out
    sweep = ["train", "-m", *typed[1:]]
    assert "1 finished with other code of regularizer.own_a (own_a.py)" in genreg(*sweep).out
    assert genreg(*typed, "--again").code == 0
    assert "finished already: " in genreg(*typed).out
    aside = folder.with_name("seed=0.before-1")
    assert (aside / "metrics.jsonl").read_bytes() == rows
    assert list(find_runs(tmp_path / "outputs")) == [folder]
    assert list(find_runs(aside)) == [aside]
    method.write_text(METHOD.format(name="own_a", scale=2))
    assert "0 finished, 1 to run" in genreg(*sweep, "--again").out
    assert "1 finished, 0 to run" in genreg(*sweep, "--again").out
    assert sorted(path.name for path in folder.parent.iterdir()) == [
        "seed=0",
        "seed=0.before-1",
        "seed=0.before-2",
    ]


@pytest.mark.full
def test_a_refused_repetition_leaves_the_run(genreg: Genreg, tmp_path: Path) -> None:
    genreg("train", *SMOKE)
    before = summaries(tmp_path)
    assert genreg("train", *SMOKE, "--again", "device=gpu").code == 2
    assert summaries(tmp_path) == before


@pytest.mark.full
@pytest.mark.parametrize("code", [None, [], {"task": 3}, {"task": {"module": 1, "digest": "x"}}])
def test_a_folder_without_a_record_is_silent(genreg: Genreg, tmp_path: Path, code: Any) -> None:
    genreg("train", *SMOKE)
    (folder,) = summaries(tmp_path)
    start = RunFolder(folder).environments()[0] | {"code": code}
    (folder / "environment.json").write_text(json.dumps([start]))
    answer = genreg("train", *SMOKE)
    assert "finished already: " in answer.out
    assert "other code" not in answer.out


@pytest.mark.full
@pytest.mark.parametrize("resumed", [True, False])
def test_only_code_that_made_the_run_counts(genreg: Genreg, tmp_path: Path, resumed: bool) -> None:
    """A run that failed before its first checkpoint and was made anew is of the new code alone."""
    genreg("train", *SMOKE)
    (folder,) = summaries(tmp_path)
    (start,) = RunFolder(folder).environments()
    other = {**start, "code": {"model": {"module": "genreg.model.mlp", "digest": "0"}}}
    RunFolder(folder).write_summary({**RunFolder(folder).summary(), "status": "failed"})
    (folder / "environment.json").write_text(json.dumps([other]))
    if resumed:
        (folder / "checkpoint-000000025-0.pt").touch()
    first, second = genreg("train", *SMOKE), genreg("train", *SMOKE)
    assert ("goes on, begun with other code of model (genreg/model/mlp.py)" in first.out) == resumed
    assert ("finished already, with other code of model" in second.out) == resumed


@pytest.mark.full
def test_a_report_says_where_runs_differ_in_code(genreg: Genreg, tmp_path: Path) -> None:
    for seed in (0, 1):
        genreg("train", *SMOKE, f"seed={seed}", "steps=5", "eval_every=5")
    first = summaries(tmp_path)[0]
    start = RunFolder(first).environments()[0]
    assert "not the same code" not in genreg("report", "outputs", "--format", "markdown").out
    start["code"]["regularizer.vat"]["digest"] = "0123456789"
    (first / "environment.json").write_text(json.dumps([start]))
    out = genreg("report", "outputs", "--format", "markdown").out
    assert "genreg/regularizer/vat.py was not the same code in all runs (01234567 in" in out
