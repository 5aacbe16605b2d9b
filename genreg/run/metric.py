"""The meaning of the numbers in a row, as the task says that writes them: nothing is guessed from a name.

The key of a number is `<family>/<name>`: `test/accuracy`, `w_stderr/trace`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

Better = Literal["max", "min"]

Described = dict[str, dict[str, Any]]
"""Metrics by name and families by name and slash, as a summary carries them:
{"accuracy": {"better": "max", "unit": "%"}, "validation/": {"reported": "test"}}."""


@dataclass(frozen=True)
class Family:
    """Metrics whose keys begin with the same word (`test` of `test/accuracy`), and all that they share.

    reported: the family that is reported of a step which a metric of this one chose (`test` of `validation`);
    empty: no metric of this one may choose a step. of_replicas: rows hold means over replicas, whose own
    values are in replicas.npz. stderr_of: the family whose standard errors these are. otherwise: the family
    that is read of a run that lacks this one.
    """

    name: str = ""
    reported: str = ""
    of_replicas: bool = False
    stderr_of: str = ""
    otherwise: str = ""

    @property
    def errors(self) -> "Family":
        """The family of the standard errors of this one."""
        return Family(f"{self.name}_stderr", stderr_of=self.name)

    def keys(self, key: str) -> list[str]:
        """The keys under which a run may have a metric of this family, the first that it has counts."""
        return [key, f"{self.otherwise}/{key.partition('/')[2]}"] if self.otherwise else [key]


@dataclass(frozen=True)
class Metric:
    """name: the last part of a row's key (`accuracy` of `test/accuracy`); better: which way is better, None
    where neither is. unit: the words behind the number; `%` marks a share, which is shown times 100.
    headline: reported where nothing chooses a step. coordinate: a place on the way of what is trained, not a
    measure of it. family: of the key under which it stands. Two that differ in the last three only are one.
    """

    name: str
    better: Better | None = None
    unit: str = ""
    headline: bool = field(default=False, compare=False)
    coordinate: bool = field(default=False, compare=False)
    family: Family = field(default=Family(), compare=False)

    @property
    def percent(self) -> bool:
        """True of a share, which is shown in percent."""
        return self.unit == "%"

    @property
    def scale(self) -> int:
        """The factor by which a value is multiplied to be shown."""
        return 100 if self.percent else 1

    @property
    def chooses(self) -> bool:
        """True if it may choose the step of a run, so that its value there is too good to be reported."""
        return bool(self.family.reported)


def described(metrics: Iterable[Metric], families: Iterable[Family] = ()) -> Described:
    """Return both as a run folder carries them: way and unit always, the rest where it says something."""
    found = {m.name: {"better": m.better, "unit": m.unit} | _said(m) for m in metrics}
    return found | {f"{family.name}/": _said(family) for family in families}


OWN = ("name", "family")
"""Fields that the place of a description says."""


def _said(one: Metric | Family) -> dict[str, Any]:
    return {key: value for key, value in asdict(one).items() if value and key not in OWN}


GAP = "generalization_gap"
"""The name of how much worse a metric is outside than on labeled items."""

VALIDATION = Family("validation", reported="test")


def metric_of(key: str, metrics: Mapping[str, dict[str, Any]] | None) -> Metric:
    """The metric under `key` of a row, as `metrics` describe it; None is a folder without descriptions."""
    word, name = key.partition("/")[0], key.rsplit("/", 1)[-1]
    families = _families(metrics)
    family = (families or FAMILIES).get(word, Family(word))
    if metrics is None:
        found = BEFORE.get(name, Metric(name, "min"))
    else:
        found = Metric(name, **_values(Metric, metrics.get(name, {})))
    if not families:
        coordinate = family.of_replicas and name not in NO_COORDINATES
        found = replace(found, headline=key == HEADLINE, coordinate=coordinate)
    return replace(found, family=family)


def may_choose(key: str) -> bool:
    """False if no metric under `key` can choose a step, whichever families the task declares that has it."""
    word, slash, _ = key.partition("/")
    known = FAMILIES.get(word)
    of_others = word in {family.reported for family in FAMILIES.values()}
    return bool(slash) and not of_others and (known is None or bool(known.reported))


def _families(metrics: Mapping[str, dict[str, Any]] | None) -> dict[str, Family]:
    """The families that are described, by name; none in a folder of before."""
    words = {key[:-1]: said for key, said in (metrics or {}).items() if key.endswith("/")}
    return {word: Family(word, **_values(Family, said)) for word, said in words.items()}


def _values(kind: type[Metric] | type[Family], said: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a class that a description has; a later version may say more."""
    return {one.name: said[one.name] for one in fields(kind) if one.name in said and one.name not in OWN}


