"""Every option of every group: it composes, builds and trains, and its YAML lists every parameter."""

import math
import re
from pkgutil import resolve_name
from typing import Any

import own_files
import pytest
import tiny
import torch
from conftest import yaml_options
from encoders import encoder
from every_option import CASES, composed, configured, download_of, overrides_for
from omegaconf import OmegaConf
from seam import resumed

from genreg import CONFIGS, regularizer
from genreg.cli.help import text
from genreg.errors import InputError
from genreg.groups import options
from genreg.parameters import parameters_of
from genreg.run.build import build_each, build_task, choose_device
from genreg.run.metric import GAP
from genreg.run.sources import source_of
from genreg.run.train import Settings

INJECTED = {"self", "args", "kwargs", "params", "optimizer", "seed", "data_dir", "device", "precision",
            "input_shape", "classes", "outputs", "dataset", "model", "loss", "regularizer", "scheduler",
            "measure", "generator_optimizer", "unlabeled_optimizer", "features", "output_dir", "replicas",
            "stream", "vocabulary"}  # fmt: skip
"""Parameters that the program fills in, not the YAML."""

NOT_INJECTED = {"features": {"seed"}, "measure": {"features"}, "model": {"replicas"}, "task/wgan": {"loss"}}
"""Of these groups and options, the YAML's own all the same."""

TORCH_ONLY = {"maximize", "foreach", "capturable", "differentiable", "decoupled_weight_decay", "last_epoch",
              "verbose"}  # fmt: skip
"""Parameters of torch's classes that no experiment of ours sets."""


@pytest.mark.parametrize("arm", ["gd", "pgd", "anti_pgd"])
def test_full_batches_hold_as_many_items_as_are_labeled(arm: str) -> None:
    config = composed(f"experiment=anti_pgd_mlp/{arm}", "dataset.labeled=70", "steps=9")
    assert (config["task"]["batch_size"], config["eval_every"]) == (70, 9)


@pytest.mark.parametrize("group", [group for group in dict(CASES) if group != "experiment"])
def test_yaml_lists_every_parameter_with_its_default(group: str) -> None:
    for option in yaml_options(group):
        node = OmegaConf.load(CONFIGS / group / f"{option}.yaml")
        if not node:
            continue
        module, _, name = node["_target_"].rpartition(".")
        target = resolve_name(f"{module}:{name}")
        injected = INJECTED - NOT_INJECTED.get(group, set()) - NOT_INJECTED.get(f"{group}/{option}", set())
        injected |= TORCH_ONLY if module.startswith("torch") else set()
        parameters = {k: v for k, v in parameters_of(target).items() if k not in injected}
        inherited = [e.partition("@")[0] for e in node.get("defaults", []) if str(e).endswith("@_here_")]
        listed = set(node).union(
            *(OmegaConf.load(CONFIGS / f"{path.lstrip('/')}.yaml") for path in inherited)
        )
        assert listed - {"_target_", "defaults"} == set(parameters), option
        if group in ("regularizer", "loss"):
            defaults = {name: parameter.default for name, parameter in parameters.items()}
            assert {name: node[name] for name in parameters} == defaults, option


@pytest.mark.parametrize("group", dict(CASES))
def test_every_option_says_in_one_line_what_it_is(group: str) -> None:
    page = text()
    for option, line in options(group).items():
        assert len(line.split()) >= 3, option
        assert len(line) <= 110, option
        assert re.search(rf"^  {re.escape(option)}  +{re.escape(line)}$", page, re.MULTILINE), option


@pytest.mark.full
@pytest.mark.parametrize(
    ("group", "option"), [case for case in CASES if case[0] not in ("experiment", "task")]
)
def test_a_configuration_is_the_same_put_together(group: str, option: str) -> None:
    assert configured(group, option) == composed(*overrides_for(group, option))


def is_full(group: str, option: str) -> bool:
    """True of experiments, and of large data whose loader another option has, or task=pretrain."""
    return group == "experiment" or (group == "dataset" and option in ("fashion_mnist", "zh_sentiment"))


@pytest.mark.parametrize(
    ("group", "option"),
    [pytest.param(*case, marks=pytest.mark.full if is_full(*case) else ()) for case in CASES],
)
def test_every_option_trains_and_its_weights_move(group: str, option: str, request: Any) -> None:
    config = composed(*overrides_for(group, option)) if group == "experiment" else configured(group, option)
    source = source_of(config["dataset"] or {})
    if source and source.files and not download_of(option):
        config["data_dir"] = str(request.getfixturevalue("data_dir"))
    if download_of(option):
        folder, monkeypatch = map(request.getfixturevalue, ("tmp_path", "monkeypatch"))
        config["data_dir"] = str(tiny.put(folder, monkeypatch))
    if option == "image_folder":
        folder = request.getfixturevalue("tmp_path")
        request.getfixturevalue("monkeypatch").setenv("XDG_CACHE_HOME", str(folder))
        config |= {"data_dir": str(own_files.write_folder(folder))}
        config["dataset"] |= {"size": 8, "validation": 5, "test": 5}
    if config["dataset"].get("_target_") == "genreg.dataset.npz":
        large = {} if option == "npz" else {"size": 32, "items": 300}
        config |= {"data_dir": str(own_files.write_npz(request.getfixturevalue("tmp_path"), **large))}
    if option == "table":
        config |= {"data_dir": str(own_files.write_table(request.getfixturevalue("tmp_path")))}
    if "text_csv" in str(config["dataset"]):
        config |= {"data_dir": str(own_files.write_texts(request.getfixturevalue("tmp_path")))}
    if "PretrainedEncoder" in config["model"]["_target_"]:
        folder = encoder(request.getfixturevalue("tmp_path"))
        config["model"]["name"] = config["dataset"]["tokenizer"] = folder
    for node in config["measure"].values():
        node |= {"samples": 100} if "samples" in node else {}
    Settings.of(config)
    if group == "features" and option in MISSING:
        with pytest.raises(InputError, match=MISSING[option]):
            build_task(config, choose_device("cpu"))
        return
    task = build_task(config, choose_device("cpu"))
    before = {name: weight.clone() for name, weight in task.weights().items()}
    settled = re.compile(
        r"parametrizations\.weight\.0\.[uv]$|^encoder\.output\."
        + (r"|num_batches_tracked$" if config["task"].get("statistics") == "anew" else "")
    )  # of a matrix of one row, u is 1 from the start; no language model reads a classifier's output layer
    terms = [task.step(step) for step in range(2)]
    moved = {name: not torch.equal(before[name], weight) for name, weight in task.weights().items()}
    assert all(moved[name] for name in moved if not settled.search(name))
    assert all(value.isfinite() and not value.requires_grad for row in terms for value in row.values())
    kind = config["task"]["_target_"].rsplit(".", 1)[-1]
    penalties = {name for name, node in config["regularizer"].items() if has_penalty(node["_target_"])}
    assert set(terms[0]) == (own_terms(config, kind) if kind in OWN_TERMS else set(terms[0])) | penalties
    if group != "model":
        row = task.evaluate()
        assert all(map(math.isfinite, row.values()))
        assert kind != "Classify" or expected_metrics(config) <= set(row)
        assert kind != "WGAN" or {f"{split}/{name}" for split, name in measured(config)} <= set(row)


