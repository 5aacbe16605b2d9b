"""How a finished run differs from what the same command would make now: in code, in data."""

from collections.abc import Iterable

from genreg.run import code, data
from genreg.run.folder import RunFolder
from genreg.run.identity import Config

Other = dict[str, list[str]]
"""What is other now, by `code` and `data`; empty where nothing is."""


def other(folder: RunFolder, config: Config, look: data.Look | None = None) -> Other:
    """What has changed since a run was made. look: of the data, where many runs are asked for."""
    found = {"code": code.changed(folder), "data": data.changed(folder, config, look)}
    return {kind: parts for kind, parts in found.items() if parts}


def words(others: Iterable[Other]) -> str:
    """`other code of model (genreg/model/mlp.py) and other data of mine.csv`, each once."""
    found: Other = {}
    for kind, parts in (pair for other in others for pair in other.items()):
        found.setdefault(kind, []).extend(parts)
    told = (f"other {kind} of {', '.join(dict.fromkeys(parts))}" for kind, parts in sorted(found.items()))
    return " and ".join(told)
