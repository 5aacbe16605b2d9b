"""The environment of a start: versions, device, commit, code and data."""

import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from genreg.groups import __version__
from genreg.run import code
from genreg.run.identity import Config

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "hydra-core", "omegaconf", "wandb")


def describe(config: Config, device: torch.device, checksums: dict[str, str]) -> dict[str, Any]:
    """Versions, device, threads, commit and code of the program, data checksums, command and time."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["genreg", "train", *sys.argv[1:]],  # the verb is taken off for Hydra
        "genreg": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "data": checksums,
        "code": code.used(config),
    }


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def _commit() -> str | None:
    """The commit of a checkout, with `+` behind it if files are changed; None in an installed wheel."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except OSError:
        return None
