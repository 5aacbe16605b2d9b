"""What a person would type after a run."""

import shlex
from argparse import Namespace
from pathlib import Path

from genreg.cli.help import option_of, options
from genreg.launcher.overrides import group, key
from genreg.run.identity import Config


def next_command(config: Config, flags: Namespace) -> str:
    """More seeds of an experiment, seeds of a method against the baseline, or a method; else as was typed."""
    extra = Path(flags.config_dir) if flags.config_dir else None
    typed = [o for o in flags.overrides if key(o) != "seed"]
    chosen = {group(o) for o in typed}
    task = option_of("task", config["task"]["_target_"], extra)
    if config["name"] in options("experiment", extra):
        named = [] if "experiment" in chosen else [f"experiment={config['name']}"]
        words = ["-m", *named, *typed, "seed=range(10)"]
    else:
        known = task in (None, "classify") or chosen & {"task", "experiment"}
        words = _of_a_task([] if known else [f"task={task}"], typed, config, task)
    folder = ["--config-dir", flags.config_dir] if flags.config_dir else []
    return shlex.join(["genreg", "train", *folder, *words])


def _of_a_task(named: list[str], typed: list[str], config: Config, task: str | None) -> list[str]:
    others = [*named, *(_forced(o) for o in typed if group(o) != "regularizer")]
    if config["regularizer"]:
        return ["-m", *others, f"regularizer=[none],[{','.join(config['regularizer'])}]", "seed=range(5)"]
    if task == "classify":
        return [*others, "regularizer=vat"]
    return ["-m", *others, "seed=range(5)"]


def _forced(override: str) -> str:
    """A key of a method is added where the method is not chosen, and then left out again."""
    return f"++{override}" if override.startswith("regularizer.") else override
