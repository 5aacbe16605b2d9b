"""Run folders from the results that docs/ keeps, for `genreg report` to make the page from.

    python scripts/page_of_results.py docs/catalogue.json outputs/catalogue_kept && genreg report outputs/catalogue_kept

Of a run the file holds [seed, value, seconds]: the part's metric, in the digits of the page that was once made. Of
validation it holds an arm's mean, of a trial its score. Curves, times to a threshold and the scores of trials that the
page did not show are not in it: repeat the sweep for them.
"""  # noqa: E501

import argparse
import json
from pathlib import Path
from typing import Any


def write_run(folder: Path, row: dict[str, float], select: str | None, seconds: float = 0.0) -> None:
    """Write a finished run of one row, which `select` chose."""
    folder.mkdir(parents=True, exist_ok=True)
    selection = [select, "max" if select.endswith("accuracy") else "min"] if select else None
    summary = {"status": "done", "step": row["step"], "seconds": seconds, "selection": selection,
               "best": row if select else None, "last": row}  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary))


def write_arm(root: Path, part: dict[str, Any], arm: dict[str, Any]) -> dict[str, Any]:
    """Write the runs and trials of an arm; return it as sweep.json holds it."""
    found, select, step = dict(arm), part["select"], part["step"]
    row = {"step": step, **({select: found.pop(select)} if select else {})}
    for seed, value, seconds in found.pop("runs"):
        write_run(root / arm["folder"] / f"seed={seed}", {**row, part["metric"]: value}, select, seconds)
    found["seeds"] = [seed for seed, *_ in arm["runs"]]
    tuning = {**part.get("tuning", {}), **found.pop("tuning", {})}
    if not tuning or len(tuning["trials"]) < tuning["planned"]:
        return found
    trials = []
    for number, (values, score) in enumerate(tuning["trials"]):
        trials.append({"values": values, "folder": f"tuning/{arm['folder']}-{number}"})
        for seed in tuning["seeds"]:
            row = {"step": step, tuning["metric"]: score}
            write_run(root / trials[-1]["folder"] / f"seed={seed}", row, tuning["metric"])
    return {**found, "tuning": {**tuning, "trials": trials}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    content = json.loads(given.results.read_text())
    for part in content["parts"]:
        part["arms"] = [write_arm(given.output, part, arm) for arm in part["arms"]]
    (given.output / "sweep.json").write_text(json.dumps(content))


if __name__ == "__main__":
    main()
