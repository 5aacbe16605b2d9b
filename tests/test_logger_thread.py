"""A logger's own thread: whatever a logger does, the run goes on, ends, and says one line of it."""

import errno
import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorboardX.record_writer
from conftest import Result
from test_sync import events, write

from genreg.logger import TensorBoard
from genreg.run import logger as protocol
from genreg.run.folder import RunFolder
from genreg.run.logger import Logger, SafeLogger

Genreg = Callable[..., Result]
ROWS = [{"step": step, "validation/accuracy": step / 100} for step in range(10, 130, 10)]


def shown(logger: Any, folder: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings of a run that is shown to a logger."""
    safe = SafeLogger("ours", logger)
    with caplog.at_level(logging.WARNING):
        safe.start(RunFolder(folder), {})
        for row in ROWS:
            safe.show(row, {})
        safe.finish({"status": "done"})
    return [record.getMessage() for record in caplog.records]


class Slow(Logger):
    """Never comes back from one of its methods."""

    patience = 0.1

    def __init__(self, method: str, interrupts: bool = False) -> None:
        self.interrupts, self.abandoned, self.forever = interrupts, 0, threading.Event()
        setattr(self, method, self.wait)

    def wait(self, *_: Any) -> None:
        if self.interrupts:
            os.kill(os.getpid(), signal.SIGINT)
        self.forever.wait()

    def abandon(self) -> None:
        self.abandoned += 1
        self.forever.set()


@pytest.mark.parametrize("method", ["start", "show", "finish"])
def test_a_logger_that_does_not_come_back_is_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    monkeypatch.setattr(protocol, "SOON", 0.0)
    monkeypatch.setattr(protocol, "GRACE", 0.1)
    logger = Slow(method)
    (line,) = shown(logger, Path("run"), caplog)
    assert line == (
        "logger.ours stopped (the run folder is complete): no answer within 0.2 s; "
        "`genreg sync run --to ours` shows it afterwards"
    )
    assert logger.abandoned == 1


def test_ctrl_c_ends_the_waiting_and_not_the_run(caplog: pytest.LogCaptureFixture) -> None:
    logger = Slow("finish", interrupts=True)
    (line,) = shown(logger, Path("run"), caplog)
    assert "not waited for any longer (Ctrl-C)" in line
    assert logger.abandoned == 1


def test_a_slow_logger_is_waited_for_as_long_as_it_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each of its calls takes a quarter of its patience, all of them three times."""
    monkeypatch.setattr(protocol, "SOON", 0.0)
    monkeypatch.setattr(protocol, "GRACE", 0.0)
    seen: list[Any] = []

    class Steady(Logger):
        patience = 0.2

        def show(self, row: Any, pictures: Any) -> None:
            threading.Event().wait(0.05)
            seen.append(row)

    assert shown(Steady(), Path("run"), caplog) == []
    assert seen == ROWS


class FullDisk:
    """A file of which one operation fails, when `left` others were made."""

    def __init__(self, file: Any, left: list[int]) -> None:
        self.file, self.left = file, left

    def count(self) -> None:
        self.left[0] -= 1
        if self.left[0] == -1:
            raise OSError(errno.ENOSPC, "No space left on device")

    def write(self, data: bytes) -> None:
        self.count()
        self.file.write(data)

    def flush(self) -> None:
        self.count()
        self.file.flush()

    def fileno(self) -> int:
        self.count()
        return int(self.file.fileno())

    def close(self) -> None:
        self.file.close()
        self.count()


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of operations on event files until the disk is full for one of them."""
    left = [1_000_000]
    opened = tensorboardX.record_writer.open_file
    monkeypatch.setattr(tensorboardX.record_writer, "open_file", lambda path: FullDisk(opened(path), left))
    return left


def test_a_full_disk_is_one_warning_of_tensorboard(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, left: list[int]
) -> None:
    """At any operation on its file: four for each event, two for each row, and to close it."""
    assert shown(TensorBoard(), tmp_path, caplog) == []
    operations = 1_000_000 - left[0]
    assert operations == 4 * 13 + 2 * 12 + 1
    for number in range(0, operations, 7):
        left[0] = number
        caplog.clear()
        (line,) = shown(TensorBoard(), tmp_path, caplog)
        assert "[Errno 28] No space left on device" in line, number


def test_a_full_disk_is_a_failure_of_sync(genreg: Genreg, tmp_path: Path, left: list[int]) -> None:
    """Of that run alone; once there is room again it is shown whole."""
    write(tmp_path / "seed=3")
    for left[0] in (0, 7, 20):
        answer = genreg("sync", ".", "--to", "tensorboard")
        assert (answer.code, answer.out.splitlines()[-1]) == (1, "1 failed")
        assert answer.err == "genreg: seed=3: OSError: [Errno 28] No space left on device\n"
    left[0] = 1_000_000
    assert genreg("sync", ".", "--to", "tensorboard").code == 0
    values, pictures = events(tmp_path)
    assert [step for step, _ in values] == [10, 20, 30]
    assert pictures == [20]


def test_ctrl_c_is_never_an_empty_line(genreg: Genreg, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("genreg.cli.verbs.app", interrupted)
    assert genreg("sync", ".") == Result(130, "", "genreg: interrupted\n")
