"""Run folders and parts made by hand, for the tests of the report."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genreg.run.metric import Better
from genreg.run.read import Run
from genreg.study.model import Arm, Part

SELECTION = ["validation/accuracy", "max"]
METRICS = {
    "accuracy": {"better": "max", "unit": "%"},
    "loss": {"better": "min", "unit": "nats"},
    "trace": {"better": "min", "unit": ""},
    "u": {"better": None, "unit": ""},
}


STEPS = 30_000
"""Updates of a run: enough for every claim's protocol."""


def write_run(
    folder: Path,
    test: float,
    *,
    rows: Sequence[dict[str, Any]] = (),
    status: str = "done",
    config: str = "",
    metrics: dict[str, dict[str, Any]] | None = METRICS,
    **extra: Any,
) -> Path:
    """A finished run with this test accuracy at the chosen step, and 0.1 at the last one.

    metrics: None is a run of the time before summaries described them.
    """
    folder.mkdir(parents=True)
    best = {"step": 20, "validation/accuracy": test, "test/accuracy": test}
    last = {"step": 30, "validation/accuracy": 0.1, "test/accuracy": 0.1}
    rows = rows or [{"step": 10, "validation/accuracy": 0.2, "test/accuracy": 0.2}, best, last]
    summary = {
        "status": status,
        "step": STEPS,
        "seconds": 3.0,
        "selection": SELECTION,
        "best": best,
        "last": last,
    }
    if metrics is not None:
        summary["metrics"] = metrics
    (folder / "summary.json").write_text(json.dumps(summary | extra))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "timing.jsonl").write_text(
        "".join(json.dumps({"step": row["step"], "seconds": row["step"] / 10}) + "\n" for row in rows)
    )
    (folder / "environment.json").write_text(
        json.dumps([{"command": ["genreg", "train", "regularizer=vat"]}])
    )
    (folder / "config.yaml").write_text(config or "seed: 0\n")
    return folder


def write_landscape(folder: Path, trace: np.ndarray) -> Path:
    """A finished landscape whose replicas end with these traces."""
    last = {"step": 20, "w/trace": float(trace.mean())}
    write_run(folder, 0.5, rows=[last], selection=None, best=None, last=last)
    n = len(trace)
    arrays = {"w/trace": np.stack([trace + 1, trace]), "w/u": np.ones((2, n)), "w/v": np.eye(2, n)}
    np.savez(
        folder / "replicas.npz", step=np.array([10, 20]), replica=np.arange(n), died=np.full(n, -1), **arrays
    )
    return folder


def write_sweep(root: Path, arms: Sequence[dict[str, Any]], **part: Any) -> None:
    """A sweep.json of one part."""
    given = {"name": "part", "baseline": "none", "metric": "test/accuracy", "mode": "max", "seeds": [0, 1, 2],
             "select": "validation/accuracy", "threshold": None, "arms": list(arms)}  # fmt: skip
    content = {"sweep": "demo", "command": "genreg train sweep=demo", "parts": [given | part]}
    root.mkdir(parents=True, exist_ok=True)
    (root / "sweep.json").write_text(json.dumps(content))


def part_of(values: dict[str, Sequence[float]], mode: Better | None = "max") -> Part:
    """A part in memory whose first arm is the baseline; value k of an arm has seed k."""
    arms = []
    for name, of_seeds in values.items():
        runs = {}
        for seed, value in enumerate(of_seeds):
            row = {"step": 1, "test/score": float(value)}
            summary = {"status": "done", "step": STEPS, "last": row, "best": None}
            runs[seed] = Run(Path(name), seed, "done", summary)
        arms.append(Arm(name, Path(name), runs=runs))
    return Part("part", arms, next(iter(values)), "test/score", mode, None)
