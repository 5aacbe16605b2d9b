"""Which way a metric is better, and whether it is a share: what run folders say of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Result
from scipy import stats
from synthetic import METRICS, SELECTION, part_of, write_run, write_sweep

from genreg.report.evaluate import evaluate
from genreg.report.output.claims import judge
from genreg.run import display, loop
from genreg.run.display import print_line
from genreg.run.folder import RunFolder
from genreg.run.metric import VALIDATION, Family, Metric, described, metric_of
from genreg.run.task import Task

Genreg = Callable[..., Result]
VALUES = {"vat-0123abcd": (0.9, 0.91, 0.95, 0.93, 0.91), "none-89efcdab": (0.8, 0.82, 0.84, 0.83, 0.81)}


def write(root: Path, metric: str = "accuracy", **more: Any) -> None:
    """Two arms of five seeds whose last rows have this metric, and nothing is selected."""
    for arm, values in VALUES.items():
        for seed, value in enumerate(values):
            last = {"step": 30, f"test/{metric}": value}
            write_run(root / "part" / arm / f"seed={seed}", 0.5, selection=None, best=None, last=last,
                      rows=[{"step": 10, f"test/{metric}": 0.1}, last], **more)  # fmt: skip


def part(genreg: Genreg, *arguments: str) -> dict[str, Any]:
    answer = genreg("report", *arguments, "--format", "json")
    assert answer.code == 0, answer.err
    (found,) = json.loads(answer.out)["parts"]
    return dict(found)


def verdict(found: dict[str, Any]) -> str:
    return str({arm["arm"]: arm["verdict"] for arm in found["arms"]}["vat"])


def test_descriptions_are_written_and_read_by_the_last_part_of_a_key() -> None:
    metrics = described([Metric("kid", "min"), Metric("accuracy", "max", "%")])
    assert metrics == {"kid": {"better": "min", "unit": ""}, "accuracy": {"better": "max", "unit": "%"}}
    assert metric_of("validation_stderr/kid", metrics) == Metric("kid", "min")
    assert metric_of("test_clean/accuracy", metrics) == Metric("accuracy", "max", "%")
    assert metric_of("train/recall", metrics) == Metric("recall")  # nothing is said, nothing is guessed


def test_families_are_written_and_read_by_the_first_part_of_a_key() -> None:
    z = Family("z", of_replicas=True, otherwise="w")
    metrics = described([Metric("trace", "min", headline=True)], [VALIDATION, z, z.errors])
    assert metrics == {
        "trace": {"better": "min", "unit": "", "headline": True},
        "validation/": {"reported": "test"},
        "z/": {"of_replicas": True, "otherwise": "w"},
        "z_stderr/": {"stderr_of": "z"},
    }
    assert metric_of("validation/trace", metrics).chooses
    assert not metric_of("test/trace", metrics).chooses
    assert metric_of("z/trace", metrics).family == z
    assert z.keys("z/trace") == ["z/trace", "w/trace"]
    assert metric_of("z_stderr/trace", metrics).family == z.errors
    for key in ("w/trace", "w_stderr/trace"):  # declared by nobody, while others are: nothing is guessed
        assert metric_of(key, metrics).family == Family(key.split("/")[0])
        assert metric_of(key, {"trace": {}}).family != Family(key.split("/")[0])  # a folder of before


ENERGY = {"moves": 1.0, "still": 0.0}
REPLICAS = 4


class Swarm(Task):
    """Replicas with an energy, drawn around that of their arm by a seed; the larger, the better."""

    metrics = (Metric("energy", "max", "J", headline=True), Metric("place", coordinate=True))
    families = (Family("theta", of_replicas=True), Family("theta_spread", stderr_of="theta"))
    baselines = ("still",)
    selection = None
    progress = ("theta/energy",)
    device = torch.device("cpu")
    checksums: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, arm: str, seed: int) -> None:
        self.energy = energies(arm, seed)

    def step(self, step: int) -> dict[str, torch.Tensor]:
        return {"loss": torch.tensor(1.0)}

    def evaluate(self) -> dict[str, float]:
        spread = self.energy.std(ddof=1) / REPLICAS**0.5
        return {"theta_spread/energy": spread, "theta/place": 0.0, "theta/energy": self.energy.mean()}

    def weights(self) -> dict[str, torch.Tensor]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing is remembered."""

    def results(self) -> dict[str, dict[str, torch.Tensor]]:
        numbers = torch.arange(REPLICAS)
        energy = torch.tensor(self.energy)[None]
        history = {"step": torch.tensor([2]), "theta/energy": energy, "theta/place": energy}
        return {"replicas": {**history, "replica": numbers, "died": torch.full((REPLICAS,), -1)}}


def energies(arm: str, seed: int) -> np.ndarray:
    """The energy of each replica, in float64."""
    shared, own = (
        np.random.default_rng([seed, k]).normal(size=REPLICAS) for k in (0, 1 + list(ENERGY).index(arm))
    )
    return np.asarray(ENERGY[arm] + shared + 0.1 * own)


