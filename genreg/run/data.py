"""The comparison of the data that made a run with those that a start would read now.

A run has recorded checksums by name. The digest of a file is remembered in the user's cache. Data are built
only where no file says enough: of a user's own function, and of pictures or an encoder in a folder whose
names, sizes or times are not those of its last reading.
"""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from genreg import download
from genreg.download import data_dir_of, place_of
from genreg.errors import InputError, explained
from genreg.run.find import find_runs, finished_runs, weights_of
from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config
from genreg.run.sources import source_of

PRETRAINED = "model.pretrained/weights.pt"
PICTURES = ("pictures", "classes", "splits")
TOKENIZER = "/tokenizer"


@dataclass
class Cache:
    """Findings shared by runs that are compared together.

    built: the checksums of a configuration, or why it could not be built. folders: digests of folders.
    """

    built: dict[str, dict[str, str] | str] = field(default_factory=dict)
    folders: dict[tuple[str, Path], str | None] = field(default_factory=dict)


class UnknownDataError(Exception):
    """Data cannot be compared, and why."""


def recorded(starts: Iterable[Row]) -> Iterator[tuple[str, str]]:
    """Name and digest of all data that starts of a run read; a folder may come from anyone."""
    for start in starts:
        found = start.get("data")
        for name, digest in found.items() if isinstance(found, dict) else ():
            if isinstance(digest, str):
                yield name, digest


def differing(folder: RunFolder, checksums: dict[str, str]) -> list[str]:
    """Names of the data whose recorded digest is not that of `checksums`."""
    found = (name for name, digest in recorded(folder.starts()) if checksums.get(name, digest) != digest)
    return list(dict.fromkeys(found))


def check(folder: RunFolder, checksums: dict[str, str]) -> None:
    """InputError where a run would go on with other data than it began with."""
    for name in differing(folder, checksums):
        expected = f"what {folder.path} began with (put it back, or --again starts from the beginning)"
        raise InputError(name, expected, "other data")


def compared(folder: RunFolder, config: Config, cache: Cache) -> tuple[list[str], list[str]]:
    """Names of the data that `config` would read otherwise now than a start of the run recorded.

    Then the reasons why data cannot be compared.
    """
    changed, reasons = [], []
    for name, digest in dict.fromkeys(recorded(folder.starts())):
        try:
            if _now(name, digest, config, cache) not in (digest, None):
                changed.append(name)
        except (UnknownDataError, InputError, OSError) as reason:  # a file may not be ours to read
            reasons.append(str(reason))
    return list(dict.fromkeys(changed)), list(dict.fromkeys(reasons))


def _now(name: str, digest: str, config: Config, cache: Cache) -> str | None:
    """The digest that a start would record under a name, of the kind of `digest`; None if that is open.

    Raises UnknownDataError.
    """
    if remembered := _remembered(name, config):
        key, folder = remembered
        if not folder.is_dir():
            raise UnknownDataError(f"{folder} is not there")
        if not cache.folders.get(remembered):
            cache.folders[remembered] = download.recall(key, folder)
        return cache.folders[remembered] or _build(config, name not in PICTURES, cache).get(name)
    if file := _file(name, digest, config):
        if not file.is_file():
            raise UnknownDataError(f"{file} is not there")
        return download.of_file(file, digest)
    tokenizer = _node(config, "dataset").get("tokenizer")
    if name == f"{tokenizer}{TOKENIZER}":
        place = download.encoder_folder(str(tokenizer))
        return download.of_tokenizer(place) if place else None
    return _build(config, False, cache).get(name) if _is_own(config) else None


def _file(name: str, digest: str, config: Config) -> Path | None:
    """The file that is read under a recorded name; None for what comes from a folder or a function."""
    dataset, features = _node(config, "dataset"), _node(config, "features")
    if (source := source_of(dataset)) and source.files.get(name) == digest:
        found = data_dir_of(config.get("data_dir")) / source.name / name
        return found if found.exists() else None  # else it would be fetched as it was
    if name == PRETRAINED:
        folder = Path(str(_node(config, "model").get("pretrained")))
        return _only(weights_of(find_runs(folder)), folder)
    if name == f"{features.get('experiment')}/weights.pt":
        place, seed = Path(config["output_dir"]), features.get("seed", 0)
        return _only(weights_of(finished_runs(place, features["experiment"], seed)), place)
    if isinstance(path := dataset.get("path"), str) and Path(path).name == name and not _is_own(config):
        return place_of(path, data_dir_of(config.get("data_dir")))
    if isinstance(path := features.get("path"), str) and Path(path).name == name:
        return Path(path)
    return None


def _remembered(name: str, config: Config) -> tuple[str, Path] | None:
    """The folder that is read under a recorded name, and the key of its digest in the user's cache."""
    dataset = _node(config, "dataset")
    if name in PICTURES and isinstance(dataset.get("path"), str) and not _is_own(config):
        options = {key: dataset.get(key) for key in ("size", "channels", "broken")}
        return f"{name} {json.dumps(options)}", place_of(dataset["path"], data_dir_of(config.get("data_dir")))
    if name == _node(config, "model").get("name"):
        folder = download.encoder_folder(name)
        return ("encoder", folder) if folder else None
    return None


def remember(config: Config, checksums: dict[str, str], began: float) -> None:
    """Remember digests of folders that were read after `began`, in seconds since the epoch."""
    for name, digest in checksums.items():
        if remembered := _remembered(name, config):
            download.keep(*remembered, digest, began)


def _build(config: Config, with_task: bool, cache: Cache) -> dict[str, str]:
    """The checksums that a start would record of its data set, or its task; UnknownDataError if it fails."""
    parts = config if with_task else {key: config[key] for key in ("dataset", "data_dir", "seed")}
    key = json.dumps(parts, sort_keys=True)
    if key not in cache.built:
        try:
            cache.built[key] = _checksums(config, with_task)
        except Exception as error:  # a user's own function may raise anything
            cache.built[key] = str(explained(error)).partition("\n")[0]
    found = cache.built[key]
    if isinstance(found, str):
        raise UnknownDataError(found)
    return found


def _checksums(config: Config, with_task: bool) -> dict[str, str]:
    import torch

    from genreg.run.build import build_task, dataset_of

    began = time.time()
    with torch.random.fork_rng(devices=[]):  # a data set, or initial weights, may draw from it
        device = torch.device("cpu")
        made = build_task(config, device) if with_task else dataset_of(config)(seed=config["seed"])
    remember(config, made.checksums, began)
    checksums: dict[str, str] = made.checksums
    return checksums


def _node(config: Config, group: str) -> Row:
    """The node of a group; {} without one."""
    found = config.get(group)
    return found if isinstance(found, dict) else {}


def _is_own(config: Config) -> bool:
    """True if the data come from a user's own function."""
    from genreg.run.factory import is_own  # few runs need it

    return bool(node := _node(config, "dataset")) and is_own(node)


def _only(found: list[Path], place: Path) -> Path:
    """The only one; else a name under which there is none."""
    return found[0] if len(found) == 1 else place / "weights.pt"
