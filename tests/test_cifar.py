"""CIFAR-10, CIFAR-100 and SVHN: files of their formats, made here; what is no such file is refused."""

import hashlib
import io
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Result
from scipy.io import savemat
from tiny import N, archive, batch, pictures, put, tiny_cifar10

from genreg import download
from genreg.dataset import Dataset, Split, cifar10, cifar100, svhn
from genreg.dataset.cifar import read_batch, read_batches, whitened
from genreg.dataset.svhn import read_digits
from genreg.errors import InputError
from genreg.run.sources import source_of


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return put(tmp_path, monkeypatch)


def test_splits_and_pictures_of_cifar10(tiny: Path) -> None:
    dataset = cifar10(data_dir=tiny, labeled=10, validation=10, seed=1)
    assert [len(dataset.unlabeled), len(dataset.validation), len(dataset.test)] == [90, 10, 20]
    assert (dataset.input_shape, dataset.classes) == ([3, 32, 32], 10)
    raw = np.concatenate([pictures(i) for i in range(5)])
    expected = torch.from_numpy(raw.reshape(-1, 3, 32, 32) / 255).float()
    torch.testing.assert_close(torch.cat((dataset.unlabeled, dataset.validation.x)), expected)
    assert dataset.test.y.tolist() == [i % 10 for i in range(N)]
    assert dataset.test.clean.tolist() == [False] + [True] * 19
    assert dataset.labeled.y.bincount().tolist() == [1] * 10
    assert list(dataset.checksums) == ["cifar-10-python.tar.gz"]


def test_cifar100_has_its_fine_classes(tiny: Path) -> None:
    dataset = cifar100(data_dir=tiny, labeled=15, validation=2, subset="first")
    assert dataset.classes == 15
    assert dataset.labeled.y.tolist() == list(range(15))
    assert dataset.test.y[:N].tolist() == [i % 15 for i in range(N)]


def test_ten_means_zero_in_svhn(tiny: Path) -> None:
    dataset = svhn(data_dir=tiny, labeled=10, validation=5)
    assert dataset.test.y.tolist() == [(i % 10 + 1) % 10 for i in range(N)]
    expected = torch.from_numpy(pictures(1).reshape(N, 3, 32, 32) / 255).float()
    torch.testing.assert_close(dataset.test.x, expected)
    assert [len(dataset.unlabeled), len(dataset.validation)] == [15, 5]


class Python2(pickle._Pickler):  # type: ignore[name-defined]
    """Writes as Python 2 did, which made the published files: text is one byte a character."""

    dispatch = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]  # noqa: RUF012

    def save_old(self, text: Any) -> None:
        raw = text if isinstance(text, bytes) else text.encode()
        self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        self.memoize(text)

    dispatch[bytes] = save_old
    dispatch[str] = save_old


def test_the_format_of_python_2(tmp_path: Path) -> None:
    file = io.BytesIO()
    Python2(file, protocol=2).dump(batch(3))
    raw = file.getvalue().replace(b"numpy._core", b"numpy.core")
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in raw
    x, y = read_batch(io.BytesIO(raw), b"labels", "here")
    np.testing.assert_array_equal(x.transpose(0, 3, 1, 2).reshape(N, -1), pictures(3))
    assert y.tolist() == [i % 10 for i in range(N)]


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_names_a_function_is_refused_and_not_run(protocol: int, tmp_path: Path) -> None:
    made = (
        {**batch(0), b"labels": Malicious(tmp_path / "ran")} if protocol > 2 else Malicious(tmp_path / "ran")
    )
    raw = pickle.dumps(made, protocol)
    with pytest.raises(InputError) as caught:
        read_batch(io.BytesIO(raw), b"labels", "place")
    assert str(caught.value).startswith("place: expected a CIFAR batch")
    assert "which no batch needs" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
    pickle.loads(raw)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "name", ["builtins.eval", "os.system", "numpy.load", "numpy.core.multiarray.fromfile"]
)
def test_no_other_name_is_looked_up(name: str) -> None:
    module, _, function = name.rpartition(".")
    raw = f"c{module}\n{function}\n(S'1'\ntR.".encode()
    with pytest.raises(InputError, match=rf"it names {name}, which no batch needs"):
        read_batch(io.BytesIO(raw), b"labels", "place")


@pytest.mark.parametrize(("made", "said"), [
    (b"", "a CIFAR batch"),
    (pickle.dumps(batch(0))[:-50], "a CIFAR batch"),
    (pickle.dumps([1, 2]), "a CIFAR batch"),
    (pickle.dumps({b"data": pictures(0)}), "a CIFAR batch"),
    (pickle.dumps({**batch(0), b"data": pictures(0, 3)}), r"\(20, 3072\) bytes as data"),
    (pickle.dumps({**batch(0), b"data": pictures(0).astype(float)}), r"\(20, 3072\) bytes.*got 'float"),
    (pickle.dumps({**batch(0), b"labels": [-1] * N}), "labels from 0"),
    (pickle.dumps({**batch(0), b"labels": [b"a"] * N}), "labels from 0"),
])  # fmt: skip
def test_what_is_no_batch_is_said_in_one_line(made: bytes, said: str) -> None:
    with pytest.raises(InputError, match=f"^place: expected {said}") as caught:
        read_batch(io.BytesIO(made), b"labels", "place")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spoil", [lambda raw: raw[:-100], lambda raw: b"no archive", lambda raw: b""])
