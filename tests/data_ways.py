"""Every way in which data come into a run: small files, the command that reads them, how they change."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import REPOSITORY, Result
from encoders import encoder
from own_files import write_folder, write_npz, write_table, write_texts
from test_features import Probe, write_run
from tiny import publish, tiny_cifar10

Genreg = Callable[..., Result]
RUN = ["device=cpu", "logger=none", "steps=4", "eval_every=4"]
TEXTS = ["dataset=text_csv", "dataset.min_count=1"]
TRANSFORMER = ["model=transformer", "model.width=8", "model.layers=1", "model.heads=2"]
GAN = ["task=wgan", "dataset=two_moons", "model.widths=[4]", "model.generator_widths=[4]"]
OWN = """from dataclasses import replace
from pathlib import Path

import torch

from genreg.dataset import Dataset, Split


def rings(seed, data_dir):
    scale = float((Path(data_dir) / "scale.txt").read_text())
    x, y = scale * torch.arange(40.0)[:, None], torch.arange(40) % 2
    part = lambda i: Split(x[i], y[i], torch.ones(len(y[i]), dtype=torch.bool))
    shift = 0 if seed == 0 else 10
    return Dataset(part(slice(shift, 20 + shift)), x[:20], part(slice(20, 30)), part(slice(30, 40)), 2)
"""


@dataclass(frozen=True)
class Way:
    """typed: what reads `file`, which is recorded as `name`. change: writes it anew; back: as it was."""

    typed: list[str]
    name: str
    change: Callable[[], Any]
    back: Callable[[], Any]


def edited(typed: list[str], name: str, file: Path, edit: Callable[[bytes], bytes]) -> Way:
    """A file whose bytes are edited."""
    before = file.read_bytes()
    return Way(typed, name, lambda: file.write_bytes(edit(before)), lambda: file.write_bytes(before))


def saved(typed: list[str], name: str, file: Path) -> Way:
    """A file of weights, all of which are scaled."""
    state, before = torch.load(file, weights_only=True), file.read_bytes()
    scaled = {key: 2 * weight for key, weight in state.items()}
    return Way(typed, name, lambda: torch.save(scaled, file), lambda: file.write_bytes(before))


@dataclass
class Ways:
    """Makes each; a method a way."""

    genreg: Genreg
    folder: Path
    patch: pytest.MonkeyPatch
    here: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.here = [*RUN, f"data_dir={self.folder}"]

    def table(self) -> Way:
        file = write_table(self.folder) / "table.csv"
        typed = [*self.here, "dataset=table", "model.widths=[4]"]
        return edited(typed, file.name, file, lambda text: text.replace(b"0,0.5,a", b"0,0.5,b"))

    def npz(self) -> Way:
        file = write_npz(self.folder) / "pictures.npz"
        other = dict(np.load(file))
        before, other["y_train"] = file.read_bytes(), other["y_train"][::-1]
        typed = [*self.here, "dataset=npz", "model.widths=[4]"]
        return Way(typed, file.name, lambda: np.savez(file, **other), lambda: file.write_bytes(before))

    def text_csv(self) -> Way:
        file = write_texts(self.folder) / "texts.csv"
        typed = [*self.here, *TEXTS, *TRANSFORMER]
        return edited(typed, file.name, file, lambda text: text.replace(b"aaa,0", b"aaa,1"))

    def image_folder(self) -> Way:
        """A picture takes the pixels of another."""
        other = write_folder(self.folder) / "pictures" / "a" / "2.png"
        return edited(self._pictures(), "pictures", other.with_name("0.png"), lambda _: other.read_bytes())

    def classes(self) -> Way:
        """The last picture of the first class becomes the first of the second: the same pixels in a row."""
        a = write_folder(self.folder) / "pictures" / "a" / "8.png"
        b = a.parent.with_name("b") / "0.png"
        return Way(self._pictures(), "classes", lambda: a.rename(b), lambda: b.rename(a))

    def _pictures(self) -> list[str]:
        sizes = ["dataset.size=8", "dataset.validation=5", "dataset.test=5"]
        return [*self.here, "dataset=image_folder", *sizes, "model.widths=[4]"]

    def own(self) -> Way:
        """A function whose file the program knows nothing of."""
        mine = self.folder / "mine"
        (mine / "dataset").mkdir(parents=True)
        (mine / "own_rings.py").write_text(OWN)
        (mine / "dataset" / "rings.yaml").write_text("_target_: own_rings.rings\n")
        file = self.folder / "scale.txt"
        file.write_text("1.0")
        typed = ["--config-dir", str(mine), *self.here, "dataset=rings", "model.widths=[4]"]
        return edited(typed, "own_rings.rings(seed=", file, lambda _: b"2.0")

    def published(self) -> Way:
        file = tiny_cifar10(self.folder)
        publish(self.patch, "cifar10", file)
        typed = [*self.here, "dataset=cifar10", "dataset.validation=10", "dataset.labeled=10"]
        return edited([*typed, "model.widths=[4]"], file.name, file, lambda content: content + b"\0")

    def inception(self) -> Way:
        file = self.folder / "probe.pt"
        torch.jit.script(Probe()).save(file)
        typed = [*self.here, *GAN, "features=inception", f"features.path={file}"]
        return edited(typed, file.name, file, lambda _: (REPOSITORY / "README.md").read_bytes())

    def classifier(self) -> Way:
        write_run(self.genreg, self.folder)
        (file,) = self.folder.glob("outputs/features/*/seed=0/weights.pt")
        typed = [*self.here, *GAN, "features=classifier", "features.experiment=features/squares"]
        return saved(typed, "features/squares/weights.pt", file)

    def pretrained(self) -> Way:
        typed = [*self.here, *TEXTS, *TRANSFORMER]
        write_texts(self.folder)
        assert self.genreg("train", "task=pretrain", *typed, "name=before").code == 0
        (file,) = self.folder.glob("outputs/before-*/seed=0/weights.pt")
        return saved([*typed, f"model.pretrained={file.parents[1]}"], "model.pretrained/weights.pt", file)

    def encoder(self) -> Way:
        typed, folder = self._encoder()
        file, before = folder / "model.safetensors", (folder / "model.safetensors").read_bytes()
        from safetensors.torch import load_file, save_file

        scaled = {key: 2 * weight for key, weight in load_file(file).items()}
        return Way(typed, str(folder), lambda: save_file(scaled, file, {"format": "pt"}),
                   lambda: file.write_bytes(before))  # fmt: skip

    def tokenizer(self) -> Way:
        typed, folder = self._encoder()
        return edited(typed, f"{folder}/tokenizer", folder / "tokenizer.json", lambda text: text + b"\n")

    def _encoder(self) -> tuple[list[str], Path]:
        write_texts(self.folder)
        folder = self.folder / "encoder"
        name = encoder(folder)
        given = ["model=pretrained_encoder", f"model.name={name}", f"dataset.tokenizer={name}"]
        return [*self.here, *TEXTS, "dataset.max_length=16", *given], folder


WAYS = [name for name in vars(Ways) if not name.startswith("_") and callable(vars(Ways)[name])]
