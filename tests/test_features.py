"""Features of pictures: of untrained, of trained and of given networks."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Result, normal
from torch import Tensor, nn

from genreg.errors import InputError
from genreg.features import Classifier, Inception, Random
from genreg.features.classifier import last_features
from genreg.model import MLP, Conv, ResNet
from genreg.run.folder import RunFolder


def write_run(genreg: Callable[..., Result], tmp_path: Path, *more: str) -> None:
    """A finished run called features/squares on 8x8 grey pictures of three classes."""
    y = np.arange(300) % 3
    x = np.random.default_rng(0).integers(100, size=(300, 8, 8), dtype=np.uint8) + 70 * y[:, None, None]
    np.savez(tmp_path / "squares.npz", x_train=x.astype(np.uint8), y_train=y,
             x_test=x[:50].astype(np.uint8), y_test=y[:50])  # fmt: skip
    data = [
        "dataset=npz",
        f"dataset.path={tmp_path}/squares.npz",
        "dataset.validation=50",
        "dataset.labeled=100",
    ]
    model = ["model.widths=[12,5]", "model.batch_norm=true"]
    rest = ["steps=20", "eval_every=10", "device=cpu", "logger=none"]
    answer = genreg("train", "name=features/squares", *data, *model, *rest, *more)
    assert answer.code == 0, answer.err


def test_features_of_a_trained_classifier(genreg: Callable[..., Result], tmp_path: Path) -> None:
    write_run(genreg, tmp_path)
    features = Classifier(experiment="features/squares", output_dir=tmp_path / "outputs")
    (run,) = (tmp_path / "outputs" / "features").glob("squares-*/seed=0")
    digest = hashlib.sha256((run / "weights.pt").read_bytes()).hexdigest()
    assert features.name == f"features/squares sha256:{digest[:8]}"
    assert features.checksums == {"features/squares/weights.pt": digest}

    pictures = normal(1100, 1, 8, 8).float().tanh()
    found = features(pictures)
    state = torch.load(run / "weights.pt", weights_only=True)
    model = MLP(input_shape=[1, 8, 8], outputs=3, widths=[12, 5], batch_norm=True)
    model.load_state_dict(state)
    model.eval()
    with torch.no_grad():
        logits = model((pictures + 1) / 2)
    assert found.shape == (1100, 5)
    assert not found.requires_grad
    again = found @ state["layers.6.weight"].T + state["layers.6.bias"]  # the last layer, by hand
    torch.testing.assert_close(again, logits)


SQUARES = """# @package _global_
defaults: [override /dataset: npz, override /logger: [none]]
name: features/squares
dataset: {{path: {path}, validation: 50, labeled: 100}}
model: {{widths: [8]}}
steps: 4
eval_every: 2
"""


def generator(genreg: Callable[..., Result], tmp_path: Path) -> list[str]:
    """A generator of the squares, whose features are of an experiment that was never run."""
    write_run(genreg, tmp_path, "output_dir=elsewhere")
    mine = tmp_path / "mine" / "experiment" / "features"
    mine.mkdir(parents=True)
    (mine / "squares.yaml").write_text(SQUARES.format(path=tmp_path / "squares.npz"))
    data = [
        "dataset=npz",
        f"dataset.path={tmp_path}/squares.npz",
        "dataset.validation=50",
        "dataset.labeled=100",
    ]
    features = ["features=classifier", "features.experiment=features/squares", "measure=fid"]
    return ["--config-dir", str(tmp_path / "mine"), "task=wgan", "model=dcgan", "model.width=4", *data,
            *features, "measure.fid.samples=20", "steps=2", "device=cpu", "logger=none"]  # fmt: skip


@pytest.mark.full
def test_the_run_that_features_need_is_made_on_the_way(genreg: Callable[..., Result], tmp_path: Path) -> None:
    typed = generator(genreg, tmp_path)
    answer = genreg("train", *typed)
    assert answer.code == 0, answer.err
    needed = (
        "features/squares is needed first: genreg train experiment=features/squares seed=0 output_dir=outputs"
    )
    assert needed in answer.out
    (run,) = (tmp_path / "outputs" / "features").glob("squares-*/seed=0")
    command = RunFolder(run).environments()[0]["command"]
    assert command == ["genreg", "train", "experiment=features/squares", "seed=0", "output_dir=outputs"]
    assert "needed first" not in genreg("train", *typed, "steps=1").out


@pytest.mark.full
def test_jobs_at_once_make_what_they_need_once(genreg: Callable[..., Result], tmp_path: Path) -> None:
    typed = generator(genreg, tmp_path)
    answer = genreg("train", "-m", *typed, "seed=range(3)", "hydra.launcher.workers=3")
    assert answer.code == 0, answer.err
    (run,) = (tmp_path / "outputs" / "features").glob("squares-*/seed=0")
    assert len(RunFolder(run).environments()) == 1
    assert len(list((tmp_path / "outputs").rglob("summary.json"))) == 4


@pytest.mark.full
def test_a_sweep_needs_its_own_run_where_it_has_one(genreg: Callable[..., Result], tmp_path: Path) -> None:
    """Another of the same name beside it would be one too many."""
    _, mine, *typed = generator(genreg, tmp_path)
    (tmp_path / "mine" / "sweep").mkdir()
    own = {"squares": {"metric": "test/accuracy", "experiments": ["features/squares"]},
           "gan": {"metric": "test/fid", "mode": "min", "arms": {"gan": typed}}}  # fmt: skip
    file = "# @package _global_\nsweep: " + json.dumps({"parts": own})
    (tmp_path / "mine" / "sweep" / "own.yaml").write_text(file)
    answer = genreg(
        "train", "--config-dir", mine, "sweep=own", "steps=3", "device=cpu", "hydra.launcher.workers=2"
    )
    assert answer.code == 0, answer
    assert len(list((tmp_path / "outputs").rglob("features/*/seed=0"))) == 1


@pytest.mark.full
def test_what_keeps_a_run_from_giving_features(genreg: Callable[..., Result], tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    with pytest.raises(InputError, match="genreg train experiment=features/squares seed=0 output_dir="):
        Classifier(experiment="features/squares", output_dir=outputs)
    write_run(genreg, tmp_path)
    with pytest.raises(InputError, match=r"genreg train experiment=features/squares seed=1"):
        Classifier(experiment="features/squares", seed=1, output_dir=outputs)
    features = Classifier(experiment="features/squares", output_dir=outputs)
    with pytest.raises(InputError, match=r"features: expected pictures like those .* got \(3, 8, 8\)"):
        features(torch.zeros(2, 3, 8, 8))
    write_run(genreg, tmp_path, "optimizer.lr=0.1")
    with pytest.raises(InputError, match=r"features\.experiment: expected one finished run"):
        Classifier(experiment="features/squares", output_dir=outputs)


@pytest.mark.parametrize(
    ("model", "options", "last"),
    [
        (MLP, {"widths": [7, 5]}, "layers.4"),
        (MLP, {"widths": []}, "layers.0"),
        (Conv, {"widths": [3, 4, 5, 6, 7]}, "output"),
        (ResNet, {"widths": [3, 4], "blocks": [1, 1]}, "output"),
    ],
)
def test_the_last_layer_reads_the_features(model: Any, options: Any, last: str) -> None:
    torch.manual_seed(0)
    net = model(input_shape=[1, 12, 12], outputs=4, **options).eval()
    x = normal(3, 1, 12, 12).float()
    torch.testing.assert_close(net.get_submodule(last)(last_features(net, x)), net(x))


def test_random_features_are_fixed_and_tell_pictures_apart() -> None:
    pictures = normal(600, 3, 8, 8).float().tanh()
    torch.manual_seed(1)
    a = Random(width=4, seed=0)(pictures)
    torch.manual_seed(2)
    assert torch.equal(a, Random(width=4, seed=0)(pictures))
    assert not torch.allclose(a, Random(width=4, seed=1)(pictures))
    assert a.shape == (600, 28)
    torch.testing.assert_close(a[550:], Random(width=4, seed=0)(pictures[550:]))  # chunks change nothing
    kernel = Random(width=4, seed=0).weights(3)[0]
    mean = nn.functional.conv2d(pictures[:1], kernel, stride=2, padding=1).relu().mean((2, 3))
    torch.testing.assert_close(a[:1, :4], mean)
    deepest = Random(width=64, seed=0).weights(3)[2]
    assert deepest.std().item() == pytest.approx((2 / (16 * 128)) ** 0.5, rel=0.01)


class Probe(nn.Module):
    """Says what it was given, where the real network would return features."""

    def forward(self, x: Tensor, return_features: bool = False) -> Tensor:
        assert return_features
        assert x.dtype == torch.uint8
        return x.flatten(1)


def test_inception_is_given_levels_of_three_channels(tmp_path: Path) -> None:
    file = tmp_path / "probe.pt"
    torch.jit.script(Probe()).save(file)
    features = Inception(path=str(file))
    grey = torch.tensor([-1.0, 1.0, 0.0, 2 * 200 / 255 - 1]).reshape(1, 1, 2, 2)
    assert features(grey).tolist() == [[0.0, 255.0, 128.0, 200.0] * 3]
    assert features.name == f"inception sha256:{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"


def test_inception_that_is_not_there_or_is_something_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"features\.path: expected a TorchScript file"):
        Inception(path=str(tmp_path / "missing.pt"))
    (tmp_path / "text.pt").write_text("no network")
    with pytest.raises(InputError, match=r"features\.path: expected a TorchScript file"):
        Inception(path=str(tmp_path / "text.pt"))
