"""Compares the data that made a run with what a start would read now.

Looked at by the names under which a run has recorded checksums: a file is a digest that the user's cache
remembers. Only where that does not tell, the data are built: of a user's own function, and of pictures or an
encoder in a folder that looks otherwise than when it was last read.
"""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from genreg import download
from genreg.download import data_dir_of, place_of
from genreg.errors import InputError, explained
from genreg.run.folder import Row, RunFolder, find_runs, finished_runs, weights_of
from genreg.run.identity import Config
from genreg.run.sources import source_of

PRETRAINED = "model.pretrained/weights.pt"
PICTURES = ("pictures", "classes", "splits")
TOKENIZER = "/tokenizer"


@dataclass
class Look:
    """The findings of one look at many runs: what was built, or why it could not be; digests of folders."""

    built: dict[str, dict[str, str] | str] = field(default_factory=dict)
    folders: dict[tuple[str, Path], str | None] = field(default_factory=dict)


class UnseenError(Exception):
    """Data that cannot be looked at, and why."""


def recorded(starts: Iterable[Row]) -> Iterator[tuple[str, str]]:
    """Name and digest of all data that starts of a run read; a folder may come from anyone."""
    for start in starts:
        found = start.get("data")
        for name, digest in found.items() if isinstance(found, dict) else ():
            if isinstance(digest, str):
                yield name, digest


def differing(folder: RunFolder, checksums: dict[str, str]) -> list[str]:
    """Names of what the run has read otherwise than `checksums` say."""
    other = (name for name, digest in recorded(folder.starts()) if checksums.get(name, digest) != digest)
    return list(dict.fromkeys(other))


def check(folder: RunFolder, checksums: dict[str, str]) -> None:
    """InputError where a run would go on with other data than it began with."""
    for name in differing(folder, checksums):
        expected = f"what {folder.path} began with (put it back, or --again starts from the beginning)"
        raise InputError(name, expected, "other data")


def compared(folder: RunFolder, config: Config, look: Look) -> tuple[list[str], list[str]]:
    """Names of data that are not what a start of the run recorded, as `config` would read them now.

    Then the reasons why data cannot be compared.
    """
    other, reasons = [], []
    for name, digest in dict.fromkeys(recorded(folder.starts())):
        try:
            if _now(name, digest, config, look) not in (digest, None):
                other.append(name)
        except (UnseenError, InputError, OSError) as reason:  # a file may not be ours to read
            reasons.append(str(reason))
    return list(dict.fromkeys(other)), list(dict.fromkeys(reasons))


def _now(name: str, digest: str, config: Config, look: Look) -> str | None:
    """The digest of what a start would read under a recorded name, of the kind of `digest`.

    None where nothing tells. Raises UnseenError.
    """
    if kept := _kept(name, config):
        what, folder = kept
        if not folder.is_dir():
            raise UnseenError(f"{folder} is not there")
        if not look.folders.get(kept):
            look.folders[kept] = download.recall(what, folder)
        return look.folders[kept] or _build(config, name not in PICTURES, look).get(name)
    if file := _file(name, digest, config):
        if not file.is_file():
            raise UnseenError(f"{file} is not there")
        return download.of_file(file, digest)
    tokenizer = _node(config, "dataset").get("tokenizer")
    if name == f"{tokenizer}{TOKENIZER}":
        place = download.encoder_folder(str(tokenizer))
        return download.of_tokenizer(place) if place else None
    return _build(config, False, look).get(name) if _is_own(config) else None


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


def _kept(name: str, config: Config) -> tuple[str, Path] | None:
    """The key under which a folder is remembered for a recorded name, and the folder."""
    dataset = _node(config, "dataset")
    if name in PICTURES and isinstance(dataset.get("path"), str) and not _is_own(config):
        told = {key: dataset.get(key) for key in ("size", "channels", "broken")}
        return f"{name} {json.dumps(told)}", place_of(dataset["path"], data_dir_of(config.get("data_dir")))
    if name == _node(config, "model").get("name"):
        folder = download.encoder_folder(name)
        return ("encoder", folder) if folder else None
    return None


def remember(config: Config, checksums: dict[str, str], began: float) -> None:
    """Keep what was read of folders after `began`, in seconds since the epoch, so that none is read twice."""
    for name, digest in checksums.items():
        if kept := _kept(name, config):
            download.keep(*kept, digest, began)


def _build(config: Config, whole: bool, look: Look) -> dict[str, str]:
    """The checksums of a data set, or of a whole task, as a start would make it; UnseenError if it cannot."""
    parts = config if whole else {key: config[key] for key in ("dataset", "data_dir", "seed")}
    key = json.dumps(parts, sort_keys=True)
    if key not in look.built:
        try:
            look.built[key] = _checksums(config, whole)
        except Exception as error:  # a user's own function may raise anything
            look.built[key] = str(explained(error)).partition("\n")[0]
    found = look.built[key]
    if isinstance(found, str):
        raise UnseenError(found)
    return found


def _checksums(config: Config, whole: bool) -> dict[str, str]:
    import torch

    from genreg.run.build import build_task, dataset_of

    began = time.time()
    with torch.random.fork_rng(devices=[]):  # a data set, or initial weights, may draw from it
        made = build_task(config, torch.device("cpu")) if whole else dataset_of(config)(seed=config["seed"])
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
