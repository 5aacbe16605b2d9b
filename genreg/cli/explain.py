"""What Hydra says, said to the user: the key, what was expected, what came, the nearest choices."""

import re
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from genreg.cli.help import GROUPS, options
from genreg.errors import GenregError, InputError, nearest

UNKNOWN_KEY = r"Could not (?:override|append to config|delete from config)[^']*'([^']+)'"


def explain(error: Exception, overrides: list[str]) -> GenregError:
    """The GenregError that says what `error` means; anything not understood is passed on as a failure."""
    if isinstance(error, GenregError):
        return error
    message, kind = str(error), type(error).__name__
    if kind == "MissingConfigException":
        return _missing_option(error, message)
    if match := re.match(UNKNOWN_KEY, message):
        return _unknown_key(match[1].split("@")[0], overrides)
    if kind == "OverrideParseException":
        return InputError("override", "key=value", getattr(error, "override", message.splitlines()[0]))
    if match := re.match(r"Additional config directory '(.+)' not found", message):
        return InputError("--config-dir", "an existing folder", match[1])
    if type(error).__module__.startswith(("hydra", "omegaconf", "yaml")):
        return InputError("configuration", "a valid one", message.splitlines()[0])
    if isinstance(error, (NotADirectoryError, FileExistsError, PermissionError)) and error.filename:
        return InputError(str(error.filename), "a folder that can be written", error.strerror)
    return _unforeseen(error)


def _unforeseen(error: Exception) -> GenregError:
    first = (str(error) or "no message").splitlines()[0]
    failure = GenregError(f"{type(error).__name__}: {first}\n  GENREG_DEBUG=1 shows the traceback")
    failure.__cause__ = error
    return failure


def _missing_option(error: Any, message: str) -> InputError:
    path = getattr(error, "missing_cfg_file", None) or message
    group, _, option = str(path).removesuffix(".yaml").partition("/")
    if group in GROUPS:
        return InputError(group, f"an option of the group {group}", option, nearest(option, options(group)))
    return InputError("configuration", "a file on the search path", path)


def _unknown_key(key: str, overrides: list[str]) -> InputError:
    group, _, rest = key.partition(".")
    name = rest.split(".")[0]
    known = _keys(overrides)
    chosen = any(other.startswith(f"{group}.{name}.") for other in known)
    if name and name in options(group) and not chosen:
        return InputError(key, f"{name} to be chosen: add {group}={name}")
    if key in GROUPS:
        return InputError(key, f"a task that has {key}; genreg train --help says which")
    return InputError(key, "a key of the configuration", None, nearest(key, [*known, *GROUPS]))


def _keys(overrides: list[str]) -> list[str]:
    """Every key of the configuration that the chosen group options compose, dotted."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from genreg import CONFIGS

    chosen = [o for o in overrides if o.split("=")[0] in GROUPS and ("," not in o or "[" in o)]
    inside = GlobalHydra.instance().is_initialized()
    with nullcontext() if inside else initialize_config_dir(str(CONFIGS), version_base="1.3"):
        try:
            return list(flat(compose("train", chosen)))
        except Exception:
            return list(flat(compose("train")))


def flat(node: Any, prefix: str = "") -> Iterator[str]:
    """Every key of a configuration, dotted."""
    for key in node:
        path = f"{prefix}{key}"
        child = node._get_node(key)
        if hasattr(child, "items"):
            yield from flat(child, f"{path}.")
        else:
            yield path
