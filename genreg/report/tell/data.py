"""A report as data to compute with: CSV and JSON."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from genreg.report.judge.datasets import matrices
from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.tell.columns import COLUMNS
from genreg.report.tell.numbers import as_table, finite


def as_csv(results: Sequence[PartResult]) -> str:
    """One line for each arm, with plain numbers."""
    return as_table([_plain(result, arm) for result in results for arm in result.arms])


def as_json(results: Sequence[PartResult]) -> str:
    """Everything, down to each run's value, folder and the command that makes it."""
    groups = [
        {"group": found.group, "datasets": found.datasets, "friedman_p": found.friedman,
         "arms": [{"name": row.arm, "mean_rank": row.rank,
                   "average": row.average and dataclasses.asdict(row.average)} for row in found.rows]}
        for found in matrices(results)
    ]  # fmt: skip
    whole = {"parts": [_part(result) for result in results], "groups": groups}
    return json.dumps(finite(whole), indent=1, allow_nan=False) + "\n"


def _part(result: PartResult) -> dict[str, Any]:
    part, claims = result.part, result.claims
    arms = [
        {**_plain(result, a), "varied": a.arm.values, "tuning": _tuning(a), "runs": _runs(a)}
        for a in result.arms
    ]
    return {
        "name": part.name, "group": part.group, "dataset": part.dataset, "question": part.question,
        "looks": part.looks, "planned": part.planned, "margin": part.margin,
        "metric": part.metric, "mode": result.metric.better, "select": part.select,
        "baseline": part.baseline, "threshold": part.threshold, "command": part.command,
        "arms": arms, "notes": result.notes,
        "claims": [{**judged.claim, "verdict": judged.verdict, "why": judged.why} for judged in claims],
    }  # fmt: skip


def _tuning(arm: ArmResult) -> dict[str, Any] | None:
    """Every trial, best first."""
    found = arm.tuning
    if not found:
        return None
    return {
        "metric": found.key, "planned": found.planned, "space": found.space, "whole": found.whole,
        "luck": found.luck, "edges": found.edges(), "expected_best": found.expected_best(),
        "trials": [{"values": t.values, "mean": t.mean, "sd": t.sd, "n": len(t.scores), "failed": t.failed,
                    "folders": [str(run.path) for run in t.runs]} for t in found.trials],
    }  # fmt: skip


def _runs(arm: ArmResult) -> list[dict[str, Any]]:
    values: dict[int, Any] = {}
    for (seed, replica), value in arm.values.items():
        values[seed] = value if replica is None else [*values.get(seed, []), value]
    return [
        {"seed": run.seed, "status": run.status, "reason": run.summary.get("reason"), "folder": str(run.path),
         "command": arm.arm.command_of(run.seed), "value": values.get(run.seed)}
        for run in arm.arm.runs.values()
    ]  # fmt: skip


def _plain(result: PartResult, arm: ArmResult) -> dict[str, Any]:
    """Every column, and first where the line belongs."""
    part = {"part": result.part.name, "arm": arm.arm.name, "metric": result.part.metric}
    return part | {column.key: column.value(arm) for column in COLUMNS}
