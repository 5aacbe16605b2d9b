"""Several metrics of every arm side by side, for a page: one Markdown table a part, arms by rows.

Means over seeds at the step that validation chose; + or - marks a paired difference to the baseline for the
better or the worse, after Holm's correction over the arms of that part and metric (p < 0.05). METRIC:
test/accuracy, seconds_per_step, or what else the runs recorded; shares in percent.

    python scripts/measures_table.py outputs/catalogue test/accuracy test/jacobian_norm seconds_per_step
"""

import argparse
from dataclasses import replace
from pathlib import Path

from genreg.errors import InputError
from genreg.report.evaluate import evaluate
from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.read.find import read_parts
from genreg.study.model import Part

MARKS = {"better": " +", "worse": " -"}


def of_metric(part: Part, metric: str) -> PartResult | None:
    """The part's table of a metric; None where its runs have not recorded it."""
    try:
        return evaluate(
            part if metric == part.metric else replace(part, metric=metric, mode=None, margin=None)
        )
    except InputError:
        return None


def cell(result: PartResult, arm: ArmResult) -> str:
    value = f"{arm.mean * result.metric.scale:.3g}"
    mark = MARKS.get(arm.verdict, "") if arm.comparison else ""
    return f"{value}{mark}" + (f" ({len(arm.values)} of {len(arm.arm.runs)})" if arm.failed else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("metrics", nargs="+", metavar="METRIC")
    given = parser.parse_args()
    for part in read_parts([given.folder]):
        results = [r for metric in given.metrics if (r := of_metric(part, metric))]
        heads = [r.part.metric + (f" {r.metric.unit}" if r.metric.unit else "") for r in results]
        print(f"\n{part.name}\n\n| arm | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
        for arm in part.arms:
            found = [(r, one) for r in results if (one := r.find(arm.name))]
            print(f"| {arm.name} | {' | '.join(cell(r, one) for r, one in found)} |")


if __name__ == "__main__":
    main()
