"""Table of the arms under a folder: mean and spread of a metric over seeds, differences paired by seed.

    python scripts/compare.py outputs/vat_200 --baseline supervised
    python scripts/compare.py outputs/tune --metric validation/accuracy --sort

A run's value is read at the step that validation chose. Arms are the folders <name>-<hash>; a difference
takes only seeds that both arms finished, and its interval is Student's t over those pairs.
"""

import argparse
import statistics
import sys
from pathlib import Path

from scipy import stats

from genreg.records import RunFolder

Arm = dict[int, float]


def read(folder: Path, metric: str) -> dict[str, Arm]:
    """The metric of every finished run below `folder`, by arm and seed."""
    arms: dict[str, Arm] = {}
    for path in sorted(folder.rglob("summary.json")):
        summary = RunFolder(path.parent).summary()
        seed = int(path.parent.name.removeprefix("seed="))
        if summary.get("status") == "done":
            arms.setdefault(str(path.parent.parent.relative_to(folder)), {})[seed] = summary["best"][metric]
        else:
            print(f"not finished: {path.parent} ({summary.get('status')})", file=sys.stderr)
    return arms


def difference(arm: Arm, baseline: Arm) -> str:
    """Mean paired difference in points with its 95 % interval, p of the paired t-test, pairs."""
    pairs = [(arm[seed] - baseline[seed]) * 100 for seed in sorted(arm.keys() & baseline.keys())]
    if len(pairs) < 2 or len(set(pairs)) == 1:
        return f"no interval from {len(pairs)} pairs"
    test = stats.ttest_1samp(pairs, 0)
    low, high = test.confidence_interval(0.95)
    return f"{statistics.mean(pairs):+.2f} [{low:+.2f}, {high:+.2f}] p={test.pvalue:.2g} n={len(pairs)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--metric", default="test/accuracy")
    parser.add_argument("--baseline", help="part of the baseline arm's name")
    parser.add_argument("--sort", action="store_true", help="best mean first")
    options = parser.parse_args()
    arms = read(options.folder, options.metric)
    if not arms:
        sys.exit(f"no finished runs below {options.folder}")
    baseline = next((a for a in arms if options.baseline and options.baseline in a), None)
    order = sorted(arms, key=lambda arm: -statistics.mean(arms[arm].values()) if options.sort else 0)
    print(f"| arm | seeds | {options.metric} % | sd | minus {baseline} (95 % interval) |")
    print("|---|---|---|---|---|")
    for name in order:
        values = [value * 100 for value in arms[name].values()]
        spread = statistics.stdev(values) if len(values) > 1 else float("nan")
        versus = difference(arms[name], arms[baseline]) if baseline and name != baseline else ""
        print(f"| {name} | {len(values)} | {statistics.mean(values):.2f} | {spread:.2f} | {versus} |")


if __name__ == "__main__":
    main()
