"""Which code a run was made with, and whether it is still what would run; nothing is imported to see it."""

import inspect
from collections.abc import Iterator
from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genreg.download import sha256
from genreg.run.folder import Row, RunFolder
from genreg.run.identity import PLUMBING, Config

Code = dict[str, dict[str, str]]
"""Of each `_target_`, by its key: the module that defines it, and the digest of that module."""


def used(config: Config) -> Code:
    """The code of every `_target_` of a configuration that makes it the experiment that it is."""
    from genreg.factory import find_target  # a report needs none of it

    code: Code = {}
    for key, node in _nodes({k: v for k, v in config.items() if k not in PLUMBING}):
        module = getattr(inspect.unwrap(find_target(node, key)), "__module__", None) or ""
        if digest := _digest(module):
            code[key] = {"module": module, "digest": digest}
    return code


def recorded(folder: RunFolder) -> Iterator[tuple[str, str, str]]:
    """Key, module and digest of all that made a run: of its last start from step 0 and those that resumed it.

    A folder may come from anyone.
    """
    starts = folder.environments()
    first = max((number for number, start in enumerate(starts) if not start.get("resumed")), default=0)
    for start in starts[first:]:
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
    """What to call the source of a module: `genreg/regularizer/vat.py`."""
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
    path = _source(module)
    return _sha256(path, path.stat().st_mtime_ns) if path else None


@lru_cache(500)
def _sha256(path: Path, _changed: int) -> str:
    return sha256(path)


def _source(module: str) -> Path | None:
    """The file of a dotted module, found without importing it or what it lies in."""
    name, *rest = module.split(".")
    try:
        spec = find_spec(name)
        for part in rest:
            name = f"{name}.{part}"
            spec = PathFinder.find_spec(name, spec.submodule_search_locations if spec else [])
    except (ImportError, ValueError):
        return None
    path = Path(spec.origin) if spec and spec.origin else None
    return path if path and path.is_file() else None
