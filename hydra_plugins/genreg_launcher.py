"""The launchers of genreg as Hydra plugins: hydra/launcher=local and hydra/launcher=slurm.

Hydra imports this file whenever it starts, so it imports nothing heavy itself.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class GenregLauncher(Launcher):
    """A launcher of genreg (genreg.study.batch.Launcher), which any sweeper of Hydra may use too.

    Another one inherits from it and writes `run`, and `workers` unless it is one job at a time.
    """

    def __init__(self, **options: Any) -> None:
        self.options: Any = OmegaConf.to_container(OmegaConf.create(options))

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.about, self.sweeper = list(config.hydra.overrides.hydra), config.hydra.sweeper

    @abstractmethod
    def run(self, jobs: list[Any], table: Any) -> list[Any]:
        """Run the jobs and return the outcome of each, None where it was not started."""

    def workers(self, jobs: list[Any]) -> int:
        """Return how many jobs run at once."""
        return 1

    def remarks(self, jobs: list[Any]) -> list[str]:
        """Return lines for a dry run on how these jobs would be run."""
        return []

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs of one of Hydra's sweepers, which may ask for one twice, and answer it."""
        from genreg.cli.by_hydra import value
        from genreg.cli.jobs import Composer
        from genreg.study.batch import SweepFailedError, run_batch

        jobs = Composer(self.about).jobs([list(overrides) for overrides in job_overrides])
        chosen = {
            name: self.options.get(name, name == "keep_going") for name in ("retry_failed", "keep_going")
        }
        once = {job.folder.path: job for job in jobs}
        try:
            outcomes = run_batch(list(once.values()), self.run, **chosen, whole=False)
        except SweepFailedError as error:
            outcomes = list(error.outcomes)
        found = dict(zip(once, outcomes, strict=True))
        return [
            _answer(job.overrides, found[job.folder.path], partial(value, sweeper=self.sweeper))
            for job in jobs
        ]


def _answer(overrides: list[str], outcome: Any, value: Callable[[Any], float | None]) -> JobReturn:
    """The value of a finished job; of another its failure, which the user has read already."""
    from genreg.errors import GenregError

    if outcome and outcome.status == "done":
        found = value(outcome.summary)
        return JobReturn(overrides=overrides, status=JobStatus.COMPLETED, _return_value=found)
    failure = GenregError(outcome.reason if outcome else "not started")
    failure.exit_code, failure.reported = outcome.exit_code or 1 if outcome else 1, True
    return JobReturn(overrides=overrides, status=JobStatus.FAILED, _return_value=failure)


class LocalLauncher(GenregLauncher):
    """Worker processes on this machine."""

    def setup(self, **given: Any) -> None:
        from genreg.study.local import Options

        super().setup(**given)
        self.checked = _checked(Options, self.options)

    def run(self, jobs: list[Any], table: Any) -> list[Any]:
        from genreg.study.local import Pool

        return Pool(jobs, self.checked, table).run()

    def workers(self, jobs: list[Any]) -> int:
        from genreg.study.local import slots

        return len(slots(jobs, self.checked))

    def remarks(self, jobs: list[Any]) -> list[str]:
        from genreg.study.groups import remarks

        return remarks(jobs, self.checked.replicas)


class SlurmLauncher(GenregLauncher):
    """One array of a SLURM cluster."""

    def setup(self, **given: Any) -> None:
        from genreg.study.slurm import Options

        super().setup(**given)
        self.checked = _checked(Options, self.options)

    def run(self, jobs: list[Any], table: Any) -> list[Any]:
        from genreg.study.slurm import launch

        return launch(jobs, self.checked, table)


def _checked(kind: Any, options: Any) -> Any:
    """The options of a launcher; InputError for a wrong one, before anything is written."""
    from genreg.parameters import blame

    with blame("hydra.launcher", kind):
        return kind(**options)
