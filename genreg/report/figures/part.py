"""Everything that a part has to show."""

from genreg.report.figures.arms import Figure
from genreg.report.figures.curves import curves
from genreg.report.figures.grids import grids
from genreg.report.figures.landscape import paths
from genreg.report.figures.pairs import paired_dots
from genreg.report.figures.seeds import against_seeds
from genreg.report.figures.times import times
from genreg.report.figures.tuning import tuning
from genreg.report.judge.result import PartResult


def figures(result: PartResult) -> list[Figure]:
    """Most telling first."""
    single = (paired_dots(result), times(result), against_seeds(result), paths(result))
    pairs, reached, seeds, went = ([figure] if figure else [] for figure in single)
    return [*grids(result), *pairs, *curves(result), *reached, *seeds, *went, *tuning(result)]
