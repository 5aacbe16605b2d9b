"""Command lines that nobody should type: every key of every option with values of other types, and more."""

import itertools
from collections.abc import Iterator

from genreg.groups import nodes
from genreg.run.factory import KEYED

Line = tuple[str, ...]

FAST = ["steps=2", "eval_every=2", "log_every=2", "logger=none", "quiet=true", "device=cpu"]
LONG = "x" * 3000
WORDS = [
    "x",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "''",
    "[1,2,[3]]",
    "{a:1}",
    "true",
    "ü漢",
    LONG,
    "-1e308",
    "../x",
    "'\\t'",
]
"""Values of other types than a number."""
KINDS: dict[type, list[str]] = {
    bool: ["3", "x", "[true]", "{a:1}", "''", "1e400"],
    int: [*WORDS, "null", "1.5", "-3", "1e21"],
    float: [*WORDS, "null"],
    str: ["3", "nan", "[x]", "{a:1}", "true", "ü漢", LONG, "''"],
    list: ["3", "x", "{a:1}", "[{a:1}]", "true", "''", "[[]]", "[null]"],
    type(None): ["{a:{b:1}}", "[[[]]]"],
}
"""Wrong values of a key, by the type of the value that its YAML has."""

FILES = ("npz", "table", "text_csv", "image_folder")
DATA = ("digits", "two_moons", "gaussian_grid", "gaussian_ring", "swiss_roll", "diabetes", *FILES)
"""Data that need no download."""
WGAN = ["task=wgan", "dataset=two_moons"]
PICTURES = ["task=wgan", "dataset=digits"]
CONTEXT: dict[tuple[str, str], list[str]] = {
    **{("model", m): ["task=landscape"] for m in
       ("widening_valley", "rosenbrock", "quadratic", "quadratic_parametrized", "matrix_sensing")},
    **{("model", m): [*PICTURES] for m in ("dcgan", "resnet_gan", "mlp_gan")},
    **{("measure", m): [*WGAN] for m in ("sliced_wasserstein", "wasserstein", "critic_wasserstein",
        "gradient_norm",
                                         "modes", "conditional_wasserstein")},
    **{("measure", m): [*PICTURES, "features=random"] for m in ("fid", "kid", "precision_recall")},
    **{("features", f): [*PICTURES, "measure=fid"] for f in ("random", "inception", "classifier")},
    ("task", "alternate"): ["optimizer@unlabeled_optimizer=adam"],
}  # fmt: skip
OPEN = {"name", "_target_", "defaults", "experiment", "project", "entity", "trust", "seed"}
"""Keys of which a word may be anything, or that other lines are about."""


def of_options() -> Iterator[Line]:
    """Every key of every option with every wrong value of its type."""
    for group in (
        "task",
        "dataset",
        "model",
        "loss",
        "regularizer",
        "optimizer",
        "scheduler",
        "measure",
        "features",
    ):
        for option, node in nodes(group).items():
            if group == "dataset" and option not in DATA:
                continue
            prefix = f"{group}.{option}" if group in KEYED else group
            given = [*CONTEXT.get((group, option), []), f"{group}={option}"]
            for key, value in node.items():
                for wrong in (
                    KINDS.get(int if value == "${steps}" else type(value), ()) if key not in OPEN else ()
                ):
                    yield ("train", *given, f"{prefix}.{key}={wrong}", *FAST)


SCALARS: dict[str, type] = {
    "steps": int, "seed": int, "eval_every": int, "log_every": int, "checkpoint_every": int, "quiet": bool,
    "precision": str, "device": str,
}  # fmt: skip


def of_scalars() -> Iterator[Line]:
    for key, kind in SCALARS.items():
        rest = [o for o in FAST if not o.startswith(f"{key}=")]
        for wrong in KINDS[kind]:
            yield ("train", *rest, f"{key}={wrong}")
            yield ("train", "-m", *rest, f"{key}={wrong}", "optimizer.lr=0.1,0.2")
    for key, wrong in itertools.product(("name", "output_dir", "data_dir"), ("[a]", "{a:1}", LONG)):
        yield ("train", *FAST, f"{key}={wrong}")
    for word in ("name=a/../b", "output_dir=file/x", "data_dir=file"):
        yield ("train", *FAST, word)


