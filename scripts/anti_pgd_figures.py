"""Pictures of the widening valley: python scripts/anti_pgd_figures.py outputs/anti_pgd_valley

trajectories.png   paths of the three arms over the contours of the loss, in (|u|, v)
decay.png          |u|^2, |v| and trace against steps, replicas as a band (5 to 95 %), and the theory
sigma.png          trace at the end against sigma (and test accuracy, with --network FOLDER)
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from omegaconf import OmegaConf
from valley_table import interval, runs, setting

from genreg.run.folder import RunFolder

COLORS = {"gd": "0.35", "pgd": "tab:red", "anti_pgd": "tab:blue", "sgd": "0.35"}
TITLES = {"gd": "gradient descent", "pgd": "independent noise", "anti_pgd": "anticorrelated noise"}
Run = tuple[dict[str, Any], dict[str, np.ndarray]]


def headline(found: list[Run]) -> dict[str, Run]:
    """The run of each arm at eta 0.01 and, of the noisy ones, sigma 0.05."""
    chosen = {}
    for run in found:
        arm, eta, sigma = setting(run[0])
        if eta == 0.01 and (arm == "gd" or sigma == 0.05):
            chosen[arm] = run
    return {arm: chosen[arm] for arm in TITLES if arm in chosen}


def trajectories(found: list[Run], path: Path) -> None:
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    arms = headline(found)
    longest = max(np.sqrt(arrays["w/u_squared"][:, :3]).max() for _, arrays in arms.values())
    u, v = np.meshgrid(np.linspace(0, 1.05 * longest, 300), np.linspace(-1.1, 1.1, 300))
    loss = 0.5 * v**2 * u**2
    axes.contourf(u, v, np.log10(loss + 1e-4), levels=14, cmap="Greys", alpha=0.45)
    for order, (arm, (config, arrays)) in enumerate(reversed(arms.items())):
        for replica in range(3):
            x = np.append(config["model"]["u0_norm"], np.sqrt(arrays["w/u_squared"][:, replica]))
            y = np.append(config["model"]["v0"], arrays["w/v"][:, replica])
            label = TITLES[arm] if replica == 0 else None
            axes.plot(x, y, color=COLORS[arm], linewidth=0.7, marker="o", markersize=1.8, label=label,
                      zorder=2 + order)  # fmt: skip
            axes.plot(
                x[-1], y[-1], "*", color=COLORS[arm], markersize=11, markeredgecolor="white", zorder=3 + order
            )
    axes.set(xlabel="|u|  (right: sharper minima)", ylabel="v", ylim=(-1.1, 1.1))
    axes.set_title("three replicas of each arm, a dot every 200 steps, a star at the end", fontsize=10)
    axes.legend(loc="upper left")
    figure.savefig(path, dpi=130)


def decay(found: list[Run], path: Path) -> None:
    figure = Figure(figsize=(13, 3.9), layout="constrained")
    for axes, name in zip(figure.subplots(1, 3), ("u_squared", "v", "trace"), strict=True):
        for arm, (config, arrays) in headline(found).items():
            steps, values = arrays["step"], np.abs(arrays[f"w/{name}"])
            low, middle, high = np.nanpercentile(values, (5, 50, 95), axis=1)
            axes.fill_between(steps, low, high, color=COLORS[arm], alpha=0.2, linewidth=0)
            axes.plot(steps, middle, color=COLORS[arm], label=TITLES[arm])
            if arm == "anti_pgd" and name != "v":
                theory(axes, config, steps, middle[0] if name == "u_squared" else arrays["z/trace"][0].mean())
        axes.set(
            title={"u_squared": "|u|^2", "v": "|v|", "trace": "trace of the Hessian"}[name], xlabel="step"
        )
        axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        if name == "v":
            axes.set_ylim(1e-4, 3)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=130)


def theory(axes: Axes, config: dict[str, Any], steps: np.ndarray, start: float) -> None:
    """The implicit objective's exp(-2 eta sigma^2 n) from the first row, and the discrete theory's curve."""
    _, eta, sigma = setting(config)
    after = steps - steps[0]
    axes.plot(steps, start * np.exp(-2 * eta * sigma**2 * after), "k--", linewidth=1.2,
              label="exp(-2 eta sigma^2 n)")  # fmt: skip
    x, curve = start, [start]
    for _ in range(int(after[-1])):
        x *= 1 - 4 * eta * sigma**2 / (2 - eta * (x + config["model"]["d"] * sigma**2))
        curve.append(x)
    axes.plot(steps, np.array(curve)[after], "k:", linewidth=1.2, label="discrete theory")


def against_sigma(found: list[Run], network: Path | None, path: Path) -> None:
    figure = Figure(figsize=(10 if network else 5.5, 3.9), layout="constrained")
    panels = figure.subplots(1, 2 if network else 1, squeeze=False)[0]
    for arm in ("pgd", "anti_pgd"):
        chosen = [(setting(c)[2], a) for c, a in found if setting(c)[:2] == (arm, 0.01)]
        points = sorted(chosen, key=lambda point: point[0])
        iterates = ("w", "z") if arm == "anti_pgd" else ("w",)
        for iterate in iterates:
            values = [interval(arrays[f"{iterate}/trace"][-1]) for _, arrays in points]
            style = {"w": "o-", "z": "s--"}[iterate]
            panels[0].errorbar([s for s, _ in points], [m for m, _ in values], [h for _, h in values],
                               fmt=style, color=COLORS[arm], markersize=4,
                               label=f"{TITLES[arm]}, at {iterate}")  # fmt: skip
    panels[0].set(xscale="log", yscale="log", xlabel="sigma", ylabel="trace of the Hessian at the end",
                  title="widening valley, eta 0.01")  # fmt: skip
    panels[0].legend(fontsize=8)
    if network:
        network_panel(panels[1], network)
    figure.savefig(path, dpi=130)


def network_panel(axes: Axes, folder: Path) -> None:
    """Test accuracy and trace of every run below `folder` that differs in sigma."""
    twin = axes.twinx()
    for arm in ("pgd", "anti_pgd"):
        rows: dict[float, list[tuple[float, float]]] = {}
        for path in folder.rglob("summary.json"):
            config: Any = OmegaConf.load(path.parent / "config.yaml")
            best = RunFolder(path.parent).summary().get("best")
            if best and config.name.split("/")[-1] == arm:
                row = best["test/accuracy"], best["labeled/hessian_trace"]
                rows.setdefault(config.optimizer.sigma, []).append(row)
        sigmas = sorted(rows)
        for index, (panel, style) in enumerate(((axes, "o-"), (twin, "s--"))):
            values = [interval(np.array(rows[s])[:, index]) for s in sigmas]
            panel.errorbar(sigmas, [m for m, _ in values], [h for _, h in values], fmt=style,
                           color=COLORS[arm], markersize=4,
                           label=TITLES[arm] if index == 0 else None)  # fmt: skip
    axes.set(xscale="log", xlabel="sigma", ylabel="test accuracy (solid)", title=folder.name)
    twin.set(ylabel="trace of the Hessian (dashed)", yscale="log")
    axes.legend(fontsize=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="runs of anti_pgd_valley")
    parser.add_argument("--network", type=Path, help="runs of anti_pgd_network over sigma")
    parser.add_argument("--to", type=Path, default=Path("docs/figures"))
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    found = [run for run in runs(options.folder) if run[0]["model"]["dtype"] == "float32"]
    trajectories(found, options.to / "trajectories.png")
    decay(found, options.to / "decay.png")
    against_sigma(found, options.network, options.to / "sigma.png")
    print(json.dumps(sorted(str(path) for path in options.to.glob("*.png")), indent=1))


if __name__ == "__main__":
    main()
