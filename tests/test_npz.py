"""Arrays of one's own: what they become, and what is said of those that are of no use."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Result

from genreg.dataset import Dataset, npz
from genreg.errors import InputError

N = 60
DRAW = np.random.default_rng(0)
FLOATS = DRAW.normal(size=(N, 2, 3))
BYTES = DRAW.integers(256, size=(N, 4, 5, 3), dtype=np.uint8)
CLASSES = np.arange(N) % 3
REAL = FLOATS.sum((1, 2))
TRAIN_X, TRAIN_Y, TEST_X, TEST_Y = FLOATS[:40], CLASSES[:40], FLOATS[40:], CLASSES[40:]
SPLIT: dict[str, Any] = {"x_train": TRAIN_X, "y_train": TRAIN_Y, "x_test": TEST_X, "y_test": TEST_Y}
OPTIONS: dict[str, Any] = {"labeled": None, "validation": 0.2}


def made(folder: Path, arrays: dict[str, Any], **options: Any) -> Dataset:
    np.savez(folder / "mine.npz", **arrays)
    return npz(data_dir=folder, path="mine.npz", **{**OPTIONS, **options})


def test_bytes_are_pictures(tmp_path: Path) -> None:
    """The last of training are validation, and channels come first, as in earlier versions."""
    arrays = {
        "x_train": BYTES[:40],
        "y_train": CLASSES[:40, None],
        "x_test": BYTES[30:],
        "y_test": CLASSES[30:],
    }
    dataset = made(tmp_path, arrays, validation=10, labeled=6, seed=3)
    x = torch.from_numpy(BYTES).permute(0, 3, 1, 2) / 255
    assert torch.equal(dataset.unlabeled, x[:30])
    assert torch.equal(dataset.validation.x, x[30:40])
    assert torch.equal(dataset.test.x, x[30:])
    assert dataset.test.y.tolist() == CLASSES[30:].tolist()
    assert dataset.labeled.y.bincount().tolist() == [2, 2, 2]
    assert dataset.test.clean.all()
    grey = made(
        tmp_path,
        {**arrays, "x_train": BYTES[:40, :, :, 0], "x_test": BYTES[:20, :, :, 0], "y_test": CLASSES[:20]},
    )
    assert grey.input_shape == [1, 4, 5]
    assert not grey.test.clean.any()


def test_floats_stay_as_they_are(tmp_path: Path) -> None:
    dataset = made(tmp_path, SPLIT)
    assert torch.equal(dataset.unlabeled, torch.from_numpy(FLOATS[:32]).float())
    assert torch.equal(dataset.labeled.y, torch.from_numpy(CLASSES[:32]))
    assert (dataset.input_shape, dataset.classes, len(dataset.validation)) == ([2, 3], 3, 8)


def test_x_and_y_are_split_the_same_for_every_seed(tmp_path: Path) -> None:
    a, b = (
        made(tmp_path, {"X": FLOATS, "y": REAL}, test=0.1, validation=7, labeled=9, seed=s) for s in (0, 1)
    )
    assert [len(a.unlabeled), len(a.validation), len(a.test), len(a.labeled)] == [47, 7, 6, 9]
    assert torch.equal(a.test.x, b.test.x)
    assert not torch.equal(a.labeled.x, b.labeled.x)
    x = torch.cat((a.unlabeled, a.validation.x, a.test.x))
    assert sorted(x.sum((1, 2)).tolist()) == pytest.approx(sorted(REAL))
    for split in (a.labeled, a.validation, a.test):
        torch.testing.assert_close(split.x.sum((1, 2)), split.y[:, 0])


@pytest.mark.parametrize("kind", [str, bytes, float, bool, np.uint64])
def test_labels_are_words_or_numbers_in_their_order(tmp_path: Path, kind: Any) -> None:
    two = np.arange(N) % 2
    words = np.array(["zebra", "ant"])[two].astype("S" if kind is bytes else str)
    y = (
        words
        if kind in (str, bytes)
        else (two == 0).astype(kind)
        if kind is bool
        else (9 - 2 * two).astype(kind)
    )
    dataset = made(tmp_path, {"X": FLOATS, "y": y}, validation=0.25)
    assert dataset.classes == 2
    first = torch.from_numpy(FLOATS[two == 1]).float()  # ant before zebra, 7 before 9, False before True
    ants = {row.numpy().tobytes() for row in first}
    assert [row.numpy().tobytes() in ants for row in dataset.labeled.x] == (dataset.labeled.y == 0).tolist()


def test_real_targets(tmp_path: Path) -> None:
    whole = np.arange(N)
    assert made(tmp_path, {"X": FLOATS, "y": whole % 5}).classes == 5
    dataset = made(tmp_path, {"X": FLOATS, "y": whole}, targets="real", labeled=7)
    assert (dataset.classes, dataset.outputs, dataset.labeled.y.shape) == (0, 1, (7, 1))
    assert made(tmp_path, {"X": FLOATS, "y": FLOATS[:, 0]}).outputs == 3


def test_more_without_labels_joins_the_pool(tmp_path: Path) -> None:
    dataset = made(tmp_path, {**SPLIT, "x_unlabeled": FLOATS[40:50]}, labeled=6)
    assert torch.equal(dataset.unlabeled[32:], torch.from_numpy(FLOATS[40:50]).float())
    assert dataset.labeled.y.bincount().tolist() == [2, 2, 2]
    assert dataset.test.clean.tolist() == [False] * 10 + [True] * 10


def test_validation_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "genreg"):
        dataset = made(
            tmp_path, {**SPLIT, "x_validation": FLOATS[:5], "y_validation": CLASSES[:5], "x_val": FLOATS}
        )
    assert (len(dataset.unlabeled), dataset.validation.clean.tolist()) == (40, [False] * 5)
    assert "left out: x_val" in caplog.text
    assert "; left out 1 of other names (x_val); " in dataset.told


def changed(array: Any, index: Any, value: Any, dtype: Any = None) -> np.ndarray:
    array = np.array(array, dtype=dtype)
    array[index] = value
    return array


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"y_train": CLASSES[:39]}, "as many rows in y_train as in x_train, 40, got 39"),
    ({"x_train": changed(TRAIN_X, (17, 1, 2), np.nan)}, r"finite numbers .*got 'nan at x_train\[17\]'"),
    ({"x_test": changed(TEST_X, (3, 0, 0), 1e39)}, r"finite numbers .*1e\+39 at x_test\[3\]"),
    ({"y_test": changed(TEST_Y, 5, np.nan, float)}, r"finite numbers .*nan at y_test\[5\]"),
    ({"y_test": changed(TEST_Y, 5, 0.5, float)}, r"words or whole numbers .*real.*0\.5 at y_test\[5\]"),
    ({"y_test": changed(TEST_Y, 6, 3)}, r"classes of which training has .*'3 at y_test\[6\]'"),
    ({"y_train": changed(TRAIN_Y, 36, 7)}, r"classes of which training has .*'7 at y_train\[36\]'"),
    ({"y_test": TEST_Y.astype(str)}, r"classes of which training has .*'1' at y_test\[0\]"),
    ({"y_train": np.eye(3)[TRAIN_Y]}, r"one label an item: y\.argmax\(1\) .*3 numbers at y_train\[0\]"),
    ({"y_train": TRAIN_Y.astype(object)}, r"numbers or words in y_train: .*, got 'objects'"),
    ({"y_train": np.array([b"\xff"] * 40)}, "words in UTF-8 in y_train, got 'byte 0xff'"),
    ({"x_train": TRAIN_X.astype(complex)}, "numbers in x_train, got 'complex128'"),
    ({"x_train": TRAIN_X.astype(str)}, "numbers in x_train, got '<U"),
    ({"x_test": FLOATS[40:, :1]}, r"items \(2, 3\) in x_test, as in x_train, got \(1, 3\)"),
    ({"x_test": BYTES[40:, :2, :3, 0]}, "bytes in all arrays of features or in none"),
    ({"x_unlabeled": FLOATS[:, :, :2]}, r"items \(2, 3\) in x_unlabeled"),
    ({"x_train": FLOATS[:0]}, r"items in x_train, along its first axis, got 'shape \(0, 2, 3\)'"),
    ({"x_train": 3.0}, r"items in x_train, along its first axis, got 'shape \(\)'"),
    ({"y_test": np.zeros((20, 2, 2))}, "one label or one row of targets an item in y_test"),
    ({"x_validation": FLOATS}, r"the array y_validation .*got \['x_test', 'x_train'"),
    ({"X": FLOATS, "y": CLASSES}, "either X and y or x_train"),
    ({"X": FLOATS}, "the array y "),
    ({"x_train": np.zeros((40, 3, 8, 8), np.uint8)}, r".*x_train\.transpose\(0, 2, 3, 1\)"),
    ({"x_train": np.zeros((40, 8, 8, 3))}, r".*floats \(N, C, H, W\): x_train\.transpose\(0, 3, 1, 2\)"),
    ({"y_train": REAL[:40], "y_test": FLOATS[40:, 0]}, r"targets of the shape \(\) .*\(3,\) at y_test\[0\]"),
]  # fmt: skip


@pytest.mark.parametrize(("arrays", "says"), WRONG, ids=[says for _, says in WRONG])
def test_arrays_of_no_use(tmp_path: Path, arrays: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=rf"^dataset\.path: expected .*{says}") as error:
        made(tmp_path, {**SPLIT, **arrays})
    assert "\n" not in str(error.value)


def test_words_are_no_real_targets(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"numbers as real targets .*'a' at y\[\d+\]"):
        made(tmp_path, {"X": FLOATS, "y": ["a"] * N}, targets="real")


@pytest.mark.parametrize("keep", [0, 30, 700, -5])
def test_files_that_were_cut(tmp_path: Path, keep: int) -> None:
    np.savez(tmp_path / "whole.npz", **SPLIT)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:keep])
    with pytest.raises(
        InputError, match=r"^dataset\.path: expected a whole npz file.*cut\.npz, which is empty"
    ):
        npz(data_dir=tmp_path, path="cut.npz")


def test_files_that_were_damaged_or_are_others(tmp_path: Path) -> None:
    np.savez(tmp_path / "damaged.npz", **SPLIT)
    raw = bytearray((tmp_path / "damaged.npz").read_bytes())
    raw[500] ^= 255
    (tmp_path / "damaged.npz").write_bytes(raw)
    with pytest.raises(InputError, match=r"an undamaged npz file, got .x_train: Bad CRC"):
        npz(data_dir=tmp_path, path="damaged.npz")
    np.save(tmp_path / "one.npy", FLOATS)
    with pytest.raises(InputError, match="a whole npz file"):
        npz(data_dir=tmp_path, path="one.npy")
    with pytest.raises(InputError, match=r"an existing file in .*, got 'no such file: none\.npz'"):
        npz(data_dir=tmp_path, path="none.npz")


UNKNOWN = np.where(np.arange(N) % 4 == 3, -1, CLASSES)


@pytest.mark.parametrize("kind", [np.int64, np.float32, str])
def test_a_mark_of_no_label_is_to_be_declared(tmp_path: Path, kind: Any) -> None:
    """-1 is what scikit-learn's semi-supervised methods take for no label."""
    y = UNKNOWN.astype(kind) if kind is not str else np.where(UNKNOWN < 0, "nan", CLASSES.astype(str))
    mark: Any = "nan" if kind is str else -1
    with pytest.raises(InputError, match=rf"^dataset\.no_label: expected .?{mark}.* where y\[3\] is"):
        made(tmp_path, {"X": FLOATS, "y": y})
    dataset = made(tmp_path, {"X": FLOATS, "y": y}, no_label=mark, test=5, validation=5)
    assert (dataset.classes, len(dataset.labeled), len(dataset.unlabeled)) == (3, 35, 50)
    known = {
        row.numpy().tobytes(): c for row, c in zip(torch.from_numpy(FLOATS).float(), UNKNOWN, strict=True)
    }
    for split in (dataset.labeled, dataset.validation, dataset.test):
        assert [known[row.numpy().tobytes()] for row in split.x] == split.y.tolist()
    assert sorted(known[row.numpy().tobytes()] for row in dataset.unlabeled[35:]) == [-1] * 15
    assert dataset.told.startswith(
        f"mine.npz: 60 rows of (2, 3), 15 without a label ({mark}); classes 0: 15,"
    )
    assert made(tmp_path, {"X": FLOATS, "y": y}, no_label=None, test=20).classes == 4


