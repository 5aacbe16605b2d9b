"""One run, from a plain configuration to a finished folder: skip, lock, build, resume, record."""

import logging
from typing import Any

from genreg.display import Display, print_summary
from genreg.errors import InputError
from genreg.identity import Config, run_path
from genreg.records import Row, RunFolder

log = logging.getLogger("genreg")


def train(config: Config, yaml: str) -> Row:
    """Run `config` in its folder, or return the summary at once if it is finished there.

    yaml: the configuration as it is written into the folder. Raises what `loop.run` raises, InputError for
    a bad value (before anything is written), FolderInUseError if a live process holds the folder.
    """
    folder = RunFolder(run_path(config))
    summary = folder.summary()
    if summary.get("status") == "done":
        log.info("finished already: %s", folder.path)
    else:
        summary = _run(config, yaml, folder)
    if not config["quiet"]:
        print_summary(summary, str(folder.path), next_command(config))
    return summary


def _run(config: Config, yaml: str, folder: RunFolder) -> Row:
    """Build everything, then hold the folder while it trains. torch is imported from here on."""
    from genreg import curves, environment, loop
    from genreg.build import build_each, build_task, choose_device, settings
    from genreg.logger import Guarded

    options = settings(config)
    device = choose_device(options.device)
    task = build_task(config, device)
    loggers = [Guarded(name, logger) for name, logger in build_each(config, "logger").items()]
    display = Display(options.steps, task.progress, task.selection, options.quiet)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("output_dir", "a folder that can be written", str(error)) from error
    with folder.lock():
        if (summary := folder.summary()).get("status") == "done":
            return summary
        folder.write_config(yaml)
        folder.add_environment(environment.describe(device, task.checksums))
        for logger in loggers:
            logger.start(folder, config)
        try:
            with display:
                summary = loop.run(
                    task, folder, steps=options.steps, log_every=options.log_every,
                    eval_every=options.eval_every, checkpoint_every=options.checkpoint_every,
                    views=[display, *loggers],
                )  # fmt: skip
        finally:
            for logger in loggers:
                logger.finish(folder.summary())
        curves.draw(folder.rows(), summary["best"], folder.path / "curves.png")
        return summary


def next_command(config: Config) -> str:
    """What a person would type after this run: more seeds against the baseline, or another method."""
    methods: list[Any] = list(config["regularizer"])
    if config["name"] and "/" in config["name"]:
        return f"genreg train -m experiment={config['name']} 'seed=range(10)'"
    if methods:
        return f"genreg train -m regularizer=none,{'+'.join(methods)} 'seed=range(5)'"
    return "genreg train regularizer=vat"
