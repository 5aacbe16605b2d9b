"""The state of a run, on the device and on the disk."""

import contextlib
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genreg.errors import DivergedError
from genreg.run import checkpoint
from genreg.run.checkpoint import resume
from genreg.run.folder import Row, RunFolder
from genreg.run.metric import described
from genreg.run.pictures import beside, save_png
from genreg.run.rows import RowFile
from genreg.run.task import Task


class State:
    """A run's step, the terms not yet logged, the best evaluation and the files it appends to.

    Made from the newest valid checkpoint of the folder, or at step 0.
    """

    def __init__(self, task: Task, folder: RunFolder) -> None:
        self.task, self.folder = task, folder
        saved = resume(task, folder)
        self.step: int = saved.get("step", 0)
        self.seconds_before: float = saved.get("seconds", 0.0)
        self.terms: list[str] = saved.get("terms", [])
        self.pending: list[list[Tensor]] = []  # the terms of each step since the last log, on the device
        self.best: Row | None = saved.get("best")
        self.last: Row | None = saved.get("last")
        self.best_weights: dict[str, Tensor] | None = saved.get("best_weights")
        if saved:
            self.pending = [list(row) for row in saved["pending"].to(task.device)]
        self.metrics = RowFile(folder.path / "metrics.jsonl", saved.get("metrics_size", 0))
        self.timing = RowFile(folder.path / "timing.jsonl", saved.get("timing_size", 0))
        self.started, self.runs = time.monotonic(), 1
        folder.write_summary(self._summary("running"))

    @property
    def seconds(self) -> float:
        """Seconds of the work that led to this step, over all starts; of runs made together, its share."""
        return self.seconds_before + (time.monotonic() - self.started) / self.runs

    def alongside(self, runs: int) -> None:
        """Count from here on a share of the time, which so many runs take together."""
        self.seconds_before, self.started, self.runs = self.seconds, time.monotonic(), runs

    def record(self, terms: dict[str, Tensor]) -> None:
        """Keep one step's terms, and count the step; nothing is computed or read until the next log."""
        self.pending.append(list(terms.values()))
        self.terms = self.terms or list(terms)
        self.step += 1

    def check(self) -> Tensor:
        """(steps, terms) since the last log, on the CPU; DivergedError at the first that is not finite."""
        terms = [term for row in self.pending for term in row]
        values = (
            torch.stack(terms).view(-1, len(self.terms)).cpu() if terms else torch.zeros(0, len(self.terms))
        )
        bad = (~values.isfinite()).nonzero()
        if len(bad):
            row, column = bad[0].tolist()
            step = self.step - len(values) + row + 1
            raise DivergedError(step, self.terms[column], values[row, column].item())
        return values

    def means(self) -> Row:
        """Mean of each term since the last log."""
        means = self.check().double().mean(0).tolist()
        self.pending.clear()
        return {f"train/{name}": mean for name, mean in zip(self.terms, means, strict=True)}

    def evaluated(self, metrics: dict[str, float]) -> Row:
        """Note an evaluation; keep the weights if it is the best so far (the first of equals)."""
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise DivergedError(self.step, name, value)
        row = {**metrics, **self.task.conditions}
        self.last = {"step": self.step, **row}
        if self.task.selection:
            metric, mode = self.task.selection
            sign = 1 if mode == "max" else -1
            if metric not in metrics:  # not defined here: this step cannot be chosen
                return row
            if self.best is None or sign * metrics[metric] > sign * self.best[metric]:
                self.best = self.last
                self.best_weights = self.task.weights()
        return row

    def draw(self, evaluates: bool) -> dict[str, Path]:
        """Write the task's pictures if they are due; their files by name. Never of one that has diverged."""
        frames = self.task.frames
        if not (evaluates if frames is None else self.step in frames):
            return {}
        self.check()
        files: dict[str, Path] = {}
        for name, picture in self.task.images().items():
            files[name] = self.folder.path / name / f"step={self.step}.png"
            save_png(picture, files[name])
        return files

    def write(self, row: Row) -> None:
        self.metrics.append({"step": self.step, **row})
        self.timing.append({"step": self.step, "seconds": round(self.seconds, 3)})

    def save(self) -> None:
        """Write a checkpoint of all that the rest of the run depends on; never one that has diverged."""
        state = {
            "step": self.step, "seconds": self.seconds, "task": self.task.state_dict(),
            "terms": self.terms, "pending": self.check(),
            "best": self.best, "last": self.last, "best_weights": self.best_weights,
            "metrics_size": self.metrics.sync(), "timing_size": self.timing.sync(),
        }  # fmt: skip
        checkpoint.save(self.folder.path, self.step, state)

    def stop(self, status: str, **extra: Any) -> None:
        """Record why the run ended before its last step; a full disk must not hide the reason."""
        for write in (
            self._close_files,
            lambda: self.folder.write_summary(self._summary(status, **extra)),
        ):
            with contextlib.suppress(OSError):
                write()

    def finish(self, keep: bool = False) -> Row:
        """Write the weights that validation chose and the summary, and drop the checkpoints.

        keep: all that further steps depend on is left, too.
        """
        if keep:
            self.save()
            checkpoint.keep(self.folder.path)
        self._close_files()
        weights = self.task.weights() if self.best_weights is None else self.best_weights
        checkpoint.save_weights(self.folder.path, "weights.pt", weights)
        checkpoint.save_weights(self.folder.path, "last_weights.pt", self.task.weights())
        for name, arrays in self.task.results().items():
            checkpoint.save_arrays(self.folder.path, f"{name}.npz", arrays)
        if self.task.frames:
            self._put_together()
        summary = self._summary("done")
        self.folder.write_summary(summary)
        self.folder.drop_checkpoints()
        return summary

    def _put_together(self) -> None:
        """Write the pictures of all steps side by side, under their name."""
        found = sorted(self.folder.pictures().items())
        for name in {name for _, pictures in found for name in pictures}:
            row = {f"step {step:,}": pictures[name] for step, pictures in found if name in pictures}
            save_png(beside(row), self.folder.path / f"{name}.png")

    def _close_files(self) -> None:
        self.metrics.close()
        self.timing.close()

    def _summary(self, status: str, **extra: Any) -> Row:
        selection = self.task.selection and list(self.task.selection)
        items = {"items": dict(self.task.items)} if self.task.items else {}
        return {
            "status": status, "step": self.step, "seconds": round(self.seconds, 3),
            "selection": selection, "best": self.best, "last": self.last,
            "metrics": described(self.task.metrics, self.task.families),
            "baselines": list(self.task.baselines), **items, **extra,
        }  # fmt: skip
