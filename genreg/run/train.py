"""One run, from a plain configuration to a finished folder: skip, lock, build, resume, record."""

import logging
from collections.abc import Sequence

from genreg.cli.help import options
from genreg.errors import InputError
from genreg.run import curves
from genreg.run.display import Display, print_line, print_summary
from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config, run_path

log = logging.getLogger("genreg")


def train(config: Config, yaml: str, *, in_sweep: bool = False, retry_failed: bool = True) -> Row:
    """Run `config` in its folder, or return the summary at once if it is finished there.

    yaml: the configuration as it is written into the folder. in_sweep: tell the result in one line, and
    leave curves.png, which takes longer than a small run, to whoever asks for this run alone.
    retry_failed: if false, the summary of a run that has failed is returned as that of a finished one.
    Raises what `loop.run` raises; InputError for a bad value, before anything is written;
    FolderInUseError if a live process holds the folder.
    """
    folder = RunFolder(run_path(config))
    summary = folder.summary()
    over = ("done",) if retry_failed else ("done", "failed")
    if summary.get("status") not in over:
        summary = _run(config, yaml, folder, over)
    elif not config["quiet"]:
        log.info("finished already: %s", folder.path)
    if not in_sweep and not (picture := folder.path / "curves.png").exists():
        curves.draw(folder.rows(), summary["best"], picture)
    if in_sweep and not config["quiet"] and summary["status"] == "done":
        print_line(summary, str(folder.path))
    elif not in_sweep and not config["quiet"]:
        print_summary(summary, str(folder.path), next_command(config))
    return summary


def _run(config: Config, yaml: str, folder: RunFolder, over: Sequence[str]) -> Row:
    """Build everything, then hold the folder while it trains. torch is imported from here on."""
    from genreg.build import build_each, build_task, choose_device, settings
    from genreg.logger import Guarded
    from genreg.run import environment, loop
    from genreg.run.task import Task

    chosen = settings(config)
    device = choose_device(chosen.device)
    task: Task = build_task(config, device)
    loggers = [Guarded(name, logger) for name, logger in build_each(config, "logger").items()]
    display = Display(chosen.steps, task.progress, task.selection, chosen.quiet)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("output_dir", "a folder that can be written", str(error)) from error
    with folder.lock():
        if (summary := folder.summary()).get("status") in over:
            return summary
        folder.write_config(yaml)
        folder.add_environment(environment.describe(device, task.checksums))
        for logger in loggers:
            logger.start(folder, config)
        try:
            with display:
                summary = loop.run(
                    task, folder, steps=chosen.steps, log_every=chosen.log_every,
                    eval_every=chosen.eval_every, checkpoint_every=chosen.checkpoint_every,
                    views=[display, *loggers],
                )  # fmt: skip
        finally:
            for logger in loggers:
                logger.finish(folder.summary())
        return summary


def next_command(config: Config) -> str:
    """What a person would type after this run: more seeds against the baseline, or another method."""
    methods = ",".join(config["regularizer"])
    if config["name"] in options("experiment"):
        return f"genreg train -m experiment={config['name']} 'seed=range(10)'"
    task = config["task"]["_target_"].split(".")[-2]  # the module is named as the option
    if methods:
        chosen = "" if task == "classify" else f"task={task} "
        return f"genreg train -m {chosen}'regularizer=[none],[{methods}]' 'seed=range(5)'"
    return "genreg train regularizer=vat"
