"""What is installed: the version, and where its YAML groups lie."""

from pathlib import Path

__version__ = "0.1.0"

_package = Path(__file__).parent
CONFIGS = next(p for p in (_package / "configs", _package.parent / "configs") if p.is_dir())
"""The YAML groups: inside an installed wheel, or beside the package in a checkout."""
