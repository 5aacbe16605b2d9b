"""The code that a run was made with, and whether its code or its data have changed since."""

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from genreg.download import sha256
from genreg.run import code, data
from genreg.run.folder import Row, RunFolder
from genreg.run.identity import PLUMBING, Config
from genreg.run.sources import module_file

Code = dict[str, dict[str, str]]
"""Of each `_target_`, by its key: the module that defines it, and the digest of that module."""


def used(config: Config) -> Code:
    """The code of every `_target_` of a configuration that makes it the experiment that it is."""
    from genreg.run.factory import find_target  # a report needs none of it

    code: Code = {}
    for key, node in _nodes({k: v for k, v in config.items() if k not in PLUMBING}):
        module = getattr(inspect.unwrap(find_target(node, key)), "__module__", None) or ""
        if digest := _digest(module):
            code[key] = {"module": module, "digest": digest}
    return code


def recorded(folder: RunFolder) -> Iterator[tuple[str, str, str]]:
    """Key, module and digest of all that made a run; a folder may come from anyone."""
    for start in folder.starts():
        code = start.get("code")
        for key, found in code.items() if isinstance(code, dict) else ():
            module, digest = (found.get("module"), found.get("digest")) if isinstance(found, dict) else (0, 0)
            if isinstance(module, str) and isinstance(digest, str):
                yield key, module, digest


def changed(folder: RunFolder) -> list[str]:
    """`key (file)` of all that is not what a start of the run recorded; none where nothing is recorded."""
    found = (
        f"{key} ({file_of(module)})" for key, module, digest in recorded(folder) if _digest(module) != digest
    )
    return list(dict.fromkeys(found))


def file_of(module: str) -> str:
    """The name of a module's source: `genreg/regularizer/vat.py`."""
    return "torch" if _is_torch(module) else module.replace(".", "/") + ".py"


def _nodes(node: Any, key: str = "") -> Iterator[tuple[str, Row]]:
    """Every node with a `_target_`, by its dotted key."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield key, node
        for name, part in node.items():
            yield from _nodes(part, f"{key}.{name}".strip("."))


def _is_torch(module: str) -> bool:
    return module.partition(".")[0] == "torch"


def _digest(module: str) -> str | None:
    """sha256 of a module's source, of torch its version; None if there is none."""
    if _is_torch(module):
        try:
            return f"torch {version('torch')}"
        except PackageNotFoundError:
            return None
    path = module_file(module)
    return _sha256(path, path.stat().st_mtime_ns) if path else None


@lru_cache(500)
def _sha256(path: Path, _changed: int) -> str:
    return sha256(path)


@dataclass(frozen=True)
class Other:
    """Code and data that are other now; false where nothing is. unseen: why data cannot be compared."""

    code: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.code or self.data)


def other(folder: RunFolder, config: Config, look: data.Look, *, begun: bool = False) -> Other:
    """Compare a run with what would be made now. begun: it is not finished, and only its data matter.

    look: one for all runs that are asked for together.
    """
    return Other([] if begun else code.changed(folder), *data.compared(folder, config, look))


def words(others: Iterable[Other]) -> str:
    """`other code of model (genreg/model/mlp.py) and other data of mine.csv`, each once."""
    found = list(others)
    kinds = {"code": [part for one in found for part in one.code],
             "data": [part for one in found for part in one.data]}  # fmt: skip
    told = (f"other {kind} of {', '.join(dict.fromkeys(parts))}" for kind, parts in kinds.items() if parts)
    return " and ".join(told)
