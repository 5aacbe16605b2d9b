"""Completion with Tab: verbs and options here, groups and flags of `genreg train` too, its keys by Hydra."""

import argparse
import io
import os
import re
import sys
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import typer

from genreg.cli import verbs
from genreg.cli.help import GROUPS
from genreg.errors import InputError
from genreg.groups import CONFIGS, options

SCRIPTS = {
    "bash": r"""_genreg() {
    local IFS=$'\n' line=${COMP_LINE:0:COMP_POINT}
    local word=${line##* }
    COMPREPLY=($(COMP_LINE=$line genreg -sc query=bash 2>/dev/null))
    if [[ $COMP_WORDBREAKS == *=* && $word == *=* ]]; then  # readline completes what is behind the last =
        COMPREPLY=("${COMPREPLY[@]#"${word%=*}="}")
    fi
}
complete -o nospace -o default -F _genreg genreg""",
    "zsh": r"""_genreg() {
    local -a found
    found=(${(f)"$(COMP_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" genreg -sc query=zsh 2>/dev/null)"})
    if (( $#found )); then compadd -Q -S '' -- $found; else _files; fi
}
compdef _genreg genreg""",
}
"""The script that a shell evaluates; a candidate that ends with a space is a complete word."""

VALUES = {
    "--mode": ("auto", "online", "offline"),
    "--format": ("html", "markdown", "csv", "json", "latex", "summary", "table"),
    "figure": ("effects", "curves", "grid", "times"),
    "--until": ("decided",),
    "--cfg": ("job", "hydra", "all"),
    "-c": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}
FOLDER = ("--like", "--config-dir", "-cd", "--output", "-o")  # what follows is a path: the shell knows those
REFUSED = {"--config-path", "-cp", "--config-name", "-cn", "--experimental-rerun"}


def answer(request: str) -> None:
    """Print a shell's script (install=bash), or the candidates for the line in COMP_LINE (query=bash)."""
    kind, _, shell = request.partition("=")
    if kind == "query":
        print(*candidates(os.environ.get("COMP_LINE", "")), sep="\n")
    elif kind == "install" and shell in SCRIPTS:
        print(SCRIPTS[shell])
    elif re.fullmatch("(un)?install=(bash|zsh|fish)", request):
        from genreg.cli.train import main

        main(["-sc", request])  # Hydra's own, which calls back as ours does
    else:
        raise InputError("-sc", "install=bash, install=zsh or install=fish", request)


def candidates(line: str) -> list[str]:
    """The candidates for the last word of a command line."""
    *before, word = line.split(" ")
    words = [each for each in before[1:] if each]
    if words and words[-1] in FOLDER:
        return []
    if words[:1] == ["sync"] and words[-1] == "--to":
        return _whole(options("logger", _extra(words)).keys() - {"none"}, word)
    if words and words[-1] in VALUES:
        return _whole(VALUES[words[-1]], word)
    if words[:1] == ["train"]:
        return _of_train(words[1:], word)
    return _of_commands(words, word)


def _whole(found: Iterable[str], word: str) -> list[str]:
    return [f"{each} " for each in sorted(found) if each.startswith(word)]


def _of_commands(words: list[str], word: str) -> list[str]:
    """Verbs, and the options of the one that was typed."""
    command: Any = typer.main.get_command(verbs.app)
    for name in words:
        command = getattr(command, "commands", {}).get(name, command)
    flags = [flag for each in command.params for flag in each.opts if flag.startswith("-")]
    if words[:2] == ["data", "fetch"] and not word.startswith("-"):
        return _whole(options("dataset", _extra(words)), word)
    return _whole([*getattr(command, "commands", {}), *(flags if word.startswith("-") else ())], word)


def _of_train(words: list[str], word: str) -> list[str]:
    if word.startswith("-"):
        from genreg.cli.train import make_parser

        known: Any = make_parser()._option_string_actions
        return _whole((f for f in known if f not in REFUSED and known[f].help != argparse.SUPPRESS), word)
    group, equals, _ = word.partition("=")
    if equals and group in GROUPS:
        return _options(group, word, _extra(words))
    found = [each for each in _by_hydra(words, word, _extra(words)) if each.partition("/")[0] not in GROUPS]
    return sorted({*found, *(f"{name}=" for name in GROUPS if f"{name}=".startswith(word))})


def _extra(words: list[str]) -> Path | None:
    """The folder of more options that was typed, if any."""
    return next((Path(words[i + 1]) for i, w in enumerate(words[:-1]) if w in ("--config-dir", "-cd")), None)


def _options(group: str, word: str, extra: Path | None) -> list[str]:
    """The options of a group, also behind others: experiment=vat_200/v, regularizer=[vat,e."""
    typed = re.split(r"[=\[,]", word)[-1]
    start = word[: len(word) - len(typed)]
    return [f"{start}{name}" for name in options(group, extra) if name.startswith(typed)]


def _by_hydra(words: list[str], word: str, folder: Path | None) -> list[str]:
    """Keys and values of the configuration that is composed so far."""
    import hydra  # alone: what `train` brings along would take longer

    typed = [each for each in words if "=" in each and not each.startswith("-")]
    os.environ["COMP_LINE"] = " ".join(["genreg", *typed, word])
    sys.argv = ["genreg", *(["--config-dir", str(folder)] if folder else []), "-sc", "query=bash"]
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(io.StringIO()):
        hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="train")(print)()
    return said.getvalue().split()
