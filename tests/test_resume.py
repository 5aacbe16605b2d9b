"""Killed at any instant and started again by the same command: the same bytes in the end."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genreg.run.folder import RunFolder

COMMAND = [sys.executable, "-m", "genreg", "train", "regularizer=[vat,entropy]", "model.batch_norm=true",
           "model.dropout=0.3", "model.widths=[32]", "scheduler=cosine", "device=cpu", "logger=none",
           "steps=1200", "log_every=7", "eval_every=50", "checkpoint_every=25", "quiet=true"]  # fmt: skip


GAN = [sys.executable, "-m", "genreg", "train", "task=wgan", "dataset.labeled=80", "model.widths=[32,32]",
       "model.generator_widths=[32]", "regularizer=[gradient_penalty,spectral_normalization]",
       "optimizer@generator_optimizer=rmsprop", "task.ema_decay=0.9",
       "measure=[sliced_wasserstein,gradient_norm]",
       "task.select=sliced_wasserstein", "scheduler=cosine", "device=cpu", "logger=none", "steps=300",
       "log_every=7", "eval_every=50", "checkpoint_every=25", "quiet=true"]  # fmt: skip


def start(folder: Path, **options: object) -> subprocess.Popen[bytes]:
    command: Any = options.pop("command", COMMAND)
    return subprocess.Popen(
        [*command, f"output_dir={folder}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )  # type: ignore[call-overload]


def finish(folder: Path, command: list[str] = COMMAND) -> RunFolder:
    process = start(folder, command=command)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()
    return run_folder(folder)


def run_folder(folder: Path) -> RunFolder:
    (path,) = folder.glob("*/*/seed=0")
    return RunFolder(path)


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*/seed=0/checkpoint-*.pt"))


def check_equal(a: RunFolder, b: RunFolder) -> None:
    """The metric rows are the same bytes, the weights the same bits, the summaries agree but for seconds."""
    assert (a.path / "metrics.jsonl").read_bytes() == (b.path / "metrics.jsonl").read_bytes()
    assert {**a.summary(), "seconds": 0} == {**b.summary(), "seconds": 0}
    for name in ("weights.pt", "last_weights.pt"):
        ours, theirs = (torch.load(run.path / name, weights_only=True) for run in (a, b))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return finish(tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_stopped_once(undisturbed: RunFolder, tmp_path: Path, number: int) -> None:
    process = start(tmp_path)
    wait_until(lambda: len(checkpoints(tmp_path)) >= 2)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        assert run_folder(tmp_path).summary()["status"] == "running"
    else:
        assert process.returncode == 130
        assert b"the same command resumes it" in err
        assert run_folder(tmp_path).summary()["status"] == "interrupted"
    check_equal(finish(tmp_path), undisturbed)


@pytest.mark.full
def test_two_players_killed(tmp_path: Path) -> None:
    """Both players, the average, both optimizers, u and v, the best weights and histograms: all the same."""
    undisturbed = finish(tmp_path / "undisturbed", GAN)
    for kill in range(2):
        process = start(tmp_path / "killed", command=GAN)
        wait_until(lambda seen=4 * kill + 2: newest(tmp_path / "killed") >= 25 * seen)
        process.kill()
        process.communicate()
    again = finish(tmp_path / "killed", GAN)
    check_equal(again, undisturbed)
    ours, theirs = (dict(np.load(run.path / "histograms.npz")) for run in (again, undisturbed))
    assert len(ours) == 8
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    assert sum(counts.sum() for name, counts in ours.items() if "edges" not in name) > 0


def newest(folder: Path) -> int:
    """The step of the newest checkpoint, 0 if there is none."""
    return max((int(path.name.split("-")[1]) for path in checkpoints(folder)), default=0)


@pytest.mark.full
@pytest.mark.parametrize("damage", ["cut", "flipped", "all"])
def test_damaged_checkpoints(undisturbed: RunFolder, tmp_path: Path, damage: str) -> None:
    process = start(tmp_path)
    wait_until(lambda: len(checkpoints(tmp_path)) >= 2)
    process.kill()
    process.communicate()
    found = checkpoints(tmp_path)
    for path in found if damage == "all" else found[-1:]:
        payload = bytearray(path.read_bytes())
        payload[len(payload) // 2] ^= 1
        path.write_bytes(payload[:100] if damage == "cut" else payload)
    check_equal(finish(tmp_path), undisturbed)


@pytest.mark.full
def test_a_full_disk_breaks_a_run_with_its_reason_and_it_can_go_on(
    undisturbed: RunFolder, tmp_path: Path
) -> None:
    """Files may not outgrow 12 KiB: rows fit, a checkpoint does not (the kernel's answer to a full quota)."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (12_288, 12_288))  # noqa: E731
    process = start(tmp_path, preexec_fn=limit)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"File too large" in err
    assert len(err.splitlines()) <= 3
    assert run_folder(tmp_path).summary()["status"] == "broken"
    assert not list(tmp_path.rglob("*.unfinished"))
    check_equal(finish(tmp_path), undisturbed)


@pytest.mark.full
def test_a_second_process_is_refused(undisturbed: RunFolder, tmp_path: Path) -> None:
    first = start(tmp_path)
    wait_until(lambda: checkpoints(tmp_path))
    first.send_signal(signal.SIGSTOP)
    second = start(tmp_path)
    _, err = second.communicate(timeout=60)
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 1
    assert b"in use by another process" in err
    assert first.wait(timeout=60) == 0
    check_equal(run_folder(tmp_path), undisturbed)


@pytest.mark.slow
def test_twenty_kills_at_random_instants(undisturbed: RunFolder, tmp_path: Path) -> None:
    """Each start is killed a random time after it is seen to work, so that every part of the step is hit."""
    draw = random.Random(0)
    for kill in range(20):
        process = start(tmp_path)
        wait_until(partial(started, process))
        time.sleep(draw.uniform(0, 0.12))
        assert process.poll() is None, f"the run ended after {kill} kills"
        process.kill()
        process.communicate()
    check_equal(finish(tmp_path), undisturbed)


def started(process: subprocess.Popen[bytes]) -> bool:
    """Whether this process has opened its row file."""
    with suppress(FileNotFoundError):  # a descriptor closed while they are read
        descriptors = Path(f"/proc/{process.pid}/fd").iterdir()
        return any("metrics.jsonl" in os.readlink(fd) for fd in descriptors)
    return False
