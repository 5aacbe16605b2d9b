"""The configuration of a run folder, which may come from anyone: it calls no code that nobody here knows.

Called without a word are targets of genreg, the optimizers of torch, and those of the user's own folder
(--config-dir): its modules, and all that its YAML files name. What a target makes is checked in
`run/factory.py`, as of every configuration.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genreg.errors import InputError
from genreg.groups import OWN
from genreg.run.factory import GROUPS
from genreg.run.sources import home_of, module_file

KNOWN = ("genreg", "torch.optim")
NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
TARGET = re.compile(r"_target_['\"]?\s*:\s*['\"]?([\w.]+)")


def check(config: Any, place: Path, allow: str) -> None:
    """InputError for a target of unknown code, and for an interpolation, which could read a secret.

    config: as it is written. place: its folder. allow: the way to say that it is trusted.
    """
    for key, value in _leaves(config):
        if isinstance(value, str) and "${" in value:
            raise InputError(f"{place}: {key}", f"a value without ${{...}} ({allow} resolves it)", value)
        if key.rpartition(".")[2] == "_target_" and not is_known(str(value)):
            module = str(value).rpartition(".")[0]
            expected = f"code of genreg, torch.optim or --config-dir ({allow} calls module {module} too)"
            raise InputError(f"{place}: {key}", expected, value)


def is_known(target: str) -> bool:
    """True if a target is genreg's, one of torch's optimizers, or the user's own; nothing is imported."""
    if not NAME.fullmatch(target):
        return False
    module, _ = home_of(*target.rpartition(".")[::2])
    file = module_file(module)
    if file and any(module == name or module.startswith(f"{name}.") for name in KNOWN):
        return True
    if file and any(file.resolve().is_relative_to(folder) for folder in OWN):
        return True
    return any(target in _named_in(folder) for folder in OWN)


def _named_in(folder: Path) -> set[str]:
    """Every `_target_` of the YAML files of a --config-dir: those of a group lie in its folder."""
    files = (path for group in (*GROUPS, "experiment") for path in (folder / group).rglob("*.yaml"))
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in files)
    return {name for text in texts for name in TARGET.findall(text)}


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value by its dotted key, also inside of lists; a key may hold an interpolation itself."""
    parts = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    if not isinstance(node, dict | list):
        yield key, node
    for name, part in parts:
        yield from _leaves(part, f"{key}.{name}".strip("."))