GROUPS = ("task", "dataset", "model", "loss", "regularizer", "optimizer", "scheduler", "measure", "logger")
TARGETS = ("os.system", "builtins.print", "builtins.exec", "torch.load", "torch.nn.Module",
    "genreg.errors.report", "x",
           "genreg", "genreg.model", "''", "3", "[a]", "no.module", ".", "a..b",
           "genreg.streams.generator")  # fmt: skip


def of_groups() -> Iterator[Line]:
    """Groups deleted, chosen wrongly, and with targets of other kinds."""
    for group in GROUPS:
        yield ("train", *FAST, f"~{group}")
        for wrong in (
            "nothing_such",
            "../model/mlp",
            "/etc/passwd",
            "[a,b]",
            "3",
            "''",
            "nan",
            "ü漢",
            LONG,
            "null",
            "{a:1}",
        ):
            yield ("train", *(o for o in FAST if not o.startswith(group)), f"{group}={wrong}")
        for wrong in TARGETS if group not in KEYED else ():
            chosen = ["loss=mse"] if group == "loss" else []
            yield ("train", *FAST, *chosen, f"++{group}._target_={wrong}")
        for wrong in ("foo=1", "_args_=[1]", "_partial_=true", "_recursive_=false"):
            yield ("train", *FAST, f"+{group}.{wrong}" if group not in KEYED else f"{group}.x.{wrong}")
    for group, option in (("regularizer", "vat"), ("measure", "margin"), ("regularizer", "l2")):
        for wrong in TARGETS:
            yield ("train", *FAST, f"{group}={option}", f"{group}.{option}._target_={wrong}")


def of_flags() -> Iterator[Line]:
    for word in ("--nothing", "--cfg", "--cfg=x", "--like", "--like=nowhere", "--config-dir=nowhere",
        "--until=x", "--trust",
                 "--resolve", "--dry-run", "--config-name=x", "--config-path=x", "steps", "=", "a=b=c",
                 "a b", "'", "[", "{",
                 "a=[1", "a={", "sweep=nothing", "experiment=nothing", "+a=", "~a", "++", "~",
                 "hydra/launcher=x",
                 "hydra.searchpath=[nowhere]", "hydra.run.dir=x", "hydra/sweeper=x", "", LONG, "ü漢=1",
                 "a.b@c=1", "regularizer=[vat,vat]", "measure=[margin,margin]", "steps=${nothing}",
                 "steps=${oc.env:NOTHING}",
                 "sweep.seeds=3", "-m=3", "--multirun=x", "seed=1,2", "optimizer.lr=0.1,0.2",
                 "steps=range(3)"):  # fmt: skip
        yield ("train", *FAST, word)
    for words in (["sweep=smoke", "sweep=sigma"], ["sweep.seeds=3"], ["sweep=smoke", "--again=x"],
        ["optimizer.lr=0.1,x"],
                  ["optimizer.lr=0.1,null"], ["model.widths=[4],[x]"], ["regularizer=none,vat,nothing"],
                  ["seed=0,-1"],
                  ["optimizer=adam,loss"], ["model=mlp,../model/mlp"], ["steps=1,0"],
                  ["hydra.launcher.workers=x"], ["hydra.launcher.nothing=1"], ["seed=range(3,x)"],
                  ["name=a,''"],
                  ["regularizer=vat", "regularizer.vat.epsilon=1,-1"], ["~model"], ["sweep=smoke",
                  "sweep.seeds=nan"]):  # fmt: skip
        yield ("train", "-m", *FAST, *words)


