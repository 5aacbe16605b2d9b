"""Small files in the formats of CIFAR-10, CIFAR-100 and SVHN, where their sources expect them."""

import hashlib
import io
import pickle
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from genreg import dataset
from genreg.download import Source
from genreg.run import sources

N = 20  # pictures of each file


def pictures(seed: int, n: int = N) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=(n, 3072), dtype=np.uint8)


def batch(seed: int, classes: int = 10, key: bytes = b"labels") -> dict[bytes, Any]:
    return {b"batch_label": b"one", key: [i % classes for i in range(N)], b"data": pictures(seed),
            b"filenames": [b"a.png"] * N}  # fmt: skip


def archive(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def tiny_cifar10(folder: Path) -> Path:
    """Six batches whose first test picture is the first training picture."""
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    batches = [batch(i) for i in range(6)]
    batches[5][b"data"][0] = batches[0][b"data"][0]
    content = {
        f"cifar-10-batches-py/{name}": pickle.dumps(made) for name, made in zip(names, batches, strict=True)
    }
    return archive(folder / "cifar10" / "cifar-10-python.tar.gz", content)


def tiny_cifar100(folder: Path) -> Path:
    made = {
        f"cifar-100-python/{name}": pickle.dumps(batch(i, 15, b"fine_labels"))
        for i, name in enumerate(("train", "test"))
    }
    return archive(folder / "cifar100" / "cifar-100-python.tar.gz", made)


def tiny_svhn(folder: Path) -> list[Path]:
    (folder / "svhn").mkdir(parents=True)
    paths = [folder / "svhn" / f"{name}_32x32.mat" for name in ("train", "test")]
    for seed, path in enumerate(paths):
        x = pictures(seed).reshape(N, 3, 32, 32).transpose(2, 3, 1, 0)
        savemat(path, {"X": x, "y": np.arange(N, dtype=np.uint8)[:, None] % 10 + 1})
    return paths


def publish(monkeypatch: pytest.MonkeyPatch, name: str, *paths: Path) -> None:
    """Let these files be what the source `name` promises, to its loader and to readers of its text."""
    files = {path.name: "md5:" + hashlib.md5(path.read_bytes()).hexdigest() for path in paths}
    module = sys.modules[getattr(dataset, name).__module__]
    for source in getattr(module, "SOURCES", None) or [module.SOURCE]:
        for file in files if source.name == name else ():
            monkeypatch.setitem(source.files, file, files[file])
    declared = sources._declared

    def replaced(*place: str) -> list[Source]:
        return [replace(each, files=files) if each.name == name else each for each in declared(*place)]

    monkeypatch.setattr(sources, "_declared", replaced)


def put(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, with small files of all three, which are what their sources promise."""
    publish(monkeypatch, "cifar10", tiny_cifar10(folder))
    publish(monkeypatch, "cifar100", tiny_cifar100(folder))
    publish(monkeypatch, "svhn", *tiny_svhn(folder))
    return folder


SIZES = {"cifar10": (10, 10), "cifar100": (15, 2), "svhn": (10, 5)}
"""Labels and validation items that these files have room for."""


def overrides(name: str) -> list[str]:
    """What of a data set's configuration must change for them."""
    labeled, validation = SIZES[name]
    return [f"dataset.labeled={labeled}", f"dataset.validation={validation}"]
