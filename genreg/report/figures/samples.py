"""Grids of samples, as small as they can be embedded."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genreg.report.judge.best import drawn
from genreg.report.judge.result import PartResult
from genreg.report.read.runs import Run
from genreg.report.read.values import chosen_row

BYTES = 1_000_000  # of a file that is read
EXACT = 20_000  # bytes up to which a picture is embedded without loss
PIXELS = 4_000_000


@dataclass(frozen=True)
class Samples:
    """A grid of samples as the page embeds it."""

    caption: str
    uri: str


def samples(result: PartResult) -> list[Samples]:
    """Of each arm that is drawn, of its first finished run: all steps in one picture if there is one, else
    the step that was chosen, or the newest.
    """
    found = []
    for _, arm in drawn(result):
        run = next((run for run in arm.arm.done if _files(run)), None)
        if run:
            which, path = _shown(run, chosen_row(result.part, run) or {})
            if uri := embedded(path):
                found.append(Samples(f"{arm.arm.name}, seed {run.seed}{which}", uri))
    return found


def _shown(run: Run, row: dict[str, Any]) -> tuple[str, Path]:
    """Which of its pictures the run is shown by, in words and as a file."""
    if (together := run.path / "samples.png").is_file():
        return "", together
    files = _files(run)
    step = row.get("step") if row.get("step") in files else max(files)
    return f", step {step}", files[step]


def _files(run: Run) -> dict[Any, Path]:
    """samples/step=<n>.png of a run, by step."""
    files = (run.path / "samples").glob("step=*.png")
    return {int(n): path for path in files if (n := path.stem.removeprefix("step=")).isdigit()}


def embedded(path: Path) -> str:
    """The picture as a data URI, in WebP, without loss if that is small; nothing if it is no picture."""
    from PIL import Image

    data = path.read_bytes()
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or len(data) > BYTES:
        return ""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.width * image.height > PIXELS:
                return ""
            exact, near = io.BytesIO(), io.BytesIO()
            image.save(exact, "WEBP", lossless=True)
            if exact.tell() > EXACT:
                image.save(near, "WEBP", quality=80)
    except (OSError, ValueError, SyntaxError):
        return ""
    smallest = min(filter(None, (exact.getvalue(), near.getvalue())), key=len)
    return "data:image/webp;base64," + base64.b64encode(smallest).decode()
