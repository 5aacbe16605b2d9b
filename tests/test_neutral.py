"""Parameters that later versions added: runs of before them are found again."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Result, yaml_options
from omegaconf import OmegaConf
from pydantic import TypeAdapter

from genreg import CONFIGS
from genreg.errors import InputError
from genreg.parameters import STRICT, Neutral, parameters_of
from genreg.run.factory import find_target
from genreg.run.identity import completed, experiment_hash
from genreg.run.sources import neutral

KNOWN = json.loads((Path(__file__).parent / "known_keys.json").read_text())
"""The keys of every option as of the last version: those that its runs may have been hashed with."""

GROUPS = ("task", "dataset", "model", "loss", "regularizer", "optimizer", "scheduler", "features", "measure")

METHOD = """
from typing import Annotated

from pydantic.dataclasses import dataclass

from genreg import parameters
from genreg.parameters import STRICT, Count, NonNegative
from genreg.regularizer import Entropy


@dataclass(config=STRICT, kw_only=True)
class Mine(Entropy):
    weight: NonNegative = 0.1
"""
ADDED = "    every: Annotated[Count, parameters.Neutral(1, 2)] = 1\n"
OPTION = "# @package regularizer.mine\n# mine\n_target_: mine.Mine\nweight: 0.1\n"
TRAIN = ["train", "--config-dir", "own", "regularizer=mine", "steps=4", "eval_every=2", "model.widths=[4]",
         "logger=none", "device=cpu"]  # fmt: skip


def node(group: str, option: str) -> dict[str, Any]:
    found: Any = OmegaConf.to_container(OmegaConf.load(CONFIGS / group / f"{option}.yaml"))
    return found or {}


@pytest.mark.parametrize("group", GROUPS)
def test_a_key_that_is_new_says_what_runs_without_it_did(group: str) -> None:
    for option in yaml_options(group):
        known = KNOWN.get(f"{group}/{option}")
        declared = {"defaults", "_target_", *(known or {}), *neutral(target(group, option))}
        new = node(group, option).keys() - declared
        assert known is None or not new, (
            f"{group}={option}: finished runs are not found again, {', '.join(new)} moves their hash. "
            "Say with the field what they did, `samples: Annotated[Count, Neutral(1)] = 1` (docs/design.md); "
            "only if no value means that, add the key to tests/known_keys.json"
        )


def target(group: str, option: str) -> str:
    return str(node(group, option).get("_target_"))


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_read_from_the_text_is_what_the_class_says(group: str) -> None:
    """And every value is one that the parameter takes."""
    targets = {target(group, option) for option in yaml_options(group)}
    for name in (name for name in targets if name.startswith("genreg.")):
        annotations = {n: p.annotation for n, p in parameters_of(find_target({"_target_": name}, "")).items()}
        marks = {
            n: mark.values
            for n, kind in annotations.items()
            for mark in getattr(kind, "__metadata__", ())
            if isinstance(mark, Neutral)
        }
        assert neutral(name) == marks, name
        for key, values in marks.items():
            for value in values:
                TypeAdapter(annotations[key], config=STRICT).validate_python(value)


def test_the_neutral_value_is_left_out_of_the_hash_and_others_are_not() -> None:
    def hashed(**more: Any) -> str:
        return experiment_hash({"regularizer": {"a": {"_target_": "genreg.regularizer.FGM", **more}}})

    assert hashed() == hashed(scope="example") != hashed(scope="batch")
    assert hashed(alpha=0.5) != hashed()  # its default, but never absent
    assert neutral("genreg.task.alternate.Alternate") == neutral("genreg.task.classify.Classify") != {}
    assert neutral("torch.optim.Adam") == neutral("nowhere.Mine") == neutral("") == neutral(None) == {}


def test_a_configuration_of_before_means_the_neutral_values() -> None:
    found = completed({"dataset": {"_target_": "genreg.dataset.npz", "test": 100}, "steps": 3})
    assert found["dataset"]["test"] == 100
    assert found["dataset"]["stratify"] is False
    assert (found["steps"], found["loss"]) == (3, {"_target_": "genreg.loss.CrossEntropy"})


@pytest.mark.full
def test_a_run_is_found_again_after_its_own_method_got_a_parameter(
    genreg: Callable[..., Result], tmp_path: Path
) -> None:
    """And without an import of torch, as every skip."""
    (own := tmp_path / "own" / "regularizer").mkdir(parents=True)
    (own / "mine.yaml").write_text(OPTION)
    (own.parent / "mine.py").write_text(METHOD)
    assert genreg(*TRAIN).code == 0
    (folder,) = tmp_path.glob("outputs/digits/mine-*")

    (own.parent / "mine.py").write_text(METHOD + ADDED)
    (own / "mine.yaml").write_text(OPTION + "every: 1\n")
    skip = f"import sys; from genreg.__main__ import main; sys.argv[1:] = {TRAIN}"
    code = f"{skip}\ntry: main()\nfinally: assert 'torch' not in sys.modules"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "finished already, with other code of regularizer.mine (mine.py)" in done.stdout + done.stderr
    assert [*tmp_path.glob("outputs/digits/mine-*")] == [folder]


def test_values_that_are_not_literals_are_said_with_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "unclear.py").write_text(
        METHOD + "    every: Annotated[Count, parameters.Neutral(ONE)] = 1\n"
    )
    with pytest.raises(InputError, match=r"unclear.py:14.*Neutral\(...\) of literals.*Neutral\(ONE\)"):
        neutral("unclear.Mine")
    (tmp_path / "broken.py").write_text("class Mine(:")
    assert neutral("broken.Mine") == {}  # said where it is imported
