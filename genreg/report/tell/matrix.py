"""The matrix of arms by data sets in words, the same in every format."""

import math

from genreg.report.judge.datasets import Average, Matrix, Row
from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.tell.columns import difference
from genreg.report.tell.numbers import number, sign, titled
from genreg.run.metric import Metric


def titles(matrix: Matrix) -> list[str]:
    return ["arm", *matrix.datasets, "mean rank", "average", "over such data sets"]


def rows(matrix: Matrix) -> list[list[str]]:
    """For each arm its differences with the signs of their verdicts, its mean rank, and the average."""
    return [_row(matrix, row) for row in matrix.rows]


def caption(matrix: Matrix) -> str:
    """The words above the matrix: what it shows, and which interval says what."""
    part, metric = matrix.results[0].part, matrix.results[0].metric
    words = f"{matrix.group}: {titled(part.metric, metric)} of {part.baseline}, and minus it"
    words += "; average: each data set counted once, [95 % over training seeds, for these data sets]"
    words += "; over such data sets: [95 %, if these are a sample of more]"
    friedman = "" if math.isnan(matrix.friedman) else f"; Friedman's p of the ranks {number(matrix.friedman)}"
    return words + friedman


def _row(matrix: Matrix, row: Row) -> list[str]:
    pairs = zip(matrix.results, row.cells, strict=True)
    own = [_cell(result, arm) if arm else "" for result, arm in pairs]
    both = average(row.average, matrix.results[0].metric) if row.average else ["", ""]
    return [row.arm, *own, number(row.rank), *both]


def _cell(result: PartResult, arm: ArmResult) -> str:
    if arm.arm.name == result.part.baseline or not arm.comparison:
        return " ".join(filter(None, [number(arm.mean, result.metric), arm.verdict]))
    return f"{sign(arm.verdict)} {difference(arm.comparison, result.metric)}"


def average(of: Average, metric: Metric) -> list[str]:
    """The mean with the interval for these data sets, and the interval for data sets like these."""
    ends = (of.mean, of.low, of.high, of.wide_low, of.wide_high)
    mean, low, high, wide_low, wide_high = (number(value, metric, "+") for value in ends)
    return [f"{mean} [{low}, {high}]", f"[{wide_low}, {wide_high}]" if wide_low else ""]
