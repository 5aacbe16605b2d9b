"""`genreg compare`: the way to read what a user has, its sweep file, and going on from it."""

import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import Result
from sklearn.datasets import load_diabetes, load_wine

from genreg.cli.kind import kind_of
from genreg.errors import InputError

Genreg = Callable[..., Result]
TINY = ["steps=4", "eval_every=2", "model.widths=[4]", "device=cpu"]


def wine(path: Path) -> None:
    """The real table of 178 wines, with names of columns and words as classes."""
    x, y = load_wine(return_X_y=True)
    rows = [",".join([*map(str, row), "abc"[kind]]) for row, kind in zip(x, y, strict=True)]
    path.write_text("\n".join([",".join([*(f"c{i}" for i in range(13)), "kind"]), *rows]) + "\n")


FEW = "dataset.labeled=4"
TABLE = f"dataset=table dataset.path=a.csv {FEW}"
TEXT = "dataset=text_csv dataset.path="
TEXTS = 'review,opinion\n"a good film, of sorts",up\n"a bad film, of sorts",down\n'


@pytest.mark.parametrize(
    ("name", "content", "target", "given", "found"),
    [
        ("a.csv", "a,b\n1,2\n", "b", [], f"{TABLE} dataset.target=b"),
        ("a.csv", TEXTS, "opinion", [],
         f"{TEXT}a.csv {FEW} dataset.text=review dataset.tokenizer=words dataset.label=opinion"),
        ("a.csv", "text,label\n好,1\n", None, [],
         f"{TEXT}a.csv {FEW} dataset.text=text dataset.tokenizer=characters"),
        ("a.txt", "up\ta good film\ndown\ta bad film\n", "0", ["dataset.header=null"],
         f"{TEXT}a.txt {FEW} dataset.text=1 dataset.tokenizer=words dataset.label=0"),
        ("a.jsonl", '{"text": "a good film", "label": 1}\n', None, [],
         f"{TEXT}a.jsonl {FEW} dataset.text=text dataset.tokenizer=words"),
        ("a.npz", "", None, [], "dataset=npz dataset.path=a.npz dataset.labeled=4 dataset.validation=0.2"),
    ],
)  # fmt: skip
def test_the_option_that_reads_a_file(
    tmp_path: Path, name: str, content: str, target: str | None, given: list[str], found: str
) -> None:
    (tmp_path / name).write_text(content)
    overrides = kind_of(tmp_path / name, name, target, 4, given).overrides
    assert " ".join(overrides) == found


def test_files_that_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_text("")
    with pytest.raises(InputError, match=r"DATA: expected a folder of pictures, or a file .csv"):
        kind_of(tmp_path / "a.xlsx", "a.xlsx", None, None, [])
    (tmp_path / "a.csv").write_text("one,two,y\na good old film,a bad old film,1\n")
    with pytest.raises(InputError, match=r"dataset.text: expected the column of the texts\n.*: one, two"):
        kind_of(tmp_path / "a.csv", "a.csv", "y", None, [])
    with pytest.raises(InputError, match=r"DATA: expected an existing file or folder, got .nowhere.csv"):
        kind_of(tmp_path / "nowhere.csv", "nowhere.csv", None, None, [])
    with pytest.raises(InputError, match="--target: expected none"):
        kind_of(tmp_path, "a", "y", None, [])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--target", "kinds"], "--target: expected the name of a column, got 'kinds'\n  nearest: kind"),
        (["--target", "kind", "--labeled", "2"], "--labeled: expected a number from 3 (classes) to 106"),
        (["--methods", "none,vatt"], "--methods: expected options of the group regularizer, got 'vatt'"),
        (["--methods", "vat"], "--methods: expected two methods or more"),
        (["--target", "kind", "optimizer.lr=0.1"], "optimizer.lr: expected a key that is not tuned"),
        (["--target", "kind", "regularizer=l2"], "regularizer: expected none here"),
        (["--target", "c0", "--methods", "none,vat", "dataset.columns=[c1,c2]"],
         "regularizer.vat: expected a method that needs no classes"),
    ],
)  # fmt: skip
@pytest.mark.every(3)
def test_what_is_wrong_is_said_before_anything_is_written(
    genreg: Genreg, arguments: list[str], line: str
) -> None:
    wine(Path("wine.csv"))
    result = genreg("compare", "wine.csv", *arguments)
    assert (result.code, Path("outputs").exists()) == (2, False)
    assert f"genreg: {line}" in result.err


@pytest.mark.full
def test_real_targets_are_said_and_get_methods_that_fit(genreg: Genreg) -> None:
    x, y = load_diabetes(return_X_y=True)
    np.savez("real.npz", X=x, y=y + 0.5)
    result = genreg("compare", "real.npz", "--labeled", "50", "--dry-run", *TINY)
    assert result.code == 0, result.err
    assert "real targets, so a regression: test/mse" in result.out
    assert "studies: {first: 5, most: 8}" in result.out
    assert "input_noise" in result.out
    assert not Path("outputs").exists()


@pytest.mark.full
def test_a_comparison_runs_goes_on_and_is_gone_on_from(genreg: Genreg) -> None:
    wine(Path("wine.csv"))
    ask = ["compare", "wine.csv", "--target", "kind", "--labeled", "20", "--methods", "none,l2",
           "--trials", "1", *TINY]  # fmt: skip
    first = genreg(*ask, "--studies", "1")
    assert first.code == 0, first.err
    assert "2 methods, each tuned by 1 trial and compared on a fresh seed: 1 study, 4 runs" in first.out
    (path,) = Path("outputs").glob("wine-*/sweep/*.yaml")
    part = yaml.safe_load(path.read_text())["parts"]["wine"]
    assert "task.validation_items=20" in part["overrides"]
    assert (path.parents[1] / "report.html").is_file()
    assert "verdict" in first.out
    command = next(line for line in first.out.splitlines() if line.startswith("to go on from it: "))
    assert "4 jobs: 4 finished, 0 to run" in genreg(*shlex.split(command)[6:]).out
    more = genreg(*ask, "--studies", "2", "--dry-run")
    assert "2 studies, 8 runs" in more.out
    assert f"sweep file, not written: {path}" in more.out
