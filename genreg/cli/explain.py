"""Hydra's errors in one line for the user: the key, what was expected, what came, the nearest choices."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from genreg.cli.help import GROUPS, options
from genreg.errors import GenregError, InputError, nearest
from genreg.launcher.overrides import group, key, value

UNKNOWN_KEY = r"Could not (?:override|append to config|delete from config)[^']*'([^']+)'"


@contextmanager
def explaining(overrides: list[str]) -> Iterator[None]:
    """Turn an error that Hydra raises inside into an InputError that names the key."""
    try:
        yield
    except GenregError:
        raise
    except Exception as error:
        raise _input_error(error, overrides) from error


def _input_error(error: Any, overrides: list[str]) -> InputError:
    message, kind = str(error), type(error).__name__
    if kind == "MissingConfigException":
        return _missing_option(error, message)
    if match := re.match(UNKNOWN_KEY, message):
        return _unknown_key(group(match[1]), overrides)
    if kind == "OverrideParseException":
        return InputError("override", "key=value", getattr(error, "override", message.splitlines()[0]))
    if problem := getattr(error, "problem", None):  # of YAML, with its place in the file
        message = f"{problem} in line {error.problem_mark.line + 1}"
    return InputError("configuration", "a valid one", message.split("\n")[0])


def _missing_option(error: Any, message: str) -> InputError:
    path = getattr(error, "missing_cfg_file", None) or message
    root, _, option = str(path).removesuffix(".yaml").partition("/")
    if root in GROUPS:
        return InputError(root, f"an option of the group {root}", option, nearest(option, options(root)))
    return InputError("configuration", "a file on the search path", path)


def _unknown_key(wrong: str, overrides: list[str]) -> InputError:
    root, _, rest = wrong.partition(".")
    name = rest.split(".")[0]
    known = _keys(overrides)
    chosen = any(other.startswith(f"{root}.{name}.") for other in known)
    if name and name in options(root) and not chosen:
        return InputError(wrong, f"{name} to be chosen: add {root}={name}")
    if wrong in GROUPS:
        return InputError(wrong, f"a task that has {wrong}; genreg train --help says which")
    return InputError(wrong, "a key of the configuration", None, nearest(wrong, [*known, *GROUPS]))


def _keys(overrides: list[str]) -> list[str]:
    """Every key of the configuration that the chosen group options compose, dotted."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from genreg.installed import CONFIGS

    single = [o for o in overrides if "," not in value(o) or "[" in value(o)]
    chosen = [o for o in single if group(o) in GROUPS or key(o) == "hydra.searchpath"]
    inside = GlobalHydra.instance().is_initialized()
    with nullcontext() if inside else initialize_config_dir(str(CONFIGS), version_base="1.3"):
        try:
            return list(flat(compose("train", chosen)))
        except Exception:
            return list(flat(compose("train")))


def flat(node: Any, prefix: str = "") -> Iterator[str]:
    """Every key of a configuration, dotted."""
    for name in node:
        path = f"{prefix}{name}"
        child = node._get_node(name)
        if hasattr(child, "items"):
            yield from flat(child, f"{path}.")
        else:
            yield path
