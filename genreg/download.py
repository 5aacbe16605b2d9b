"""Where data sets come from: sources with their checksums, fetched once, verified always. Needs no torch."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from genreg.errors import GenregError, InputError, nearest

ATTEMPTS = 3
NO_DOWNLOAD = "no download"
MD5 = "md5:"


@dataclass(frozen=True)
class Source:
    """A published data set: `url` is where its files lie.

    files: the sha256 of each file, by its name; `md5:` and the md5 where that is what its publisher gives.
    """

    name: str
    megabytes: float
    licence: str
    url: str
    files: dict[str, str] = field(default_factory=dict)


MNIST_FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
               "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")  # fmt: skip

SOURCES = {
    source.name: source
    for source in (
        Source("digits", 0.1, "BSD-3-Clause, with scikit-learn", "bundled with scikit-learn"),
        *(Source(name, 0.0, "none needed", "generated")
          for name in ("two_moons", "gaussian_ring", "gaussian_grid", "swiss_roll")),
        Source(
            "mnist", 11.6, "not stated", "https://storage.googleapis.com/cvdf-datasets/mnist/",
            dict(zip(MNIST_FILES, (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ), strict=True)),
        ),
        Source(
            "fashion_mnist", 30.9, "MIT",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
            dict(zip(MNIST_FILES, (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ), strict=True)),
        ),
        Source(
            "zh_sentiment", 2.9, 'Apache-2.0 repository, "compiled by the author"',
            "https://github.com/bojone/bert4keras/raw/c1ae0dc/examples/datasets/",
            {"sentiment.zip": "866256a80e4019e538d2681b5f4bf2f21be3c24139b4100ca266c2fca8be86c9"},
        ),
        Source(
            "rt_polarity", 1.2, "not stated",
            "https://github.com/dennybritz/cnn-text-classification-tf/raw/master/data/rt-polaritydata/",
            {"rt-polarity.neg": "2d11cfbc790f1cd96d78339f41ce53ced1efa83cd22d37d6788fa3fe3d17e2fd",
             "rt-polarity.pos": "4134882974a28d0c7b5151256f0e33a6169984ee7372c279e673f1114f475d58"},
        ),
        Source(
            "emoji32", 2.3, "Apache-2.0 / OFL",
            f"{NO_DOWNLOAD}: png/32 of github.com/googlefonts/noto-emoji, white behind",
            {"noto_emoji_32x32_rgb.npz": "5e7863e00e5943a70b854c0aca2efbb77ad5d43d5e47a73fb599feaeb5e2cff6"},
        ),
        Source(
            "cifar10", 170.5, "not stated", "https://www.cs.toronto.edu/~kriz/",
            {"cifar-10-python.tar.gz": "md5:c58f30108f718f92721af3b95e74349a"},
        ),
        Source(
            "cifar100", 169.0, "not stated", "https://www.cs.toronto.edu/~kriz/",
            {"cifar-100-python.tar.gz": "md5:eb9058c3a382ffc7106e4002c42a8d85"},
        ),
        Source(
            "svhn", 246.3, "non-commercial use", "http://ufldl.stanford.edu/housenumbers/",
            {"train_32x32.mat": "md5:e26dedcc434d2e4c54c9b2d4a06d8373",
             "test_32x32.mat": "md5:eb5a983be6a315427106f1b164d9cef3"},
        ),
    )
}  # fmt: skip


def default_data_dir() -> Path:
    """The user's cache folder, for when neither `data_dir` nor GENREG_DATA names another."""
    from platformdirs import user_cache_path

    return user_cache_path("genreg", appauthor=False)


def source(name: str) -> Source:
    """The source called `name`; InputError with the nearest names if there is none."""
    if name not in SOURCES:
        raise InputError("data set", "the name of a data set", name, nearest(name, SOURCES))
    return SOURCES[name]


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_like(path: Path, expected: str) -> str:
    """What a file has in place of `expected`: its sha256, or `md5:` and its md5."""
    if not expected.startswith(MD5):
        return sha256(path)
    with path.open("rb") as file:
        return MD5 + hashlib.file_digest(file, "md5").hexdigest()


def named(digest: str) -> str:
    """A checksum with the name of its kind before it."""
    return digest.replace(":", " ") if digest.startswith(MD5) else f"sha256 {digest}"


def state(source: Source, data_dir: Path) -> str:
    """`present`, `missing` or `damaged`: whether every file of `source` is in place with its hash."""
    paths = {data_dir / source.name / file: digest for file, digest in source.files.items()}
    if not all(path.is_file() for path in paths):
        return "missing"
    return (
        "present" if all(digest_like(path, digest) == digest for path, digest in paths.items()) else "damaged"
    )


def verify(path: Path, expected: str) -> None:
    """Raise InputError, naming file, both hashes and the remedy, unless `path` has the digest `expected`."""
    if (got := digest_like(path, expected)) != expected:
        message = f"{named(expected)}\n  got {named(got).split()[1]}: the file is damaged; delete it and run "
        raise InputError(str(path), message + f"`genreg data fetch {path.parent.name}`")


def fetch(source: Source, data_dir: Path, url: str | None = None) -> list[Path]:
    """The verified files of `source` under `data_dir`, downloading those that are missing.

    url: another folder to download from. A file in place is never fetched again: it is verified, and
    raises InputError if damaged. Raises GenregError when a download fails three times.
    """
    paths = [data_dir / source.name / file for file in source.files]
    for path, digest in zip(paths, source.files.values(), strict=True):
        if path.exists():
            verify(path, digest)
        elif source.url.startswith(NO_DOWNLOAD) and not url:
            raise InputError(str(path), f"a file that has {NO_DOWNLOAD}: put it there, {named(digest)}")
        else:
            _download((url or source.url) + path.name, path, digest)
    return paths


def _download(url: str, path: Path, digest: str) -> None:
    import pooch

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        puller = pooch.create(path.parent, base_url="", registry={path.name: digest},
                              urls={path.name: url}, retry_if_failed=ATTEMPTS - 1)  # fmt: skip
        pooch.get_logger().setLevel("WARNING")
        puller.fetch(path.name, progressbar=True)
    except ValueError as error:
        if "hash" not in str(error):
            raise
        raise GenregError(f"{url}: what was downloaded does not have {named(digest)}; try again") from error
    except OSError as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise GenregError(f"cannot download {url}: {reason[:120]}\n  put {path.name} into {path.parent} "
                          "by hand, or name a folder that has it in GENREG_DATA") from error  # fmt: skip
