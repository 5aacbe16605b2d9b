"""Weights & Biases."""

import netrc
import os
import socket
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

from genreg.errors import InputError
from genreg.parameters import checked
from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config, data_name, experiment_name, hash_in, methods
from genreg.run.logger import Logger
from genreg.run.metric import metric_of

PATIENCE = 2.0  # seconds to wait for a connection before the run goes on offline
INIT_PATIENCE = 10.0  # seconds to wait for the server's answer to a new run


class WandB(Logger):
    """Rows and summary as a W&B run; never asks, never waits for a network.

    project, entity, group, name, tags: where the run belongs and what it is called; None: what the variables
    WANDB_PROJECT, WANDB_ENTITY, WANDB_RUN_GROUP, WANDB_NAME and WANDB_TAGS say, else `genreg`, the account's
    own, the arm, the arm and its seed. Tags are added to the methods and the data set. mode: `online`,
    `offline` (written into the run folder, for `wandb sync`), or `auto`: WANDB_MODE, else online if there is
    a key and the server answers within two seconds. The run's id is that of its folder, so a resumed run
    continues its own; its job type and the key `method` of its configuration are the regularizers.
    """

    takes_files = True

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
    ) -> None:
        self.project = project or os.environ.get("WANDB_PROJECT") or "genreg"
        self.entity = entity or os.environ.get("WANDB_ENTITY") or None
        self.group = group or os.environ.get("WANDB_RUN_GROUP")
        self.name = name or os.environ.get("WANDB_NAME")
        self.tags = os.environ.get("WANDB_TAGS", "").split(",") if tags is None else tags
        self.mode = mode
        self.run: Any = None

    def start(self, folder: RunFolder, config: Config) -> None:
        self.folder, self.defined = folder, {"step"}
        try:
            self.run = self._init(folder, config)
        except Exception:
            if self.delivery != "online" or self.mode == "online":
                raise
            import wandb

            wandb.teardown()  # the server took the connection and was silent; its run id is still taken
            self.delivery = "offline"
            self.run = self._init(folder, config)
        for row in folder.rows() if in_trial() else ():  # its W&B run is new, whatever the folder has
            self.show(row, {})

    @cached_property
    def delivery(self) -> str:
        """`online` or `offline`: what `mode` or the environment says, and what `auto` found."""
        mode = self.mode if self.mode != "auto" else os.environ.get("WANDB_MODE") or "auto"
        return mode if mode != "auto" else "online" if reachable() else "offline"

    @property
    def place(self) -> Row:
        return {"project": self.project, "entity": self.entity, "mode": self.delivery}

    @property
    def note(self) -> str:
        upload = "offline: `wandb sync RUN_FOLDER/wandb/offline-run-*` uploads them"
        return upload if self.delivery == "offline" else ""

    def clear(self, folder: RunFolder) -> None:
        """Set aside offline files not yet uploaded, since `wandb sync` appends the rows of each to the run.

        Raises InputError if some were uploaded and this run would be offline: no file can continue them.
        """
        for path in sorted((folder.path / "wandb").glob("offline-run-*")):
            if not any(path.glob("*.wandb.synced")):
                aside = path.parent / "replaced"
                aside.mkdir(exist_ok=True)
                path.rename(aside / f"{len(list(aside.iterdir()))}-{path.name}")  # wandb may repeat a name
            elif self.delivery != "online":
                raise InputError("--mode", "online: W&B has this run, offline files would repeat its rows")

    def _init(self, folder: RunFolder, config: Config) -> Any:
        import wandb

        arm = hash_in(folder.path, config)
        again = f"-again-{folder.repeated}" if folder.repeated else ""  # W&B has the rows of before
        return wandb.init(
            project=self.project,
            entity=self.entity,
            dir=str(folder.path.resolve()),  # wandb's own process keeps the folder it was started in
            id=f"{arm}-{config['seed']}{again}",
            name=self.name or f"{experiment_name(config)} seed={config['seed']}",
            group=self.group or f"{experiment_name(config)}-{arm}",
            job_type=os.environ.get("WANDB_JOB_TYPE") or methods(config),
            tags=sorted({*config["regularizer"], data_name(config["dataset"]), *filter(None, self.tags)}),
            config={**config, "method": methods(config)},
            mode=self.delivery,  # type: ignore[arg-type]
            resume="allow",
            settings=wandb.Settings(
                silent=True,
                init_timeout=INIT_PATIENCE,
                x_disable_stats=True,
                console="off",
                reinit="create_new",  # runs of a group are open at once
            ),
        )

    def show(self, row: Row, pictures: dict[str, Path]) -> None:
        """Log the row, unless the run was resumed and the server has its step."""
        import wandb

        if row["step"] < self.run.starting_step:
            return
        images = {name: wandb.Image(str(path)) for name, path in pictures.items()}
        self._define({**row, **images}.keys() - self.defined)
        self.run.log({**row, **images}, step=row["step"])

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
        self.run.summary.update({f"best/{k}": v for k, v in (summary.get("best") or {}).items()})
        self.run.summary.update({"status": summary["status"], "seconds": summary["seconds"]})
        self.run.finish(exit_code=0 if summary["status"] == "done" else 1)


def in_trial() -> bool:
    """True if a W&B agent has started this process, and waits for what it reports."""
    return bool(os.environ.get("WANDB_SWEEP_ID"))


def reachable() -> bool:
    """True if there is a W&B key and its server accepts a connection."""
    server = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))
    if not (os.environ.get("WANDB_API_KEY") or _key_in_netrc(server.hostname or "")):
        return False
    try:
        port = server.port or (80 if server.scheme == "http" else 443)
        with socket.create_connection((server.hostname, port), timeout=PATIENCE):
            return True
    except OSError:
        return False


def _key_in_netrc(host: str) -> bool:
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    try:
        return netrc.netrc(path).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
