"""Where a run stands, on the device and on the disk."""

import contextlib
import math
import time
from typing import Any

import torch
from torch import Tensor

from genreg import checkpoint
from genreg.errors import DivergedError
from genreg.records import Row, RowFile, RunFolder
from genreg.task.base import Task


class State:
    """A run's step, the terms not yet logged, the best evaluation and the files it appends to.

    Made from the newest valid checkpoint of the folder, or at step 0.
    """

    def __init__(self, task: Task, folder: RunFolder, log_every: int) -> None:
        self.task, self.folder, self.log_every = task, folder, log_every
        saved = checkpoint.load_newest(folder.path) or {}
        self.step: int = saved.get("step", 0)
        self.seconds_before: float = saved.get("seconds", 0.0)
        self.terms: list[str] = saved.get("terms", [])
        self.buffer: Tensor | None = None  # (log_every, terms), on the device
        self.best: Row | None = saved.get("best")
        self.last: Row | None = saved.get("last")
        self.best_weights: dict[str, Tensor] | None = saved.get("best_weights")
        if saved:
            task.load_state_dict(saved["task"])
            self.buffer = saved["buffer"].to(task.device)
        self.metrics = RowFile(folder.path / "metrics.jsonl", saved.get("metrics_size", 0))
        self.timing = RowFile(folder.path / "timing.jsonl", saved.get("timing_size", 0))
        self.started = time.monotonic()
        folder.write_summary(self._summary("running"))

    @property
    def seconds(self) -> float:
        """Seconds of the work that led to this step, over all starts."""
        return self.seconds_before + time.monotonic() - self.started

    def record(self, terms: dict[str, Tensor]) -> None:
        """Keep one step's terms on the device, and count the step."""
        if self.buffer is None:
            self.terms = list(terms)
            self.buffer = next(iter(terms.values())).new_zeros(self.log_every, len(terms))
        torch.stack(list(terms.values()), out=self.buffer[self.step % self.log_every])
        self.step += 1

    def _since_log(self) -> Tensor:
        assert self.buffer is not None
        return self.buffer[: (self.step - 1) % self.log_every + 1].double().cpu()

    def check(self) -> None:
        """Raise DivergedError at the first term since the last log that is not finite."""
        values = self._since_log()
        bad = (~values.isfinite()).nonzero()
        if len(bad):
            row, column = bad[0].tolist()
            step = self.step - len(values) + row + 1
            raise DivergedError(step, self.terms[column], values[row, column].item())

    def means(self) -> Row:
        """Mean of each term since the last log."""
        self.check()
        means = self._since_log().mean(0).tolist()
        return {f"train/{name}": mean for name, mean in zip(self.terms, means, strict=True)}

    def evaluated(self, metrics: dict[str, float]) -> Row:
        """Note an evaluation; keep the weights if it is the best so far (the first of equals)."""
        self.check()
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise DivergedError(self.step, name, value)
        self.last = {"step": self.step, **metrics}
        if self.task.selection:
            metric, mode = self.task.selection
            sign = 1 if mode == "max" else -1
            if self.best is None or sign * metrics[metric] > sign * self.best[metric]:
                self.best = self.last
                self.best_weights = {name: w.detach().clone() for name, w in self.task.weights().items()}
        return metrics

    def write(self, row: Row) -> None:
        self.metrics.append({"step": self.step, **row})
        self.timing.append({"step": self.step, "seconds": round(self.seconds, 3)})

    def save(self) -> None:
        """Write a checkpoint of all that the rest of the run depends on; never one that has diverged."""
        self.check()
        state = {
            "step": self.step, "seconds": self.seconds, "task": self.task.state_dict(),
            "terms": self.terms, "buffer": self.buffer,
            "best": self.best, "last": self.last, "best_weights": self.best_weights,
            "metrics_size": self.metrics.sync(), "timing_size": self.timing.sync(),
        }  # fmt: skip
        checkpoint.save(self.folder.path, self.step, state)

    def stop(self, status: str, **extra: Any) -> None:
        """Record why the run ended before its last step; a full disk must not hide the reason."""
        with contextlib.suppress(OSError):
            self._close_files()
            self.folder.write_summary(self._summary(status, **extra))

    def finish(self) -> Row:
        """Write the weights that validation chose and the summary, and drop the checkpoints."""
        self._close_files()
        weights = self.task.weights() if self.best_weights is None else self.best_weights
        checkpoint.save_weights(self.folder.path, "weights.pt", weights)
        checkpoint.save_weights(self.folder.path, "last_weights.pt", self.task.weights())
        results: dict[str, Tensor] = getattr(self.task, "results", dict)()
        if results:
            checkpoint.save_arrays(self.folder.path, "replicas.npz", results)
        summary = self._summary("done")
        self.folder.write_summary(summary)
        checkpoint.remove_all(self.folder.path)
        return summary

    def _close_files(self) -> None:
        self.metrics.close()
        self.timing.close()

    def _summary(self, status: str, **extra: Any) -> Row:
        selection = self.task.selection and list(self.task.selection)
        return {
            "status": status, "step": self.step, "seconds": round(self.seconds, 3),
            "selection": selection, "best": self.best, "last": self.last, **extra,
        }  # fmt: skip
