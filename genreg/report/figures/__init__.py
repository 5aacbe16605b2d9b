"""Figures of a part, as the page shows them: each module draws those of one kind from results."""

from genreg.report.figures.curves import Figure, curves, times
from genreg.report.figures.grids import grids, tuning
from genreg.report.figures.landscape import paths
from genreg.report.figures.pairs import against_seeds, paired_dots
from genreg.report.judge.result import PartResult


def figures(result: PartResult) -> list[Figure]:
    """All figures of a part, the most telling first."""
    single = (paired_dots(result), times(result), against_seeds(result), paths(result))
    pairs, reached, seeds, went = ([figure] if figure else [] for figure in single)
    return [*grids(result), *pairs, *curves(result), *reached, *seeds, *went, *tuning(result)]