def test_a_mark_in_training_and_in_test(tmp_path: Path) -> None:
    arrays = {**SPLIT, "y_train": UNKNOWN[:40], "x_unlabeled": FLOATS[50:]}
    dataset = made(tmp_path, arrays, no_label=-1, validation=6)
    assert dataset.items == {"labeled": 24, "unlabeled": 44, "validation": 6, "test": 20, "test_clean": 10}
    known = np.flatnonzero(UNKNOWN[:40] >= 0)
    assert torch.equal(dataset.validation.x, torch.from_numpy(FLOATS[known[-6:]]).float())
    with pytest.raises(InputError, match=r"classes of which training has .*'-1 at y_test\[3\]'"):
        made(tmp_path, {**arrays, "y_test": UNKNOWN[40:]}, no_label=-1)


@pytest.mark.parametrize(
    "y", [CLASSES[:, None] - 1.0 * (CLASSES[:, None] == 0) * 5, np.where(CLASSES, 1, -1)]
)
def test_other_numbers_below_zero_are_classes(tmp_path: Path, y: np.ndarray) -> None:
    assert made(tmp_path, {"X": FLOATS, "y": y}).classes == len(np.unique(y))


def test_whole_numbers_that_floats_do_not_tell_apart(tmp_path: Path) -> None:
    big = 2**53 + CLASSES
    told = made(tmp_path, {"X": FLOATS, "y": big}).told
    assert "classes 9007199254740992: 20, 9007199254740993: 20, 9007199254740994: 20;" in told
    with pytest.raises(InputError, match=r"integers as labels: float64 .* '9007199254740992 at y\[\d+\]'"):
        made(tmp_path, {"X": FLOATS, "y": big.astype(float)})
    assert "classes False: 20, True: 40;" in made(tmp_path, {"X": FLOATS, "y": CLASSES > 0}).told


