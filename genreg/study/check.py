"""Checks the metrics that a part names: its runs report them, and those that choose are of validation."""

from collections.abc import Mapping

from genreg.errors import InputError, nearest
from genreg.run.metric import Metric, may_choose
from genreg.study.model import PER_STEP, TIMES, Part, check_margin

CHOOSES = "a validation metric (test data are for reporting, not for choosing)"


def check_chooses(metric: Metric, name: str, key: str) -> None:
    """Refuse to choose steps by a metric that does not: one of test data, of training, of replicas."""
    if not metric.chooses:
        raise InputError(key, CHOOSES, name)


def check_select(metric: object, key: str) -> None:
    """Refuse to choose steps by what no task chooses by; `check_reported` knows the task's own families."""
    if metric is not None and not may_choose(str(metric)):
        raise InputError(key, CHOOSES, metric)


def check_reported(part: Part, reported: Mapping[str, Metric], of: str, prefix: str = "") -> None:
    """Refuse a part whose metrics are not among what is reported, or cannot choose what they are to choose.

    reported: by key of a row; empty: nothing is known of it. of: who reports it. prefix: of the keys.
    """
    if not reported:
        return
    threshold = part.threshold or {}
    chosen = {"select": part.select, "threshold.metric": threshold.get("metric")}
    tuned = {arm.tuning.metric for arm in part.arms if arm.tuning}
    named = [*chosen.items(), *(("tune.metric", name) for name in sorted(tuned))]
    for key, name in ((key, name) for key, name in named if name):
        ways = key == "threshold.metric" and threshold.get("mode")
        found = _known(part, name, reported, of, prefix + key)
        check_chooses(found, name, prefix + key)
        if found.better is None and not ways:
            raise InputError(prefix + key, f"a metric of which {of} say which way is better", name)
    own = TIMES if threshold else {PER_STEP: TIMES[PER_STEP]}
    metric = _known(part, part.metric, {**reported, **own}, of, f"{prefix}metric")
    check_margin(part.margin, metric, f"{prefix}margin")


def check_threshold(key: str, part: Part, reported: Mapping[str, Metric]) -> None:
    """InputError for percents of what runs report as a share."""
    if part.threshold is None:
        return
    metric, value = part.threshold["metric"], part.threshold["value"]
    if metric in reported and reported[metric].percent and abs(value) > 1:
        raise InputError(f"{key}.threshold.value", f"a share of 1, as {metric} is one", value)


def _known(part: Part, name: str, reported: Mapping[str, Metric], of: str, key: str) -> Metric:
    """The metric that is called so, or that stands for it."""
    metric = part.describe(name)
    for known in metric.family.keys(name):
        if known in reported:
            return reported[known]
    near = nearest(name, [other for other in reported if part.describe(other).chooses or not metric.chooses])
    raise InputError(key, f"a metric of {of}", name, near)
