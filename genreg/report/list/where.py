"""Selects runs: `--where regularizer=vat --where optimizer.lr=1e-3 --where status=failed`."""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from genreg.errors import InputError, nearest
from genreg.report.list.keys import flat
from genreg.report.read.parts import Arm
from genreg.report.read.runs import Run
from genreg.run.folder import Row

OF_A_RUN = ("seed", "status")


def chosen(arms: Sequence[Arm], where: Iterable[str]) -> list[Arm]:
    """The arms with those of their runs for which every condition is true; an arm without any is left out.

    Raises InputError for a condition that is no KEY=VALUE, and for a key that no run has.
    """
    asked = [_parsed(condition) for condition in where]
    if not asked:
        return list(arms)
    keys = [flat(arm.config) for arm in arms]
    known = {*OF_A_RUN, *(key for found in keys for key in found)}
    for key, _ in asked:
        if key not in known:
            raise InputError("--where", "a key of the runs' configurations", key, nearest(key, known))
    left = (
        replace(arm, runs=_runs(arm.runs, found, asked), other=_runs(arm.other, found, asked))
        for arm, found in zip(arms, keys, strict=True)
    )
    return [arm for arm in left if arm.runs or arm.other]


def _parsed(condition: str) -> tuple[str, str]:
    key, equals, value = condition.partition("=")
    if not (key and equals):
        raise InputError("--where", "KEY=VALUE", condition)
    return key, value


def _runs(runs: dict[int, Run], keys: Row, asked: Sequence[tuple[str, str]]) -> dict[int, Run]:
    """The runs of an arm, by seed, for which all conditions hold."""
    found = ((run, {**keys, "seed": run.seed, "status": run.status}) for run in runs.values())
    return {
        run.seed: run
        for run, has in found
        if all(key in has and is_like(has[key], value) for key, value in asked)
    }


def is_like(value: Any, asked: str) -> bool:
    """True if a value is what was typed: numbers as numbers, words by pattern, of methods any one.

    Capital letters and blanks do not count.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(ValueError):
            return value == float(asked)
    text, pattern = (_plain(each if isinstance(each, str) else json.dumps(each)) for each in (value, asked))
    return any(word == pattern or fnmatchcase(word, pattern) for word in (text, *text.split("+")))


def _plain(text: str) -> str:
    return text.replace(" ", "").lower()
