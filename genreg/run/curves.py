"""The rows of one run as a picture."""

from pathlib import Path

from genreg.run.folder import Row
from genreg.run.metric import metric_of

COLUMNS = 4  # panels beside one another


def draw(rows: list[Row], summary: Row, path: Path) -> None:
    """Training terms and metrics against steps as a PNG; a dashed line marks the selected step."""
    from matplotlib.figure import Figure

    best = summary["best"]
    panels: dict[str, dict[str, str]] = {}  # title -> label -> metric
    for name in sorted({name for row in rows for name in row if "/" in name and "_stderr/" not in name}):
        split, metric = name.split("/", 1)
        title, label = ("training terms", metric) if split == "train" else (metric, split)
        panels.setdefault(title, {})[label] = name
    columns, rows_of_panels = min(len(panels), COLUMNS), -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(5 * columns, 3.6 * rows_of_panels), layout="constrained")
    for place, (title, lines) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(rows_of_panels, columns, place)
        for label, name in lines.items():
            shown = metric_of(name, summary.get("metrics"))
            points = [(row["step"], row[name] * shown.scale) for row in rows if name in row]
            axes.plot(*zip(*points, strict=True), label=label.replace("_", " "), linewidth=1.5)
        if best:
            axes.axvline(best["step"], color="0.5", linestyle="--", linewidth=1, label="selected step")
        axes.set_title(title.replace("_", " "))
        axes.set_xlabel("step")
        axes.set_ylabel(shown.unit)  # the same of all lines: a panel is one metric
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