def test_a_task_of_ones_own_says_what_its_metrics_are(genreg: Genreg, tmp_path: Path) -> None:
    """Names that the report has never met: paired by replica, their errors told apart, the best way known."""
    for arm, digest in (("moves", "0123abcd"), ("still", "89efcdab")):
        for seed in range(3):
            folder = tmp_path / f"part/{arm}-{digest}/seed={seed}"
            folder.mkdir(parents=True)
            loop.run(Swarm(arm, seed), RunFolder(folder), steps=2, log_every=1, eval_every=2,
                     checkpoint_every=2)  # fmt: skip
    found = part(genreg, "part")
    assert (found["metric"], found["mode"], found["baseline"]) == ("theta/energy", "max", "still")
    moves, still = (np.concatenate([energies(arm, seed) for seed in range(3)]) for arm in ENERGY)
    arm = found["arms"][1]
    assert (arm["n"], arm["difference_n"], arm["verdict"]) == (12, 12, "better")
    assert arm["difference_p"] == pytest.approx(stats.ttest_rel(moves, still).pvalue)
    assert arm["runs"][2]["value"] == pytest.approx(energies("moves", 2).tolist())
    (of_moves, _) = json.loads(genreg("ls", "part", "--format", "json").out)
    assert of_moves["metric"] == "theta/energy"  # not its standard error, which stands first
    assert "theta_spread/energy" in genreg("show", str(folder)).out
    assert "over replicas" in genreg("report", "part", "--format", "markdown").out


@pytest.mark.parametrize(("better", "expected"), [("max", "better"), ("min", "worse")])
def test_the_runs_say_which_way_is_better(genreg: Genreg, tmp_path: Path, better: str, expected: str) -> None:
    write(tmp_path, "agreement", metrics={"agreement": {"better": better, "unit": ""}})
    found = part(genreg, "part")
    assert (found["mode"], verdict(found), found["notes"]) == (better, expected, [])


def test_the_runs_say_what_is_a_share(genreg: Genreg, tmp_path: Path) -> None:
    write(tmp_path, "recall", metrics={"recall": {"better": "max", "unit": "%"}})
    shown = genreg("report", "part", "--format", "markdown").out
    assert "| mean % |" in shown
    assert "| vat | 5 | 0 | 92.00 |" in shown
    assert part(genreg, "part")["arms"][1]["mean"] == pytest.approx(0.92)  # data stay as they were measured
    assert genreg("report", "part").code == 0
    page = Path("part/report.html").read_text()
    assert page.count(">test/recall %</text>") == 2  # the axes of the dots and of the curves
    assert page.count(">test/recall %</th>") == 2  # the runs of both arms
    assert "92.00" in page


def test_where_nothing_says_which_way_is_better_arms_only_differ(genreg: Genreg, tmp_path: Path) -> None:
    write(tmp_path, "u")
    found = part(genreg, "part")
    assert (found["mode"], verdict(found)) == (None, "differs")
    assert found["notes"] == ["no run says which way test/u is better: arms are only said to differ"]
    assert "neither way is said to be better" in genreg("report", "part", "--format", "markdown").out
    same = evaluate(part_of({"none": [1, 2, 3, 4, 5], "b": [2, 1, 4, 3.1, 5]}, None))
    assert same.metric.better == "min"  # of runs recorded before, without a description
    for run in same.part.runs():
        run.summary["metrics"] = {}
    del same.part.described
    assert evaluate(same.part).arms[1].verdict == "no difference shown"


def test_a_choice_and_a_threshold_need_to_know_which_way(genreg: Genreg, tmp_path: Path) -> None:
    arms = [{"name": name, "folder": f"part/{name}"} for name in VALUES]
    write(tmp_path, "u", metrics={})
    for wrong in ({"select": "validation/u"}, {"threshold": {"metric": "validation/u", "value": 1}}):
        write_sweep(tmp_path, arms, metric="test/u", **{"select": None, **wrong})
        answer = genreg("report", ".")
        assert (answer.code, len(answer.err.splitlines())) == (2, 1)
        assert answer.err.startswith(f"genreg: {next(iter(wrong))}")
        assert ": expected a metric of the runs of part, got 'validation/u'" in answer.err


def test_a_sweep_file_decides_for_its_own_metric_only(genreg: Genreg, tmp_path: Path) -> None:
    write(tmp_path)
    arms = [{"name": name.split("-")[0], "folder": f"part/{name}"} for name in reversed(VALUES)]
    write_sweep(tmp_path, arms, mode="min", select=None, seeds=list(range(5)))
    assert verdict(part(genreg, ".")) == "worse"
    assert verdict(part(genreg, ".", "--metric", "test/accuracy")) == "worse"
    write_sweep(tmp_path, arms, mode=None, select=None, seeds=list(range(5)))
    assert verdict(part(genreg, ".")) == "better"
    write_sweep(tmp_path, arms, mode="max", select=None)
    assert part(genreg, ".", "--metric", "seconds_per_step")["mode"] == "min"


