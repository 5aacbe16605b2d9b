"""What tests share: the command line in this process, real data, a small task, what a generator made."""

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of torch, here and in the commands that tests start
os.environ["TRACKIO_DIR"] = f"{tempfile.gettempdir()}/genreg-tests-trackio"  # it is read at the import

import pytest
import torch
from torch import Tensor, nn

from genreg import CONFIGS
from genreg.__main__ import main
from genreg.dataset import Batch, digits
from genreg.forward.classifier import ClassifierForward
from genreg.measure import Generated
from genreg.model import MLP, Classifier
from genreg.run import display
from genreg.task.classify import Classify

REPOSITORY = Path(__file__).parent.parent
SMOKE = ["experiment=smoke/vat", "device=cpu"]


@dataclass
class Result:
    """What one command answered."""

    code: int
    out: str
    err: str


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave some cases of a test marked `pairs` or `every`; mark its others `full`, unless `slow`."""
    tests: dict[Any, list[Any]] = {}
    for item in items:
        tests.setdefault((item.parent, getattr(item, "originalname", "")), []).append(item)
    for cases in tests.values():
        left = set(cases)
        if every := cases[0].get_closest_marker("every"):
            left = set(cases[:: every.args[0]])
        if cases[0].get_closest_marker("pairs"):
            left = covering({c: {(name, repr(v)) for name, v in c.callspec.params.items()} for c in cases})
        for case in set(cases) - left:
            if not case.get_closest_marker("slow"):
                case.add_marker("full")


def covering(values: dict[Any, set[tuple[str, str]]]) -> set[Any]:
    """Cases that hold every value between them: each adds the most new ones, or else those used least."""
    chosen, used = set[Any](), Counter[tuple[str, str]]()
    while unseen := set().union(*values.values()) - used.keys():
        best = max(values, key=lambda c: (len(values[c] & unseen), -sum(used[v] for v in values[c])))
        chosen.add(best)
        used.update(values[best])
    return chosen


@pytest.fixture(autouse=True)
def _no_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the caller's data folder, debug switch, width of the terminal or W&B account."""
    wandb = [name for name in os.environ if name.startswith("WANDB_")]
    for name in ("GENREG_DATA", "GENREG_DEBUG", "COLUMNS", *wandb):
        monkeypatch.delenv(name, raising=False)


draw_curves = display.draw


@pytest.fixture
def genreg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any, request: pytest.FixtureRequest
) -> Callable[..., Result]:
    """Run `genreg ARGUMENTS` in this process, in an empty folder.

    Curves take as long as a small run: only full tests have them, and those that ask for `draw_curves`.
    """
    monkeypatch.chdir(tmp_path)
    if not request.node.get_closest_marker("full"):
        monkeypatch.setattr(display, "draw", lambda _rows, _summary, path: path.touch())

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["genreg", *arguments])
        code: Any = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        return Result(code, *capfd.readouterr())

    return run


@pytest.fixture
def data_dir() -> Path:
    """Real data: GENREG_DATA of the caller, or the folder `shared/data` beside the checkout."""
    folder = Path(REAL_DATA or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data: set GENREG_DATA ({folder} does not exist)")
    return folder


REAL_DATA = os.environ.get("GENREG_DATA")


def small_task(regularizer: dict[str, Any] | None = None, **options: Any) -> Classify:
    """Digits, a narrow MLP with batch normalization and dropout, Adam."""
    model = partial(MLP, widths=[16], batch_norm=True, dropout=0.3)
    given = {"dataset": digits, "model": model, "optimizer": partial(torch.optim.Adam, lr=1e-2)}
    return Classify(**{**given, "regularizer": regularizer or {}, **options})


SPLITS: dict[str, Any] = {"splits": ["test"]}


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=draw(seed), dtype=dtype)


def classifier(**options: Any) -> MLP:
    """A smooth MLP in float64 for inputs of (5,) and 3 classes, the same at every call."""
    torch.manual_seed(0)
    given: dict[str, Any] = {"input_shape": [5], "outputs": 3, "widths": [6, 4], "activation": "tanh"}
    return MLP(**{**given, **options}).double()


def forward_of(model: Classifier, e: Tensor, y: Tensor) -> ClassifierForward:
    return ClassifierForward(model, Batch(e, y, classes=3))


def seen(critic: Callable[[Tensor], Tensor], layers: list[nn.Module], **more: Any) -> Generated:
    """200 samples beside 300 items of (2,), a critic and its layers."""
    given = {"fake": normal(200, 2).float(), "real": normal(300, 2, seed=1).float(), "labels": None,
             "modes": None, "features": None, "draw": lambda _name: draw()}  # fmt: skip
    return Generated(critic=critic, layers=layers, **{**given, **more})


def yaml_options(group: str) -> list[str]:
    """Every option of a group that a user may choose."""
    names = (path.relative_to(CONFIGS / group).with_suffix("") for path in (CONFIGS / group).rglob("*.yaml"))
    return sorted(name.as_posix() for name in names if not name.name.startswith("_"))
