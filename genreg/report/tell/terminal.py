"""Where a report is printed."""

import os

from rich.console import Console

UNLIMITED = 100_000  # columns, where no terminal sets a width


def terminal() -> Console:
    """As wide as the terminal is; in a pipe nothing is cut, unless COLUMNS sets a width."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=UNLIMITED)
