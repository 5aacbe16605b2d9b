"""`genreg train --help`: written for people, from the first comment of every YAML, without torch or Hydra."""

from pathlib import Path

from genreg.groups import CONFIGS, options

GROUPS = {
    "task": "how one update is made",
    "dataset": "what is learned from",
    "model": "what is trained",
    "loss": "what is minimized on labeled items",
    "regularizer": "the methods under study; several as regularizer=[vat,entropy]",
    "optimizer": "how weights move",
    "scheduler": "how the learning rate moves",
    "measure": "what is measured beside accuracy; several as a list",
    "features": "what pictures are compared by, with task=wgan",
    "logger": "where rows are shown beside the run folder; several as a list",
    "experiment": "published experiments, one arm each",
    "sweep": "many runs: every arm of some experiments, every seed",
}

HEAD = """\
genreg train trains one configuration, or with -m a grid of them, and records it in a run folder.
The same command again returns a finished run at once and resumes an unfinished one.

examples:
  genreg train regularizer=vat
  genreg train regularizer=[vat,entropy] regularizer.vat.epsilon=0.5 dataset=mnist model=conv_small
  genreg train experiment=vat_200/vat seed=3
  genreg train -m regularizer=none,vat 'seed=range(5)'
  genreg train sweep=smoke

Tab completes verbs, flags, options and keys:   eval "$(genreg -sc install=bash)"   (or zsh, in ~/.zshrc)
"""

TAIL = """\
flags:
  -m               run every combination of comma-separated values, range(...) and glob(...)
  --dry-run        of a sweep: print how many runs, how many are finished, how long, and the first commands
  --until decided  of a sweep file: add seeds to comparisons until they are decided, 20 at most
  --again          repeat a finished run, of a sweep those of other code or data; the old one is kept
  --extend         go on from a finished run of fewer steps, in a folder of its own
  --like FOLDER    repeat the run in FOLDER, with further overrides; warns of what is not as it was then
  --trust          with --like: also call code of that folder that is none of genreg, torch or --config-dir
  --cfg job        print the configuration and stop; --info shows where each part comes from
  --config-dir D   look for more options of every group in folder D, and for their modules
  --hydra-help     Hydra's own flags
"""


def text(extra: Path | None = None) -> str:
    """The whole help page."""
    lines = [HEAD]
    for group, meaning in GROUPS.items():
        found = options(group, extra)
        width = max(map(len, found))
        lines.append(f"{group}=  {meaning}")
        lines += [f"  {name:<{width}}  {line}" for name, line in found.items()]
        lines.append("")
    return "\n".join([*lines, "keys:", *_keys(), "", TAIL])


def _keys() -> list[str]:
    """The scalars of train.yaml with their comments."""
    rows = []
    for line in (CONFIGS / "train.yaml").read_text().splitlines():
        key, separator, comment = line.partition("  # ")
        if separator and not line.startswith((" ", "#")):
            rows.append(f"  {key.replace(': ', '='):<52} {comment.strip()}")
    return rows
