"""A finished run goes on to more steps, in a folder of its own."""

from collections.abc import Sequence
from pathlib import Path

from genreg.errors import InputError
from genreg.files import read_bytes, write_atomic
from genreg.run.find import finished_runs
from genreg.run.folder import RunFolder
from genreg.run.identity import PLUMBING, Config, experiment_hash, experiment_name, normal, run_path
from genreg.run.read import flat

FLAG = "--extend"


def extend(config: Config) -> None:
    """Let the run of `config` go on from a finished one of fewer steps: put its last state into the folder.

    Its rows, pictures and starts come with it, so that the run is that which is made of as many steps at
    once, byte for byte. One that has begun is left alone. Raises InputError with the reason where no run can
    be gone on from.
    """
    folder = RunFolder(run_path(config))
    if not _has_begun(folder):
        source, state = _source(config)
        with folder.lock():
            if not _has_begun(folder):
                _place(source, state, folder)


def _has_begun(folder: RunFolder) -> bool:
    return folder.begun or folder.summary().get("status") == "done"


def _place(source: RunFolder, state: Path, folder: RunFolder) -> None:
    """Copy what a run is resumed from; the checkpoint last, without which the run starts at step 0."""
    pictures = [path for named in source.pictures().values() for path in named.values()]
    for path in (source.path / "metrics.jsonl", source.path / "timing.jsonl", *pictures):
        _copy(path, folder.path / path.relative_to(source.path))
    where = f"{'/'.join(source.path.parts[-3:])}, which ended at step {_steps(source)}"
    folder.write_environments([{**start, "extended": where} for start in source.environments()])
    _copy(state, folder.path / state.name.replace("state-", "checkpoint-"))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with write_atomic(target, durable=True) as file:
        file.write(read_bytes(source))


def _source(config: Config) -> tuple[RunFolder, Path]:
    """The longest run that can be gone on from, and the file of its last state."""
    name, seed, steps = experiment_name(config), int(config["seed"]), int(config["steps"])
    found = [RunFolder(path) for path in finished_runs(Path(config["output_dir"]), name, seed)]
    alike = [run for run in found if _hash_at(run.config(), steps) == experiment_hash(config)]
    if not alike:
        raise _none_alike(config, found)
    longest = max(alike, key=_steps)
    if not (shorter := [run for run in alike if _steps(run) < steps]):
        raise InputError(FLAG, f"more steps than the {_steps(longest)} of {longest.path}", steps)
    kept = [(run, state) for run in shorter if (state := run.last_state)]
    if not kept:
        raise InputError(FLAG, f"a last state in {shorter[-1].path}, which keep_state=true keeps", "none")
    source, state = max(kept, key=lambda each: _steps(each[0]))
    for key in ("eval_every", "log_every"):
        if _steps(source) % config[key]:
            expected = f"a run of a multiple of {key}={config[key]}: its last row is of its end alone"
            raise InputError(FLAG, expected, f"{_steps(source)} steps in {source.path}")
    return source, state


def _none_alike(config: Config, found: Sequence[RunFolder]) -> InputError:
    """The error that says why no run of this name and seed is one of fewer steps."""
    differences = [(run, _differences(run.config(), config)) for run in found]
    if not differences:
        expected = f"a finished run of {experiment_name(config)}, seed {config['seed']}"
        return InputError(FLAG, f"{expected}, in output_dir", config["output_dir"])
    run, changed = min(differences, key=lambda each: len(each[1]))
    texts = ", ".join(f"{key}={there}, here {here}" for key, (there, here) in [*changed.items()][:3])
    expected = "a run that differs in steps alone"
    if all(pair == (_steps(run), config["steps"]) for pair in changed.values()):
        expected = "a schedule that does not depend on the length"
    return InputError(FLAG, f"{expected}: {run.path} has {texts}")


def _differences(there: Config, here: Config) -> dict[str, tuple[object, object]]:
    """The values that are not the same in two configurations, by key, beside the number of steps."""
    before, now = (
        flat(normal({key: node for key, node in config.items() if key not in (*PLUMBING, "steps")}))
        for config in (there, here)
    )
    keys = sorted(before.keys() | now.keys())
    return {key: (before.get(key), now.get(key)) for key in keys if before.get(key) != now.get(key)}


def _hash_at(config: Config, steps: int) -> str:
    return experiment_hash({**config, "steps": steps})


def _steps(run: RunFolder) -> int:
    return int(run.config().get("steps", 0))
