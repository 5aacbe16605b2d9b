"""MLflow."""

import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock

from genreg.errors import extra
from genreg.logger.wandb import run_id
from genreg.parameters import checked
from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config, data_name, experiment_name, methods
from genreg.run.logger import Logger
from genreg.run.read import flat

NUMBER = "genreg.run"  # the tag that says which folder a run of MLflow shows
NEXT = "genreg.next"  # the tag of the first step that it has not
ENDS = {"done": "FINISHED", "interrupted": "KILLED"}


class MLflow(Logger):
    """Rows and configuration as a run of MLflow, for `mlflow ui`; no account.

    uri: where MLflow keeps its runs; None: MLFLOW_TRACKING_URI, else mlflow.db in the shell's folder.
    experiment: what they are listed under; None: MLFLOW_EXPERIMENT_NAME, else genreg. A resumed run goes on
    in its own run of MLflow, after the last step that is there.
    """

    takes_files = True

    @checked
    def __init__(self, *, uri: str | None = None, experiment: str | None = None) -> None:
        here = f"sqlite:///{Path('mlflow.db').resolve()}"
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or here
        self.experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "genreg"
        self.client: Any = None
        self.id = ""

    def start(self, folder: RunFolder, config: Config) -> None:
        if found := self._runs(folder, config):
            self.id, self.next = found[0].info.run_id, int(found[0].data.tags[NEXT])
            self.client.update_run(self.id, status="RUNNING")
            return
        name = f"{experiment_name(config)} seed={config['seed']}"
        tags = {NUMBER: run_id(folder, config), NEXT: "0", "method": methods(config)}
        self.next = 0
        self.id = self.client.create_run(self._place(), run_name=name, tags=tags).info.run_id
        for key, value in {**flat(config), "data": data_name(config["dataset"])}.items():
            self.client.log_param(self.id, key, value)

    def clear(self, folder: RunFolder) -> None:
        for run in self._runs(folder, folder.config()):
            self.client.delete_run(run.info.run_id)

    def show(self, row: Row, pictures: dict[str, Path]) -> None:
        if row["step"] < self.next:
            return
        self._log(_numbers(row), row["step"])
        for name, path in pictures.items():
            self.client.log_artifact(self.id, str(path), f"pictures/{name}")
        self.next = row["step"] + 1
        self.client.set_tag(self.id, NEXT, str(self.next))

    def add_files(self, folder: RunFolder) -> None:
        for name in ("config.yaml", "weights.pt", "curves.png"):
            if (folder.path / name).is_file():
                self.client.log_artifact(self.id, str(folder.path / name))

    def finish(self, summary: Row) -> None:
        if best := summary.get("best"):
            self._log({f"best/{name}": value for name, value in _numbers(best).items()}, best["step"])
        self.client.set_terminated(self.id, ENDS.get(summary["status"], "FAILED"))

    @property
    def place(self) -> Row:
        return {"uri": self.uri, "experiment": self.experiment}

    @property
    def note(self) -> str:
        return f"experiment {self.experiment}: `mlflow ui --backend-store-uri {self.uri}` shows it"

    def _runs(self, folder: RunFolder, config: Config) -> list[Any]:
        """The runs of MLflow that show this folder."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # a run tells nobody of itself
        try:
            from mlflow import MlflowClient
        except ImportError as error:
            raise ImportError(f"MLflow is missing: {extra('mlflow')}") from error
        file = self.uri.removeprefix("sqlite:///")
        alone: Any = nullcontext() if file == self.uri else FileLock(f"{file}.lock")
        with alone:  # of two that make the tables at once one fails
            self.client = self.client or MlflowClient(self.uri)
            place = self._place()
        which = f"tags.`{NUMBER}` = '{run_id(folder, config)}'"
        return list(self.client.search_runs([place], which))

    def _place(self) -> str:
        found = self.client.get_experiment_by_name(self.experiment)
        return str(found.experiment_id if found else self.client.create_experiment(self.experiment))

    def _log(self, values: dict[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self.client.log_batch(self.id, [Metric(name, value, now, step) for name, value in values.items()])


def _numbers(row: Row) -> dict[str, float]:
    return {key: float(value) for key, value in row.items() if key != "step" and not isinstance(value, str)}
