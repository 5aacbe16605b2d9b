"""A sign for each verdict, so that no color has to be seen."""

SIGNS = {
    "better": "▲", "worse": "▼", "differs": "≠", "equivalent": "≈", "no difference shown": "○",
    "not decided": "…", "too few pairs": "∅", "not judged": "?",
    "reproduced": "✓", "not reproduced": "✗", "not tested": "–",
}  # fmt: skip


def sign(verdict: str) -> str:
    """The sign of a verdict; of the baseline, which has none, nothing."""
    return SIGNS.get(verdict, "")
