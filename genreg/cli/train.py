"""`genreg train`: what was typed becomes one run, many runs, or a question for Hydra."""

import logging
import re
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.types import RunMode

from genreg.cli import compose, one, remembered
from genreg.cli import help as help_page
from genreg.cli.by_hydra import by_hydra
from genreg.cli.compose import with_needs
from genreg.errors import GenregError, InputError, explained, nearest
from genreg.groups import find_modules_in
from genreg.run import ranks
from genreg.run.extend import FLAG
from genreg.run.identity import run_path
from genreg.run.train import train
from genreg.study import archive
from genreg.study.job import Job, key, of_hydra, train_needed

log = logging.getLogger("genreg")


def main(arguments: list[str]) -> None:
    """Run `genreg train` with these arguments. Raises GenregError or KeyboardInterrupt."""
    arguments = [_without_dashes(argument) for argument in arguments]
    flags = parse(arguments)
    extra = Path(flags.config_dir) if flags.config_dir else None
    find_modules_in(extra)
    if flags.help:
        print(help_page.text(extra))
        return
    sys.argv = ["genreg", *arguments]  # what environment.json records
    keys = [key(override) for override in flags.overrides]
    many = flags.multirun or "sweep" in keys
    own_sweeper = many and any(name.startswith(("hydra/sweeper", "hydra.sweeper")) for name in keys)
    if many and ranks.launched():
        raise InputError("torchrun", "one run: no -m or sweep=, whose jobs are for a launcher")
    try:
        if flags.like:
            with ranks.joined():
                _repeat(flags)
        elif flags.cfg or flags.info or flags.hydra_help or flags.shell_completion or own_sweeper:
            by_hydra(flags, arguments)
        elif many:
            from genreg.cli import sweep

            if not sweep.sweep(flags):
                by_hydra(flags, arguments)
        else:
            with ranks.joined():
                _one(flags, arguments)
    except GenregError:
        raise
    except Exception as error:
        raise explained(error) from error


def make_parser() -> ArgumentParser:
    """Hydra's flags and ours."""
    parser = get_args_parser()
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument(FLAG, action="store_true")
    parser.add_argument("--like", type=Path)
    parser.add_argument("--trust", action="store_true")
    parser.add_argument("--until")
    parser.error = _bad_flag  # type: ignore[method-assign]
    return parser


def parse(arguments: list[str]) -> Namespace:
    """Hydra's flags and ours; InputError for one that neither knows, or that genreg cannot honour."""
    flags = make_parser().parse_intermixed_args(arguments)
    if flags.config_path is not None:
        raise InputError("--config-path", "--config-dir, which adds a folder of options", flags.config_path)
    if flags.config_name is not None:
        raise InputError("--config-name", "experiment=NAME, a file of --config-dir or not", flags.config_name)
    if flags.experimental_rerun is not None:
        raise InputError("--experimental-rerun", "--like RUN_FOLDER", flags.experimental_rerun)
    if flags.until not in (None, "decided"):
        raise InputError("--until", "decided", flags.until)
    if flags.until and not any(override.startswith("sweep=") for override in flags.overrides):
        raise InputError("--until", "a sweep file beside it: sweep=NAME")
    if flags.trust and not flags.like:
        raise InputError("--trust", "--like RUN_FOLDER beside it: what is typed is called anyway")
    if flags.extend and (flags.again or flags.like or any(key(o) == "sweep" for o in flags.overrides)):
        raise InputError(FLAG, "one run, or -m: neither --again nor --like nor a sweep file")
    if flags.resolve and not flags.cfg:
        raise InputError("--resolve", "--cfg beside it")
    return flags


def _without_dashes(argument: str) -> str:
    """A W&B agent types --optimizer.lr=0.1: what is no flag but looks like a key is an override."""
    match = re.fullmatch(r"--([\w.@/]+)=.*", argument, re.DOTALL)
    known = match and f"--{match[1]}" in make_parser()._option_string_actions
    return argument[2:] if match and not known else argument


def _bad_flag(message: str) -> Any:
    _, unknown, flags = message.partition("unrecognized arguments: ")
    if unknown and flags.startswith("-"):
        flag = flags.split()[0]
        near = nearest(flag, make_parser()._option_string_actions)
        raise InputError(flag, "a flag that `genreg train --help` lists", None, near)
    raise InputError("genreg train", "a flag that `genreg train --help` lists", message)


def _one(flags: Namespace, arguments: list[str]) -> None:
    """Compose one run, then make it."""
    if flags.dry_run:
        raise InputError("--dry-run", "a sweep: sweep=NAME or -m")
    others, began = [o for o in flags.overrides if not of_hydra(o)], time.time()
    with compose.configs():
        about = compose.about_hydra(flags)
        cfg = compose.compose([*about, *others])
        if cfg.hydra.mode == RunMode.MULTIRUN:
            raise InputError("hydra.mode", "-m for many runs", "MULTIRUN")
        process = compose.process_settings(cfg)
        with process.entered():
            config = compose.plain(cfg)
            train_needed(*with_needs([Job(others, config)], about))
            one.make(config, flags)
    remembered.keep(arguments, cfg, config, process, began)


def _repeat(flags: Namespace) -> None:
    """Repeat the run in a folder, and warn of whatever is not as it was then."""
    from genreg.cli import like

    if flags.multirun or flags.cfg or flags.dry_run:
        raise InputError("--like", "one run: no -m, --cfg or --dry-run")
    about = compose.about_hydra(flags)
    with archive.opened([flags.like]) as (folder,):
        config = compose.plain(like.config_of(folder, flags.overrides, about, flags.trust))
        before = like.environment(folder)
    like.check_elsewhere(flags.like, config)
    logging.basicConfig(format="[%(asctime)s][%(levelname)s] - %(message)s", level=logging.INFO)
    with compose.configs():
        (job,) = with_needs([Job(flags.overrides, config)], about)
    train_needed(job)
    train(config, again=flags.again)
    one.print_next(config, flags)
    for line in like.differences(before, like.environment(run_path(config))):
        log.warning("--like: %s", line)
