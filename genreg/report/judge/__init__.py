"""Comparisons of values: the test that decides, its p over all arms and looks, and the verdict."""

FEWEST = 5
"""Pairs below which nothing is decided: of three differences that happen to be alike, Student's p is any."""
