"""A whole study in small: a tuned part with looks and a margin, one with a threshold, a landscape, claims."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from synthetic import METRICS, SELECTION, write_run

QUESTION = "Does a smoother model generalize better?"
COMMAND = "genreg train sweep=study"
ENVIRONMENT = {
    "started": "2026-11-25T10:00:00+00:00",
    "commit": "0123456789abcdef",
    "device": "a pretend GPU",
}
QUALITY = {"supervised": 0.80, "noise": 0.83, "vat": 0.845, "entropy": 0.802, "worse": 0.74}
SEEDS, TUNING_SEEDS, ITEMS = 10, (100, 101), 500
STEPS = tuple(range(100, 1100, 100))


def write_study(root: Path) -> Path:
    """root/sweep.json and every run that it names."""
    draw = np.random.default_rng(0)
    parts = [_tuned(root, draw), _timed(root, draw), _landscape(root, draw)]
    content = {"sweep": "study", "question": QUESTION, "command": COMMAND, "parts": parts}
    (root / "sweep.json").write_text(json.dumps(content))
    return root


def _tuned(root: Path, draw: np.random.Generator) -> dict[str, Any]:
    """Accuracies, called as the part of which there are claims."""
    luck = draw.normal(0, 0.01, SEEDS)
    arms = []
    for name, quality in QUALITY.items():
        values = quality + luck + draw.normal(0, 0.004, SEEDS)
        for seed in range(SEEDS):
            _run(root / "vat_200" / name / f"seed={seed}", float(values[seed]), items={"test": ITEMS})
        arms.append({"name": name, "folder": f"vat_200/{name}", "command": f"{COMMAND} arm={name} seed=N"})
    arms[2]["tuning"] = _trials(root, draw)
    return {
        "name": "vat_200", "baseline": "supervised", "metric": "test/accuracy", "seeds": list(range(SEEDS)),
        "select": "validation/accuracy", "arms": arms, "looks": list(range(5, SEEDS + 1)),
        "margin": {"value": 1, "unit": "points"},
    }  # fmt: skip


def _trials(root: Path, draw: np.random.Generator) -> dict[str, Any]:
    space = {"optimizer.lr": [1e-4, 1e-3, 1e-2], "vat.epsilon": [0.5, 2.0]}
    trials = []
    for k, (lr, epsilon) in enumerate((lr, e) for lr in space["optimizer.lr"] for e in space["vat.epsilon"]):
        folder = f"tuning/vat-{k}"
        for seed in TUNING_SEEDS:
            _run(root / folder / f"seed={seed}", 0.80 + 0.02 * np.log10(lr / 1e-4) + draw.normal(0, 0.005))
        trials.append({"values": {"optimizer.lr": lr, "vat.epsilon": epsilon}, "folder": folder})
    return {"metric": "validation/accuracy", "planned": len(trials), "space": space,
            "seeds": list(TUNING_SEEDS), "trials": trials}  # fmt: skip


def _timed(root: Path, draw: np.random.Generator) -> dict[str, Any]:
    """Distances that fall over two decades; one arm is slow, one fails twice."""
    arms = []
    for name, rate in {"clip": 0.004, "gp": 0.008, "sn": 0.006}.items():
        for seed in range(8):
            path = root / "wgan" / name / f"seed={seed}"
            noise = np.exp(draw.normal(0, 0.5, len(STEPS)))
            pairs = zip(STEPS, np.exp(-rate * np.array(STEPS)) * noise + 0.01, strict=True)
            rows = [{"step": s, "validation/loss": v, "test/loss": v * 1.1} for s, v in pairs]
            failed = name == "sn" and seed < 2
            extra = {"status": "failed", "reason": "diverged"} if failed else {}
            best = min(rows, key=lambda row: row["validation/loss"])
            write_run(path, 0.5, rows=rows, best=best, last=rows[-1], step=STEPS[-1],
                      selection=["validation/loss", "min"], **extra)  # fmt: skip
            _environment(path)
        arms.append({"name": name, "folder": f"wgan/{name}"})
    (root / "wgan/gp/seed=0/samples").mkdir()
    (root / "wgan/gp/seed=0/samples/step=1000.png").write_bytes(png())
    return {
        "name": "wgan", "baseline": "clip", "metric": "test/loss", "seeds": list(range(8)), "arms": arms,
        "select": "validation/loss", "threshold": {"metric": "validation/loss", "value": 0.05},
    }  # fmt: skip


def _landscape(root: Path, draw: np.random.Generator) -> dict[str, Any]:
    """Two arms on L = v^2 u / 2 whose paths part from one another."""
    arms = []
    for name, way in {"gd": 1.0, "pgd": 1.5, "anti_pgd": 0.4}.items():
        for seed in range(5):
            path = root / "valley" / name / f"seed={seed}"
            write_valley(path, way, draw)
        arms.append({"name": name, "folder": f"valley/{name}"})
    return {"name": "anti_pgd_valley", "baseline": "gd", "metric": "w/trace", "mode": "min", "arms": arms,
            "seeds": list(range(5)), "select": None}  # fmt: skip


def write_valley(path: Path, way: float, draw: np.random.Generator, replicas: int = 6) -> None:
    """A finished landscape: u moves from 25 to `way` times that, v from 1 to nearly 0."""
    time = np.linspace(0, 1, len(STEPS))[:, None]
    u = 25 * (1 + (way - 1) * time) + draw.normal(0, 0.3, (len(STEPS), replicas))
    v = (1 - time) ** 2 + draw.normal(0, 0.02, (len(STEPS), replicas))
    trace = u + 100 * v**2
    last = {"step": STEPS[-1], "w/trace": float(trace[-1].mean())}
    write_run(path, 0.5, rows=[last], selection=None, best=None, last=last, step=STEPS[-1])
    _environment(path)
    np.savez(path / "replicas.npz", step=np.array(STEPS), replica=np.arange(replicas),
             died=np.full(replicas, -1), **{"w/trace": trace, "w/u_squared": u, "w/v": v})  # fmt: skip
    x, y = np.linspace(u.min() - 1, u.max() + 1, 24), np.linspace(v.min() - 0.1, v.max() + 0.1, 24)
    loss = 0.5 * y[:, None] ** 2 * x[None]
    np.savez(path / "contours.npz", loss=loss, **{"w/u_squared": x, "w/v": y})


def write_data_sets(root: Path, seeds: int = 6) -> Path:
    """One comparison over four data sets."""
    draw, parts = np.random.default_rng(0), []
    for dataset in ("digits", "mnist", "fashion_mnist", "reviews"):
        for name, quality in QUALITY.items():
            for seed in range(seeds):
                _run(root / dataset / name / f"seed={seed}", quality + draw.normal(0, 0.01))
        arms = [{"name": name, "folder": f"{dataset}/{name}"} for name in QUALITY]
        parts.append({
            "name": f"vat_{dataset}", "group": "vat", "dataset": dataset, "baseline": "supervised",
            "metric": "test/accuracy", "select": "validation/accuracy", "seeds": list(range(seeds)),
            "arms": arms,
        })  # fmt: skip
    (root / "sweep.json").write_text(json.dumps({"sweep": "data sets", "question": QUESTION, "parts": parts}))
    return root


def _run(path: Path, value: float, **extra: Any) -> None:
    """A run whose accuracy rises to this value, which validation chooses."""
    shares = [value * s / (s + 60) for s in STEPS[:-1]] + [value]
    rows = [
        {"step": s, "validation/accuracy": v, "test/accuracy": v} for s, v in zip(STEPS, shares, strict=True)
    ]
    write_run(path, value, rows=rows, best=rows[-1], last=rows[-1], step=STEPS[-1], seconds=90.0,
              selection=SELECTION, metrics=METRICS, **extra)  # fmt: skip
    _environment(path)


def _environment(path: Path) -> None:
    (path / "environment.json").write_text(json.dumps([ENVIRONMENT | {"command": ["genreg", "train"]}]))


def png() -> bytes:
    """A gray picture of 8 by 8 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + b"\x80" * 8) * 8))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")
