"""Values -> comparisons: which test decides, and what it says."""

FEWEST = 5
"""Pairs below which nothing is decided: three differences that happen to be alike make any p of Student's."""
