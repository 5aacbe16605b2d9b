"""`genreg sync` with a W&B server: it sends what the server lacks, and `wandb sync` is no other run."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wandb
from conftest import SMOKE, Result
from test_sync import write
from wandb_server import wandb_server

from genreg.run.folder import RunFolder

Genreg = Callable[..., Result]


@pytest.mark.slow
def test_a_server_has_every_step_once(
    genreg: Genreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Synced, synced again with new rows, and again without memory of it: one run, its rows once."""
    folder = write(tmp_path / "seed=3")
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
        wandb.teardown()  # other tests have started it with another server
        for more in ("", '{"step": 40, "validation/accuracy": 0.3}\n', ""):
            with (folder / "metrics.jsonl").open("a") as file:
                file.write(more)
            (folder / "synced.json").unlink(missing_ok=True)
            answer = genreg("sync", str(tmp_path), "--mode", "online")
            assert answer.code == 0, answer.err
            (run,) = server.runs
            assert [shown(row) for row in server.rows(run)] == RunFolder(folder).rows()


def shown(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key[0] != "_" and key != "samples"}


@pytest.mark.slow
def test_what_wandb_sync_uploads_is_one_run(
    genreg: Genreg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline files of training and of sync, and then more rows: these only `--mode online` can add."""
    assert genreg("train", *SMOKE, "logger=wandb").code == 0
    assert genreg("sync", "outputs").code == 0
    (folder,) = (RunFolder(path.parent) for path in tmp_path.rglob("metrics.jsonl"))
    offline = [str(path) for path in (folder.path / "wandb").glob("offline-run-*")]
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
        wandb.teardown()  # it has read the environment when the run was trained
        command = [sys.executable, "-m", "wandb", "sync", *offline]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        (run,) = server.runs
        assert [shown(row) for row in server.rows(run)] == folder.rows()
        with (folder.path / "metrics.jsonl").open("a") as file:
            file.write('{"step": 40, "validation/accuracy": 0.3}\n')
        refused = genreg("sync", "outputs", "--mode", "offline")
        assert refused.code == 2
        assert "--mode: expected online: W&B has this run" in refused.err
        assert genreg("sync", "outputs", "--mode", "online").code == 0
        assert [run] == list(server.runs)
        assert [shown(row) for row in server.rows(run)] == folder.rows()
