"""MLflow and Trackio as they are: every row once, of a run that was resumed too, and by `genreg sync`."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Result
from test_sync import write

from genreg.logger import MLflow, Trackio
from genreg.run.folder import Row, RunFolder
from genreg.run.logger import Logger, SafeLogger

pytestmark = pytest.mark.full

BEST = 20  # the step that validation chose, of `write`
Read = Callable[[Path], list[list[Row]]]


def of_mlflow(folder: Path) -> list[list[Row]]:
    """The rows of each run, read by MLflow's own client."""
    client = pytest.importorskip("mlflow").MlflowClient(f"sqlite:///{folder}/mlflow.db")
    place = client.get_experiment_by_name("genreg")
    found = []
    for run in client.search_runs([place.experiment_id]):
        rows: dict[int, Row] = {}
        for name in run.data.metrics:
            for metric in client.get_metric_history(run.info.run_id, name):
                if name.startswith("best/"):
                    assert metric.step == BEST
                else:
                    row = rows.setdefault(metric.step, {"step": metric.step})
                    assert name not in row, f"{name} twice at step {metric.step}"
                    row[name] = metric.value
        found.append([rows[step] for step in sorted(rows)])
    return found


def of_trackio(folder: Path) -> list[list[Row]]:
    """The rows of each run, read by Trackio's own storage."""
    pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage

    own = ("step", "timestamp")  # beside them, pictures are dictionaries
    return [
        [{"step": row["step"]} | {k: v for k, v in row.items() if k not in own and not isinstance(v, dict)}
         for row in SQLiteStorage.get_logs("genreg", record["name"], run_id=record["id"])]
        for record in SQLiteStorage.get_run_records("genreg")
    ]  # fmt: skip


@pytest.fixture(params=["mlflow", "trackio"])
def logger(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Read]:
    name: str = request.param
    pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    if name == "trackio":
        from trackio import sqlite_storage, utils

        monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
        for module in (sqlite_storage, utils):
            monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "trackio")
    return name, {"mlflow": of_mlflow, "trackio": of_trackio}[name]


def shown(folder: RunFolder) -> list[Row]:
    return [{k: v for k, v in row.items() if not isinstance(v, str)} for row in folder.rows()]


def test_every_row_is_there_once(
    genreg: Callable[..., Result], tmp_path: Path, logger: tuple[str, Read], caplog: pytest.LogCaptureFixture
) -> None:
    """A start that ends after two rows, one that goes on from the checkpoint before, and `sync` of it all."""
    name, read = logger
    kind: Callable[[], Logger] = {"mlflow": MLflow, "trackio": Trackio}[name]
    folder = RunFolder(write(tmp_path / "arm/seed=3"))
    rows = folder.rows()
    for part in (rows[:2], rows[1:]):
        view = SafeLogger(name, kind())
        view.start(folder, folder.config())
        for row in part:
            view.show(row, {})
        view.finish(folder.summary())
    assert not [
        record for record in caplog.records if (record.name, record.levelname) == ("genreg", "WARNING")
    ]
    assert read(tmp_path) == [shown(folder)]
    for result in ("synced", "unchanged"):
        answer = genreg("sync", ".", "--to", name)
        assert answer.code == 0, answer.err
        assert result in answer.out
        assert read(tmp_path) == [shown(folder)]


def test_without_its_package_a_run_goes_on_and_says_what_to_install(
    genreg: Callable[..., Result], tmp_path: Path, logger: tuple[str, Read], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _ = logger
    monkeypatch.setitem(sys.modules, name, None)
    write(tmp_path / "arm/seed=3")
    answer = genreg("sync", ".", "--to", name)
    assert answer.code == 1
    assert f"pip install -e '.[{name}]'" in answer.err


def test_jobs_that_start_together_make_one_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    folders = [RunFolder(write(tmp_path / f"arm/seed={seed}", seed=seed)) for seed in range(2)]

    def show(folder: RunFolder) -> None:
        view = MLflow()
        view.start(folder, folder.config())
        for row in folder.rows():
            view.show(row, {})
        view.finish(folder.summary())

    with ThreadPoolExecutor(len(folders)) as pool:
        list(pool.map(show, folders))
    assert of_mlflow(tmp_path) == [shown(folder) for folder in folders]  # a run each, of one content
