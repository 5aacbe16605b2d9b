"""W&B offline, TensorBoard, and what happens when a logger fails."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import SMOKE, Result
from wandb_server import SILENT, wandb_server

from genreg.logger import WandB, server
from genreg.run.folder import RunFolder
from genreg.run.logger import SafeLogger

CONFIG = {"name": "a/b", "seed": 0, "regularizer": {}, "dataset": {"_target_": "genreg.dataset.digits"}}


def offline_runs(folder: Path) -> list[Path]:
    return sorted(folder.rglob("offline-run-*/*.wandb"))


def leveldb_records(raw: bytes) -> Iterator[bytes]:
    """Payloads of a LevelDB log: after 7 bytes of file header, frames of checksum (4), size (2) and type (1)
    in blocks of 32 KiB; type 1 is a whole record, 2, 3 and 4 its first, middle and last parts."""
    at, parts = 7, b""
    while at + 7 <= len(raw):
        left = 32_768 - at % 32_768
        if left < 7:
            at += left
            continue
        size, kind = int.from_bytes(raw[at + 4 : at + 6], "little"), raw[at + 6]
        parts += raw[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):
            yield parts
            parts = b""


def read_wandb(path: Path) -> tuple[Any, list[dict[str, Any]]]:
    """The run record and the rows of a W&B transaction log."""
    from wandb.proto import wandb_internal_pb2

    run, rows = None, []
    for payload in leveldb_records(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(payload)
        if record.WhichOneof("record_type") == "run":
            run = record.run
        elif record.WhichOneof("record_type") == "history":
            rows.append(
                {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
            )
    return run, rows


@pytest.mark.full
def test_wandb_writes_the_rows_offline(genreg: Callable[..., Result], tmp_path: Path) -> None:
    for seed in (0, 1):
        assert genreg("train", *SMOKE, "logger=wandb", f"seed={seed}").code == 0
    paths = offline_runs(tmp_path)
    assert len(paths) == 2
    found = [read_wandb(path) for path in paths]
    runs = [run for run, _ in found]
    assert len({run.run_id for run in runs}) == 2
    assert {run.run_group for run in runs} == {
        next(tmp_path.glob("outputs/smoke/*")).relative_to(tmp_path / "outputs").as_posix()
    }
    assert {run.job_type for run in runs} == {"vat"}
    assert {tuple(run.tags) for run in runs} == {("two_moons", "vat")}
    for path, (_, rows) in zip(paths, found, strict=True):
        folder = next(parent for parent in path.parents if parent.name.startswith("seed="))
        ours = RunFolder(folder).rows()
        assert [float(row["validation/accuracy"]) for row in rows if "validation/accuracy" in row] == [
            row["validation/accuracy"] for row in ours if "validation/accuracy" in row
        ]
        assert [float(row["train/vat"]) for row in rows] == [row["train/vat"] for row in ours]


@pytest.mark.full
def test_several_loggers_at_once(genreg: Callable[..., Result], tmp_path: Path) -> None:
    assert genreg("train", *SMOKE, "logger=[wandb,tensorboard]").code == 0
    assert len(offline_runs(tmp_path)) == 1
    (events,) = tmp_path.rglob("events.out.tfevents.*")
    from tensorboardX.proto.event_pb2 import Event

    raw, at, steps = events.read_bytes(), 0, []  # frames of size (8), checksum (4), payload, checksum (4)
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 8], "little")
        event = Event.FromString(raw[at + 12 : at + 12 + size])
        steps += [event.step for value in event.summary.value if value.tag == "validation/accuracy"]
        at += 16 + size
    assert steps == [10, 20, 30]


def test_online_needs_a_key_and_a_server_that_takes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with wandb_server() as here:
        monkeypatch.setenv("WANDB_BASE_URL", here.url)
        assert WandB().delivery == "offline"
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
        assert WandB().delivery == "online"
        monkeypatch.delenv("WANDB_API_KEY")
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password secret\n")
        assert WandB().delivery == "online"
        here.fault = lambda number: 401
        refused = WandB()
        assert (refused.delivery, refused.why) == ("offline", f"HTTP 401 Unauthorized from {here.url}")
        asked = here.requests
        assert WandB().delivery == "offline"  # the next run does not ask again
        assert here.requests == asked
    monkeypatch.setattr(server, "_refused", {})
    assert "Connection refused" in WandB().prepare()


@pytest.mark.parametrize("fault", [500, 429, SILENT])
def test_a_server_is_asked_again_as_long_as_that_may_help(
    monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    monkeypatch.setattr(server, "PATIENCE", 1.2)
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    with wandb_server() as here:
        monkeypatch.setenv("WANDB_BASE_URL", here.url)
        here.fault = lambda number: fault if number == 1 and fault != SILENT else None
        assert server.refusal() == ""
        here.fault = lambda number: fault
        assert ("no answer from" if fault == SILENT else f"HTTP {fault}") in server.refusal()


def test_a_failing_logger_warns_once_and_the_run_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def start(self, *_: Any) -> None:
            raise OSError("no space\nleft")

        show = finish = start

    guarded = SafeLogger("broken", Broken())
    with caplog.at_level(logging.WARNING):
        guarded.start(RunFolder(Path()), {})
        guarded.show({"step": 1}, {})
        guarded.finish({})
    (record,) = caplog.records
    assert record.getMessage() == (
        "logger.broken stopped (the run folder is complete): no space; "
        "`genreg sync . --to broken` shows it afterwards"
    )


@pytest.mark.full
def test_wandb_never_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a key, and with no terminal to answer on, the run starts offline."""
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda prompt="": asked.append(prompt) or "")  # type: ignore[func-returns-value]
    logger = WandB()
    logger.start(RunFolder(tmp_path), CONFIG)
    assert logger.run.settings.mode == "offline"
    logger.finish({"status": "done", "seconds": 0.0, "best": None})
    assert asked == []


