"""genreg: a command-line experiment runner for people who study why models generalize.

In a notebook, `genreg.runs`, `genreg.rows` and `genreg.load` read what it recorded.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from genreg.groups import CONFIGS as CONFIGS
from genreg.groups import __version__ as __version__

if TYPE_CHECKING:
    from genreg.report.frames import rows as rows
    from genreg.report.frames import runs as runs
    from genreg.run.trained import load as load

LATE = {"load": "genreg.run.trained", "rows": "genreg.report.frames", "runs": "genreg.report.frames"}
"""What is imported when it is asked for: `import genreg` brings neither torch nor pandas."""


def __getattr__(name: str) -> Any:
    if name not in LATE:
        raise AttributeError(f"module 'genreg' has no attribute {name!r}")
    return getattr(import_module(LATE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *LATE})
