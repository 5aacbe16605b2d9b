"""Help and completion, and what answers without torch or Hydra."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY, Result

from genreg.errors import InputError
from genreg.groups import nodes

Genreg = Callable[..., Result]


def test_help_is_for_people(genreg: Genreg) -> None:
    page = genreg("train", "--help").out
    for part in ("regularizer=vat", "experiment=vat_200/vat", "-m", "steps=2000", "checkpoint_every=500"):
        assert part in page
    assert page.count("\n  genreg train ") == 5
    assert max(map(len, page.splitlines())) <= 140
    assert "train" in genreg("--help").out
    assert genreg("--version").out.strip() == "0.1.0"


COMPLETED: dict[str, list[str]] = {
    "genreg tr": ["train "],
    "genreg l": ["ls "],
    "genreg ls --w": ["--where "],
    "genreg data ": ["fetch ", "list ", "verify "],
    "genreg data fetch iri": [],
    "genreg data fetch fashion": ["fashion_mnist "],
    "genreg sync --t": ["--to "],
    "genreg sync x --to w": ["wandb "],
    "genreg report --format m": ["markdown "],
    "genreg report out": [],
    "genreg train --dr": ["--dry-run "],
    "genreg train --config-": ["--config-dir "],
    "genreg train --cfg j": ["job "],
    "genreg train --like ": [],
    "genreg train experiment=vat_200/v": ["experiment=vat_200/vat"],
    "genreg train -m experiment=smoke/none,smoke/v": ["experiment=smoke/none,smoke/vat"],
    "genreg train regularizer=[vat,entr": ["regularizer=[vat,entropy"],
    "genreg train exper": ["experiment="],
    "genreg train --dry-run regularizer=vat regularizer.vat.e": ["regularizer.vat.epsilon="],
    "genreg train optimizer.l": ["optimizer.lr="],
    "genreg train steps=": ["steps=2000"],
    "genreg train hydra/launcher=sl": ["hydra/launcher=slurm"],
    "genreg train --config-dir mine model=ti": ["model=tiny"],
}


@pytest.mark.parametrize("line", COMPLETED)
def test_completion(genreg: Genreg, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str) -> None:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "tiny.yaml").write_text("_target_: genreg.model.MLP\n")
    monkeypatch.setenv("COMP_LINE", line)
    answer = genreg("-sc", "query=bash")
    assert (answer.code, answer.err) == (0, "")
    assert [found for found in answer.out.split("\n") if found] == COMPLETED[line]


@pytest.mark.parametrize("line", ["genreg train experiment=vat_200/va", "genreg sy"])
def test_completion_in_bash(genreg: Genreg, tmp_path: Path, line: str) -> None:
    """As readline calls it: of a word with = it completes the part behind."""
    script = genreg("-sc", "install=bash").out
    assert genreg("train", "-sc", "install=bash").out == script
    assert "compdef _genreg genreg" in genreg("-sc", "install=zsh").out
    assert "hydra_fish_completion" in genreg("-sc", "install=fish").out
    assert genreg("-sc", "install=cmd").code == 2
    called = f"genreg() {{ {sys.executable} -m genreg \"$@\"; }}\nCOMP_LINE='{line}' COMP_POINT={len(line)}\n"
    show = '_genreg; printf "[%s]" "${COMPREPLY[@]}"'
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(["bash", "-c", f"{script}\n{called}{show}"], capture_output=True, env=environment)
    assert done.stdout.decode() == ("[vat_200/vat]" if "=" in line else "[sync ]")


@pytest.mark.parametrize("arguments", [["--help"], ["data", "list"], ["train", "--help"]])
def test_answers_without_torch_or_hydra(arguments: list[str], tmp_path: Path) -> None:
    code = """
import sys
from genreg.__main__ import main
try:
    main()
except SystemExit:
    pass
assert not {"torch", "hydra", "pooch", "numpy"} & set(sys.modules), sys.modules.keys()
"""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.full
@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["train", "--config-dir", ".", "--help"]]
)
def test_a_reader_that_has_read_enough_sees_no_traceback(arguments: list[str], tmp_path: Path) -> None:
    """In each a pipe that is closed before anything is written."""
    code = "import sys, time\ntime.sleep(1)\nfrom genreg.__main__ import main\nmain()"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", code, *arguments]
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": tmp_path, "env": environment}
    with subprocess.Popen(command, **given) as process:  # type: ignore[call-overload]
        process.stdout.close()
        assert process.stderr.read() == b""


def test_values_of_an_option_are_those_that_hydra_reads(tmp_path: Path) -> None:
    (folder := tmp_path / "logger").mkdir()
    (folder / "mine.yaml").write_text("patience: 1e-6\n")
    assert nodes("logger", tmp_path)["mine"] == {"patience": 1e-6}  # YAML alone would read a word
    (folder / "mine.yaml").write_text("a: [")
    with pytest.raises(InputError, match=r"mine\.yaml: expected YAML"):
        nodes("logger", tmp_path)
