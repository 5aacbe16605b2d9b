"""What a run needs of another: a classifier, by whose features pictures are compared."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from genreg.cli.compose import compose, plain
from genreg.errors import InputError
from genreg.launcher.job import Job
from genreg.run.folder import finished_runs
from genreg.run.identity import Config, experiment_name

SHARED = ("device", "data_dir", "output_dir", "quiet")
"""What the needed run has of the one that needs it."""

Need = tuple[str, int, str]  # experiment, seed and output_dir


def with_needs(jobs: list[Job], about: Sequence[str] = ()) -> list[Job]:
    """Each job with the one that it needs: another of them, or one of its own; where Hydra is initialized.

    about: overrides of Hydra's own keys.
    """
    needs = [_need(job.config) for job in jobs]
    if not any(needs):
        return jobs
    found: dict[Need, Job | None] = {
        (experiment_name(job.config), job.config["seed"], job.config["output_dir"]): job for job in jobs
    }
    for job, need in zip(jobs, needs, strict=True):
        if need and need not in found:
            found[need] = _compose(need, job.config, about)
    return [replace(job, need=found[need]) if need else job for job, need in zip(jobs, needs, strict=True)]


def _need(config: Config) -> Need | None:
    node = config.get("features") or {}
    return (node["experiment"], node.get("seed", 0), config["output_dir"]) if "experiment" in node else None


def _compose(need: Need, config: Config, about: Sequence[str]) -> Job | None:
    """The needed run; None where there is a finished one, and for no experiment: the features say so."""
    experiment, seed, output_dir = need
    if finished_runs(Path(output_dir), experiment, seed):
        return None
    overrides = [f"experiment={experiment}", f"seed={seed}", f"output_dir={output_dir}"]
    try:
        needed = plain(compose([*about, *overrides]))
    except InputError:
        return None
    if needed["name"] != experiment:  # it would not be found by that name
        return None
    return Job(overrides, {**needed, **{key: config[key] for key in SHARED}})
