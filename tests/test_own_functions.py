"""Data that a function of one's own returns: as npz makes of them, with checksums, refused in one line."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Result
from PIL import Image
from sklearn.datasets import load_iris
from torch.utils.data import Dataset as Items
from torch.utils.data import IterableDataset, TensorDataset

from genreg.dataset import Dataset, digits, npz
from genreg.errors import InputError
from genreg.run.build import dataset_of

Genreg = Callable[..., Result]

IRIS = load_iris()
X, Y = IRIS.data, IRIS.target
HALVES = {"x_train": X[::2], "y_train": Y[::2], "x_test": X[1::2], "y_test": Y[1::2]}
RETURNED: Any = None


def ours() -> Any:
    return RETURNED


def read(returned: Any, seed: int = 0, **options: Any) -> Dataset:
    global RETURNED
    RETURNED = returned
    node = {"_target_": f"{__name__}.ours", **options}
    return dataset_of({"dataset": node, "data_dir": None})(seed=seed)


def of_file(folder: Path, arrays: dict[str, Any], **options: Any) -> Dataset:
    np.savez(folder / "iris.npz", **arrays)
    return npz(path="iris.npz", data_dir=folder, **{"labeled": None, "validation": 0.2, **options})


class Flowers(Items[Any]):
    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, str]:
        return torch.from_numpy(X[i]), IRIS.target_names[Y[i]]


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(zip(X, Y, strict=True))


TENSORS = torch.from_numpy(X), torch.from_numpy(Y)
SPLITS = {"train": (X[::2], Y[::2]), "test": (X[1::2], Y[1::2])}
WAYS: dict[str, tuple[Any, dict[str, Any]]] = {
    "pair": ((X, Y), {"X": X, "y": Y}),
    "lists": ([X.tolist(), IRIS.target_names[Y].tolist()], {"X": X, "y": IRIS.target_names[Y]}),
    "tensors": (TENSORS, {"X": X, "y": Y}),
    "torch": (TensorDataset(*TENSORS), {"X": X, "y": Y}),
    "words": (Flowers(), {"X": X, "y": IRIS.target_names[Y]}),
    "stream": (Stream(), {"X": X, "y": Y}),
    "splits": (SPLITS, HALVES),
    "nested": ({name: {"x": x, "y": y} for name, (x, y) in SPLITS.items()}, HALVES),
    "torch splits": ({**SPLITS, "train": TensorDataset(*(t[::2] for t in TENSORS))}, HALVES),
    "three": ({**SPLITS, "validation": (X[:9], Y[:9])},
              {**HALVES, "x_validation": X[:9], "y_validation": Y[:9]}),
    "train": ({"train": (X, Y), "unlabeled": X[:5]}, {"X": X, "y": Y, "x_unlabeled": X[:5]}),
    "npz": (HALVES, HALVES),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_what_a_function_returns_is_what_an_npz_file_of_it_is(tmp_path: Path, way: str) -> None:
    returned, arrays = WAYS[way]
    for options in ({}, {"labeled": 12, "stratify": True, "validation": 30}):
        for seed in (0, 1):
            mine, file = read(returned, seed, **options), of_file(tmp_path, arrays, seed=seed, **options)
            assert mine.digest == file.digest
            assert mine.told.partition(": ")[2] == file.told.partition(": ")[2]
            assert mine.checksums == {f"{__name__}.ours(seed={seed})": mine.digest}


def told(seed: int, data_dir: Path, labeled: int = 3) -> Any:
    return X[:90] + seed, Y[:90] * (labeled - 3 + 1) + (data_dir.name == "files")


def test_a_function_is_given_what_it_takes(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    node = {"_target_": f"{__name__}.told", "labeled": 3, "test": 30}
    make = dataset_of({"dataset": node, "data_dir": str(tmp_path / "files")})
    zero, one = make(seed=0), make(seed=1)
    torch.testing.assert_close(zero.test.x + 1, one.test.x)  # the same items are held out
    assert len(zero.labeled) == len(zero.unlabeled) == 90 - 30 - 18  # labeled is the function's own here
    assert "classes 1: 50, 2: 40" in zero.told


def test_a_class_of_torch_needs_no_code() -> None:
    config = {"dataset": {"_target_": f"{__name__}.Flowers", "labeled": 9}, "data_dir": None}
    assert dataset_of(config)(seed=0).labeled.y.bincount().tolist() == [3, 3, 3]


def test_pictures_and_real_targets() -> None:
    draw = np.random.default_rng(0)
    pictures = [Image.fromarray(draw.integers(256, size=(5, 6, 3), dtype=np.uint8)) for _ in range(20)]
    found = read([pictures, [i % 2 for i in range(20)]])
    assert found.input_shape == [3, 5, 6]
    assert 0.9 < float(found.unlabeled.max()) <= 1
    first = torch.from_numpy(np.array(pictures[0])).permute(2, 0, 1) / 255
    shown = torch.cat((found.labeled.x, found.validation.x, found.test.x))
    assert any(torch.equal(first, x) for x in shown)
    real = read((X, X[:, 0]))
    assert (real.classes, real.outputs) == (0, 1)


@pytest.mark.parametrize(
    ("returned", "options", "said"),
    [
        ((X, Y, Y), {}, r"dataset\._target_: expected a function that returns \(x, y\), .*, got 'tuple'"),
        (None, {}, r"dataset\._target_: .*docs/bring_your_own\.md\), got 'NoneType'"),
        ({"train": (X, Y), "tset": (X, Y)}, {}, r"got 'tset'\n  nearest: test"),
        ({"train": (X, Y), "validation": (X, Y)}, {}, r"dataset\._target_: expected the array x_test"),
        ((X, Y[:9]), {}, "expected as many rows in y as in X, 150, got 9"),
        ((X[:, 0] * np.nan, Y), {}, r"dataset\._target_: expected finite numbers .*, got 'nan at X\[0\]'"),
        (([[1, 2], [3]], [0, 1]), {}, "expected arrays of one shape"),
        (TensorDataset(TENSORS[0]), {}, r"expected items \(x, y\) of a torch Dataset .*, got 'tuple'"),
        ((X, Y), {"labelled": 3}, "dataset.labelled: expected no such key, got 3\n  nearest: labe"),
        ((X, Y), {"labeled": 2}, "dataset.labeled: expected a number from 3"),
        ((X, Y), {"test": -1}, "dataset.test: expected"),
        (digits(seed=0), {"labeled": 2}, "dataset.labeled: expected no such key, as the function returns"),
    ],
)  # fmt: skip
def test_what_is_of_no_use_is_said_in_one_line(returned: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(returned, **options)


OURS = """
import numpy as np
from sklearn.datasets import load_iris

