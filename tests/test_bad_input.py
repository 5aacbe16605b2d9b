"""Everything a person can get wrong: exit 2, at most three lines, the key, what was expected, what came."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Result

# arguments of `genreg train`, the key that the answer must name, and what else it must say
CASES: list[tuple[list[str], str, str]] = [
    # unknown keys, options, experiments, flags
    (["stepz=3"], "stepz", "nearest: steps"),
    (["optimizer.lrr=3"], "optimizer.lrr", "optimizer.lr"),
    (["regularizer.vat.epsilon=1"], "regularizer.vat.epsilon", "add regularizer=vat"),
    (["regularizer=vat", "regularizer.vat.epsilom=1"], "regularizer.vat.epsilom", "regularizer.vat.epsilon"),
    (["regularizer=vat", "+regularizer.vat.radius=1"], "regularizer.vat.radius", "no such key"),
    (["dataset.labelled=50"], "dataset.labelled", "dataset.labeled"),
    (["+optimizer.lrate=1"], "optimizer.lrate", "no such key"),
    (["+foo=1"], "foo", "no such key"),
    (["experiment=vat_mnist/vat", "dataset=digits", "~dataset.validation", "scheduler=late_linear"],
     "scheduler.step_size", "(the experiment sets it for its own: '~scheduler.step_size' takes it out)"),
    (["-m", "experiment=vat_mnist/noise,vat_mnist/vat", "scheduler=late_linear"],
     "scheduler.step_size", "'~scheduler.step_size' takes it out"),
    (["regularizer=vaat"], "regularizer", "nearest: vat"),
    (["regularizer=[vat,entrop]"], "regularizer", "nearest: entropy"),
    (["dataset=digit"], "dataset", "digits"),
    (["model=resnet"], "model", "resnet18"),
    (["optimizer=adm"], "optimizer", "adam"),
    (["scheduler=cosin"], "scheduler", "cosine"),
    (["logger=wandbb"], "logger", "wandb"),
    (["measure=hessian"], "measure", "hessian_trace"),
    (["task=classfy"], "task", "classify"),
    (["experiment=vat_200/vatt"], "experiment", "vat_200/vat"),
    (["experiment=smoke"], "experiment", "smoke/vat"),
    (["--wrong"], "--wrong", "a flag that"),
    (["--dryrun"], "--dryrun", "nearest: --dry-run"),
    (["lr=0.01"], "lr", "nearest: optimizer.lr\n"),
    (["regularizer=vat", "epsilon=1"], "epsilon", "nearest: regularizer.vat.epsilon\n"),
    (["-m", "lr=0.01,0.1"], "lr", "nearest: optimizer.lr\n"),
    (["optimizer.lr=1e-3,1e-2"], "optimizer.lr", "(genreg train -m ... trains each of several, [1e-3,"),
    (["seed=range(5)"], "seed", "one value (genreg train -m ... trains each of several), got 'range(5)'"),
    (["regularizer=[none],[vat]"], "regularizer", "genreg train -m ..."),
    (["+model._target_=genreg.model.MLP"], "+model._target_", "model._target_=... without the +"),
    (["+model=linear"], "+model", "model=... without the +"),
    (["dataset=mnist", "model=gru"], "model", "one that reads numbers"),
    (["dataset=zh_sentiment"], "model", "one that reads texts"),
    (["--cfg", "jobb"], "genreg train", "jobb"),
    (["steps"], "override", "key=value"),
    (["--config-dir", "nowhere"], "--config-dir", "nowhere"),
    # what genreg does not honour of Hydra
    (["hydra.run.dir=elsewhere"], "hydra.run.dir", "output_dir"),
    (["hydra.output_subdir=.hydra"], "hydra.output_subdir", "config.yaml"),
    (["hydra.job.chdir=true"], "hydra.job.chdir", "false"),
    (["+hydra.callbacks.x._target_=y"], "hydra.callbacks", "none"),
    (["hydra.mode=MULTIRUN"], "hydra.mode", "-m"),
    (["-m", "hydra.run.dir=elsewhere"], "hydra.run.dir", "output_dir"),
    (["+hydra.job_logging.handlers.x.class=y"], "hydra.job_logging", "'x'"),
    (["--config-dir", ".", "hydra.searchpath=x"], "hydra.searchpath", "a list of folders"),
    (["-m", "--config-dir", "nowhere"], "--config-dir", "nowhere"),
    (["--config-name", "mine"], "--config-name", "experiment=NAME"),
    (["--config-path", "."], "--config-path", "--config-dir"),
    (["--resolve"], "--resolve", "--cfg"),
    # wrong types
    (["steps=many"], "steps", "integer"),
    (["steps=1.5"], "steps", "1.5"),
    (["steps=true"], "steps", "True"),
    (["quiet=loud"], "quiet", "loud"),
    (["optimizer.lr=fast"], "optimizer.lr", "a number, got 'fast'"),
    (["optimizer.lr=[1,2]"], "optimizer.lr", "[1, 2]"),
    (["optimizer.betas=0.9"], "optimizer.betas", "a list of 2 numbers"),
    (["optimizer.amsgrad=1"], "optimizer.amsgrad", "true or false"),
    (["model.widths=12"], "model.widths", "12"),
    (["model.widths=[12,x]"], "model.widths.1", "'x'"),
    (["model.activation=swish"], "model.activation", "'relu'"),
    (["regularizer=vat", "regularizer.vat.epsilon=large"], "regularizer.vat.epsilon", "'large'"),
    (["regularizer=vat", "regularizer.vat.direction=up"], "regularizer.vat.direction", "'exact'"),
    (["regularizer=vat", "regularizer.vat=3"], "regularizer.vat", "3"),
    (["precision=fp8"], "precision", "'bf16'"),
    # out of range
    (["steps=0"], "steps", "greater than or equal to 1"),
    (["steps=-5"], "steps", "-5"),
    (["seed=-1"], "seed", "-1"),
    (["eval_every=0"], "eval_every", "greater than or equal to 1"),
    (["log_every=-1"], "log_every", "-1"),
    (["checkpoint_every=0"], "checkpoint_every", "0"),
    (["optimizer.lr=-1"], "optimizer.lr", "0 or more, got -1"),
    (["optimizer.lr=nan"], "optimizer.lr", "finite"),
    (["optimizer.lr=inf"], "optimizer.lr", "finite"),
    (["optimizer.betas=[0.9,1.5]"], "optimizer", "1.5"),
    (["optimizer=sgd", "optimizer.momentum=-0.1"], "optimizer.momentum", "-0.1"),
    (["regularizer=vat", "regularizer.vat.epsilon=-1"], "regularizer.vat.epsilon", "got -1"),
    (["regularizer=vat", "regularizer.vat.epsilon=nan"], "regularizer.vat.epsilon", "finite"),
    (["regularizer=vat", "regularizer.vat.xi=0"], "regularizer.vat.xi", "greater than 0"),
    (["regularizer=vat", "regularizer.vat.power_iterations=-1"], "regularizer.vat.power_iterations", "-1"),
    (["regularizer=entropy", "regularizer.entropy.weight=-0.5"], "regularizer.entropy.weight", "-0.5"),
    (["regularizer=l2", "regularizer.l2.weight=nan"], "regularizer.l2.weight", "finite"),
    (["model.widths=[0]"], "model.widths.0", "greater than or equal to 1"),
    (["model.dropout=1.0"], "model.dropout", "less than 1"),
    (["task.batch_size=0"], "task.batch_size", "greater than or equal to 1"),
    (["task.unlabeled_batch_size=-4"], "task.unlabeled_batch_size", "-4"),
    (["dataset.labeled=0"], "dataset.labeled", "from 10 (classes) to 997 (items), got 0"),
    (["dataset.labeled=9"], "dataset.labeled", "got 9"),
    (["dataset.labeled=998"], "dataset.labeled", "got 998"),
    (["dataset.labeled=-3"], "dataset.labeled", "-3"),
    (["dataset.subset=last"], "dataset.subset", "'balanced', 'proportional' or 'first'"),
    (["dataset=two_moons", "dataset.noise=-1"], "dataset.noise", "-1"),
    (["dataset=two_moons", "dataset.labeled=1"], "dataset.labeled", "from 2"),
    (["dataset=gaussian_grid", "dataset.modes=24"], "dataset.modes", "a square number from 4, got 24"),
    (["dataset=mnist", "dataset.size=31"], "dataset.size", "an even number from 28, got 31"),
    (["measure=fid"], "measure.fid", "a measure of a classifier, got 'one of a generator'"),
    (["measure=kid", "measure.kid.samples=0"], "measure.kid.samples", "greater than or equal to 1"),
    (["measure=modes", "measure.modes.splits=[train]"], "measure.modes.splits.0", "'test'"),
    (["features=random"], "features", "a task that has features"),
    (["dataset=image_folder"], "dataset.path", "an existing folder of pictures"),
    (["dataset=image_folder", "dataset.channels=2"], "dataset.channels", "1 or 3"),
    (["dataset=image_folder", "dataset.broken=ignore"], "dataset.broken", "'skip'"),
    (["dataset=swiss_roll"], "dataset", "with labels for task=classify"),
    (["task=wgan", "task.critic_steps=0"], "task.critic_steps", "greater than or equal to 1"),
    (["task=wgan", "task.loss=hing"], "task.loss", "'hinge'"),
    (["task=wgan", "task.ema_decay=1"], "task.ema_decay", "less than 1"),
    (["task=wgan", "task.select=fid"], "task.select", "a chosen measure"),
    (["task=wgan", "measure=lds"], "measure.lds", "a measure of a generator"),
    (["task=wgan", "measure=fid"], "measure.fid", "features=classifier, random or inception"),
    (["task=wgan", "regularizer=vat"], "regularizer.vat", "needs no classes"),
    (["task=wgan", "model=mlp"], "model", "a generator and a critic"),
    (["model=mlp_gan"], "model", "a classifier"),
    (["task=wgan", "model.widths=[0]"], "model.widths.0", "greater than or equal to 1"),
    (["task=wgan", "model=dcgan"], "model", "square pictures of 8, 16, 32"),
    (["task=wgan", "model=dcgan", "dataset=digits", "model.width=0"], "model.width", "got 0"),
    (["task=wgan", "model=resnet_gan", "dataset=digits"], "model", "32x32 pixels, got (1, 8, 8)"),
    (["task=wgan", "task.conditional=true", "dataset=swiss_roll"], "task.conditional", "without labels"),
    (["task=wgan", "generator_optimizer.lr=-1"], "generator_optimizer.lr", "got -1"),
    (["task=wgan", "optimizer@generator_optimizer=rmspop"], "optimizer", "nearest: rmsprop"),
    (["task=wgan", "features=classifier", "features.experiment=features/none"], "features.experiment",
     "genreg train experiment=features/none"),
    (["task=wgan", "regularizer=weight_clipping", "regularizer.weight_clipping.bound=0"],
     "regularizer.weight_clipping.bound", "greater than 0"),
    (["task=wgan", "model.activation=tanh", "regularizer=gradient_penalty",
      "regularizer.gradient_penalty.implementation=adjoint"],
     "regularizer.gradient_penalty.implementation", "got 'Tanh"),
    (["regularizer=gradient_penalty", "regularizer.gradient_penalty.implementation=adjoint"],
     "regularizer.gradient_penalty.implementation", "not a chain of layers"),
    (["task=wgan", "regularizer=gradient_penalty", "regularizer.gradient_penalty.interpolate=across"],
     "regularizer.gradient_penalty.interpolate", "within where players see no labels"),
    (["task=landscape", "model=mlp"], "model", "a landscape"),
    (["task=wgan", "dataset=swiss_roll", "measure=modes"], "measure.modes", "a dataset of known modes"),
    (["scheduler=step", "scheduler.step_size=-3"], "scheduler.step_size", "-3"),
    # methods that act on inputs, hidden layers, labels and losses
    (["regularizer=label_smoothing", "regularizer.label_smoothing.epsilon=1"],
     "regularizer.label_smoothing.epsilon", "less than 1"),
    (["regularizer=label_smoothing", "dataset=diabetes", "loss=mse"], "regularizer.label_smoothing",
     "needs no classes, for real targets"),
    (["regularizer=input_noise", "regularizer.input_noise.sigma=-1"], "regularizer.input_noise.sigma", "-1"),
    (["regularizer=input_noise", "regularizer.input_noise.samples=0"], "regularizer.input_noise.samples",
     "greater than or equal to 1"),
    (["regularizer=input_noise", "regularizer.input_noise.distribution=normal"],
     "regularizer.input_noise.distribution", "'gaussian'"),
    (["regularizer=dropout", "regularizer.dropout.p=1"], "regularizer.dropout.p", "less than 1"),
    (["regularizer=dropout", "regularizer.dropout.layers=layer.1"], "regularizer.dropout.layers",
     "nearest: layers.1"),
    (["regularizer=dropout", "model.widths=[]"], "regularizer.dropout.layers", "no activation"),
    (["regularizer=hidden_noise", "regularizer.hidden_noise.layers=relu*"],
     "regularizer.hidden_noise.layers", "a pattern of names of layers, got 'relu*'"),
    (["regularizer=weight_noise", "regularizer.weight_noise.sigma=-0.1"],
     "regularizer.weight_noise.sigma", "0 or more"),
    (["regularizer=r_drop"], "regularizer.r_drop", "dropout or another noise inside the model"),
    (["regularizer=random_affine", "dataset=two_moons"], "regularizer.random_affine",
     "needs no pictures, for classes and inputs of shape (2,)"),
    (["regularizer=random_affine", "regularizer.random_affine.scale=1"], "regularizer.random_affine.scale",
     "less than 1"),
    (["task.frames=[0,10]"], "task.frames", "null for a dataset that has no classes of points of the plane"),
    (["dataset=two_moons", "task.frames=[-1]"], "task.frames", "a number, 0 or more"),
    (["regularizer=random_crop", "dataset=two_moons"], "regularizer.random_crop", "needs no pictures"),
    (["regularizer=random_crop", "regularizer.random_crop.pixels=1.5"], "regularizer.random_crop.pixels",
     "a valid integer"),
    (["regularizer=mirror", "dataset=two_moons"], "regularizer.mirror", "needs no pictures"),
    (["regularizer=mirror", "regularizer.mirror.p=1.5"], "regularizer.mirror.p", "less than or equal to 1"),
    (["regularizer=jacobian_penalty", "regularizer.jacobian_penalty.probes=0"],
     "regularizer.jacobian_penalty.probes", "greater than or equal to 1"),
    (["regularizer=jacobian_penalty", "dataset=diabetes", "loss=mse"], "regularizer.jacobian_penalty",
     "needs no classes"),
    (["regularizer=laplacian_penalty", "regularizer.laplacian_penalty.sigma=-1"],
     "regularizer.laplacian_penalty.sigma", "0 or more"),
    (["regularizer=laplacian_penalty", "regularizer.laplacian_penalty.estimator=hutchinson"],
     "regularizer.laplacian_penalty.estimator", "'sampled'"),
    (["regularizer=fgm", "regularizer.fgm.epsilon=-1"], "regularizer.fgm.epsilon", "0 or more"),
    (["regularizer=fgsm", "regularizer.fgsm.alpha=2"], "regularizer.fgsm.alpha", "less than or equal to 1"),
    (["regularizer=adversarial", "regularizer.adversarial.ascent_steps=0"],
     "regularizer.adversarial.ascent_steps", "greater than or equal to 1"),
    (["regularizer=adversarial", "regularizer.adversarial.step_size=0"],
     "regularizer.adversarial.step_size", "greater than 0"),
    (["regularizer=loss_gradient_penalty", "regularizer.loss_gradient_penalty.weight=-1"],
     "regularizer.loss_gradient_penalty.weight", "-1"),
    (["task=wgan", "regularizer=fgm"], "regularizer.fgm", "needs no labeled losses"),
    # not there, not usable
    (["device=gpu"], "device", "one of auto, cpu"),
    (["device=cuda:99"], "device", "CUDA devices visible"),
    (["data_dir=nowhere"], "data_dir", "an existing folder"),
    (["output_dir=file/runs"], "output_dir", "a folder that can be written"),
    (["model=conv_small"], "model", "at least 12x12, got (1, 8, 8)"),
    (["name=../up"], "name", "'../up'"),
    (["name=123"], "name", "got 123"),
    (["name=true"], "name", "got True"),
    (["name=" + 241 * "a"], "name", "at most 240 bytes"),
    (["output_dir=" + 256 * "a"], 256 * "a", "a folder that can be written"),
    (["dataset=swiss_roll", "task=wgan", "dataset.items=1e15"], "dataset.items", "fits into memory"),
    (["model.widths=[8,100000000000000]"], "model.widths", "fits into memory"),
    (["model._target_=genreg.model.Nothing"], "model._target_", "genreg.model.Nothing"),
    (["optimizer=null"], "configuration", "NoneType"),
    (["steps=${nothing}"], "configuration", "nothing"),
]  # fmt: skip


@pytest.mark.every(12)
@pytest.mark.parametrize(("arguments", "key", "says"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_bad_input(
    genreg: Callable[..., Result], tmp_path: Path, arguments: list[str], key: str, says: str
) -> None:
    (tmp_path / "file").touch()
    given = arguments if any(a.startswith("logger=") for a in arguments) else [*arguments, "logger=none"]
    answer = genreg("train", *given)
    assert answer.code == 2, answer
    assert len(answer.err.strip().splitlines()) <= 3
    assert answer.err.startswith(f"genreg: {key}")
    assert says in answer.err
    assert answer.out == ""
    assert not list(tmp_path.rglob("summary.json"))


def test_a_sweep_into_no_folder(genreg: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = genreg("train", "-m", "output_dir=file/runs", "logger=none")
    assert answer.code == 2
    assert answer.err.startswith("genreg: output_dir: expected a folder that can be written")
    assert len(answer.err.strip().splitlines()) <= 3


def test_damaged_data(genreg: Callable[..., Result], data_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data" / "zh_sentiment" / "sentiment.zip"
    copy.parent.mkdir(parents=True)
    copy.write_bytes((data_dir / "zh_sentiment" / "sentiment.zip").read_bytes()[:-1])
    answer = genreg("train", "experiment=vat_200/vat", f"data_dir={tmp_path / 'data'}", "logger=none")
    assert answer.code == 2
    assert len(answer.err.strip().splitlines()) <= 3
    assert "sentiment.zip: expected sha256 866256a80e" in answer.err
    assert "genreg data fetch zh_sentiment" in answer.err


@pytest.mark.full
def test_a_sweep_tells_every_wrong_value_before_anything_runs(
    genreg: Callable[..., Result], tmp_path: Path
) -> None:
    answer = genreg("train", "-m", "experiment=smoke/vat", "regularizer.vat.epsilon=-1,0.5,-2", "steps=3")
    assert answer.code == 2
    assert answer.err.splitlines() == [
        *(f"genreg: regularizer.vat.epsilon: expected a number, 0 or more, got -{k}  "
          f"(experiment=smoke/vat regularizer.vat.epsilon=-{k} steps=3)" for k in (1, 2)),
        "genreg: 2 of 3 combinations are wrong, nothing was run",
    ]  # fmt: skip
    assert not list(tmp_path.iterdir())


# what was accepted, or an error that nobody had foreseen
LATER: list[tuple[list[str], str, str]] = [
    (["~model"], "model", "an option of the group model, or none"),
    (["optimizer.lr=null"], "optimizer.lr", "a number"),
    (["model.widths=[1e21]"], "model.widths.0", "less than or equal to"),
    (["task=landscape", "model=rosenbrock", "model.replicas=1e30"], "model.replicas", "less than"),
    (["task=landscape", "model=rosenbrock", "model.replicas=1e7"], "model.replicas", "1000000"),
    (["dataset=image_folder", "dataset.path=/proc"], "dataset.path", "a folder of pictures"),
    (["task=pretrain", "dataset=rt_polarity", "task.share=2"], "task.share", "less than or equal to 1"),
    (["regularizer=[../model/mlp]"], "regularizer", "an option of the group regularizer"),
    (["regularizer=[vat,vat]"], "regularizer", "no option twice, got 'vat'"),
    (["output_dir="], "output_dir", "the name of a folder"),
    (["name=''"], "name", "letters"),
    (["hydra.searchpath=[nowhere]"], "hydra.searchpath", "existing folders"),
    (["sweep=smoke", "sweep=sigma"], "sweep", "one sweep file"),
    (["-m", "sweep.seeds=3"], "sweep.seeds", "a sweep file beside it"),
    (["-m", "optimizer.lr=0.1,x"], "optimizer.lr", "a number, got 'x'"),
    (["model._target_=subprocess.check_output"], "model._target_", "that makes torch.nn.Module"),
    (["dataset._target_=genreg.model.MLP"], "dataset._target_", "that makes genreg.dataset.Dataset"),
    (["model._target_=torch.nn.Linear"], "model.widths", "no such key"),
    (["dataset._target_=3"], "dataset._target_", "the dotted name"),
]  # fmt: skip


@pytest.mark.every(4)
@pytest.mark.parametrize(("arguments", "key", "says"), LATER, ids=[" ".join(case[0]) for case in LATER])
def test_nothing_is_accepted_in_silence(
    genreg: Callable[..., Result], tmp_path: Path, arguments: list[str], key: str, says: str
) -> None:
    test_bad_input(genreg, tmp_path, arguments, key, says)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("arguments", [["trian"], ["data", "lst"], ["--wrong"], ["data", "fetch"]])
def test_wrong_verbs(genreg: Callable[..., Result], arguments: list[str]) -> None:
    assert genreg(*arguments).code == 2
