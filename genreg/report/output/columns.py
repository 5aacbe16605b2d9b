"""The columns of a part's table: one list, which every format reads."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from genreg.errors import InputError, nearest
from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.judge.statistics import LEVEL, Comparison
from genreg.report.output.numbers import PLAIN, in_text, number, titled
from genreg.run.metric import Metric, in_words

Kind = Literal["name", "number", "time", "difference", "test", "verdict", "text"]
"""Kinds of columns, from left to right. `time` is for parts with a threshold, `text` where an arm has one."""

Words = Callable[[PartResult, ArmResult], str]


@dataclass(frozen=True)
class Column:
    """One thing about each arm: `key` in CSV and JSON, `title` in tables.

    value: plain, for CSV and JSON. title: empty where no table shows it, of all parts or of this one.
    text: in the table, where that is not the value (a float: in the unit of the part's metric). brief: in a
    line of the summary, where that is not title and text.
    """

    key: str
    value: Callable[[ArmResult], Any]
    title: str | Callable[[PartResult], str] = ""
    text: Words | None = None
    kind: Kind = "number"
    brief: Words | None = None

    def heading(self, result: PartResult) -> str:
        """The title in the table of this part."""
        if self.kind == "time" and not result.part.threshold:
            return ""
        return self.title if isinstance(self.title, str) else self.title(result)

    def words(self, result: PartResult, arm: ArmResult) -> str:
        """The text in the table."""
        return self.text(result, arm) if self.text else in_text(self.value(arm), result.metric)

    def in_brief(self, result: PartResult, arm: ArmResult) -> str:
        """The words in the summary, if there are any."""
        if self.brief:
            return self.brief(result, arm)
        title, text = self.heading(result), self.words(result, arm)
        return f"{title} {text}" if title and text else ""


@dataclass(frozen=True)
class Shown:
    """A column of one part as people see it: a text for each arm."""

    column: Column
    title: str
    texts: list[str]

    @property
    def numeric(self) -> bool:
        return self.column.kind in ("number", "time", "difference", "test")


def columns(result: PartResult, chosen: Sequence[str] = ()) -> list[Shown]:
    """The table of a part, from left to right: the columns of these keys, or all that have a title."""
    if chosen:
        by_key = {column.key: column for column in COLUMNS}
        return [_shown(result, by_key[key]) for key in chosen]
    order = sorted(COLUMNS, key=lambda column: get_args(Kind).index(column.kind))
    found = (_shown(result, column) for column in order if column.heading(result))
    return [one for one in found if one.column.kind != "text" or any(one.texts)]


def _shown(result: PartResult, column: Column) -> Shown:
    title = column.heading(result) or column.key.replace("_", " ")
    return Shown(column, title, [column.words(result, arm) for arm in result.arms])


def chosen_keys(text: str) -> list[str]:
    """The keys in `arm,mean,verdict`. Raises InputError for one of no column."""
    keys = [column.key for column in COLUMNS]
    found = [key.strip() for key in text.split(",")]
    for key in found:
        if key not in keys:
            expected = "columns as `--format csv` calls them, separated by commas"
            raise InputError("--columns", expected, key, nearest(key, keys))
    return list(dict.fromkeys(found))


def difference(found: Comparison, metric: Metric) -> str:
    """Mean and interval, as far as there are any."""
    mean, low, high = (number(value, metric, "+") for value in (found.mean, found.low, found.high))
    return f"{mean} [{low}, {high}]" if low else mean


def p_value(p: float | None) -> str:
    """A p in two digits, which never hide on which side of 0.05 it lies."""
    if p is None or math.isnan(p):
        return ""
    if p < 1e-4:
        return "< 1e-4"
    return "< 0.05" if p < LEVEL and f"{p:.2g}" == "0.05" else f"{p:.2g}"


def p_is(p: float | None) -> str:
    """`p = 0.03` or `p < 1e-4`; nothing where there is no p."""
    return f"p = {text}".replace("= <", "<") if (text := p_value(p)) else ""


def caption(result: PartResult) -> str:
    """The words above the table: the metric, its step, and the kind of a unit."""
    part = result.part
    step = f"at the step that {part.select} chose" if part.select else "at the last step"
    unit = "studies" if part.fresh else "replicas" if result.replicas else "runs"
    words = f"{part.metric} {step}, over {unit}; {in_words(result.metric)}"
    if part.threshold:
        words += f"; time until {part.threshold['metric']} passes {part.threshold['value']}"
    return "; ".join(filter(None, [words, about(result)]))


def about(result: PartResult) -> str:
    """The words on what verdicts are about, where something was tuned; else nothing."""
    if result.part.fresh:
        return "verdicts are of the methods, as tuned (each study tunes anew)"
    tuned = any(arm.tuning for arm in result.arms)
    return "verdicts are of these two configurations (one tuning)" if tuned else ""


def _silent(result: PartResult, arm: ArmResult) -> str:
    """No words: the summary leaves this column out."""
    return ""


def _difference(name: str, title: str | Callable[[PartResult], str] = "", **how: Any) -> Column:
    """A field of the comparison with the baseline."""
    return Column(f"difference_{name}", _compared(name), title, **how)


def _compared(name: str) -> Callable[[ArmResult], Any]:
    return lambda arm: getattr(arm.comparison, name) if arm.comparison else None


def _minus(result: PartResult) -> str:
    return f"minus {result.part.baseline} [{'level of the last look' if result.part.looks else '95 %'}]"


def _effect(result: PartResult, arm: ArmResult) -> str:
    return difference(arm.comparison, result.metric) if arm.comparison else ""


def _lost(result: PartResult, arm: ArmResult) -> str:
    return f"{arm.failed}" + (f" + {arm.unfinished} unfinished" if arm.unfinished else "")


def _selection(result: PartResult) -> Metric:
    return result.part.describe(result.selection) if result.selection else PLAIN


def _selected(result: PartResult, arm: ArmResult) -> str:
    return number(sum(arm.chosen) / len(arm.chosen), _selection(result)) if arm.chosen else ""


def _median_time(unit: str, title: str) -> Column:
    """A median over runs, in steps or seconds: `never` where it is infinite."""
    return Column(
        f"median_{unit}", lambda arm: arm.median_time(unit) if arm.times else None, title,
        lambda _, arm: number(arm.median_time(unit)).replace("inf", "never"), "time", brief=_silent,
    )  # fmt: skip


def _time_p(result: PartResult, arm: ArmResult) -> str:
    """The p of times, and earlier or later by the same ranks."""
    return f"{p_value(arm.time_ranks.p)} {arm.time_way}".rstrip() if arm.time_ranks else ""


def _verdict(result: PartResult, arm: ArmResult) -> str:
    return "baseline" if arm.arm.name == result.part.baseline else arm.judgement if arm.comparison else ""


def _superior(result: PartResult, arm: ArmResult) -> str:
    """`80 % [28, 99]`."""
    if not arm.comparison or not arm.comparison.superior:
        return ""
    share, low, high = (f"{100 * p:.0f}" for p in arm.comparison.superior)
    return f"{share} % [{low}, {high}]"


def _corrected(result: PartResult, arm: ArmResult) -> str:
    """The mean difference, where seeds were added until it was shown."""
    return number(arm.comparison.corrected, result.metric, "+") if arm.comparison else ""


def _of_superior(place: int) -> Callable[[ArmResult], Any]:
    return lambda arm: arm.comparison.superior[place] if arm.comparison and arm.comparison.superior else None


def _chosen(arm: ArmResult) -> str | None:
    """The winner's values; of several studies, one behind the other."""
    winners = [found.winner.values for found in arm.tunings if found.winner]
    return "; ".join(" ".join(f"{k}={v}" for k, v in values.items()) for values in winners) or None


COLUMNS = [
    Column("arm", lambda arm: arm.arm.name, "arm", kind="name", brief=_silent),
    Column("n", lambda arm: len(arm.values), "n", brief=lambda _, arm: f"n = {len(arm.values)}"),
    Column("failed", lambda arm: arm.failed, "failed", _lost,
           brief=lambda _, arm: f"{arm.failed} failed" if arm.failed else ""),
    Column("unfinished", lambda arm: arm.unfinished),
    Column("mean", lambda arm: arm.mean, lambda result: titled("mean", result.metric), brief=_silent),
    Column("sd", lambda arm: arm.sd, "sd", brief=_silent),
    Column("median", lambda arm: arm.median, "median", lambda result, arm: number(arm.median, result.metric),
           brief=_silent),
    Column("selected_on", lambda arm: sum(arm.chosen) / len(arm.chosen) if arm.chosen else None,
           lambda result: titled(result.selection or "", _selection(result)), _selected, brief=_silent),
    _difference("n"),
    _difference("mean", _minus, text=_effect, kind="difference", brief=_effect),
    *map(_difference, ("low", "high", "p")),
    _difference("adjusted", "p (Holm)", text=lambda _, arm: p_value(_compared("adjusted")(arm)), kind="test",
                brief=lambda _, arm: p_is(_compared("adjusted")(arm))),
    *map(_difference, ("wilcoxon", "permutation")),
    _difference("detectable", "could show", kind="test", brief=_silent),
    *map(_difference, ("pairs", "by", "equivalent", "level")),
    Column("verdict", lambda arm: arm.verdict, "verdict", lambda _, arm: arm.judgement, kind="verdict",
           brief=_verdict),
    Column("remark", lambda arm: arm.remark, "remark", kind="text",
           brief=lambda _, arm: arm.remark if arm.apart else ""),
    Column("reached", lambda arm: arm.reached if arm.times else None, "reached",
           lambda _, arm: f"{arm.reached} of {len(arm.times)}", "time", brief=_silent),
    _median_time("steps", "median steps"),
    _median_time("seconds", "median s"),
    Column("time_p", lambda arm: arm.time_ranks.p if arm.time_ranks else None, "time p", _time_p, "time",
           brief=_silent),
    Column("time_way", lambda arm: arm.time_way or None),
    Column("difference_looks", lambda arm: " ".join(map(str, _compared("looks")(arm) or ())) or None),
    Column("trials", lambda arm: len(arm.tuning.trials) if arm.tuning else None),
    Column("chosen", _chosen),
    Column("luck", lambda arm: arm.luck if arm.tuning else None),
    Column("broken", lambda arm: arm.arm.broken or None,
           brief=lambda _, arm: f"broken ({arm.arm.broken})" if arm.arm.broken else ""),
    Column("probability", _of_superior(0),
           lambda result: "P(better)" if result.metric.better else "P(larger)", _superior, kind="difference"),
    Column("probability_low", _of_superior(1)),
    Column("probability_high", _of_superior(2)),
    Column("condition", lambda arm: arm.condition or None),
    _difference("corrected", lambda result: "corrected for stopping" if result.part.looks else "",
                text=_corrected, kind="difference"),
]  # fmt: skip
"""The order is that of CSV and JSON, which others read: a new one goes to the end."""
