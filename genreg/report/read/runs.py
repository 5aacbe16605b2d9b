"""What a report sees of a run: its summary and what became of it. Rows are read only where asked for."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from genreg.run.folder import Row, RunFolder, is_whole, printable


@dataclass
class Run:
    """One run folder. status: done, failed, running, interrupted, half-written, damaged or missing."""

    path: Path
    seed: int
    status: str
    summary: Row = field(default_factory=dict)

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
        starts = self.folder.environments()
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
    folder = RunFolder(path)
    try:
        summary = folder.summary()
        whole = is_whole(summary)
    except OSError:  # there, but not to be read
        whole = False
    if whole:
        return Run(path, folder.seed, summary["status"], summary)
    damaged = (path / "summary.json").exists()
    status = "damaged" if damaged else "half-written" if path.is_dir() else "missing"
    return Run(path, folder.seed, status)
