"""Features of a classifier that genreg itself has trained."""

from functools import partial
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor, nn

from genreg import download
from genreg.errors import InputError
from genreg.model import Classifier as Model
from genreg.model.own import classifier
from genreg.model.passes import evaluation_mode
from genreg.parameters import CountOrZero, Neutral, checked
from genreg.run.build import model_of
from genreg.run.find import finished_runs, weights_of
from genreg.run.folder import RunFolder
from genreg.run.trust import check

CHUNK = 500  # pictures at a time


class Classifier:
    """The input of the last layer of a finished run of `experiment`, in evaluation mode.

    The run is the only one under `output_dir` with that name and `seed`; its weights are those that
    validation chose. Raises InputError, with the command that makes one, where there is not exactly one,
    and where pictures are not of the size that it was trained on. trust: call the model that its folder names
    whosever it is.
    """

    @checked
    def __init__(
        self, *, experiment: str, seed: CountOrZero = 0, output_dir: Path,
        trust: Annotated[bool, Neutral(False)] = False,
    ) -> None:  # fmt: skip
        weights = finished_weights(experiment, seed, output_dir)
        digest = download.of_file(weights)
        self.name = f"{experiment} sha256:{digest[:8]}"
        self.checksums = {f"{experiment}/weights.pt": digest}
        self.experiment = experiment
        self.config = RunFolder(weights.parent).config()
        if not trust:
            check({"model": self.config.get("model")}, weights.parent, "features.trust=true")
        self.state = torch.load(weights, weights_only=True, map_location="cpu")
        self.model: Model | None = None

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> (N, D)."""
        model = self._model(list(pictures.shape[1:])).to(pictures.device)
        with evaluation_mode(model):
            chunks = ((chunk + 1) / 2 for chunk in pictures.split(CHUNK))
            return torch.cat([last_features(model, chunk) for chunk in chunks])

    def _model(self, shape: list[int]) -> Model:
        """The classifier, built when the first pictures come, whose shape it needs."""
        if self.model is None:
            trained = self.config["dataset"].get("size", shape[-1])
            make = partial(classifier, model_of(self.config["model"]), input_shape=shape)
            model = make(outputs=self._outputs(make(outputs=1)))
            try:
                model.load_state_dict(self.state)
            except RuntimeError as error:
                raise self._wrong_shape(shape) from error
            if shape[-2:] != [trained, trained]:
                raise self._wrong_shape(shape)
            self.model = model
        return self.model

    def _outputs(self, model: Model) -> int:
        """The number of outputs of the saved model, by the bias of its last layer."""
        name = next(name for name, module in model.named_modules() if module is model.output)
        return len(self.state[f"{name}.bias"])

    def _wrong_shape(self, shape: list[int]) -> InputError:
        size = self.config["dataset"].get("size")
        pictures = f"pictures of {size}x{size} as" if size else "pictures like those that"
        return InputError("features", f"{pictures} {self.experiment} was trained on", tuple(shape))


def last_features(model: Model, x: Tensor) -> Tensor:
    """The input of the model's last layer for x, (N, D)."""
    found: list[Tensor] = []

    def note(_layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        found.append(given[0])

    hook = model.output.register_forward_pre_hook(note)
    try:
        model(x)
    finally:
        hook.remove()
    return found[0]


def finished_weights(experiment: str, seed: int, output_dir: Path) -> Path:
    """The weights of the only finished run of this name and seed; InputError if there is none or more."""
    found = weights_of(finished_runs(output_dir, experiment, seed))
    if not found:
        command = f"genreg train experiment={experiment} seed={seed} output_dir={output_dir}"
        raise InputError("features.experiment", f"a finished run; make one with `{command}`", experiment)
    if len(found) > 1:
        raise InputError("features.experiment", f"one finished run under {output_dir}",
                         [path.parent.parent.name for path in found])  # fmt: skip
    return found[0]
