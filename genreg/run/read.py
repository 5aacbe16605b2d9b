"""A run as its folder records it: its summary, what became of it, and which data it read."""

import operator
import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from pathlib import Path
from types import NoneType
from typing import Any

from genreg.run.data import recorded
from genreg.run.folder import Row, RunFolder, as_now, is_whole, latest, printable
from genreg.run.identity import completed, data_name, normal
from genreg.run.reader import DamagedError, clean_json, read_bytes


@dataclass
class Run:
    """One run folder. status: done, failed, broken, running, interrupted, half-written, damaged or
    missing.

    Texts in it have no control characters. remarks: files that cannot be read, each with the reason.
    """

    path: Path
    seed: int
    status: str
    summary: Row = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @cached_property
    def environments(self) -> list[Row]:
        """The environment of every start that can be read, oldest first, without values of another kind."""
        found = _read(self.path / "environment.json", self.remarks)
        starts = found if isinstance(found, list) else []
        return [_usable(start) for start in starts if isinstance(start, dict)]

    @property
    def starts(self) -> list[Row]:
        """The environments that made the run: of its last start from step 0 and of those that resumed it."""
        return latest(self.environments)

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.path)

    @property
    def best(self) -> Row | None:
        return self.summary.get("best")

    @property
    def last(self) -> Row | None:
        return self.summary.get("last")

    @property
    def reason(self) -> str:
        return printable(self.summary.get("reason") or self.status)

    @property
    def selection(self) -> list[str]:
        """The metric that chose the best row, and `max` or `min`; empty where nothing is chosen."""
        return self.summary.get("selection") or []

    @property
    def command(self) -> str:
        """The command of the last start, as the run recorded it; empty if it did not."""
        starts = self.environments
        words = starts[-1].get("command") if starts else None
        if not isinstance(words, list) or not words:
            return ""
        if words[1:2] != ["train"]:  # runs recorded before the verb was
            words = [words[0], "train", *words[1:]]
        return printable(shlex.join(map(str, words)))


def short_commit(commit: str) -> str:
    """Eight letters of it, and the + of a working tree with changes."""
    return commit[:8] + "+" * commit.endswith("+")


def read_run(path: Path) -> Run:
    """The run in `path`, whatever state it is in."""
    remarks: list[str] = []
    summary, seed = _read(path / "summary.json", remarks), RunFolder(path).seed
    if isinstance(summary, dict) and is_whole(summary):
        summary = as_now(summary)
        return Run(path, seed, summary["status"], summary)
    damaged = remarks or summary is not None
    status = "damaged" if damaged else "half-written" if os.path.isdir(path) else "missing"
    return Run(path, seed, status, remarks=remarks)


