"""Several runs trained as one tensor program, each in its own folder."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from genreg.errors import Interrupted
from genreg.run.display import print_line
from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config, run_path
from genreg.run.loop import Pace, Training, recorded, stop_signals
from genreg.run.train import Built, Settings, build, opened

Turn = Callable[[int], None]
"""Called with the number of a run before something is done for it alone, that may be printed."""


def train_together(configs: Sequence[Config], over: Sequence[str], turn: Turn) -> list[Row | BaseException]:
    """Run configurations that may be trained as one program; the summary of each, or what it ended by.

    Each leaves the folder that it would leave alone. over: statuses of a finished run.
    """
    results: list[Row | BaseException] = [Interrupted("stopped before its first step") for _ in configs]
    with ExitStack() as stack:
        members: dict[int, Training] = {}
        most = len(configs)
        for number, config in enumerate(configs):
            with _caught(results, number, turn):
                built, folder = build(config, Settings.of(config)), RunFolder(run_path(config))
                most = min([most, *(built.task.share(one.task) for one in list(members.values())[:1])])
                views = stack.enter_context(opened(built, folder, over, len(configs)))
                if views is None:
                    results[number] = folder.summary()
                else:
                    members[number] = _training(built, folder, views)
        numbers = list(members)
        for start in range(0, len(numbers), most):
            part = {number: members[number] for number in numbers[start : start + most]}
            _run(part, results, turn)
    for number, result in enumerate(results):
        if isinstance(result, dict) and not configs[number]["quiet"] and result.get("status") == "done":
            turn(number)
            print_line(result, str(run_path(configs[number])))
    return results


def _training(built: Built, folder: RunFolder, views: Sequence[Any]) -> Training:
    s = built.settings
    pace = Pace(s.steps, s.log_every, s.eval_every, s.checkpoint_every)
    return Training(built.task, folder, pace, views)


def _run(members: dict[int, Training], results: list[Row | BaseException], turn: Turn) -> None:
    """Train all to their last step: those that are behind first, until the others are reached."""
    left = dict(members)
    for number, one in members.items():
        with _ends(left, results, number, one, turn):
            one.begin()
    with stop_signals() as stopping:
        try:
            while left and not stopping:
                behind = min(one.state.step for one in left.values())
                together = {n: one for n, one in left.items() if one.state.step == behind}
                _advance(together, left, results, turn, stopping)
            for number, one in list(left.items()):
                with _ends(left, results, number, one, turn):
                    one.interrupt()
        except KeyboardInterrupt:  # the second signal
            for one in left.values():
                one.state.stop("interrupted")
            raise


def _advance(
    together: dict[int, Training], left: dict[int, Training], results: list[Row | BaseException], turn: Turn,
    stopping: Sequence[int],
) -> None:  # fmt: skip
    """Make steps of runs that stand at the same one, until one of them ends or another is reached."""
    ones = list(together.values())
    others = [one.state.step for one in left.values() if one not in ones]
    tasks = [one.task for one in ones]
    program = tasks[0].program(tasks) if len(ones) > 1 else None
    step, last = ones[0].state.step, min([ones[0].pace.steps, *others])
    count = len(left)
    for one in ones:
        one.state.alongside(len(ones))
    while step < last and len(left) == count and not stopping:
        terms = program.step(step) if program else [ones[0].task.step(step)]
        step += 1
        due = any(ones[0].pace.at(step)) or step in (ones[0].task.frames or ())
        for (number, one), own in zip(together.items(), terms, strict=True):
            if due:
                with _ends(left, results, number, one, turn):
                    one.follow(own)
            else:
                one.state.record(own)
    if program:
        program.release()
    for number, one in together.items():
        if number in left and not one.left:
            with _ends(left, results, number, one, turn):
                results[number] = one.state.finish()
                del left[number]


@contextmanager
def _ends(
    left: dict[int, Training], results: list[Row | BaseException], number: int, one: Training, turn: Turn
) -> Iterator[None]:
    """Take a run out of those that are left where it ends by an error, which is recorded in its folder."""
    turn(number)
    try:
        with recorded(one.state):
            yield
    except Exception as error:
        results[number] = error
    except KeyboardInterrupt as error:  # Interrupted, after it was saved
        if not isinstance(error, Interrupted):
            raise
        results[number] = error
    else:
        return
    left.pop(number, None)


@contextmanager
def _caught(results: list[Row | BaseException], number: int, turn: Turn) -> Iterator[None]:
    """Note the error of a run that does not come to its first step."""
    turn(number)
    try:
        yield
    except Exception as error:
        results[number] = error