PLACES = (
    "nowhere",
    "file",
    "''",
    "",
    "/proc",
    "/dev/null",
    "empty",
    LONG,
    "ü漢",
    "a/b/c",
    "file/x",
    "-x",
    "~",
)
VERBS: dict[str, list[str]] = {"report": [], "ls": [], "show": [], "plan": ["--difference", "1"], "sync": [],
                               "export": ["new"], "pack": ["new.zip"], "check": ["--rerun", "1"],
                               "rm": ["--where", "status=failed"], "compare": []}  # fmt: skip


def of_verbs() -> Iterator[Line]:
    """Every verb with places where there are no runs, and flags that it has not, or with other values."""
    for (verb, more), place in itertools.product(VERBS.items(), PLACES):
        yield (verb, place, *more)
    yield ("train", *FAST, "name=''")
    yield ("train", *FAST, "output_dir=")
    for verb in (*VERBS, "data", "data list", "data fetch", "data verify"):
        for flag in (
            "--nothing",
            "--config-dir",
            "--format=x",
            "--sort",
            "-q",
            "--difference=x",
            "--to",
            "--trust=3",
        ):
            yield (*verb.split(), flag)
    for wrong in ("nan", "inf", "0", "-1", "x", "1e400", "", "ü"):
        yield ("plan", "runs", "--difference", wrong)
    yield from (("ls", "runs", *words) for words in (
        ["--format", "x"], ["--format", ""], ["--sort", "nothing"], ["--sort", "-"], ["--where", "x"],
        ["--where", "=1"],
        ["--where", "nothing=1"], ["--sort", LONG], ["--where", ""], ["--format", "JSON "]))  # fmt: skip
    yield from (("report", "runs", *words) for words in (
        ["--format", "x"], ["--output", "x"], ["--output", "nowhere/x.md"], ["--output", "/proc/x.md"],
        ["--metric", "x"],
        ["--baseline", "x"], ["--select", "test/accuracy"], ["--select", "x"], ["--select", ""],
        ["--output", "empty"], ["--columns", "x"], ["--columns", ","], ["--rename", "="], ["--rename", LONG],
        ["--metric", LONG], ["--output", LONG + ".md"]))  # fmt: skip
    yield from (("pack", "runs", name) for name in (
        "x", "empty", "nowhere/x.zip", "file/x.zip", "/proc/x.zip", LONG + ".zip", "empty/."))  # fmt: skip
    for flags in (["--rerun", "-1"], ["--rerun", "x"], ["--seed", "-1"], ["--config-dir", "file"]):
        yield ("check", "file", *flags)
    yield from (("figure", *words) for words in (
        ["x"], ["effects", "runs"], ["effects", "runs", "-o", "x"], ["effects", "empty", "-o", "x.pdf"],
        ["curves", "runs", "-o", "x.pdf", "--width", "x"], ["curves", "runs", "-o", LONG + ".pdf"],
        ["grid", "runs", "-o", "x.svg", "--part", LONG]))  # fmt: skip
    yield from (("sync", "runs", *words) for words in (
        ["--to", "nothing"], ["--to", ""], ["--to", "tensorboard", "--mode", "x"], ["--to", "wandb",
        "--mode", "x"],
        ["--to", "tensorboard", "--artifacts"], ["--config-dir", "nowhere"], ["--to", "../x"]))  # fmt: skip
    for name in ("nothing", "", "../x", LONG, "ü漢"):
        yield ("data", "fetch", name)
    for words in (["trian"], ["train", "report"], ["data", "lst"], ["--versoin"], [""], ["ls", "a", "b"],
        ["show"], ["plan"],
                  ["data", "verify", "x"], ["-sc"], ["report", "runs", "runs/x"], [LONG],
                  ["ü漢"]):  # fmt: skip
        yield tuple(words)


def lines() -> list[Line]:
    """All of them; of the first kinds some, by numbers that are prime to those of the values."""
    some = ((of_options(), 31), (of_scalars(), 3), (of_groups(), 2))
    found = [line for kind, step in some for line in itertools.islice(kind, 0, None, step)]
    return list(dict.fromkeys([*found, *of_flags(), *of_verbs()]))
