"""How long `genreg report` takes on many run folders, and how much memory.

    python scripts/benchmark_report.py --runs 10000

Makes synthetic folders (20 seeds an arm, 40 evaluations a run), then reports on them in fresh processes: the
terminal with the page, and JSON. The first read after writing is from the page cache.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SEEDS, EVALUATIONS = 20, 40


def write_run(path: Path, draw: random.Random, quality: float) -> None:
    """A finished run whose accuracy ends near `quality`."""
    path.mkdir(parents=True)
    rows = []
    for k in range(1, EVALUATIONS + 1):
        value = quality * k / (k + 2) + draw.gauss(0, 0.01)
        names = ("validation/accuracy", "test/accuracy", "validation/cross_entropy", "test/cross_entropy")
        rows.append({"step": 50 * k, **{n: value + draw.gauss(0, 0.005) for n in names}})
    best = max(rows, key=lambda row: row["validation/accuracy"])
    summary = {"status": "done", "step": rows[-1]["step"], "seconds": 12.5, "best": best, "last": rows[-1],
               "selection": ["validation/accuracy", "max"],
               "metrics": {"accuracy": {"better": "max", "unit": "%"},
                           "cross_entropy": {"better": "min", "unit": "nats"}}}  # fmt: skip
    (path / "summary.json").write_text(json.dumps(summary, indent=2))
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path / "timing.jsonl").write_text("".join(f'{{"step": {r["step"]}, "seconds": 1.5}}\n' for r in rows))
    (path / "environment.json").write_text(
        json.dumps([{"command": ["genreg", "train", f"seed={path.name}"]}])
    )
    config = f"name: synthetic/arm\nseed: 0\noptimizer:\n  lr: {quality}\n  weight_decay: 0.0\n"
    (path / "config.yaml").write_text(config)


def measure(label: str, *command: str) -> None:
    before = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "genreg", "report", *command], check=True, stdout=subprocess.DEVNULL
    )
    seconds = time.perf_counter() - before
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
    print(f"| {label} | {seconds:.1f} | {memory:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    runs = parser.parse_args().runs
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as root:
        for k in range(runs):
            arm, seed = divmod(k, SEEDS)
            folder = Path(root) / f"part_{arm // 50}" / f"arm-{arm:08x}"
            write_run(folder / f"seed={seed}", draw, 0.6 + 0.0005 * arm)
        print(f"| {runs} runs | seconds | largest memory so far, MiB |\n|---|---|---|")
        measure("JSON", root, "--format", "json")
        measure("terminal and page", root, "--output", f"{root}/page.html")
        print(f"page: {(Path(root) / 'page.html').stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
