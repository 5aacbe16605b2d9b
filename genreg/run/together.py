"""Several runs trained as one tensor program, each in its own folder."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from genreg.errors import Interrupted
from genreg.run.display import print_line
from genreg.run.folder import Row, RunFolder
from genreg.run.identity import Config, run_path
from genreg.run.loop import Pace, Training, recorded, stop_signals
from genreg.run.train import Settings, build, opened

Turn = Callable[[int], None]
"""Called with the number of a run before something is done, and may be printed, for it alone."""


def train_together(configs: Sequence[Config], over: Sequence[str], turn: Turn) -> list[Row | BaseException]:
    """Run configurations that may be trained as one program; the summary of each, or what it ended by.

    Each leaves the folder that it would leave alone. over: statuses of a run that is not run again. Raises
    what a step of the program raises: no folder then says that its run has failed.
    """
    group = Group(len(configs), turn)
    with ExitStack() as stack:
        for number, config in enumerate(configs):
            with group.ending(number):
                group.add(number, config, over, stack)
        numbers = list(group.left)
        for start in range(0, len(numbers), group.most):
            group.run(numbers[start : start + group.most])
    for number, result in enumerate(group.results):
        if isinstance(result, dict) and not configs[number]["quiet"] and result.get("status") == "done":
            turn(number)
            print_line(result, str(run_path(configs[number])))
    return group.results


class Group:
    """Runs of one process, by number. left: those on their way. results: how the others ended. keeps: true
    for those whose last state is kept.

    most: how many of them a program should have.
    """

    def __init__(self, runs: int, turn: Turn) -> None:
        self.turn, self.most = turn, runs
        self.left: dict[int, Training] = {}
        self.keeps: dict[int, bool] = {}
        self.results: list[Row | BaseException] = [Interrupted("stopped before its first step")] * runs

    def add(self, number: int, config: Config, over: Sequence[str], stack: ExitStack) -> None:
        """Build a run and hold its folder until the stack ends; a run that is over has its result."""
        built, folder = build(config, Settings.of(config)), RunFolder(run_path(config))
        for first in list(self.left.values())[:1]:
            self.most = min(self.most, built.task.join(first.task))
        views = stack.enter_context(opened(built, folder, over, len(self.results)))
        if views is None:
            self.results[number] = folder.summary()
            return
        s = built.settings
        pace = Pace(s.steps, s.log_every, s.eval_every, s.checkpoint_every)
        self.left[number] = Training(built.task, folder, pace, views)
        self.keeps[number] = bool(s.keep_state)

    def run(self, numbers: Sequence[int]) -> None:
        """Train these to their last step: those that are behind first, until the others are reached."""
        for number in numbers:
            with self.ending(number):
                self.left[number].begin()
        with stop_signals() as stopping:
            try:
                while (ours := [n for n in numbers if n in self.left]) and not stopping:
                    behind = min(self.left[n].state.step for n in ours)
                    together = [n for n in ours if self.left[n].state.step == behind]
                    reached = [self.left[n].state.step for n in ours if n not in together]
                    self._advance(together, min(reached, default=None), stopping)
                for number in ours:
                    with self.ending(number):
                        self.left[number].interrupt()
            except KeyboardInterrupt:  # the second signal
                for one in self.left.values():
                    one.state.stop("interrupted")
                raise

    def _advance(self, numbers: Sequence[int], until: int | None, stopping: Sequence[int]) -> None:
        """Make steps of runs that stand at the same one, until one ends or step `until` is reached."""
        ones = [self.left[number] for number in numbers]
        tasks, pace, step = [one.task for one in ones], ones[0].pace, ones[0].state.step
        program = tasks[0].program(tasks) if len(tasks) > 1 else None
        for one in ones:
            one.state.alongside(len(ones))
        while step < (until or pace.steps) and all(n in self.left for n in numbers) and not stopping:
            terms = program.step(step) if program else [tasks[0].step(step)]
            step += 1
            due = any(pace.at(step)) or step in (tasks[0].frames or ())
            for number, one, own in zip(numbers, ones, terms, strict=True):
                if due:
                    with self.ending(number):
                        one.follow(own)
                else:
                    one.state.record(own)
        if program:
            program.release()
        for number, one in zip(numbers, ones, strict=True):
            if number in self.left and not one.left:
                with self.ending(number):
                    self.results[number] = one.state.finish(self.keeps[number])
                    del self.left[number]

    @contextmanager
    def ending(self, number: int) -> Iterator[None]:
        """Let a run end by what is raised inside, which its folder records if it was on its way."""
        self.turn(number)
        one = self.left.get(number)
        try:
            with recorded(one.state) if one else ExitStack():
                yield
        except (Exception, Interrupted) as error:
            self.results[number] = error
            self.left.pop(number, None)
