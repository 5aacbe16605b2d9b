"""The verbs from report to export: the options of each, which imports the file of its work.

`genreg train` is cli/train.py, with `sweep=` cli/sweep.py; `genreg data` is cli/data.py.
"""

from pathlib import Path
from typing import Annotated

import typer

from genreg.cli import data
from genreg.groups import __version__

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Study why models generalize: train, sweep and compare regularizers from YAML groups.",
)
app.add_typer(data.app, name="data")


Rename = Annotated[
    str | None, typer.Option(metavar="OLD=NEW,...", help="other names of arms or of words in them: vat=VAT")
]


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train() -> None:
    """Train one configuration, or a grid of them: `genreg train --help`."""


@app.command("compare")
def compare_methods(
    data_path: Annotated[
        str, typer.Argument(metavar="DATA", help="a table, texts, an npz file or a folder of pictures")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="of every run, as steps=1000 or dataset.delimiter=semicolon"
        ),
    ] = None,
    target: Annotated[str | None, typer.Option(help="the column to predict")] = None,
    labeled: Annotated[
        int | None, typer.Option(min=1, help="items that keep their label; validation is as small")
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="options of the group regularizer, a+b: both",
            show_default="none,noise_consistency,vat; of real targets none,input_noise,l2",
        ),
    ] = None,
    studies: Annotated[int, typer.Option(min=1, help="tunings and comparisons of each method, at most")] = 8,
    trials: Annotated[int, typer.Option(min=1, help="values that each tuning tries")] = 4,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say the plan and the sweep file only")] = False,
) -> None:
    """Compare methods on data of your own: tune each, in several studies, to a verdict and a page."""
    from genreg.cli.compare import Question, compare

    names = None if methods is None else [name.strip() for name in methods.split(",") if name.strip()]
    compare(Question(data_path, target, labeled, names, studies, trials, overrides or ()), dry_run)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if show:
        print(__version__)
        raise typer.Exit


@app.command("report")
def report_runs(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER|ARCHIVE...", help="of runs, or what `pack` wrote of them")
    ],
    format: Annotated[str | None, typer.Option(help="html, markdown, csv, json, latex or summary")] = None,
    output: Annotated[
        Path | None, typer.Option(help="a file; default: FOLDER/report.html, or stdout")
    ] = None,
    baseline: Annotated[str | None, typer.Option(help="the arm that others are compared with")] = None,
    metric: Annotated[str | None, typer.Option(help="what is reported, such as test/accuracy")] = None,
    select: Annotated[str | None, typer.Option(help="the validation metric that chooses each step")] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="of a table, as the csv calls them: arm,mean,verdict"),
    ] = None,
    rename: Rename = None,
) -> None:
    """Tables with a verdict from run folders: on the terminal and as one page, or in one format."""
    from genreg.report.command import report as report_on

    report_on(folders, format, output, baseline, metric, select, columns, rename)


@app.command("figure")
def draw_figure(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="effects, curves, grid or times")],
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="folders with runs below them")],
    output: Annotated[Path, typer.Option("--output", "-o", help="a .pdf, .svg or .png")],
    part: Annotated[str | None, typer.Option(help="the part to draw, where there are several")] = None,
    width: Annotated[float | None, typer.Option(help="in inches; default: 3.25, of effects 5.5")] = None,
    height: Annotated[float | None, typer.Option(help="in inches; default: what it takes")] = None,
    baseline: Annotated[str | None, typer.Option(help="the arm that others are compared with")] = None,
    metric: Annotated[str | None, typer.Option(help="what is drawn, such as test/accuracy")] = None,
    select: Annotated[str | None, typer.Option(help="the validation metric that chooses each step")] = None,
    rename: Rename = None,
) -> None:
    """Draw one picture for a paper: all effects, learning curves, a grid, or times to a threshold."""
    from genreg.report.figure import figure

    figure(kind, folders, output, part, (width, height), baseline, metric, select, rename)


@app.command()
def ls(
    folder: Annotated[
        Path, typer.Argument(help="a folder with runs below it, or an archive of `pack`")
    ] = Path("outputs"),
    where: Annotated[
        list[str], typer.Option(metavar="KEY=VALUE", help="only runs like regularizer=vat or status=failed")
    ] = [],  # noqa: B006
    sort: Annotated[
        str | None,
        typer.Option(help="a metric, best first, or name, seeds, seconds, touched; -X turns X round"),
    ] = None,
    format: Annotated[str, typer.Option(help="table, csv or json")] = "table",
) -> None:
    """List what there is: a line for each arm, with its runs, seeds, metrics and code."""
    from genreg.report.ls import ls as list_arms
    from genreg.study import archive

    with archive.opened([folder]) as (place,):
        list_arms(place, where, sort, format)


