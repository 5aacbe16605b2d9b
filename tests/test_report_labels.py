"""Rows that name what their metrics rest on."""

import json
from collections.abc import Callable
from pathlib import Path

from conftest import Result
from synthetic import write_run


def test_a_label_is_shown_beside_metrics(genreg: Callable[..., Result], tmp_path: Path) -> None:
    row = {"step": 30, "test/accuracy": 0.1, "features": "features/a"}
    folder = write_run(tmp_path / "out/gan/vat-0123abcd/seed=0", 0.9, last=row)
    answer = genreg("show", str(folder))
    assert answer.code == 0
    assert "features/a" in answer.out


def test_a_row_may_name_what_its_metrics_rest_on(genreg: Callable[..., Result], tmp_path: Path) -> None:
    for seed, name in enumerate(["features/a", "features/a", "features/b"]):
        row = {"step": 30, "validation/accuracy": 0.1, "test/accuracy": 0.1, "features": name}
        write_run(tmp_path / "out/gan/vat-0123abcd" / f"seed={seed}", 0.9, last=row)
    (part,) = json.loads(genreg("report", str(tmp_path / "out"), "--format", "json").out)["parts"]
    assert part["arms"][0]["n"] == 3
    assert "features: features/a, features/b (they differ: not comparable)" in part["notes"]