def test_a_damaged_archive(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tiny_cifar10(tmp_path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError, match=r"cifar-10-python\.tar\.gz.*: expected") as caught:
        read_batches(
            path, [f"cifar-10-batches-py/{name}" for name in ("data_batch_1", "test_batch")], b"labels"
        )
    assert "\n" not in str(caught.value)


def test_an_archive_without_a_batch(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar.gz", {"other": b"1"})
    with pytest.raises(InputError, match=r"a\.tar\.gz: expected an archive with batch, got"):
        read_batches(path, ["batch"], b"labels")


@pytest.mark.parametrize(("arrays", "said"), [
    (None, "a MATLAB file with X and y"),
    ({"X": np.zeros((32, 32, 3, 2), np.uint8)}, "a MATLAB file with X and y"),
    ({"X": np.zeros((32, 32, 3, 2), np.uint8), "y": [1, 2, 3]}, r"X of \(32, 32, 3, 3\) bytes"),
    ({"X": np.zeros((32, 32, 3, 2)), "y": [1, 2]}, r"X of \(32, 32, 3, 2\) bytes, got 'float64"),
    ({"X": np.zeros((32, 32, 3, 2), np.uint8), "y": [0, 2]}, "y from 1 to 10, got '0 to 2"),
])  # fmt: skip
def test_what_is_no_file_of_svhn_is_said_in_one_line(arrays: Any, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(b"damaged" * 100)
    if arrays:
        savemat(path, arrays)
    with pytest.raises(InputError, match=rf"a\.mat: expected {said}") as caught:
        read_digits(path)
    assert "\n" not in str(caught.value)


def source(name: str) -> download.Source:
    found = source_of({"_target_": f"genreg.dataset.{name}"})
    assert found
    return found


def test_files_put_by_hand_are_verified(genreg: Callable[..., Result], tiny: Path) -> None:
    names = ("cifar10", "cifar100", "svhn")
    assert {name: download.state(source(name), tiny) for name in names} == dict.fromkeys(names, "present")
    fetched = genreg("data", "fetch", *names, "--data-dir", str(tiny))
    assert fetched.out.count(str(tiny)) == 4
    (tiny / "svhn" / "test_32x32.mat").write_bytes(b"other")
    answer = genreg("data", "verify", "--data-dir", str(tiny))
    assert answer.code == 2
    assert answer.out.count("ok ") == 3
    assert "expected md5 " in answer.err
    assert f"got {hashlib.md5(b'other').hexdigest()}: the file is damaged" in answer.err
    with pytest.raises(InputError, match="delete it and run `genreg data fetch svhn`"):
        svhn(data_dir=tiny)


def test_published_checksums_are_md5(tmp_path: Path) -> None:
    path = tmp_path / "cifar10" / "cifar-10-python.tar.gz"
    path.parent.mkdir()
    path.write_bytes(b"cut off")
    with pytest.raises(InputError, match="expected md5 c58f30108f718f92721af3b95e74349a"):
        cifar10(data_dir=tmp_path)


def test_whitening_against_singular_vectors() -> None:
    """In float64 by another way; the pool's covariance becomes the identity, the rest is mapped alike."""
    x = torch.randn(200, 3, 2, 2, generator=torch.Generator().manual_seed(0)) @ torch.tensor(
        [[1.0, 0.9], [0, 0.2]]
    )
    y = torch.zeros(200, dtype=torch.long)
    split = Split(x[150:], y[150:], y[150:] == 0)
    white = whitened(Dataset(Split(x[:5], y[:5], y[:5] == 1), x[:150], split, split, 1))
    pool = x[:150].flatten(1).double()
    _, s, v = torch.linalg.svd(pool - pool.mean(0), full_matrices=False)
    matrix = v.T @ torch.diag(150**0.5 / s) @ v
    expected = (x.flatten(1).double() - pool.mean(0)) @ matrix
    torch.testing.assert_close(white.unlabeled.flatten(1).double(), expected[:150], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(white.test.x.flatten(1).double(), expected[150:], atol=1e-5, rtol=1e-5)
    assert torch.equal(white.labeled.x, white.unlabeled[:5])
    torch.testing.assert_close(
        white.unlabeled.flatten(1).T.cov(correction=0), torch.eye(12), atol=1e-4, rtol=0
    )
    assert white.unlabeled.shape == (150, 3, 2, 2)


def test_whitening_of_fewer_items_than_pixels_stays_finite() -> None:
    x, y = torch.rand(9, 3, 2, 2), torch.zeros(9, dtype=torch.long)
    split = Split(x[5:], y[5:], y[5:] == 0)
    white = whitened(Dataset(split, x[:5], split, split, 1))
    assert white.test.x.abs().max() < 1e3 * 12**0.5 + 1  # the variance that counts least is 1e-6


@pytest.mark.slow  # eigenvectors of 3072 x 3072
def test_whitened_pictures(tiny: Path) -> None:
    plain, white = (cifar10(data_dir=tiny, labeled=10, validation=10, zca=zca) for zca in (False, True))
    assert white.test.x.isfinite().all()
    assert white.unlabeled.shape == plain.unlabeled.shape
    assert torch.equal(white.test.y, plain.test.y)
    assert white.unlabeled.mean().abs() < 1e-4