def judged(summary: Mapping[str, Any]) -> tuple[str, float, Better] | None:
    """The metric by which a finished run is judged, its value, which way is better; None without a metric.

    The metric that chose the step, there; without one, the first of the last row that has a better way.
    """
    if summary.get("selection") and summary["selection"][0] in (summary.get("best") or {}):
        name, better = summary["selection"]
        return name, summary["best"][name], better
    for name, value in (summary.get("last") or {}).items():
        if "/" in name and not isinstance(value, str):
            metric = metric_of(name, summary.get("metrics"))
            if metric.better and not metric.family.stderr_of:
                return name, value, metric.better
    return None


def to_report(keys: Sequence[str], selection: Sequence[str], metrics: Described | None) -> str:
    """The key to report where nobody names one: of the family that goes with the selection, or the headline.

    keys: of a run's row, described by `metrics`. Without such a key, the first that is reported of any
    selection, else the first of all.
    """
    found = {key: metric_of(key, metrics) for key in keys if key != "step"}
    if selection:
        reported, name = metric_of(selection[0], metrics).family.reported, selection[0].partition("/")[2]
        wanted = [f"{reported}/{name}"] if reported else []
    else:
        wanted = [key for key, one in found.items() if one.headline and not one.family.stderr_of]
    outside = {family.reported for family in (_families(metrics) or FAMILIES).values()}
    left = sorted(found, key=lambda key: found[key].family.name not in outside)
    return next((key for key in [*wanted, *left] if key in found), next(iter(wanted), HEADLINE))


def baselines(summary: Mapping[str, Any]) -> Sequence[str]:
    """The names of arms that others are compared with where nobody says which, the first that there is."""
    found = summary.get("baselines")
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else BASELINES


def is_described(metrics: object) -> bool:
    """True if `metric_of` can read these descriptions."""
    return isinstance(metrics, dict) and all(
        isinstance(found, dict)
        and found.get("better") in (None, "max", "min")
        and all(isinstance(found.get(key, ""), str) for key in ("unit", "reported", "stderr_of", "otherwise"))
        for found in metrics.values()
    )


def in_words(metric: Metric) -> str:
    """Words on which way is better."""
    words = {"max": "larger is better", "min": "smaller is better"}
    return words[metric.better] if metric.better else "neither way is said to be better"


BASELINES = ("none", "supervised", "gd", "sgd", "clip")
HEADLINE = "w/trace"
BEFORE = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "max", "%"),
        *(Metric(name, "max") for name in ("modes", "high_quality", "precision", "recall")),
    )
}
FAMILIES = {
    family.name: family
    for family in (
        VALIDATION,
        replace(VALIDATION, name="validation_clean"),
        Family("w", of_replicas=True),
        Family("z", of_replicas=True, otherwise="w"),
        *(Family(name).errors for name in ("validation", "test", "w", "z")),
    )
}
NO_COORDINATES = ("loss", "gradient_squared", "trace")
"""The meaning of folders of earlier versions, which do not say it: baselines, the headline, metrics (of every
other the smaller was better), families, and the values of replicas that were no coordinates."""
