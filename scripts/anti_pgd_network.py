"""Which strength validation chooses for each arm, and how the chosen arms compare.

    python scripts/anti_pgd_network.py outputs/tune_fashion_mnist              # selection, validation only
    python scripts/anti_pgd_network.py outputs/final_fashion_mnist --test      # the verdict

--test: test accuracy and Hessian trace of the training loss, read at the step that validation chose, and
their differences to each other arm paired by seed: mean, 95 % interval, p of the paired t-test.
"""

import argparse
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from scipy import stats
from valley_table import interval

from genreg.run.folder import RunFolder

Arm = tuple[str, str]  # method and its settings


def read(folder: Path) -> dict[Arm, dict[int, dict[str, float]]]:
    """The row that validation chose, of every finished run below `folder`, by arm and seed."""
    arms: dict[Arm, dict[int, dict[str, float]]] = {}
    for path in sorted(folder.rglob("summary.json")):
        summary = RunFolder(path.parent).summary()
        config: Any = OmegaConf.to_container(OmegaConf.load(path.parent / "config.yaml"))
        if summary.get("status") == "done":
            optimizer = config["optimizer"]
            keys = ("lr", "sigma", "rho", "r", "alpha")
            label = " ".join(f"{key}={optimizer[key]}" for key in keys if key in optimizer)
            arm = config["name"].split("/")[-1], label
            arms.setdefault(arm, {})[config["seed"]] = summary["best"]
    return arms


def selection(arms: dict[Arm, dict[int, dict[str, float]]]) -> None:
    print("| arm | settings | seeds | validation accuracy % | chosen |")
    print("|---|---|---|---|---|")
    means = {arm: np.mean([r["validation/accuracy"] for r in rows.values()]) for arm, rows in arms.items()}
    for (method, label), rows in arms.items():
        best = max(mean for (other, _), mean in means.items() if other == method)
        mean = means[method, label]
        print(f"| {method} | {label} | {len(rows)} | {100 * mean:.2f} | {'yes' if mean == best else ''} |")


def verdict(arms: dict[Arm, dict[int, dict[str, float]]]) -> None:
    metrics = {"test/accuracy": 100.0, "labeled/hessian_trace": 1.0}
    print("| arm | settings | seeds | test accuracy % | Hessian trace |")
    print("|---|---|---|---|---|")
    for (method, label), rows in arms.items():
        cells = []
        for metric, unit in metrics.items():
            cells.append("{:.2f} ± {:.2f}".format(*interval(unit * values(rows, metric))))
        print(f"| {method} | {label} | {len(rows)} | {cells[0]} | {cells[1]} |")
    print("\n| difference | test accuracy, points | Hessian trace |\n|---|---|---|")
    for (first, a), (second, b) in combinations(arms.items(), 2):
        seeds = sorted(a.keys() & b.keys())
        cells = [paired(unit * (values(a, m, seeds) - values(b, m, seeds))) for m, unit in metrics.items()]
        print(f"| {first[0]} - {second[0]} | {cells[0]} | {cells[1]} |")


def values(rows: dict[int, dict[str, float]], metric: str, seeds: list[int] | None = None) -> np.ndarray:
    return np.array([rows[seed][metric] for seed in (sorted(rows) if seeds is None else seeds)])


def paired(difference: np.ndarray) -> str:
    """Mean and 95 % interval, or `no difference shown` where it holds 0."""
    mean, half = interval(difference)
    p = stats.ttest_1samp(difference, 0).pvalue
    shown = "" if abs(mean) > half else ", no difference shown"
    return f"{mean:+.2f} ± {half:.2f} (p={p:.2g}{shown})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--test", action="store_true")
    options = parser.parse_args()
    (verdict if options.test else selection)(read(options.folder))


if __name__ == "__main__":
    main()
