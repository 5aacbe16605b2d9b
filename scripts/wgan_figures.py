"""Quality against updates and against seconds, and the samples of every arm, from the folders of a sweep.

    python scripts/wgan_figures.py outputs/reproduce docs/figures

Reads the parts wgan_sn_toy and wgan_sn of the folder's sweep.json. Lines are medians over seeds, bands reach
from the worst to the best seed; both axes of time are of the same evaluations.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from genreg.run.folder import RunFolder

FAMILIES = {
    "wgan_sn_toy": ("validation/wasserstein", "exact Wasserstein distance, validation"),
    "wgan_sn": ("validation/fid", "FID on the classifier's features, validation"),
}


def arms(folder: Path, family: str) -> dict[str, list[RunFolder]]:
    """The runs of each arm of a part of the sweep, by seed."""
    parts = {part["name"]: part for part in json.loads((folder / "sweep.json").read_text())["parts"]}
    return {
        arm["name"]: [RunFolder(folder / arm["folder"] / f"seed={seed}") for seed in parts[family]["seeds"]]
        for arm in parts[family]["arms"]
    }


def curves(run: RunFolder, metric: str) -> np.ndarray:
    """Steps, seconds and metric of every evaluation, (3, E)."""
    seconds = {row["step"]: row["seconds"] for row in run.timing()}
    rows = [row for row in run.rows() if metric in row]
    return np.array([[row["step"], seconds[row["step"]], row[metric]] for row in rows]).T


def draw(axes: Axes, runs: dict[str, list[RunFolder]], metric: str, by: int) -> None:
    for number, (arm, folders) in enumerate(runs.items()):
        found = np.stack([curves(run, metric) for run in folders])  # (seeds, 3, E)
        x, y = np.median(found[:, by], 0), found[:, 2]
        axes.plot(x, np.median(y, 0), label=arm.replace("_", " "), color=f"C{number}")
        axes.fill_between(x, y.min(0), y.max(0), alpha=0.12, color=f"C{number}", linewidth=0)
    axes.set_yscale("log")
    axes.set_xlabel("generator updates" if by == 0 else "seconds (median over seeds)")
    axes.grid(alpha=0.3, which="both")


def samples(runs: dict[str, list[RunFolder]], path: Path) -> None:
    """The last picture of the first seed of every arm, side by side."""
    figure = Figure(figsize=(12, 8.4), layout="constrained")
    for place, (arm, folders) in enumerate(runs.items(), start=1):
        pictures: list[Any] = sorted(
            (folders[0].path / "samples").glob("*.png"), key=lambda p: int(p.stem[5:])
        )
        axes = figure.add_subplot(2, -(-len(runs) // 2), place)
        axes.imshow(np.asarray(Image.open(pictures[-1])))
        axes.set_title(arm.replace("_", " "))
        axes.axis("off")
    figure.savefig(path, dpi=70)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    figure = Figure(figsize=(11, 8), layout="constrained")
    panels: Any = figure.subplots(2, 2, sharey="row")
    for row, (family, (metric, label)) in enumerate(FAMILIES.items()):
        runs = arms(given.folder, family)
        for by in range(2):
            draw(panels[row, by], runs, metric, by)
        panels[row, 0].set_ylabel(label)
        samples(runs, given.output / f"{family}_samples.png")
    panels[0, 0].legend(frameon=False, fontsize="small")
    figure.savefig(given.output / "wgan.png", dpi=90)


if __name__ == "__main__":
    main()
