"""Arms on a landscape at their last step, replica by replica.

Means over replicas with 95 % intervals, and the difference to gradient descent paired by replica, which
starts at the same point in every arm (Student's t, p in brackets). Anti-PGD is read at z, its noise-free
iterate, and at w. QUANTITY: trace, loss, test_error or what else the landscape records.

    python scripts/landscape_table.py outputs/anti_pgd_quadratic test_error
"""

import argparse
from pathlib import Path

import numpy as np
from scipy import stats
from valley_table import interval, runs, setting


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("quantity")
    options = parser.parse_args()
    rows: dict[tuple[object, ...], np.ndarray] = {}
    for config, arrays in runs(options.folder):
        for iterate in ("w", "z"):
            if f"{iterate}/{options.quantity}" in arrays:
                values = arrays[f"{iterate}/{options.quantity}"][-1].astype(float)
                instance = config["model"].get("instance", "")
                key = (instance, *setting(config), iterate)
                rows[key] = np.where(arrays["died"] < 0, values, np.nan)
    baselines = {key[0]: values for key, values in rows.items() if key[1] == "gd"}
    print(f"| instance | arm | eta | sigma | iterate | alive | {options.quantity} | minus gd (paired) |")
    print("|---|---|---|---|---|---|---|---|")
    for key, values in sorted(rows.items()):
        alive = f"{np.isfinite(values).sum()} of {len(values)}"
        cells = "{:.4g} ± {:.2g}".format(*interval(values))
        print("| " + " | ".join(map(str, (*key, alive, cells, versus(values, baselines.get(key[0]))))) + " |")


def versus(values: np.ndarray, baseline: np.ndarray | None) -> str:
    if baseline is None or values is baseline:
        return ""
    both = np.isfinite(values) & np.isfinite(baseline)
    if both.sum() < 2:
        return "no pairs"
    difference = values[both] - baseline[both]
    mean, half = interval(difference)
    return f"{mean:+.4g} ± {half:.2g} (p={stats.ttest_1samp(difference, 0).pvalue:.2g})"


if __name__ == "__main__":
    main()
