"""A run folder of another person: reading, repeating and loading it runs none of the code that it names."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import Result

import genreg as package
from genreg import groups
from genreg.cli.compose import compose, configs, plain
from genreg.errors import InputError
from genreg.run.factory import find_target
from genreg.run.train import train

Genreg = Callable[..., Result]

TINY = ["dataset=two_moons", "model.widths=[4]", "steps=2", "eval_every=2", "log_every=2", "logger=none",
        "quiet=true", "device=cpu"]  # fmt: skip
EVIL = """
from pathlib import Path
Path("marker").touch()

def anything(*a, **k): Path("marker").touch()
"""
NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "python": ("loss", {"_target_": "subprocess.check_output", "args": ["touch", "marker"]}),
    "a module": ("loss", {"_target_": "evil_of_theirs.anything"}),
    "a method": ("regularizer", {"a": {"_target_": "os.mkdir", "path": "marker"}}),
    "builtins": ("loss", {"_target_": "builtins.exec", "source": "open('marker', 'w')"}),
    "torch": ("model", {"_target_": "torch.hub.load", "repo_or_dir": "x", "model": "y"}),
    "through genreg": ("loss", {"_target_": "genreg.run.environment.subprocess.check_output"}),
    "nested": ("model", {"_target_": "genreg.model.MLP", "widths": {"_target_": "evil_of_theirs.anything"}}),
    "in a list": ("model", {"_target_": "genreg.model.MLP", "widths": [{"_target_": "evil_of_theirs.f"}]}),
    "a task": ("task", {"_target_": "evil_of_theirs.anything"}),
    "data": ("dataset", {"_target_": "evil_of_theirs.anything"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run below `outputs`."""
    folder = tmp_path_factory.mktemp("trained")
    with configs():
        train(plain(compose([*TINY, f"output_dir={folder / 'outputs'}"])))
    return folder


@pytest.fixture
def run(genreg: Genreg, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That run in a folder of its own, and a module of another person that could be imported."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    (tmp_path / "site").mkdir()
    (tmp_path / "site/evil_of_theirs.py").write_text(EVIL)
    monkeypatch.syspath_prepend(tmp_path / "site")
    groups.OWN.clear()
    (found,) = (path.parent for path in tmp_path.rglob("summary.json"))
    yield found
    groups.OWN.clear()
    assert not (tmp_path / "marker").exists()


def change(run: Path, group: str, node: Any) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**config, group: node}))


def is_refused(answer: Result, says: str = "expected code of genreg, torch.optim or --config-dir") -> None:
    assert answer.code == 2, answer
    assert says in answer.err
    assert len(answer.err.strip().splitlines()) == 1


@pytest.mark.every(3)
@pytest.mark.parametrize("name", NODES)
def test_repeating_and_loading_are_refused(genreg: Genreg, run: Path, name: str) -> None:
    change(run, *NODES[name])
    is_refused(genreg("train", "--like", str(run)))
    is_refused(genreg("export", str(run), "encoder"))
    with pytest.raises(InputError, match=r"_target_: expected code of genreg.*trust=True calls module"):
        package.load(run)


@pytest.mark.full
@pytest.mark.parametrize("name", NODES)
def test_reading_calls_nothing(genreg: Genreg, run: Path, name: str) -> None:
    """Also where the record of a start names modules, and for the same command, which finds it finished."""
    change(run, *NODES[name])
    starts = json.loads((run / "environment.json").read_text())
    starts[-1]["code"]["model"] = {"module": "evil_of_theirs", "digest": "aa"}
    (run / "environment.json").write_text(json.dumps(starts))
    for verb in (["report", "outputs"], ["ls"], ["ls", "--where", "loss=mse"], ["show", str(run)]):
        assert genreg(*verb).code in (0, 2)
    assert genreg("sync", str(run), "--to", "tensorboard").code in (0, 1, 2)
    assert genreg("train", *TINY).code == 0
    package.runs(run)
    (run / "summary.json").write_text('{"status": "running"}')  # it is made again, as it was typed
    assert genreg("train", *TINY).code == 0
    assert yaml.safe_load((run / "config.yaml").read_text())["model"]["_target_"] == "genreg.model.MLP"


@pytest.mark.full
@pytest.mark.parametrize("name", ["python", "a method", "in a list"])
def test_an_archive_calls_nothing(genreg: Genreg, run: Path, name: str) -> None:
    """Its verdicts are checked, and its runs are not made again."""
    change(run, *NODES[name])
    assert genreg("pack", "outputs", "theirs.zip").code == 0
    for verb in (["report", "theirs.zip"], ["ls", "theirs.zip"], ["check", "theirs.zip"]):
        assert genreg(*verb).code == 0
    place = f"theirs.zip/{run.relative_to(Path.cwd())}"
    for verb in (["check", "theirs.zip", "--rerun", "1"], ["train", "--like", place]):
        answer = genreg(*verb)
        is_refused(answer)
        assert answer.err.startswith(f"genreg: {place}: "), answer.err
        assert "(--trust calls module" in answer.err


@pytest.mark.every(2)
@pytest.mark.parametrize("target", ["evil_of_theirs.anything", "torch.load", "genreg.dataset.digits"])
def test_features_of_a_foreign_classifier(genreg: Genreg, run: Path, target: str) -> None:
    theirs = run.parent.parent / "features" / "theirs-01234567" / "seed=0"
    theirs.parent.mkdir(parents=True)
    run.rename(theirs)
    change(theirs, "model", {"_target_": target})
    given = ["task=wgan", "dataset=digits", "measure=fid", "features=classifier",
             "features.experiment=features/theirs", "quiet=true", "logger=none",
             f"output_dir={theirs.parent.parent.parent}"]  # fmt: skip
    change(theirs, "dataset", {"_target_": "genreg.dataset.digits", "size": 8})
    says = "features.trust=true calls module" if "genreg" not in target else "makes torch.nn.Module"
    is_refused(genreg("train", *given), says)