@pytest.mark.parametrize("size", [0, 0.0, 1.5, -1, 40])
def test_sizes_of_validation(tmp_path: Path, size: Any) -> None:
    np.savez(tmp_path / "mine.npz", **SPLIT)
    with pytest.raises((InputError, ValueError), match="validation"):
        npz(data_dir=tmp_path, path="mine.npz", validation=size)


@pytest.mark.full
def test_from_the_command_line(genreg: Callable[..., Result], tmp_path: Path) -> None:
    np.savez(tmp_path / "real.npz", X=FLOATS, y=REAL)
    np.savez(tmp_path / "one.npz", X=FLOATS, y=np.zeros(N))
    given = [
        "dataset=npz",
        "dataset.validation=0.2",
        "dataset.labeled=null",
        "logger=none",
        "steps=2",
        "device=cpu",
    ]
    answer = genreg("train", *given, f"dataset.path={tmp_path}/real.npz", "loss=mse")
    assert answer.code == 0, answer.err
    answer = genreg("train", *given, f"dataset.path={tmp_path}/real.npz")
    assert answer.err.startswith("genreg: loss: expected mse for a dataset of real targets")
    answer = genreg("train", *given, f"dataset.path={tmp_path}/one.npz")
    assert answer.err == "genreg: dataset: expected two classes or more for task=classify, got 'one class'\n"
    answer = genreg("train", *given, "dataset.validation=1.5")
    assert answer.err.startswith("genreg: dataset.validation: expected")


def test_runs_of_before_are_found_again() -> None:
    from genreg.run.identity import experiment_hash

    before = {"dataset": {"_target_": "genreg.dataset.npz", "validation": 1000}}
    now = {"dataset": {**before["dataset"], "test": 0.2, "targets": "auto"}}
    assert experiment_hash(now) == experiment_hash(before)
    assert experiment_hash({"dataset": {**now["dataset"], "targets": "real"}}) != experiment_hash(before)
    for mark, same in (("ask", True), (None, True), (-1, False)):
        marked = {"dataset": {**now["dataset"], "no_label": mark}}
        assert (experiment_hash(marked) == experiment_hash(before)) is same
