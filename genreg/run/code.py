"""The code that a run was made with, and the changes of its code and data since."""

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from genreg.download import sha256
from genreg.run import data
from genreg.run.folder import Row, RunFolder, printable
from genreg.run.identity import PLUMBING, Config
from genreg.run.sources import module_file

Code = dict[str, dict[str, str]]
"""The module that defines each `_target_`, and the digest of its source, by the key of the `_target_`."""


@dataclass(frozen=True)
class Changes:
    """Names of code and data that have changed; false without any. unknown: why data cannot be compared."""

    code: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.code or self.data)


def changes(folder: RunFolder, config: Config, cache: data.Cache, *, begun: bool = False) -> Changes:
    """Compare a run with a start of `config` now. begun: it is not finished, and only its data matter.

    cache: one for all runs that are compared together.
    """
    return Changes([] if begun else changed(folder), *data.compared(folder, config, cache))


def in_words(found: Iterable[Changes]) -> str:
    """`other code of model (genreg/model/mlp.py) and other data of mine.csv`, each name once."""
    several = list(found)
    kinds = {"code": [name for one in several for name in one.code],
             "data": [name for one in several for name in one.data]}  # fmt: skip
    return " and ".join(
        f"other {kind} of {', '.join(dict.fromkeys(names))}" for kind, names in kinds.items() if names
    )


def used(config: Config) -> Code:
    """The code of every `_target_` of a configuration that is part of the experiment."""
    from genreg.run.factory import find_target  # a report needs none of it

    code: Code = {}
    for key, node in _nodes({k: v for k, v in config.items() if k not in PLUMBING}):
        module = getattr(inspect.unwrap(find_target(node, key)), "__module__", None) or ""
        if digest := _digest(module):
            code[key] = {"module": module, "digest": digest}
    return code


def recorded(starts: Iterable[Row]) -> Iterator[tuple[str, str, str]]:
    """Key, module and digest of all that made a run, by its starts; a folder may come from anyone."""
    for start in starts:
        code = start.get("code")
        for key, found in code.items() if isinstance(code, dict) else ():
            module, digest = (found.get("module"), found.get("digest")) if isinstance(found, dict) else (0, 0)
            if isinstance(module, str) and isinstance(digest, str):
                yield key, module, digest


def changed(folder: RunFolder) -> list[str]:
    """`key (file)` of all code that differs from the recorded one; none where nothing is recorded."""
    found = (
        f"{key} ({file_of(module)})"
        for key, module, digest in recorded(folder.starts())
        if _digest(module) != digest
    )
    return list(dict.fromkeys(found))


def file_of(module: str) -> str:
    """The name of a module's source: `genreg/regularizer/vat.py`."""
    return "torch" if _is_torch(module) else printable(module.replace(".", "/") + ".py")


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
    """The sha256 of a module's source, of torch its version; None if there is none."""
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
