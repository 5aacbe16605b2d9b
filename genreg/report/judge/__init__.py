"""Values -> comparisons: which test decides, and what it says."""

from genreg.study.model import FEWEST as FEWEST