MISSING = {"classifier": "genreg train experiment=features/", "inception": "features.path"}
"""Features that rest on a file: they say which one is not there."""

OWN_TERMS = {
    "Classify": {"loss"},
    "Alternate": {"loss"},
    "Pretrain": {"loss"},
    "Minimize": {"loss"},
    "WGAN": {"wasserstein", "critic_loss", "generator_loss"},
}


def apart(config: dict[str, Any]) -> bool:
    """Whether a method reads the unlabeled batch."""
    methods = build_each(config, "regularizer").values()
    return any("unlabeled" in method.reads for method in methods)


LOSS_TERMS = {"genreg.loss.CrossEntropy": "cross_entropy", "genreg.loss.MSE": "mse"}
"""What a loss calls its term and its metric."""


def own_terms(config: dict[str, Any], kind: str) -> set[str]:
    """The terms of a task without its methods; a classifier's loss is cross-entropy unless one is chosen."""
    chosen = LOSS_TERMS[config["loss"].get("_target_", "genreg.loss.CrossEntropy")]
    of_data = {chosen} if kind in ("Classify", "Alternate", "Pretrain") else set()
    return (
        OWN_TERMS[kind] | of_data | ({"unlabeled_loss"} if kind == "Alternate" and apart(config) else set())
    )


def has_penalty(target: str) -> bool:
    """Whether the method adds a term, or only changes weights."""
    return getattr(regularizer, target.rsplit(".", 1)[-1]).penalty is not regularizer.Regularizer.penalty


def measured(config: dict[str, Any]) -> list[tuple[str, str]]:
    """Split and name of a value of every chosen measure of a generator."""
    first = {"precision_recall": "precision", "lipschitz": "lipschitz_lower",
             "gradient_norm": "gradient_norm_data"}  # fmt: skip
    return [
        (split, first.get(name, name)) for name, node in config["measure"].items() for split in node["splits"]
    ]


def expected_metrics(config: dict[str, Any]) -> set[str]:
    """Accuracy and the loss on every split, the gap; every measure, on the splits that it says."""
    real = config["dataset"]["_target_"] == "genreg.dataset.diabetes"
    names = own_terms(config, "Classify") - {"loss"} | (set() if real else {"accuracy"})
    measured = dict.fromkeys(names, ("validation", "test", "labeled")) | {GAP: ("validation", "test")}
    measured |= {name: node.get("splits", ("validation", "test")) for name, node in config["measure"].items()}
    return {f"{split}/{name}" for name, splits in measured.items() for split in splits}


@pytest.mark.full
@pytest.mark.parametrize("option", yaml_options("optimizer"))
@pytest.mark.parametrize("scheduler", yaml_options("scheduler"))
def test_state_survives_a_round_trip_bit_for_bit(option: str, scheduler: str) -> None:
    config = composed(f"optimizer={option}", f"scheduler={scheduler}", "regularizer=vat", "dataset=two_moons",
                      "steps=20", "model.batch_norm=true", "logger=none")  # fmt: skip
    resumed(lambda: build_task(config, choose_device("cpu")), steps=20, at=9)


@pytest.mark.parametrize("scheduler", yaml_options("scheduler"))
def test_schedulers_move_the_learning_rate(scheduler: str) -> None:
    config = composed(f"scheduler={scheduler}", "dataset=two_moons", "steps=10", "logger=none")
    if scheduler == "step":
        config["scheduler"]["step_size"] = 5
    if scheduler == "late_linear":
        config["scheduler"]["start"] = 0.6
    task: Any = build_task(config, choose_device("cpu"))
    rates = []
    for step in range(10):
        rates.append(task.optimizer.param_groups[0]["lr"] / 1e-3)
        task.step(step)
    expected = {
        "none": [1.0] * 10,
        "linear": [1 - k / 10 for k in range(10)],
        "cosine": [(1 + math.cos(math.pi * k / 10)) / 2 for k in range(10)],
        "step": [1.0] * 5 + [0.5] * 5,
        "late_linear": [1.0] * 7 + [1.0 - k / 4 for k in range(1, 4)],
    }
    assert rates == pytest.approx(expected[scheduler])
