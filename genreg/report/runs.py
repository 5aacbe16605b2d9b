"""What a folder holds, read from `summary.json` alone; rows are read only where they are asked for."""

import json
import math
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from genreg.run.folder import Row, RunFolder

SEED = re.compile(r"seed=(\d+)")


@dataclass
class Run:
    """One run folder. status: done, failed, running, interrupted, half-written, damaged or missing."""

    path: Path
    seed: int
    status: str
    summary: Row = field(default_factory=dict)

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

    def rows_with(self, metric: str) -> list[Row]:
        """The rows that have `metric`; other lines are not even parsed."""
        return _lines_with(self.path / "metrics.jsonl", metric)

    @cached_property
    def seconds_at(self) -> dict[int, float]:
        """Seconds since the start at each recorded step."""
        return {row["step"]: row["seconds"] for row in _lines_with(self.path / "timing.jsonl", "seconds")}

    def arrays(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Those arrays of replicas.npz; `{}` if there is none or one of them is not in it."""
        try:
            with np.load(self.path / "replicas.npz") as arrays:
                return {name: arrays[name] for name in names}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return {}

    def replicas(self, metric: str) -> dict[int, float]:
        """The last value of `metric` of each replica, NaN of a dead one; `{}` if the run has none."""
        arrays = self.arrays(["replica", "died", metric])
        if not arrays:
            return {}
        last = np.where(arrays["died"] < 0, arrays[metric][-1].astype(float), math.nan)
        return dict(zip(arrays["replica"].tolist(), last.tolist(), strict=True))

    def coordinates(self) -> list[str]:
        """What replicas.npz holds of w beside loss, gradient and trace."""
        try:
            with np.load(self.path / "replicas.npz") as arrays:
                names = [name for name in arrays.files if name.startswith("w/")]
        except (OSError, ValueError, zipfile.BadZipFile):
            return []
        return [name for name in names if name not in ("w/loss", "w/gradient_squared", "w/trace")]


def read_run(path: Path) -> Run:
    """The run in `path`, whatever state it is in."""
    seed = int(SEED.fullmatch(path.name)[1])  # type: ignore[index]
    try:
        summary = json.loads((path / "summary.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return Run(path, seed, "half-written" if path.is_dir() else "missing")
    except (OSError, ValueError):
        return Run(path, seed, "damaged")
    if not is_whole(summary):
        return Run(path, seed, "damaged")
    return Run(path, seed, summary["status"], summary)


def find_runs(folder: Path) -> Iterator[Path]:
    """Every run folder at or below `folder`, in order of name; run folders are not searched."""
    if SEED.fullmatch(folder.name):
        yield folder
        return
    for root, names, _ in os.walk(folder):
        yield from (Path(root, name) for name in sorted(names, key=_by_seed) if SEED.fullmatch(name))
        names[:] = sorted(name for name in names if not SEED.fullmatch(name))


def printable(text: object) -> str:
    """`text` in one line without control characters: names in a folder may come from anyone."""
    return "".join(c if c.isprintable() else "�" for c in str(text))


def _by_seed(name: str) -> tuple[int, str]:
    match = SEED.fullmatch(name)
    return (int(match[1]) if match else -1, name)


def is_whole(summary: Any) -> bool:
    """Whether the summary has what a report reads, of the right kind."""
    if not isinstance(summary, dict) or not isinstance(summary.get("status"), str):
        return False
    rows = [row for row in (summary.get("best"), summary.get("last")) if row is not None]
    numbers = [summary.get("step", 0), summary.get("seconds", 0)]
    if not all(isinstance(row, dict) and isinstance(row.get("step"), int) for row in rows):
        return False
    numbers += [value for row in rows for name, value in row.items() if "/" in name]  # others are labels
    selection = summary.get("selection") or []
    words = (
        isinstance(selection, list)
        and len(selection) in (0, 2)
        and all(isinstance(w, str) for w in selection)
    )
    done = summary["status"] == "done"
    return (
        words and all(isinstance(v, int | float) for v in numbers) and (not done or bool(summary.get("last")))
    )


def _lines_with(path: Path, name: str) -> list[Row]:
    """The JSON lines that hold the key `name`; a line that a kill cut short is left out."""
    wanted, rows = json.dumps(name).encode(), []
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError:
        return []
    for line in lines:
        if wanted in line:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and isinstance(row.get(name), int | float) and "step" in row:
                rows.append(row)
    return rows


def read_config(path: Path) -> Row:
    """The configuration of a run; `{}` if there is none. Written by OmegaConf, whose floats YAML reads."""
    import yaml

    try:
        config = yaml.load((path / "config.yaml").read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError):
        return {}
    return config if isinstance(config, dict) else {}


def recorded_command(path: Path) -> str:
    """The command of the last start, as the run recorded it; empty if it did not."""
    import shlex

    starts = environments(path)
    words = starts[-1].get("command") if starts else None
    if not isinstance(words, list) or not words:
        return ""
    if words[1:2] != ["train"]:  # runs recorded before the verb was
        words = [words[0], "train", *words[1:]]
    return printable(shlex.join(map(str, words)))


def environments(path: Path) -> list[Row]:
    """The environment of every start, as far as it can be read."""
    starts = RunFolder(path).environments()
    return [start for start in starts if isinstance(start, dict)]
