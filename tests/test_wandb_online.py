"""Runs that train with a W&B server that fails: nothing waits for long, and in the end it has every row."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
from conftest import SMOKE, Result
from test_resume import checkpoints, run_folder, start, wait_until
from test_sync import write
from test_sync_server import shown
from wandb.sdk import wandb_setup
from wandb_server import SILENT, Server, wandb_server

from genreg.logger import WandB
from genreg.logger import server as asked
from genreg.run import logger as protocol
from genreg.run.folder import RunFolder
from genreg.run.logger import SafeLogger

Genreg = Callable[..., Result]
pytestmark = pytest.mark.full

FAULTS = {401: "HTTP 401", 500: "did not take the rest within 2 s", 429: "did not take the rest within 2 s",
          SILENT: "did not take the rest within 2 s"}  # fmt: skip


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server for which this process has a key, and is patient for a second."""
    monkeypatch.setattr(asked, "PATIENCE", 1.0)
    monkeypatch.setattr(asked, "_refused", {})
    monkeypatch.setattr("genreg.logger.wandb.LAG", 1.0)
    with wandb_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        wandb.teardown()  # other tests have started it with another server
        yield server
        WandB().abandon()


def trained(folder: Path, patience: float = 2.0, meanwhile: Callable[[], None] = lambda: None) -> WandB:
    """Show a run of three rows as training does; `meanwhile` happens before its last row."""
    run, logger = RunFolder(folder), WandB(patience=patience)
    safe = SafeLogger("wandb", logger)
    safe.start(run, run.config())
    rows = run.rows()
    for row in rows[:2]:
        safe.show(row, run.pictures().get(row["step"], {}))
    wait_until(lambda: safe.thread.answered == 3, seconds=20)
    meanwhile()
    safe.show(rows[2], {})
    safe.finish(run.summary())
    return logger


def rows_of(server: Server) -> list[list[dict[str, Any]]]:
    return [[shown(row) for row in server.rows(run)] for run in server.runs]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_fails_in_the_middle(
    genreg: Genreg, tmp_path: Path, here: Server, fault: int, caplog: Any, capfd: Any
) -> None:
    """One warning with the command that sends the rest: it fails as long as the server does."""
    folder = write(tmp_path / "arm/seed=3")
    with caplog.at_level(logging.WARNING, "genreg"):
        trained(folder, meanwhile=lambda: setattr(here, "fault", lambda number: fault))
    (line,) = (record.getMessage() for record in caplog.records if record.name == "genreg")
    assert line.startswith("logger.wandb stopped (the run folder is complete): ")
    assert FAULTS[fault] in line
    assert line.endswith(f"`genreg sync {folder} --mode online` sends it")
    asked._refused.clear()
    capfd.readouterr()
    refused = genreg("sync", str(folder))
    assert (refused.code, refused.out.splitlines()[-1]) == (1, "1 failed")
    (line,) = refused.err.splitlines()
    assert line.startswith(f"genreg: {folder}: ")
    here.fault = lambda number: None
    asked._refused.clear()
    for result in ("synced", "unchanged"):
        answer = genreg("sync", str(folder))
        assert (answer.code, answer.out.split()[0]) == (0, result), answer.err
    assert rows_of(here) == [RunFolder(folder).rows()]


@pytest.mark.parametrize("fault", [500, 429])
def test_a_server_that_fails_now_and_then_has_every_row(tmp_path: Path, here: Server, fault: int) -> None:
    here.fault = lambda number: fault if number % 3 == 0 else None
    folder = write(tmp_path / "arm/seed=3")
    logger = trained(folder, patience=20.0)
    assert logger.note == logger.run.url
    assert rows_of(here) == [RunFolder(folder).rows()]


def test_what_a_server_has_lost_or_never_had_is_sent(genreg: Genreg, tmp_path: Path, here: Server) -> None:
    """Whatever was believed to be synced: rows after its last step are sent again."""
    folder = write(tmp_path / "arm/seed=3")
    for result in ("synced", "unchanged"):
        assert genreg("sync", ".").out.startswith(result)
    (run,) = here.runs
    for line in (1, 2):
        del here.lines[run][line]
    assert genreg("sync", ".").out.startswith("synced")
    assert rows_of(here) == [RunFolder(folder).rows()]


def test_a_run_that_cannot_be_shown_is_no_refusal_of_the_server(
    genreg: Genreg, tmp_path: Path, here: Server
) -> None:
    bad, good = write(tmp_path / "bad/seed=3"), write(tmp_path / "good/seed=3")
    config = (bad / "config.yaml").read_text()
    (bad / "config.yaml").write_text(config.replace("a/b", "../../b"))
    assert genreg("sync", ".").out.endswith("1 failed, 1 synced; " + f"{here.url}/someone/genreg\n")
    assert rows_of(here) == [RunFolder(good).rows()]


def test_rows_of_an_offline_start_arrive_with_an_online_one(
    tmp_path: Path, here: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(write(tmp_path / "arm/seed=3"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    trained(folder.path)
    assert here.requests == 0
    monkeypatch.delenv("WANDB_MODE")
    resumed = SafeLogger("wandb", WandB())
    resumed.start(folder, folder.config())
    resumed.show(folder.rows()[2], {})  # the first since its checkpoint
    resumed.finish(folder.summary())
    assert rows_of(here) == [folder.rows()]


def test_a_process_of_wandb_that_is_stuck_holds_nothing(
    genreg: Genreg, tmp_path: Path, here: Server, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """It is ended, and the next run has another one."""

    def stop() -> None:
        service: Any = wandb_setup.singleton()._connection
        os.kill(service._proc._process.pid, signal.SIGSTOP)

    folder = write(tmp_path / "arm/seed=3")
    with caplog.at_level(logging.WARNING, "genreg"), monkeypatch.context() as short:
        short.setattr(protocol, "GRACE", 0.5)
        trained(folder, patience=0.5, meanwhile=stop)
    assert "no answer within 1 s" in caplog.text
    assert genreg("sync", ".").code == 0
    assert rows_of(here) == [RunFolder(folder).rows()]


COMMAND = [sys.executable, "-m", "genreg", "train", *SMOKE, "logger=wandb", "quiet=true", "steps=600",
           "log_every=20", "eval_every=20", "checkpoint_every=100"]  # fmt: skip


def test_killed_and_resumed(tmp_path: Path, here: Server) -> None:
    """The rows between the last that arrived and the checkpoint are no longer made: the folder has them."""
    process = start(tmp_path, command=COMMAND)
    wait_until(lambda: len(checkpoints(tmp_path)) >= 2)
    process.kill()
    process.communicate()
    process = start(tmp_path, command=COMMAND)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    assert rows_of(here) == [run_folder(tmp_path).rows()]


def test_a_sweep_asks_a_server_that_refuses_once(genreg: Genreg, tmp_path: Path, here: Server) -> None:
    """One line on the terminal, one in each job's log, and one question in all."""
    here.fault = lambda number: 401
    answer = genreg("train", "-m", *SMOKE, "logger=wandb", "seed=range(3)", "hydra.launcher.workers=2")
    assert answer.code == 0
    told = [line for line in answer.err.splitlines() if line.startswith("logger.wandb: ")]
    assert told == [
        f"logger.wandb: offline, in the run folders: HTTP 401 Unauthorized from {here.url}; "
        "`genreg sync FOLDER --mode online` sends them later"
    ]
    assert here.requests == 1
    for path in tmp_path.rglob("job.log"):
        (line,) = (line for line in path.read_text().splitlines() if "logger.wandb" in line)
        assert "HTTP 401" in line
        assert line.endswith("--mode online` sends it")
