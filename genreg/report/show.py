"""`genreg show`: status, result, configuration and starts of one run."""

import math
import shlex
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from genreg.errors import InputError, cause
from genreg.files import MISSING
from genreg.run.find import find_runs, is_run
from genreg.run.folder import Row, printable
from genreg.run.read import Run, read_run
from genreg.run.reader import DamagedError, read_bytes

SHOWN = 5  # runs below a folder that is none


def show(folder: Path) -> None:
    """Print status, result, configuration, environments and how to repeat it.

    folder: of a run, or with one run below it. Raises InputError, with the first runs below it, for another.
    """
    path = folder.resolve()
    if not is_run(path):
        below = list(islice(find_runs(folder), SHOWN + 1)) if folder.is_dir() else []
        if len(below) == 1:
            show(below[0])
            return
        more = " (`genreg ls` lists all below it)" if len(below) > SHOWN else ""
        raise InputError("RUN_FOLDER", f"a run's folder{more}", str(folder), map(str, below[:SHOWN]))
    run, console = read_run(path), Console()
    _say(console, f"run       {printable(folder)}")
    _say(console, f"status    {_status(run)}")
    console.print(_result(run) or "result    no evaluation was recorded")
    _say(console, "configuration")
    _say(console, _indented(path / "config.yaml"))
    for start in run.environments:
        _say(console, _start(start))
    _say(console, f"repeat    {_repeat(run)}")
    for remark in run.remarks:
        _say(console, f"remark    {remark}")


def _say(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)


def _status(run: Run) -> str:
    seconds, step = run.summary.get("seconds"), run.summary.get("step")
    reason = f": {run.reason}" if run.summary.get("reason") else ""
    took = f", {step} steps" if step is not None else ""
    return run.status + reason + took + (f" in {seconds} s" if seconds is not None else "")


def _result(run: Run) -> Table | None:
    """The rows that were evaluated; of a run that ended before, the last one that it wrote, if any."""
    best, last = run.best or {}, run.last or _last_row(run)
    if not best and not last:
        return None
    table = Table()
    table.add_column("metric", overflow="fold")
    for title, row in (("best", best), ("last", last)):
        if row:
            table.add_column(f"{title} (step {row['step']})", justify="right")
    for name in dict.fromkeys([*best, *last]):
        if name != "step":
            values = [row.get(name, math.nan) for row in (best, last) if row]
            shown = [printable(v) if isinstance(v, str) else f"{v:.6g}" for v in values]  # a label, a metric
            table.add_row(Text(printable(name)), *map(Text, shown))
    return table


def _last_row(run: Run) -> Row:
    """The last row of numbers and labels that can be read."""
    try:
        rows = run.folder.rows()
    except (OSError, ValueError):
        return {}
    row = rows[-1] if rows and isinstance(rows[-1], dict) else {}
    values = {name: value for name, value in row.items() if isinstance(value, int | float | str)}
    return values if "step" in values else {}


def _indented(path: Path) -> str:
    try:
        lines = read_bytes(path).decode(errors="replace").splitlines()
    except MISSING:
        return f"  no {path.name}"
    except (OSError, DamagedError) as error:
        return f"  {cause(error)}"
    return "\n".join(f"  {printable(line)}" for line in lines)


def _start(start: Row) -> str:
    """One start of a run: its time, versions, device and data."""
    packages = start.get("packages") or {}
    versions = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
    data = ", ".join(f"{name} {digest}" for name, digest in (start.get("data") or {}).items())
    head = f"started   {start.get('started')} on {start.get('device')}, {start.get('threads')} threads"
    lines = [head, f"  genreg {start.get('genreg')}, commit {start.get('commit') or 'none'}"]
    lines += [f"  python {start.get('python')}, {versions}"] + ([f"  data {data}"] if data else [])
    return "\n".join(map(printable, lines))


def _repeat(run: Run) -> str:
    """The recorded command; that of a grid makes more than this run."""
    command = run.command
    if not command:
        return "no command was recorded; config.yaml holds every value"
    grid = "-m" in shlex.split(command) or "--multirun" in shlex.split(command)
    return command + (f"  # a grid that holds this run, seed {run.seed}" if grid else "")
