"""CPU seconds of starts, taken in turn: median [min, max] of each command, of one checkout or of two.

    OMP_NUM_THREADS=1 python scripts/benchmark_starts.py
    OMP_NUM_THREADS=1 python scripts/benchmark_starts.py --base ../before --repeat 9

A second is one of the process that the command is, by the kernel's count; `import torch` is there to be
taken away. `ls` lists 1,000 copies of one run, 10 seeds of each of 100 arms. Each checkout has a cache of
its own, and the first round is thrown away.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent.parent
TRAIN = ["train", "logger=none", "device=cpu", "steps=2"]
KEEPS = ("config.yaml", "summary.json", "environment.json", "metrics.jsonl", "timing.jsonl")


def seconds(words: list[str], folder: Path, checkout: Path, line: str = "") -> float:
    """CPU seconds of `python WORDS` in a folder, with genreg of a checkout; line: what a shell completes."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(checkout), "XDG_CACHE_HOME": str(folder / "cache")}
    if line:
        environment["COMP_LINE"] = line
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def copies(run: Path, folder: Path) -> None:
    """A folder of 1,000 runs."""
    for arm in range(100):
        for seed in range(10):
            place = folder / f"digits/none-{arm:08x}/seed={seed}"
            place.mkdir(parents=True)
            for name in KEEPS:
                (place / name).write_text((run / name).read_text().replace("seed: 0", f"seed: {seed}"))


def commands(number: int) -> dict[str, tuple[list[str], str]]:
    """The words of each command of a round, and what it completes."""
    genreg = ["-m", "genreg"]
    first = [*genreg, *TRAIN, f"output_dir=out{number}"]
    return {
        "import torch": (["-c", "import torch"], ""),
        "the first command, of two steps": (first, ""),
        "the same again, composed by Hydra": ([*first, "hydra.verbose=false"], ""),
        "the same again": (first, ""),
        "report of one run": ([*genreg, "report", f"out{number}"], ""),
        "ls of 1,000 runs": ([*genreg, "ls", "many"], ""),
        "Tab on a key": ([*genreg, "-sc", "query=bash"], "genreg train optimizer.l"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--base", type=Path, help="another checkout, measured in turn")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    checkouts = [HERE, *([options.base.resolve()] if options.base else [])]
    found: dict[tuple[str, Path], list[float]] = {}
    with tempfile.TemporaryDirectory() as root:
        folders = [Path(root, str(number)) for number in range(len(checkouts))]
        for number in range(options.repeat + 1):
            for name, (words, line) in commands(number).items():
                for folder, checkout in zip(folders, checkouts, strict=True):
                    if name.startswith("ls") and not (folder / "many").exists():
                        copies(next(folder.glob("out0/digits/*/seed=0")), folder / "many")
                    taken = seconds(words, folder, checkout, line)
                    found.setdefault((name, checkout), []).extend([taken] if number else [])
    for name in commands(0):
        each = [found[name, checkout] for checkout in checkouts]
        print(f"{name:<36}" + "   ".join(f"{median(t):.2f} [{min(t):.2f}, {max(t):.2f}]" for t in each))


if __name__ == "__main__":
    main()
