"""genreg: a command-line experiment runner for people who study why models generalize."""

from genreg.installed import CONFIGS as CONFIGS
from genreg.installed import __version__ as __version__
