"""Tables of the widening valley: the trace at the end of each arm, and the decay of |u|^2 against theory.

    python scripts/valley_table.py outputs/anti_pgd_valley

Means over replicas with 95 % intervals (Student's t). The rate is -d ln |u|^2 / dn of the noise-free iterate
over the second half of the run, each replica's own. Two theories stand beside it:

implicit   2 eta sigma^2, from the objective L + (sigma^2 / 2) Tr H that the paper derives for small eta
discrete   4 eta sigma^2 / (2 - a) with a = eta (|u|^2 + d sigma^2), by the following argument. With u held,
           v = z + xi and z <- z - a (z + xi), so v is stationary with E v^2 = 2 sigma^2 / (2 - a), and |u|^2
           shrinks by 2 eta E v^2 a step. a -> 0 gives the first.
"""

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from scipy import stats

from genreg.run.folder import RunFolder


def runs(folder: Path) -> list[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Configuration and per-replica results of every finished run below `folder`."""
    found = []
    for path in sorted(folder.rglob("replicas.npz")):
        if RunFolder(path.parent).summary().get("status") == "done":
            config: Any = OmegaConf.to_container(OmegaConf.load(path.parent / "config.yaml"))
            arrays = np.load(path)
            found.append((config, {name: arrays[name] for name in arrays.files}))
    return found


def interval(values: np.ndarray) -> tuple[float, float]:
    """Mean and half width of its 95 % interval, over replicas that are finite."""
    values = values[np.isfinite(values)].astype(float)
    n = len(values)
    half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n) if n > 1 else math.nan
    return float(values.mean()) if n else math.nan, half


def setting(config: dict[str, Any]) -> tuple[str, float, float]:
    optimizer = config["optimizer"]
    return config["name"].split("/")[-1], optimizer["lr"], optimizer.get("sigma", 0.0)


def discrete(x: float, eta: float, sigma: float, d: int, steps: int) -> float:
    """Mean rate over `steps` from |u|^2 = x by the discrete theory; NaN where it has no stationary v."""
    start = x
    for _ in range(steps):
        a = eta * (x + d * sigma**2)
        if a >= 2:
            return math.nan
        x *= 1 - min(1, 4 * eta * sigma**2 / (2 - a))
    return -math.log(x / start) / steps if x > 0 else math.nan


def ends(found: list[tuple[dict[str, Any], dict[str, np.ndarray]]]) -> None:
    print("| arm | eta | sigma | replicas | died | trace at w | trace at z | theory |")
    print("|---|---|---|---|---|---|---|---|")
    for config, arrays in sorted(found, key=lambda run: setting(run[0])):
        arm, eta, sigma = setting(config)
        if config["model"]["dtype"] != "float32":
            continue
        alive = arrays["died"] < 0
        cells = ["{:.2f} ± {:.2f}".format(*interval(arrays["w/trace"][-1][alive]))]
        cells.append(
            "{:.2f} ± {:.2f}".format(*interval(arrays["z/trace"][-1][alive])) if "z/trace" in arrays else ""
        )
        landed = arrays["w/u_squared"][0][alive].mean()
        after = arrays["step"][-1] - arrays["step"][0]
        theory = f"{landed * math.exp(-2 * eta * sigma**2 * after):.2f}" if arm == "anti_pgd" else ""
        row = (arm, eta, sigma, len(alive), (~alive).sum(), *cells, theory)
        print("| " + " | ".join(map(str, row)) + " |")


def rates(found: list[tuple[dict[str, Any], dict[str, np.ndarray]]]) -> None:
    print("| eta | sigma | dtype | eta times u squared | rate x 1e6 | implicit x 1e6 | measured / implicit "
          "| discrete x 1e6 | measured / discrete |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    for config, arrays in sorted(found, key=lambda run: setting(run[0])[1:]):
        arm, eta, sigma = setting(config)
        if arm != "anti_pgd":
            continue
        half = len(arrays["step"]) // 2 - 1
        window = int(arrays["step"][-1] - arrays["step"][half])
        alive = arrays["died"] < 0
        x, y = arrays["z/u_squared"][half][alive], arrays["z/u_squared"][-1][alive]
        rate, error = interval(-np.log(y / x) / window)
        implicit = 2 * eta * sigma**2
        theory = discrete(float(x.mean()), eta, sigma, config["model"]["d"], window)
        ratios = [f"{rate / t:.4f} ± {error / t:.4f}{mark(rate, error, t)}" for t in (implicit, theory)]
        row = [eta, sigma, config["model"]["dtype"], f"{eta * x.mean():.3f}",
               f"{rate * 1e6:.4f} ± {error * 1e6:.4f}", f"{implicit * 1e6:.4f}", ratios[0],
               f"{theory * 1e6:.4f}", ratios[1]]  # fmt: skip
        print("| " + " | ".join(map(str, row)) + " |")


def mark(rate: float, error: float, theory: float) -> str:
    """A star where the theory lies within the measured interval."""
    return " *" if abs(rate - theory) <= error else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    found = runs(parser.parse_args().folder)
    ends(found)
    print()
    rates(found)


if __name__ == "__main__":
    main()
