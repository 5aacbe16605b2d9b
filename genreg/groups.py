"""The YAML groups: where they lie, the options of each, and what an option's file says."""

import re
import sys
from pathlib import Path
from typing import Any

from genreg.errors import InputError

__version__ = "0.1.0"

_package = Path(__file__).parent
CONFIGS = next(p for p in (_package / "configs", _package.parent / "configs") if p.is_dir())
"""The folder of the groups: inside an installed wheel, or next to the package in a checkout."""


OWN: list[Path] = []
"""The folders of --config-dir in this process, whose targets are the user's own."""


def files(group: str, extra: Path | None = None) -> dict[str, Path]:
    """The YAML of each option of a group, by name. extra: a folder with more of them (--config-dir)."""
    found: dict[str, Path] = {}
    for root in filter(None, (CONFIGS, extra)):
        folder = root / group
        for path in sorted(folder.rglob("*.yaml")):
            if not path.name.startswith("_"):
                found[path.relative_to(folder).with_suffix("").as_posix()] = path
    return found


def options(group: str, extra: Path | None = None) -> dict[str, str]:
    """Each option of a group with the first comment line of its YAML, by name; `_` in front hides one."""
    return {name: _first_comment(path) for name, path in files(group, extra).items()}


def option_of(group: str, target: str, extra: Path | None = None) -> str | None:
    """The option of a group whose YAML has this `_target_`, or None."""
    line = re.compile(rf"^_target_: {re.escape(target)}\s*(#|$)", re.MULTILINE)
    return next((name for name, path in files(group, extra).items() if line.search(path.read_text())), None)


def default_of(group: str) -> str | None:
    """The option of a group that train.yaml chooses, or None."""
    found = re.search(rf"^  - {group}: (\w+)", (CONFIGS / "train.yaml").read_text(), re.MULTILINE)
    return found[1] if found else None


def nodes(group: str, extra: Path | None = None) -> dict[str, dict[str, Any]]:
    """The values of each option of a group, also those taken over from others of the group, by name."""
    return {name: _node(group, path, extra) for name, path in files(group, extra).items()}


def find_modules_in(extra: Path | None) -> None:
    """Let modules be found in the folder of --config-dir, if there is one; InputError if it is no folder."""
    if extra and not extra.is_dir():
        raise InputError("--config-dir", "an existing folder", str(extra))
    if extra:
        OWN.append(extra.resolve())
        sys.path.append(str(extra.resolve()))  # last: nothing else is found differently


def _node(group: str, path: Path, extra: Path | None) -> dict[str, Any]:
    from omegaconf import OmegaConf  # not above: `genreg --help` reads no values
    from yaml import YAMLError

    try:
        own: Any = OmegaConf.to_container(OmegaConf.load(path))
    except (YAMLError, OSError, UnicodeDecodeError) as error:
        raise InputError(str(path), "YAML", str(error).partition("\n")[0]) from error
    if not isinstance(own, dict):
        raise InputError(str(path), "keys with values", own)
    values: dict[str, Any] = {}
    for name in own.get("defaults") or ():
        for root in filter(None, (extra, CONFIGS)):
            if (below := root / group / f"{name}.yaml") != path and below.is_file():
                values |= _node(group, below, extra)
                break
    return {key: value for key, value in (values | own).items() if key != "defaults"}


def _first_comment(path: Path) -> str:
    for line in path.read_text().splitlines():
        if line.startswith("# ") and not line.startswith("# @package"):
            return line[2:]
    return ""