def test_runs_that_contradict_each_other_are_told(genreg: Genreg, tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "part/vat-0123abcd/seed=2/summary.json"
    other = METRICS | {"accuracy": {"better": "min", "unit": ""}}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"metrics": other}))
    assert part(genreg, "part")["notes"] == [
        "accuracy: runs disagree on what it is (larger is better, in %; smaller is better), the first is used"
    ]


def test_folders_without_descriptions_mean_what_they_meant(genreg: Genreg, tmp_path: Path) -> None:
    for name in ("modes", "high_quality", "precision", "recall"):
        assert metric_of(f"test/{name}", None) == Metric(name, "max")
    assert metric_of("test/kid", None) == Metric("kid", "min")
    write(tmp_path, metrics=None)
    assert verdict(part(genreg, "part")) == "better"
    assert "| vat | 5 | 0 | 92.00 |" in genreg("report", "part", "--format", "markdown").out
    write(tmp_path / "other", "kid", metrics=None)
    assert verdict(part(genreg, "other/part")) == "worse"


def test_a_run_that_describes_its_metrics_speaks_for_all(genreg: Genreg, tmp_path: Path) -> None:
    write(tmp_path, "agreement", metrics=None)
    path = tmp_path / "part/vat-0123abcd/seed=2/summary.json"
    says = {"metrics": {"agreement": {"better": "max", "unit": "%"}}}
    path.write_text(json.dumps(json.loads(path.read_text()) | says))
    found = part(genreg, "part")
    assert (verdict(found), found["notes"]) == ("better", [])


@pytest.mark.parametrize(
    "metrics", [[], {"accuracy": "max"}, {"accuracy": {"better": "up"}}, {"a": {"unit": 1}}]
)
def test_a_description_that_cannot_be_read_is_a_damaged_summary(
    genreg: Genreg, tmp_path: Path, metrics: Any
) -> None:
    write_run(tmp_path / "part/vat-0123abcd/seed=0", 0.9, metrics=metrics)
    write_run(tmp_path / "part/vat-0123abcd/seed=1", 0.9)
    assert "vat, seed 0: damaged summary.json" in part(genreg, "part")["notes"]


def test_a_claim_needs_to_know_which_way_is_better() -> None:
    made = part_of({"gp": [0.0, 0.1, 0.2, 0.3], "sn": [1.0, 1.2, 1.1, 1.3]}, None)
    made.name = "wgan_modes_8"
    for run in made.runs():
        run.summary["metrics"] = {}
    (claim,) = judge(evaluate(made))
    assert (claim.verdict, claim.why) == ("not decided", "no run says which way test/score is better")


def test_a_line_tells_the_selected_metric_on_every_split(capsys: pytest.CaptureFixture[str]) -> None:
    best = {"step": 10, "validation/kid": 1.0, "validation_stderr/kid": 0.1, "test/kid": 2.0, "test/fid": 3.0}
    print_line({"best": best, "selection": ["validation/kid", "min"], "seconds": 1.0}, "a")
    print_line({"best": None, "last": {"step": 5, "w/u": 1.0}, "selection": None, "seconds": 1.0}, "b")
    assert capsys.readouterr().out.splitlines() == [
        "a: validation/kid 1.0000  test/kid 2.0000  at step 10, 1.0 s",
        "b: w/u 1.0000  at step 5, 1.0 s",
    ]


def test_curves_are_drawn_in_the_metrics_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    rows = [{"step": 1, "train/vat": 2.0, "test/accuracy": 0.5}, {"step": 2, "test/accuracy": 0.75}]
    display.draw(rows, {"best": None, "selection": SELECTION, "metrics": METRICS}, tmp_path / "curves.png")
    accuracy, terms = drawn[0].axes
    assert (accuracy.get_ylabel(), terms.get_ylabel()) == ("%", "")
    assert list(accuracy.lines[0].get_ydata()) == [50, 75]
    assert list(terms.lines[0].get_ydata()) == [2]
    assert [axes.lines[0].get_marker() for axes in (accuracy, terms)] == ["None", "o"]  # one point is no line


def test_curves_are_as_wide_as_high_and_have_the_run_s_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    row = {"step": 1, "train/vat": 2.0, "test/a": 0.5, "validation/loss": 1.0, "test/u": 1.0, "test/v": 1.0}
    summary = {"best": None, "selection": ["validation/loss", "min"], "metrics": METRICS}
    folder = tmp_path / "$digits/vat-0123abcd/seed=3"
    folder.mkdir(parents=True)
    for kinds, size in ((5, (15, 7.55)), (3, (10, 7.55)), (1, (5, 3.95))):
        display.draw([dict(list(row.items())[: kinds + 1])], summary, folder / "curves.png")
        assert tuple(drawn[-1].get_size_inches()) == pytest.approx(size)
        assert drawn[-1].get_suptitle() == "$digits/vat-0123abcd, seed 3"
    titles = [axes.get_title() for axes in drawn[0].axes]
    assert titles == ["loss", "a", "u", "v", "training terms"]  # first what chose the step
