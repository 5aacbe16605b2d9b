"""A logger and a launcher of one's own: what is needed of them, and that those of genreg have it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY, Result, yaml_options
from test_launcher import VALLEY, finish, status
from test_sync import write

Genreg = Callable[..., Result]

LOGGERS = """
from genreg.run.logger import Logger


class Lines(Logger):
    def __init__(self, entity: str = "nobody") -> None:
        self.entity = entity

    def start(self, folder, config):
        self.file = (folder.path / "lines.txt").open("a")
        print(config["name"], self.entity, file=self.file)

    def show(self, row, pictures):
        print(row["step"], *pictures, file=self.file)

    def finish(self, summary):
        self.file.close()

    def clear(self, folder):
        (folder.path / "lines.txt").unlink(missing_ok=True)


class Bare:
    def __init__(self, entity):
        pass

    start = show = finish = clear = None
"""


def test_a_logger_of_ones_own(genreg: Genreg, tmp_path: Path) -> None:
    folder, mine = write(tmp_path / "arm/seed=3"), tmp_path / "mine"
    (mine / "logger").mkdir(parents=True)
    (mine / "lines_of_ours.py").write_text(LOGGERS)
    for name in ("Lines", "Bare"):
        (mine / "logger" / f"{name.lower()}.yaml").write_text(f"_target_: lines_of_ours.{name}\nentity: me\n")
    own = ["sync", str(tmp_path), "--config-dir", str(mine), "--to"]
    for _ in range(2):  # `clear` makes the second time the first
        assert genreg(*own, "lines", "--entity", "us").out.endswith("\n1 synced\n")
        assert (folder / "lines.txt").read_text() == "a/b us\n10\n20 samples\n30\n"
        (folder / "synced.json").unlink()
    for more, line in (
        (["lines", "--artifacts"], "--artifacts: expected a logger that takes files"),
        (["lines", "--mode", "online"], "--mode: expected a logger that has it, not lines"),
        (["bare"], "--to: expected a logger with abandon, add_files, agent_variable, covers, note"),
    ):
        assert genreg(*own, *more).err.startswith(f"genreg: {line}")


@pytest.mark.parametrize("name", [name for name in yaml_options("logger") if name != "none"])
def test_every_logger_is_one_that_sync_can_use(genreg: Genreg, tmp_path: Path, name: str) -> None:
    write(tmp_path / "seed=3")
    lines = genreg("sync", str(tmp_path), "--to", name).out.splitlines()
    assert any(line.startswith("synced ") for line in lines)  # some say something of their own


LAUNCHER = """
from genreg.study.job import run
from hydra_plugins.genreg_launcher import GenregLauncher


class Here(GenregLauncher):
    def run(self, jobs, table):
        print(len(jobs), "jobs", self.options)
        return [run(job, retry_failed=False) for job in jobs]

    def workers(self, jobs):
        return 7
"""


@pytest.mark.full
def test_a_launcher_of_ones_own(tmp_path: Path) -> None:
    """In processes of their own: Hydra looks for plugins once."""
    for name, content in (
        ("hydra_plugins/here_of_ours.py", LAUNCHER),
        ("hydra/launcher/here.yaml", "_target_: hydra_plugins.here_of_ours.Here\nhow: well\n"),
    ):
        (path := tmp_path / "mine" / name).parent.mkdir(parents=True)
        path.write_text(content)
    own = ["--config-dir", str(tmp_path / "mine"), *VALLEY, "hydra/launcher=here", "steps=4"]
    answer = finish(tmp_path, *own, "seed=0,1")
    assert answer.code == 0
    assert "\n2 jobs {'how': 'well'}\n" in answer.out
    assert status(tmp_path) == ["done", "done"]
    assert "with 7 at once, from 2 finished" in finish(tmp_path, *own, "seed=0,1,2", "--dry-run").out


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_launchers_that_hydra_has_as_plugins(genreg: Genreg, tmp_path: Path, launcher: str) -> None:
    """Their runs are the local launcher's, of a method of one's own too; what they write is beside them."""
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.removesuffix('_local')}_launcher")
    own = ["train", "-m", "--config-dir", str(REPOSITORY / "examples/my_method"), "regularizer=mine",
           "steps=10", "eval_every=5", "logger=none", "seed=0,1"]  # fmt: skip
    assert genreg(*own, "output_dir=local").code == 0
    answer = genreg(*own, f"hydra/launcher={launcher}", "output_dir=other")
    assert answer.code == 0, answer.err
    rows = {path: path.read_bytes() for path in tmp_path.rglob("metrics.jsonl")}
    assert len(rows) == 4
    assert len(set(rows.values())) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"local", "other"}
