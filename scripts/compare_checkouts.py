"""Compare the rows of two checkouts of genreg: every experiment and method, at a small size.

    python scripts/compare_checkouts.py OLD NEW [--only PATTERN]

OLD and NEW are folders with a checkout. Each runs the same sweep, of the experiments that both have; then
metrics.jsonl of each arm is compared byte for byte, and where the bytes differ, the columns that do are named
with their largest difference.
Needs GENREG_DATA, as the experiments do.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
SMALL = {  # what makes an experiment of each family small
    "anti_pgd_mlp": ["steps=12", "log_every=3", "dataset.validation=500"],
    "anti_pgd_network": ["steps=12", "eval_every=6", "log_every=3", "dataset.validation=500"],
    "anti_pgd": ["steps=300", "eval_every=100", "log_every=100", "model.replicas=10"],
    "features": ["steps=12", "eval_every=6", "log_every=3", "model.widths=[4,4,4,4,4]"],
    "smoke": [],
    "vat_200": ["steps=60", "eval_every=20", "log_every=10"],
    "wgan_conditional": ["steps=20", "eval_every=10", "log_every=5"],
    "wgan_sn_toy": ["steps=20", "eval_every=10", "log_every=5"],
    "wgan_sn": ["steps=4", "eval_every=2", "log_every=2", "model.width=4", "features=random"],
}
SHORT = ["steps=12", "eval_every=6", "log_every=3"]
"""Of a family that `SMALL` does not name; one whose data cannot be had makes no rows in either checkout."""

MLP = ["dataset=digits", "model.widths=[32]", "model.batch_norm=true", "model.dropout=0.3", "steps=100",
       "eval_every=50", "log_every=20"]  # fmt: skip
METHODS = {
    "none": [],
    "vat": ["regularizer=vat"],
    "vat_exact": ["regularizer=vat", "regularizer.vat.direction=exact", "regularizer.vat.power_iterations=2"],
    "vat_flow": ["regularizer=vat", "regularizer.vat.target=flow"],
    "vat_batch_linf": ["regularizer=vat", "regularizer.vat.scope=batch", "regularizer.vat.norm=linf"],
    "noise_consistency": ["regularizer=noise_consistency"],
    "entropy": ["regularizer=entropy"],
    "l2": ["regularizer=l2"],
    "frobenius": ["regularizer=frobenius"],
    "frobenius_projection": ["regularizer=frobenius_projection"],
    "gradient_penalty": ["regularizer=gradient_penalty"],
    "spectral_normalization": ["regularizer=spectral_normalization"],
    "weight_clipping": ["regularizer=weight_clipping", "regularizer.weight_clipping.bound=0.1"],
    "sam": ["optimizer=sam"],
    "anti_pgd": ["optimizer=anti_pgd"],
    "measures": ["measure=[lds,hessian_trace,hessian_eigenvalue,sharpness,gradient_noise]"],
}


def arms(checkouts: list[Path]) -> Iterator[tuple[str, list[str]]]:
    """The name and overrides of every arm that all checkouts have."""
    for path in sorted((CONFIGS / "experiment").rglob("*.yaml")):
        name = path.relative_to(CONFIGS / "experiment").with_suffix("").as_posix()
        everywhere = all((root / "configs/experiment" / f"{name}.yaml").is_file() for root in checkouts)
        if everywhere and not path.name.startswith("_"):
            family = next((prefix for prefix in SMALL if name.startswith(prefix)), "")
            yield name, [f"experiment={name}", *SMALL.get(family, SHORT)]
    for name, overrides in METHODS.items():
        yield f"method/{name}", [f"name=method/{name}", *MLP, *overrides]


def run(checkout: Path, folder: Path, chosen: dict[str, list[str]]) -> dict[str, Path]:
    """The run folder of every arm, made by that checkout."""
    part = {"arms": {name: [*overrides, "logger=none", "device=cpu"] for name, overrides in chosen.items()},
            "metric": "seconds_per_step"}  # fmt: skip
    (folder / "configs" / "sweep").mkdir(parents=True)
    content = yaml.safe_dump({"seeds": 1, "parts": {"all": part}})
    (folder / "configs" / "sweep" / "compare.yaml").write_text(content)
    command = [sys.executable, "-m", "genreg", "train", "sweep=compare", f"output_dir={folder / 'runs'}"]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "--config-dir", str(folder / "configs")], env=environment, cwd=folder)
    sweep = json.loads((folder / "runs" / "sweep.json").read_text())
    return {arm["name"]: folder / "runs" / arm["folder"] / "seed=0" for arm in sweep["parts"][0]["arms"]}


def difference(old: Path, new: Path) -> str:
    """`identical`, or what differs."""
    files = [folder / "metrics.jsonl" for folder in (old, new)]
    if not any(file.exists() for file in files):
        return "no rows in either"
    if not all(file.exists() for file in files):
        return f"no rows in {', '.join(str(file) for file in files if not file.exists())}"
    if files[0].read_bytes() == files[1].read_bytes():
        return "identical"
    rows = [[json.loads(line) for line in file.read_text().splitlines()] for file in files]
    if len(rows[0]) != len(rows[1]):
        return f"{len(rows[0])} rows and {len(rows[1])} rows"
    found: dict[str, float] = {}
    for before, after in zip(*rows, strict=True):
        for key in before.keys() | after.keys():
            if before.get(key) != after.get(key):
                found[key] = max(found.get(key, 0.0), _gap(before.get(key), after.get(key)))
    return "DIFFERS: " + ", ".join(f"{key} by {gap:.2g}" for key, gap in sorted(found.items()))


def _gap(a: Any, b: Any) -> float:
    """Relative, infinite where one of them is no number."""
    if not isinstance(a, int | float) or not isinstance(b, int | float):
        return float("inf")
    return abs(a - b) / max(abs(a), abs(b))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--only", default="*", help="arms whose names match this pattern")
    options = parser.parse_args()
    found = arms([options.old, options.new])
    chosen = {name: overrides for name, overrides in found if fnmatch(name, options.only)}
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / side for side in ("old", "new")]
        old, new = (run(checkout.resolve(), place, chosen) for checkout, place in
                    zip((options.old, options.new), places, strict=True))  # fmt: skip
        answers = {name: difference(old[name], new[name]) for name in chosen}
    for name, answer in answers.items():
        print(f"{name:<40}{answer}")
    same = sum(answer == "identical" for answer in answers.values())
    neither = sum(answer == "no rows in either" for answer in answers.values())
    print(f"{same} of {len(answers)} arms are identical, {neither} made no rows in either")
    sys.exit(same + neither < len(answers))


if __name__ == "__main__":
    main()
