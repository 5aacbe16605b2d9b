"""Comparisons of values: the test that decides, its p over all arms and looks, and the verdict."""

from genreg.study.model import FEWEST as FEWEST
