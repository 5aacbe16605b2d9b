"""A command that was composed before: what is remembered of it, and what else could matter."""

import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Result

from genreg.cli import compose, remembered
from genreg.groups import CONFIGS
from genreg.run.folder import RunFolder
from genreg.run.identity import run_path

Genreg = Callable[..., Result]
TYPED = ["experiment=smoke/vat", "logger=none", "output_dir=out"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def composed(typed: list[str], done: bool = True) -> dict[str, Any]:
    """Compose a command, say that its run is done, and remember it."""
    with compose.configs():
        cfg = compose.compose(typed)
        config, process = compose.plain(cfg), compose.process_settings(cfg)
    if done:
        folder = RunFolder(run_path(config))
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.write_summary({"status": "done"})
    remembered.keep(typed, cfg, config, process, time.time())
    return config


def test_a_command_means_what_hydra_made_of_it() -> None:
    typed = [*TYPED, "optimizer.lr=1", "regularizer=[vat,entropy]", "steps=7", "scheduler=cosine"]
    config = composed(typed)
    found = remembered.finished(typed)
    assert found
    assert repr(found[0]) == repr(config)
    assert found[1].log["root"]["level"] == "INFO"
    assert remembered.finished([*typed, "seed=1"]) is None
    assert remembered.finished(typed[::-1]) is None


def test_a_run_that_is_not_done_is_left_to_hydra() -> None:
    config = composed(TYPED, done=False)
    assert remembered.finished(TYPED) is None
    folder = RunFolder(run_path(config))
    folder.path.mkdir(parents=True)
    folder.write_summary({"status": "failed"})
    assert remembered.finished(TYPED) is None


@pytest.mark.parametrize(
    "word", ["--again", "--extend", "hydra.verbose=true", "sweep.seeds=3", "name=${oc.env:HOME}", "-m"]
)
def test_what_is_more_than_keys_of_a_run_is_left_to_hydra(word: str) -> None:
    assert not remembered._plain([*TYPED, word])


def test_what_is_told_by_a_warning_is_not_remembered(caplog: pytest.LogCaptureFixture) -> None:
    typed = [*TYPED[1:], "experiment=vat_200/vat", "regularizer=entropy"]
    with caplog.at_level(logging.WARNING):
        composed(typed)
    assert "regularizer.vat is set but not chosen" in caplog.text
    assert remembered.finished(typed) is None


def test_a_changed_file_variable_or_package_is_composed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups, package = tmp_path / "groups", tmp_path / "plugins/hydra_plugins"
    shutil.copytree(CONFIGS, groups)
    for place in groups.rglob("*"):
        os.utime(place, (1e9, 1e9))
    for module in (compose, remembered):
        monkeypatch.setattr(module, "CONFIGS", groups)
    monkeypatch.setattr("genreg.download.SETTLED", -60.0)  # the copy has just been made
    composed(TYPED)
    assert remembered.finished(TYPED)
    monkeypatch.setenv("GENREG_DATA", str(tmp_path))
    assert remembered.finished(TYPED) is None
    monkeypatch.delenv("GENREG_DATA")
    package.mkdir(parents=True)
    (package / "more.py").touch()
    monkeypatch.syspath_prepend(str(package.parent))
    assert remembered.finished(TYPED) is None
    shutil.rmtree(package)
    assert remembered.finished(TYPED)
    with (groups / "optimizer/adam.yaml").open("a") as file:
        file.write("# another\n")
    assert remembered.finished(TYPED) is None


def test_a_file_that_reads_the_time_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = tmp_path / "groups"
    shutil.copytree(CONFIGS, groups)
    (groups / "train.yaml").write_text((groups / "train.yaml").read_text().replace(
        "name: null", "name: 'on-${now:%Y}'"))  # fmt: skip
    for module in (compose, remembered):
        monkeypatch.setattr(module, "CONFIGS", groups)
    monkeypatch.setattr("genreg.download.SETTLED", -60.0)
    composed(["logger=none", "output_dir=out"])
    assert remembered.finished(["logger=none", "output_dir=out"]) is None


def test_the_second_answer_is_the_first(genreg: Genreg, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed of a finished run is the same with Hydra and without."""
    typed = ["train", *TYPED, "steps=2", "device=cpu"]
    assert genreg(*typed).code == 0
    with monkeypatch.context() as forgotten:
        forgotten.setattr(remembered, "finished", lambda _arguments: None)
        by_hydra = genreg(*typed)
    monkeypatch.setattr("genreg.cli.train.main", None)
    assert genreg(*typed) == by_hydra
    assert "finished already" in by_hydra.out + by_hydra.err