def test_an_interpolation_is_refused(
    genreg: Genreg, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "secret")
    for group, node in (("name", "${oc.env:SECRET}"), ("dataset", {"a": ["x${seed}"]}), ("seed", "${a}")):
        change(run, group, node)
        is_refused(genreg("train", "--like", str(run)), "expected a value without ${...}")
    assert not list(tmp_path.rglob("*secret*"))


@pytest.mark.full
def test_the_user_says_whom_to_trust(genreg: Genreg, run: Path, tmp_path: Path) -> None:
    """By a flag, by an argument, or by a folder of modules and YAML files."""
    mine = tmp_path / "mine"
    (mine / "model").mkdir(parents=True)
    (mine / "nets_of_ours.py").write_text("from genreg.model import MLP\nclass Net(MLP):\n    pass\n")
    config = yaml.safe_load((run / "config.yaml").read_text())
    change(run, "model", {**config["model"], "_target_": "nets_of_ours.Net"})
    is_refused(genreg("train", "--like", str(run)), "--trust calls module nets_of_ours too")
    assert genreg("train", "--config-dir", str(mine), "--like", str(run)).code == 0
    assert package.load(run).model.embed  # the folder of this process by now
    groups.OWN.clear()
    with pytest.raises(InputError):
        package.load(run)
    assert package.load(run, trust=True).model.embed
    assert genreg("train", "--trust", "--like", str(run), "seed=3").code == 0
    assert genreg("train", "--trust", *TINY).code == 2
    starts = json.loads((run / "environment.json").read_text())
    starts[-1]["code"]["model"] = {"module": "nets_of_ours", "digest": "abcdef0123"}
    (run / "environment.json").write_text(json.dumps(starts))
    packed = genreg("pack", "outputs/two_moons", "ours.zip").out
    assert "not in it, and read to make its runs again: nets_of_ours.py abcdef01" in packed
    for words in (["--trust"], ["--config-dir", str(mine)]):
        groups.OWN.clear()
        is_refused(genreg("check", "ours.zip", "--rerun", "9"))
        answer = genreg("check", "ours.zip", "--rerun", "9", *words)
        assert "  code of model is not what it was\n" in answer.out, answer


@pytest.mark.full
def test_own_files_may_name_an_installed_module(genreg: Genreg, run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "model").mkdir(parents=True)
    (tmp_path / "site/installed.py").write_text("from genreg.model import MLP\nclass Net(MLP):\n    pass\n")
    (mine / "model/net.yaml").write_text("_target_: installed.Net\n")
    change(run, "model", {"_target_": "installed.Net", "widths": [4]})
    is_refused(genreg("train", "--like", str(run)))
    assert genreg("train", "--like", str(run), "--config-dir", str(mine)).code == 0


WRONG = [
    ("model", "subprocess.check_output"), ("model", "builtins.print"), ("model", "builtins.dict"),
    ("model", "genreg.regularizer.VAT"), ("model", "genreg.dataset.digits"), ("model", "torch.nn.Module"),
    ("model", "genreg.model.Classifier"), ("model", "torch.load"), ("model", "os.path.join"),
    ("dataset", "genreg.model.MLP"), ("dataset", "genreg.run.environment.describe"),
    ("optimizer", "torch.optim.lr_scheduler.StepLR"), ("optimizer", "torch.optim.Optimizer"),
    ("scheduler", "torch.optim.Adam"), ("scheduler", "genreg.optimizer.pgd"), ("loss", "torch.nn.MSELoss"),
    ("regularizer.vat", "genreg.measure.Margin"), ("measure.margin", "genreg.regularizer.VAT"),
    ("features", "genreg.loss.MSE.name"), ("logger.wandb", "genreg.loss.MSE"), ("task", "genreg.model.MLP"),
    ("loss", "genreg.loss"), ("loss", "MSE"), ("loss", ""), ("loss", "genreg..MSE"), ("loss", "no.such"),
    ("loss", 3),
]  # fmt: skip


@pytest.mark.parametrize(("key", "target"), WRONG)
def test_a_target_of_no_such_kind_is_not_called(key: str, target: Any) -> None:
    """Of one's own configuration too."""
    with pytest.raises(InputError, match=rf"^{key}._target_: expected "):
        find_target({"_target_": target}, key)


def test_a_users_function_may_say_nothing_of_what_it_returns(tmp_path: Path, monkeypatch: Any) -> None:
    lines = "import torch\nfrom genreg.model import MLP\ndef bare(**k): return MLP(**k)\n"
    lines += "def right(**k) -> MLP: ...\ndef wrong(**k) -> int: ...\n"
    (tmp_path / "functions_of_ours.py").write_text(lines)
    (tmp_path / "broken_of_ours.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("bare", "right"):
        assert find_target({"_target_": f"functions_of_ours.{name}"}, "model")
    for name in ("functions_of_ours.wrong", "broken_of_ours.f"):
        with pytest.raises(InputError):
            find_target({"_target_": name}, "model")
    assert torch.is_tensor(find_target({"_target_": "functions_of_ours.bare"}, "model")(
        input_shape=[2], outputs=2, widths=[3])(torch.zeros(1, 2)))  # fmt: skip
