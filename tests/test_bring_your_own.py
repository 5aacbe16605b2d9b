"""The page about what users bring: its commands run as printed, its files are those of examples/."""

import re
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY, Result, small_task
from my_autoencoder import Autoencoder, Bottleneck
from my_confidence import Confidence

from genreg.dataset import digits
from genreg.measure.prediction import predict

Genreg = Callable[..., Result]

PAGE = (REPOSITORY / "docs" / "bring_your_own.md").read_text()
COMMANDS = re.findall(r"^genreg (train --config-dir examples/.*)$", PAGE, re.MULTILINE)
LARGER = re.compile(" -m | dataset=rt_polarity| task=wgan")
BLOCKS = [code for _, code in re.findall(r"```(yaml|python)\n(.*?)```", PAGE, re.DOTALL) if code[0] in '#"']
FILES = {path.read_text() for path in (REPOSITORY / "examples").rglob("my_*/**/*") if path.is_file()}
SHORT = ["steps=2", "logger=none", "device=cpu", "quiet=true"]


def test_the_page_shows_every_example() -> None:
    folders = {path.name for path in (REPOSITORY / "examples").glob("my_*")}
    assert {Path(shlex.split(command)[2]).name for command in COMMANDS} | {"my_method"} == folders
    assert len(BLOCKS) >= 6
    assert all(block in FILES for block in BLOCKS)


@pytest.mark.parametrize("command", [c for c in COMMANDS if not LARGER.search(c)])
def test_a_command_runs_as_it_is_printed(genreg: Genreg, command: str, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(REPOSITORY / "examples")
    answer = genreg(*shlex.split(command), *SHORT)
    assert answer.code == 0, answer.err
    assert len(list(tmp_path.rglob("outputs/*/*/seed=0/summary.json"))) == 1


@pytest.mark.full
@pytest.mark.parametrize("command", [c for c in COMMANDS if LARGER.search(c)])
def test_a_larger_command_too(genreg: Genreg, command: str, tmp_path: Path, data_dir: Path) -> None:
    (tmp_path / "examples").symlink_to(REPOSITORY / "examples")
    answer = genreg(*shlex.split(command), *SHORT, f"data_dir={data_dir}")
    assert answer.code == 0, answer.err
    assert len(list(tmp_path.rglob("summary.json"))) == (10 if "range(5)" in command else 1)


def test_the_measure_by_hand() -> None:
    task = small_task({})
    data = task.dataset.test
    found = Confidence(splits=["test"], items=50)(task.model, data.x[:50], data.y[:50])
    p = predict(task.model, data.x[:50]).double().exp()
    by_hand = (p.amax(1) / p.sum(1)).mean()
    assert found.value == pytest.approx(by_hand.item(), rel=1e-6)
    assert found.n == 50


@pytest.mark.full
def test_the_autoencoder_comes_near_to_principal_components() -> None:
    adam = partial(torch.optim.Adam, lr=1e-3)
    cpu = torch.device("cpu")
    task = Autoencoder(dataset=digits, model=Bottleneck, optimizer=adam, batch_size=256, device=cpu)
    for step in range(3000):
        task.step(step)
    pool = task.dataset.unlabeled.flatten(1)
    variances = torch.linalg.svdvals(pool - pool.mean(0)).square() / len(pool)
    least = float(variances[8:].sum()) / pool.shape[1]
    reached = task._errors(task.dataset.unlabeled).mean().item()
    assert least < reached < 1.1 * least
