"""`--extend`: a finished run goes on, and is the run that is made of as many steps at once."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from test_resume import check_equal

from genreg.run.folder import RunFolder

SMALL = ["dataset=two_moons", "model.widths=[8]", "device=cpu", "logger=none", "log_every=5", "eval_every=10"]
CLASSIFIER = [*SMALL, "regularizer=[vat,dropout,weight_average]", "model.batch_norm=true", "scheduler=step",
              "scheduler.step_size=15", "optimizer=pgd", "optimizer.base=adam"]  # fmt: skip
GAN = ["task=wgan", "dataset.labeled=80", "model.widths=[8]", "model.generator_widths=[8]",
       "task.ema_decay=0.9", "measure=[gradient_norm]", "device=cpu", "logger=none", "log_every=5",
       "eval_every=10"]  # fmt: skip
VALLEY = ["experiment=anti_pgd_valley/anti_pgd", "device=cpu", "logger=none", "log_every=5", "eval_every=10"]


def made(folder: Path, steps: int) -> RunFolder:
    """The run of so many steps."""
    (path,) = (
        p.parent for p in folder.rglob("config.yaml") if RunFolder(p.parent).config()["steps"] == steps
    )
    return RunFolder(path)


@pytest.mark.full
@pytest.mark.parametrize("options", [
    CLASSIFIER, GAN, VALLEY,
], ids=["classifier", "gan", "valley"])  # fmt: skip
def test_a_run_that_goes_on_is_the_run_made_at_once(genreg: Any, tmp_path: Path, options: list[str]) -> None:
    def run(folder: str, steps: int, *flags: str) -> RunFolder:
        answer = genreg("train", *options, *flags, f"steps={steps}", f"output_dir={folder}")
        assert answer.code == 0, answer.err
        return made(Path(folder), steps)

    first, whole = run("one", 20), run("at_once", 40)
    before = {path: path.read_bytes() for path in first.path.rglob("*") if path.is_file()}
    on = run("one", 40, "--extend")
    assert on.path != first.path
    assert {path: path.read_bytes() for path in first.path.rglob("*") if path.is_file()} == before
    if options is not VALLEY:
        check_equal(on, whole)
    for name in ("metrics.jsonl", "replicas.npz"):
        if (whole.path / name).exists():
            assert (on.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert [*on.pictures()] == [*whole.pictures()]
    then, now = on.environments()
    assert then["extended"] == f"{'/'.join(first.path.parts[-3:])}, which ended at step 20"
    assert {**then, "extended": None} == {**first.environments()[0], "extended": None}
    assert now["resumed"]
    assert "extended" not in now
    again = genreg("train", *options, "--extend", "steps=40", "output_dir=one")
    assert "finished already" in again.out + again.err


@pytest.mark.parametrize(("first", "then", "expected"), [
    (["scheduler=cosine"], ["steps=20"], r"a schedule that does not depend .*scheduler.T_max=10, here 20"),
    ([], ["steps=20", "optimizer.lr=0.3"], r"a run that differs in .*optimizer.lr=0.001, here 0.3"),
    ([], ["steps=5"], r"more steps than the 10 of .*, got 5"),
    (["keep_state=false"], ["steps=20"], r"a last state in .*, which keep_state=true keeps"),
    (["eval_every=4"], ["steps=20"], r"a run of a multiple of eval_every=4: .*, got '10 steps in"),
    ([], ["steps=20", "seed=1"], r"a finished run of two_moons/none, seed 1, in output_dir, got 'outputs'"),
    ([], ["steps=20", "--again"], r"one run, or -m: neither --again nor --like nor a sweep file"),
], ids=["schedule", "rate", "shorter", "not kept", "rows", "none", "again"])  # fmt: skip
def test_the_reason_why_a_run_does_not_go_on(
    genreg: Any, tmp_path: Path, first: list[str], then: list[str], expected: str
) -> None:
    assert genreg("train", *SMALL, *first, "steps=10").code == 0
    before = sorted(Path("outputs").rglob("*"))
    answer = genreg("train", *SMALL, *first, *then, "--extend")
    assert answer.code == 2
    assert re.match(f"--extend: expected {expected}", answer.err.removeprefix("genreg: ")), answer.err
    assert sorted(Path("outputs").rglob("*")) == before


@pytest.mark.full
def test_runs_of_a_grid_go_on_where_their_states_were_kept(genreg: Any, tmp_path: Path) -> None:
    grid = ["train", "-m", *SMALL, "seed=0,1", "hydra.launcher.workers=1"]
    assert genreg(*grid, "steps=10").code == 0
    refused = genreg(*grid, "steps=20", "--extend")
    assert refused.code == 2
    assert "which keep_state=true keeps" in refused.err
    kept = [*grid, "keep_state=true", "output_dir=kept"]
    assert genreg(*kept, "steps=10").code == 0
    assert genreg(*kept, "steps=20", "--extend").code == 0
    found = [json.loads(path.read_text()) for path in Path("kept").rglob("environment.json")]
    assert sum("extended" in starts[0] for starts in found) == 2
