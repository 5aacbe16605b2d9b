"""CPU seconds of parts of the sweeps of configs/, each run a program of its own and grouped, by one worker.

    python scripts/benchmark_sweeps.py

A part is some arms on one data set as the sweep configures them, with its steps and measures, and as many
trials or seeds: a grid of the rates and strengths that it tunes. Seconds are those of the launcher and its
worker, starts and evaluations included, alternated. "equal": runs whose metrics.jsonl is the same both ways.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

RATES = "optimizer.lr=3e-4,5e-4,8e-4,1.3e-3,2e-3,3e-3,5e-3,8e-3"
MEASURES = [
    "measure=[jacobian_norm,lipschitz_lower,lipschitz_upper,adversarial_accuracy,noise_accuracy,"
    "weight_noise_accuracy]",
    "measure.jacobian_norm.splits=[test]", "measure.noise_accuracy.splits=[test]",
    "measure.adversarial_accuracy.splits=[test]", "measure.adversarial_accuracy.steps=1",
    "measure.weight_noise_accuracy.splits=[test]", "measure.weight_noise_accuracy.sigma=0.03",
]  # fmt: skip
CATALOGUE = ["dataset=digits", "dataset.labeled=200", "model.widths=[128,128]", "steps=1000",
             "eval_every=100", "seed=100", RATES, *MEASURES]  # fmt: skip
PARTS = {
    "direction, two moons, vat": [
        "regularizer=vat", "steps=1500", "dataset=two_moons", "dataset.labeled=20",
        "task.validation_items=20", "seed=1000", RATES, "regularizer.vat.epsilon=0.1,0.3,1",
    ],
    "catalogue, digits, vat": [*CATALOGUE, "regularizer=vat"],
    "catalogue, digits, l2": [*CATALOGUE, "regularizer=l2"],
    "catalogue, digits, spectral_normalization": [*CATALOGUE, "regularizer=spectral_normalization"],
    "reproduce, vat_200/vat": ["experiment=vat_200/vat", "seed=0,1,2,3,4,5,6,7,8,9"],
}  # fmt: skip


def seconds(overrides: list[str], replicas: str, folder: Path) -> float:
    """The CPU seconds of the sweep and all its processes."""
    launcher = ["hydra.launcher.workers=1", f"hydra.launcher.replicas={replicas}"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "genreg", "train", "-m", *overrides, *launcher, "logger=none",
         f"output_dir={folder}"],
        check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def rows(folder: Path) -> dict[str, bytes]:
    """metrics.jsonl of each run."""
    return {f"{p.parent.relative_to(folder)}": p.read_bytes() for p in folder.rglob("metrics.jsonl")}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="*", default=list(PARTS))
    print("| part | runs | alone, CPU s | grouped, CPU s | gain | equal |\n|---|---|---|---|---|---|")
    for name in parser.parse_args().parts:
        with tempfile.TemporaryDirectory() as made:
            alone, grouped = Path(made, "alone"), Path(made, "grouped")
            together = seconds(PARTS[name], "auto", grouped)
            single = seconds(PARTS[name], "1", alone)
            ours, theirs = rows(alone), rows(grouped)
        equal = sum(theirs.get(run) == row for run, row in ours.items())
        numbers = f"{single:.1f} | {together:.1f} | {single / together:.2f} | {equal}"
        print(f"| {name} | {len(ours)} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
