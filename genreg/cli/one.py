"""One run from its configuration on, and the command that is told behind it: without Hydra."""

import os
import shlex
from argparse import Namespace
from pathlib import Path

from genreg.errors import InputError
from genreg.groups import default_of, option_of, options
from genreg.run.extend import extend
from genreg.run.factory import factory
from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config, run_path
from genreg.run.sources import attribute_of
from genreg.run.train import train
from genreg.study.job import group, key, of_another_option


def make(config: Config, flags: Namespace) -> None:
    """Make one run, show it to an agent that waits for it, and print the next command."""
    folder = RunFolder(run_path(config))
    finished = folder.summary().get("status") == "done" and not flags.again
    if flags.extend:
        extend(config)
    try:
        summary = train(config, again=flags.again)
    except InputError as error:
        raise of_another_option(error, flags.overrides) from error
    if finished:
        _show_to_agents(config, folder, summary)
    print_next(config, flags)


def _show_to_agents(config: Config, folder: RunFolder, summary: Row) -> None:
    """Show a run that was finished before where the program that starts it again waits for its rows."""
    from genreg.run.logger import SafeLogger

    for name, node in config["logger"].items():
        if (variable := attribute_of(node["_target_"], "agent_variable")) and variable in os.environ:
            view = SafeLogger(name, factory(node, f"logger.{name}")(), config["quiet"])
            view.start(folder, config)
            view.finish(summary)


def print_next(config: Config, flags: Namespace) -> None:
    if not config["quiet"]:
        print(f"next: {next_command(config, flags)}", flush=True)


def next_command(config: Config, flags: Namespace) -> str:
    """The command to type after a run: seeds of an experiment, a method and the baseline, a first method."""
    extra = Path(flags.config_dir) if flags.config_dir else None
    typed = [o for o in flags.overrides if key(o) != "seed"]
    chosen = {group(o) for o in typed}
    task = option_of("task", config["task"]["_target_"], extra)
    if config["name"] in options("experiment", extra):
        named = [] if "experiment" in chosen else [f"experiment={config['name']}"]
        words = ["-m", *named, *typed, "seed=range(10)"]
    else:
        known = task in (None, default_of("task")) or chosen & {"task", "experiment"}
        words = _of_a_task([] if known else [f"task={task}"], typed, config)
    folder = ["--config-dir", flags.config_dir] if flags.config_dir else []
    return shlex.join(["genreg", "train", *folder, *words])


def _of_a_task(named: list[str], typed: list[str], config: Config) -> list[str]:
    others = [*named, *(_forced(o) for o in typed if group(o) != "regularizer")]
    if config["regularizer"]:
        return ["-m", *others, f"regularizer=[none],[{','.join(config['regularizer'])}]", "seed=range(5)"]
    if suggested := attribute_of(config["task"]["_target_"], "suggests"):
        return [*others, *suggested]
    return ["-m", *others, "seed=range(5)"]


def _forced(override: str) -> str:
    """A key of a method is added where the method is not chosen, and then left out again."""
    return f"++{override}" if override.startswith("regularizer.") else override