@app.command()
def rm(
    folder: Annotated[Path, typer.Argument(help="a folder with runs below it")] = Path("outputs"),
    where: Annotated[
        list[str], typer.Option(metavar="KEY=VALUE", help="of the runs to remove, as in `genreg ls`")
    ] = [],  # noqa: B006
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Remove runs: says which, and asks."""
    from genreg.cli.rm import rm as remove

    raise typer.Exit(remove(folder, where, yes))


@app.command()
def show(folder: Annotated[Path, typer.Argument(metavar="RUN_FOLDER", help="a folder seed=N")]) -> None:
    """Show one run: status, result, configuration, environments, and how to repeat it."""
    from genreg.report.show import show as show_run
    from genreg.study import archive

    with archive.opened([folder]) as (place,):
        show_run(place)


@app.command("plan")
def plan_seeds(
    sweep: Annotated[str, typer.Argument(metavar="FOLDER|sweep=NAME", help="finished runs to judge by")],
    difference: Annotated[
        float,
        typer.Option(help="wanted, in points of a share, else in the metric's own unit"),
    ],
) -> None:
    """Say how many seeds and minutes a wanted difference takes, from the runs that have finished."""
    from genreg.report.plan import plan
    from genreg.study import archive

    name = sweep.removeprefix("sweep=")
    with archive.opened([Path(sweep) if name == sweep else Path("outputs") / name]) as (place,):
        plan(place, difference)


@app.command("pack")
def pack_study(
    folder: Annotated[Path, typer.Argument(help="of a study: with sweep.json, or with runs below it")],
    path: Annotated[Path, typer.Argument(metavar="ARCHIVE", help="a file .zip")],
    force: Annotated[bool, typer.Option("--force", help="replace a file of other content")] = False,
) -> None:
    """Write what a study's verdicts rest on into one small file: configurations, rows, environments."""
    from genreg.report.pack import pack

    pack(folder, path, force)


@app.command("check")
def check_archive(
    path: Annotated[Path, typer.Argument(metavar="ARCHIVE", help="a file that `pack` wrote")],
    rerun: Annotated[int, typer.Option(min=0, help="runs that are made again and compared")] = 0,
    seed: Annotated[
        int | None, typer.Option(min=0, help="draws these runs", show_default="another each time")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="also call code of ARCHIVE that is none of genreg or torch")
    ] = False,
    config_dir: data.ConfigDir = None,
) -> None:
    """Recompute an archive's verdicts from its rows, and make runs again: equal, within rounding, or not."""
    from genreg.cli.check import check

    raise typer.Exit(check(path, rerun, seed, trust, config_dir))


@app.command("sync")
def sync_runs(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="folders with runs below them")],
    to: Annotated[
        str, typer.Option(metavar="NAME", help="an option of the group logger: wandb, tensorboard, ...")
    ] = "wandb",
    project: Annotated[str | None, typer.Option(help="of W&B; default: $WANDB_PROJECT, or genreg")] = None,
    entity: Annotated[
        str | None, typer.Option(help="of W&B; default: $WANDB_ENTITY, or the account's own")
    ] = None,
    mode: Annotated[
        str | None, typer.Option(help="of W&B: auto, online or offline", show_default="auto")
    ] = None,
    patience: Annotated[
        float | None, typer.Option(help="of W&B: seconds to take what is left of a run", show_default="20")
    ] = None,
    artifacts: Annotated[
        bool, typer.Option("--artifacts", help="also weights.pt, curves.png, pictures and config.yaml")
    ] = False,
    config_dir: data.ConfigDir = None,
) -> None:
    """Write run folders to W&B, TensorBoard or a logger of your own afterwards; again, only what is new."""
    from genreg.logger.sync import sync

    options = {"project": project, "entity": entity, "mode": mode, "patience": patience}
    raise typer.Exit(sync(folders, to, config_dir, options, artifacts))


@app.command("export")
def export_encoder(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN_FOLDER", help="a run of model=bert")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="new or empty")],
    trust: Annotated[
        bool, typer.Option("--trust", help="also call code of RUN_FOLDER that is none of genreg or torch")
    ] = False,
) -> None:
    """Write what a run of model=bert trained as an encoder's folder, for model=pretrained_encoder."""
    from genreg.model.text.export import export

    export(run_folder, folder, trust)