def _read(path: Path, remarks: list[str]) -> Any:
    """The content of a file, its texts `cleaned`; None without one, or with a remark if it is damaged."""
    try:
        return clean_json(read_bytes(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, DamagedError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        remarks.append(f"{printable(path)} cannot be read: {reason}")
        return None


KINDS = {"packages": dict, "data": dict, "code": dict, "command": list}
"""The kind of a value of an environment; others are texts and numbers."""


def _usable(start: Row) -> Row:
    plain = (str, int, float, NoneType)
    return {key: value for key, value in start.items() if isinstance(value, KINDS.get(key, plain))}


def remarks(runs: Iterable[Run], most: int = 5) -> list[str]:
    """The files of these runs that cannot be read, each with the reason; of many the first.

    A damaged summary.json is left out: the status of its run says it.
    """
    found = [remark for run in runs if run.status != "damaged" for remark in run.remarks]
    more = [f"{len(found) - most} more files of runs cannot be read"] if len(found) > most else []
    return found[:most] + more


SHOWN = frozenset(
    f"dataset.{key}"
    for key in ("labeled", "subset", "columns", "tokenizer", "min_count", "max_length", "dimensions", "size",
                "channels", "zca")
)  # fmt: skip
"""Keys that leave the data the same: how many items keep their label, and how a model is shown an item."""

LABELS, PATH = "task.label_noise", "dataset.path"


@dataclass(frozen=True)
class Data:
    """settings: by dotted keys, None if no configuration says them. files: sha256 of what was read, by name.

    Files are data, weights that training began with and weights of features. What is not recorded is unknown,
    which differs from nothing.
    """

    settings: Row | None
    files: dict[str, str]

    def differs(self, other: "Data") -> bool:
        """True if the two are known not to be the same."""
        if differ(self.files, other.files):
            return True
        if self.settings is None or other.settings is None:
            return False
        first, second = ({**settings} for settings in (self.settings, other.settings))
        names = {Path(str(settings.get(PATH))).name for settings in (first, second)}
        if len(names) == 1 and names <= self.files.keys() & other.files.keys():
            first[PATH] = second[PATH]  # the same file by its checksum, wherever it lies
        return first != second

    def __or__(self, other: "Data") -> "Data":
        """Join what is known of two that do not differ."""
        return Data(other.settings if self.settings is None else self.settings, other.files | self.files)


def data_of(config: Row, files: dict[str, str]) -> Data:
    """The data of an arm of this configuration; weights to begin with are called by where they came from."""
    begun = flat(config.get("model"), "model").get("model.pretrained")
    names = {name: name.replace("model.pretrained", printable(begun), 1) if begun else name for name in files}
    return Data(settings_of(config), {names[name]: digest for name, digest in files.items()})


def settings_of(config: Row) -> Row | None:
    """The keys that make the data, those that a later version added with the value that they had before."""
    if not isinstance(config.get("dataset"), dict):
        return None
    nodes = {key: normal(config.get(key)) for key in ("dataset", "task")}
    found = {LABELS: 0} | flat(completed(nodes))
    return {
        key: value
        for key, value in found.items()
        if key == LABELS or (key.startswith("dataset.") and key not in SHOWN)
    }


def files_of(starts: Sequence[Row]) -> dict[str, str]:
    """sha256 by name of all files that the starts of a run read; of one that changed in between, both."""
    found: dict[str, dict[str, None]] = {}
    for name, digest in recorded(starts):
        found.setdefault(printable(name), {})[printable(digest)] = None
    return {name: " then ".join(digests) for name, digests in found.items()}


def of_one_data(runs: dict[int, Run]) -> tuple[dict[int, Run], dict[int, Run], dict[str, str]]:
    """The runs of an arm that read the files of its newest start, by seed; the others; these files."""
    starts = {seed: run.starts for seed, run in runs.items()}
    files = {seed: files_of(found) for seed, found in starts.items()}
    known = [seed for seed in runs if files[seed]]
    if not known:
        return runs, {}, {}
    newest = max(known, key=lambda seed: (str(starts[seed][-1].get("started") or ""), seed))
    other = {seed: run for seed, run in runs.items() if differ(files[seed], files[newest])}
    kept = {seed: run for seed, run in runs.items() if seed not in other}
    return kept, other, reduce(operator.or_, (files[seed] for seed in kept))


def differ(first: dict[str, str], second: dict[str, str]) -> bool:
    """True if a file that both name is not the same."""
    return any(first[name] != second[name] for name in first.keys() & second.keys())


def labels(found: Sequence[Data]) -> list[str]:
    """A name for each of several data: `wine`, or where that is not enough, as `in_full`."""
    names = [_name(data) for data in found]
    return names if len(set(names)) == len(names) else in_full(found)


def in_full(found: Sequence[Data]) -> list[str]:
    """Each of several data by all in which it differs from others: `wine.csv 1f2e3d4c`."""
    several = len({_name(data) for data in found}) > 1
    return [", ".join([*([_name(data)] if several else []), *_told(data, found)]) for data in found]


def _name(data: Data) -> str:
    node = {key.removeprefix("dataset."): value for key, value in (data.settings or {}).items()}
    return printable(data_name(node)) if data.settings is not None else "unknown data"


def _told(data: Data, found: Sequence[Data]) -> list[str]:
    """The settings and files in which one of several data differs from any other."""
    settings = [one.settings or {} for one in found]
    keys = [key for key in dict.fromkeys(key for own in settings for key in own)
            if len({repr(own.get(key)) for own in settings}) > 1]  # fmt: skip
    words = [f"{key.rpartition('.')[2].strip('_')}={_value(data, key)}" for key in keys]
    return words + [short(name, data.files[name]) for name in changed(found) if name in data.files]


def _value(data: Data, key: str) -> str:
    return printable((data.settings or {}).get(key, "unset"))


def changed(found: Sequence[Data]) -> list[str]:
    """The names of files that are not the same in all of several data."""
    names = dict.fromkeys(name for data in found for name in data.files)
    return [name for name in names if len({d.files[name] for d in found if name in d.files}) > 1]


def short(name: str, digests: str) -> str:
    """`wine.csv 1f2e3d4c`."""
    return f"{name} {' then '.join(digest[:8] for digest in digests.split(' then '))}"


def flat(config: Any, prefix: str = "") -> Row:
    """The values of a configuration by their dotted keys; a group that is empty has none."""
    if not isinstance(config, dict):
        return {prefix: config}
    return {
        k: v for name, node in config.items() for k, v in flat(node, f"{prefix}.{name}".lstrip(".")).items()
    }
