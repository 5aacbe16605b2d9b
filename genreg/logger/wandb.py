"""Weights & Biases."""

import os
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from genreg.errors import GenregError, InputError
from genreg.logger import server
from genreg.parameters import Positive, checked
from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config, data_name, experiment_name, hash_in, methods
from genreg.run.logger import Logger
from genreg.run.metric import metric_of

LAG = 4.0  # seconds until a server that has taken rows also shows them


class WandB(Logger):
    """Rows and summary as a W&B run; never asks, and never makes a run wait for a network but at its end.

    project, entity, group, name, tags: where the run belongs and what it is called; None: what the variables
    WANDB_PROJECT, WANDB_ENTITY, WANDB_RUN_GROUP, WANDB_NAME and WANDB_TAGS say, else `genreg`, the account's
    own, the arm, the arm and its seed. Tags are added to the methods and the data set. mode: `online`,
    `offline` (written into the run folder), or `auto`: WANDB_MODE, else online if there is a key and the
    server takes it. patience: seconds for the server to take what is left at the end of a run; half of them
    to answer at its start. The run's id is that of its folder, so a resumed run continues its own; its job
    type and the key `method` of its configuration are the regularizers.

    Of the rows in the run folder those are sent that come after the server's last step, so nothing depends
    on what an earlier start sent, or believed to have sent.
    """

    takes_files = True
    agent_variable = "WANDB_SWEEP_ID"

    @checked
    def __init__(
        self,
        *,
        project: str | None = None,
        entity: str | None = None,
        group: str | None = None,
        name: str | None = None,
        tags: list[str] | None = None,
        mode: Literal["auto", "online", "offline"] = "auto",
        patience: Positive = 20.0,
    ) -> None:
        given = {"--project": project, "--entity": entity}
        self.options = "".join(f" {option} {value}" for option, value in given.items() if value)
        self.project = project or os.environ.get("WANDB_PROJECT") or "genreg"
        self.entity = entity or os.environ.get("WANDB_ENTITY") or None
        self.group = group or os.environ.get("WANDB_RUN_GROUP")
        self.name = name or os.environ.get("WANDB_NAME")
        self.tags = os.environ.get("WANDB_TAGS", "").split(",") if tags is None else tags
        self.mode, self.patience = mode, patience
        self.run: Any = None
        self.why = ""  # the reason for being offline unasked
        self.shown, self.whole = 0, False  # number of runs; True if W&B has the last one
        self.folder = RunFolder(Path())

    def start(self, folder: RunFolder, config: Config) -> None:
        self.folder, self.defined = folder, {"step"}
        self.whole, self.next, self.caught_up = False, 0, False
        self.shown += 1
        if self.delivery == "online":
            self._start_online(config)
        if self.delivery != "online":
            self.caught_up = self._set_aside()  # W&B has the rows of before
            self.run = self._init(config)

    def _start_online(self, config: Config) -> None:
        """Go on after the server's last step; go offline if it refuses, or raise GenregError."""
        self.why = server.refused()
        try:
            self.run = None if self.why else self._init(config)
        except InputError:  # of this run's configuration
            raise
        except Exception as error:
            self.abandon()  # its process still holds the id of the run
            line = (str(error) or type(error).__name__).splitlines()[0]
            self.why = server.remember(line.rpartition(f"{run_id(self.folder, config)}: ")[2])
        if self.why and self.mode == "online":
            raise GenregError(self.why)
        if self.why:
            self.delivery = "offline"
        else:
            self.next = self.run.starting_step
            self._set_aside()  # `wandb sync` would repeat what is sent now

    @cached_property
    def delivery(self) -> str:
        """`online` or `offline`: what `mode` or the environment says, and what `auto` found."""
        mode = self.mode if self.mode != "auto" else os.environ.get("WANDB_MODE") or "auto"
        if mode != "auto":
            return mode
        self.why = server.refusal() if server.key() else ""
        return "online" if server.key() and not self.why else "offline"

    @property
    def place(self) -> Row:
        return {"project": self.project, "entity": self.entity, "mode": self.delivery}

    def covers(self, folder: RunFolder, before: Row, wanted: Row) -> bool:
        """As of every logger; online is more than offline, and then the server has the last word.

        Raises GenregError if the server does not say.
        """
        if self.why:
            raise GenregError(self.why)
        online = before.get("mode") == "online"
        if not super().covers(folder, before, wanted | ({"mode": "online"} if online else {})):
            return False
        if self.delivery != "online":
            return True
        last = max((int(row["step"]) for row in folder.rows()), default=-1)
        return server.last_step(self.entity, self.project, run_id(folder, folder.config())) >= last

    def prepare(self) -> str:
        """Ask the server once: runs that are started afterwards, here or in a fork, know the answer."""
        again = server.refused()
        if self.delivery == "online" or not self.why or again:
            return ""
        later = f"`genreg sync FOLDER --mode online{self.options}` sends them later"
        return f"offline, in the run folders: {self.why}; {later}"

    @property
    def note(self) -> str:
        if self.delivery == "online" and self.whole:
            return str(self.run.url if self.shown == 1 else self.run.project_url)
        one = self.shown == 1
        where = self.folder.path if one else "FOLDER"
        later = f"`genreg sync {where} --mode online{self.options}` sends {'it' if one else 'them'}"
        return f"offline, in {where}/wandb: {later}" if self.delivery == "offline" else later

    def clear(self, folder: RunFolder) -> None:
        """Raise InputError if offline files were uploaded and this run would be offline too.

        No file can continue them. Those that were not uploaded `start` sets aside.
        """
        if self.delivery != "online" and _uploaded(folder):
            raise InputError("--mode", "online: W&B has this run, offline files would repeat its rows")

    def _set_aside(self) -> bool:
        """Set aside offline files that `wandb sync` has not uploaded; True if it has uploaded others."""
        uploaded = _uploaded(self.folder)
        for path in sorted((self.folder.path / "wandb").glob("offline-run-*")):
            if path not in uploaded:
                aside = path.parent / "replaced"
                aside.mkdir(exist_ok=True)
                path.rename(aside / f"{len(list(aside.iterdir()))}-{path.name}")  # wandb may repeat a name
        return bool(uploaded)

    def _init(self, config: Config) -> Any:
        import wandb

        wandb.setup(wandb.Settings(silent=True))  # what it would print is said in our own lines
        return wandb.init(
            project=self.project,
            entity=self.entity,
            dir=str(self.folder.path.resolve()),  # wandb's own process keeps the folder it was started in
            id=run_id(self.folder, config),
            name=self.name or f"{experiment_name(config)} seed={config['seed']}",
            group=self.group or f"{experiment_name(config)}-{hash_in(self.folder.path, config)}",
            job_type=os.environ.get("WANDB_JOB_TYPE") or methods(config),
            tags=sorted({*config["regularizer"], data_name(config["dataset"]), *filter(None, self.tags)}),
            config={**config, "method": methods(config)},
            mode=self.delivery,  # type: ignore[arg-type]
            resume="allow",
            reinit="create_new",  # runs of one process may overlap
            settings=wandb.Settings(
                silent=True, x_disable_stats=True, console="off", init_timeout=self.patience / 2,
                finish_timeout=self.patience, finish_timeout_raises=True,
            ),
        )  # fmt: skip

    def show(self, row: Row, pictures: dict[str, Path]) -> None:
        """Log the row, behind those of the folder that the server lacks; unless it has this step."""
        if not self.caught_up:
            self._catch_up(before=row["step"])
        self._log(row, pictures)

    def _catch_up(self, before: float) -> None:
        """Log the rows of the folder up to a step, as far as the server lacks them."""
        pictures = self.folder.pictures()
        for row in self.folder.rows():
            if row["step"] < before:
                self._log(row, pictures.get(row["step"], {}))
        self.caught_up = True

    def _log(self, row: Row, pictures: dict[str, Path]) -> None:
        import wandb

        if row["step"] < self.next:
            return
        images = {name: wandb.Image(str(path)) for name, path in pictures.items()}
        self._define({**row, **images}.keys() - self.defined)
        self.run.log({**row, **images}, step=row["step"])
        self.next = row["step"] + 1

    def _define(self, names: set[str]) -> None:
        """Tell W&B what each new name is drawn over, and whether its largest or smallest value is best."""
        described = self.folder.summary().get("metrics") if names else None
        for name in sorted(names):
            metric = metric_of(name, described or {})
            best = None if metric.family.stderr_of else metric.better
            self.run.define_metric(name, step_metric="step", summary=best)
        self.defined |= names

    def add_files(self, folder: RunFolder) -> None:
        """Weights, pictures and configuration as one artifact; the same bytes are no new version of it."""
        import wandb

        artifact = wandb.Artifact(f"run-{self.run.id}", type="run")
        singles = (folder.path / name for name in ("config.yaml", "weights.pt", "curves.png"))
        pictures = (path for named in folder.pictures().values() for path in named.values())
        for path in filter(Path.is_file, (*singles, *pictures)):
            name = path.relative_to(folder.path).as_posix()
            artifact.add_file(str(path.resolve()), name, policy="immutable", skip_cache=True)  # not copied
        self.run.log_artifact(artifact)

    def finish(self, summary: Row) -> None:
        """End the run. Raises GenregError where W&B has not all of it, or not where it was to be."""
        try:
            if not self.caught_up:
                self._catch_up(before=float("inf"))
            self.run.summary.update({f"best/{k}": v for k, v in (summary.get("best") or {}).items()})
            self.run.summary.update({"status": summary["status"], "seconds": summary["seconds"]})
            self.run.finish(exit_code=0 if summary["status"] == "done" else 1)
        except TimeoutError as error:
            reason = f"{server.url()} did not take the rest within {self.patience:g} s"
            raise GenregError(server.remember(reason)) from error
        except Exception:
            self.abandon()  # its process has died
            raise
        if self.why:
            raise GenregError(self.why)
        if self.delivery == "online" and server.key():
            self._check()
        self.whole = True

    def _check(self) -> None:
        """Raise GenregError if the server lacks rows: W&B's own process gives up on what is refused."""
        end = time.monotonic() + LAG
        while (found := server.last_step(self.run.entity, self.run.project, self.run.id)) < self.next - 1:
            if time.monotonic() > end:
                raise GenregError(f"{server.url()} has rows up to step {max(found, 0)} of {self.next - 1}")
            time.sleep(server.PAUSE)

    def abandon(self) -> None:
        """End W&B's own process, for which Python would wait at its end."""
        from wandb.sdk import wandb_setup

        with suppress(Exception, SystemExit):  # teardown exits as the process did
            wandb_setup.singleton()._connection._proc._process.kill()  # type: ignore[union-attr]
            wandb_setup.teardown()


def run_id(folder: RunFolder, config: Config) -> str:
    """The W&B id of a run: that of its folder; a repeated one has another, for W&B has the rows of before."""
    again = f"-again-{folder.repeated}" if folder.repeated else ""
    return f"{hash_in(folder.path, config)}-{config['seed']}{again}"


def _uploaded(folder: RunFolder) -> list[Path]:
    """The offline files that `wandb sync` has uploaded."""
    paths = (folder.path / "wandb").glob("offline-run-*")
    return [path for path in paths if any(path.glob("*.wandb.synced"))]