def flowers(scale):
    x, y = load_iris(return_X_y=True)
    return scale * x, y
"""
YAML = "_target_: flowers_of_ours.flowers\nscale: {scale}\nlabeled: 12\n"


def test_a_run_keeps_the_line_and_the_checksum(genreg: Genreg, tmp_path: Path) -> None:
    (tmp_path / "mine" / "dataset").mkdir(parents=True)
    (tmp_path / "mine" / "flowers_of_ours.py").write_text(OURS)
    option = tmp_path / "mine" / "dataset" / "flowers.yaml"
    option.write_text(YAML.format(scale=0.5))
    run = ["train", "--config-dir", str(tmp_path / "mine"), "dataset=flowers", "logger=none", "steps=2",
           "device=cpu", "model=linear"]  # fmt: skip
    answer = genreg(*run)
    assert answer.code == 0, answer.err
    line = "flowers_of_ours.flowers: 150 rows of (4,); classes 0: 50, 1: 50, 2: 50; labeled 12, pool 90, "
    assert line in answer.out + answer.err
    (environment,) = tmp_path.rglob("environment.json")
    assert '"flowers_of_ours.flowers(seed=0)": ' in environment.read_text()
    assert genreg(*run).out.startswith("finished already: ")
    (tmp_path / "mine" / "flowers_of_ours.py").write_text(OURS.replace("scale * x", "scale + x"))
    del sys.modules["flowers_of_ours"]
    again = genreg(*run)
    assert "other data of flowers_of_ours.flowers(seed=0)" in again.out + again.err
