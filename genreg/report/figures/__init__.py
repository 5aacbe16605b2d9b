"""What of a part is drawn."""

from genreg.report.figures.part import figures as figures