def test_a_repeated_run_is_a_run_of_its_own_in_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B would keep the rows of the run of before, whose steps it has."""
    ids: list[str] = []
    monkeypatch.setattr("wandb.init", lambda **given: ids.append(given["id"]))
    folder = RunFolder(tmp_path / "seed=0")
    for _ in range(2):
        folder.path.mkdir()
        WandB(mode="offline").start(folder, CONFIG)
        folder.set_aside()
    assert ids[1] == f"{ids[0]}-again-1"


class Recorded:
    """A W&B run that keeps what it is told."""

    starting_step = 0

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}
        self.metrics: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}

    def define_metric(self, name: str, *, step_metric: str, summary: str | None) -> None:
        self.metrics[name] = (step_metric, summary)

    def log(self, row: dict[str, Any], step: int) -> None:
        self.rows.append(row)

    def finish(self, exit_code: int) -> None:
        pass


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    """The W&B runs that were started, each with the arguments of `wandb.init`."""
    runs: list[Recorded] = []

    def init(**given: Any) -> Recorded:
        runs.append(Recorded())
        runs[-1].given = given
        return runs[-1]

    monkeypatch.setattr("wandb.init", init)
    return runs


VARIABLES = {"WANDB_PROJECT": "p", "WANDB_ENTITY": "e", "WANDB_RUN_GROUP": "g", "WANDB_NAME": "n",
             "WANDB_TAGS": "s,t", "WANDB_JOB_TYPE": "j", "WANDB_MODE": "offline"}  # fmt: skip


def test_the_environment_is_heard_unless_the_configuration_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, recorded: list[Recorded], tmp_path: Path
) -> None:
    explicit: dict[str, Any] = {"project": "P", "entity": "E", "group": "G", "name": "N", "tags": ["T"],
                                "mode": "online"}  # fmt: skip
    for variable, value in VARIABLES.items():
        monkeypatch.setenv(variable, value)
    for chosen in ({}, explicit):
        WandB(**chosen).start(RunFolder(tmp_path), CONFIG)
    keys = ("project", "entity", "group", "name", "tags", "job_type", "mode")
    heard, overridden = ([run.given[key] for key in keys] for run in recorded)
    assert heard == ["p", "e", "g", "n", ["digits", "s", "t"], "j", "offline"]
    assert overridden == ["P", "E", "G", "N", ["T", "digits"], "j", "online"]
    for variable in VARIABLES:
        monkeypatch.delenv(variable)
    WandB(mode="offline").start(RunFolder(tmp_path), CONFIG)
    assert recorded[2].given["project"] == "genreg"


def test_wandb_knows_steps_methods_and_which_way_is_better(
    genreg: Callable[..., Result], recorded: list[Recorded]
) -> None:
    given = ["regularizer=[vat,entropy]", "logger=wandb", "quiet=true"]
    assert genreg("train", *SMOKE, *given).code == 0
    (run,) = recorded
    assert run.given["config"]["method"] == "entropy+vat"
    assert run.metrics["validation/accuracy"] == ("step", "max")
    assert run.metrics["test/cross_entropy"] == ("step", "min")
    assert run.metrics["train/vat"] == ("step", None)
    assert set().union(*run.rows) == {"step", *run.metrics}


@pytest.mark.full
def test_a_trial_of_an_agent(
    genreg: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, recorded: list[Recorded], tmp_path: Path
) -> None:
    """Its --key=value is an override, and a trial that was finished before reports all the same."""
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    for _ in range(2):
        answer = genreg("train", *SMOKE, "--logger=wandb", "--regularizer.vat.epsilon=0.25")
        assert answer.code == 0, answer.err
    assert "finished already" in answer.out
    first, second = recorded
    assert second.rows == first.rows
    assert len(first.rows) == 6
    assert second.summary == first.summary
    assert "best/validation/accuracy" in second.summary
    assert second.given["config"]["regularizer"]["vat"]["epsilon"] == 0.25
    assert genreg("train", *SMOKE, "--logger=none", "--regularizer.vat.epsilon=0.25").code == 0
    assert len(recorded) == 2
