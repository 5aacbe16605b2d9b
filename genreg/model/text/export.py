"""`genreg export`: a run of model=bert as an encoder's folder, which others can read."""

from pathlib import Path

from genreg.dataset.encoder import EncoderTokenizer, fast_tokenizer
from genreg.dataset.tokenizer import CUTS
from genreg.errors import InputError, unwritable
from genreg.files import write_folder
from genreg.model import Bert
from genreg.run.factory import find_target
from genreg.run.find import is_run
from genreg.run.folder import RunFolder
from genreg.run.trained import load, read_config


def export(run_folder: Path, folder: Path, trust: bool = False) -> None:
    """Write config.json, weights as safetensors, and the tokenizer of a run's data to an empty folder.

    `model=pretrained_encoder model.name=FOLDER dataset.tokenizer=FOLDER` then begins with the run's weights,
    all but the output layer. trust: call any code that config.yaml names. Raises InputError for a run of
    another model or of unknown code, and for a folder with content.
    """
    if not is_run(run_folder.resolve()):
        raise InputError("RUN_FOLDER", "a run's folder", str(run_folder))
    config = read_config(RunFolder(run_folder.resolve()), trust, "--trust")
    if find_target(config.get("model"), "model") is not Bert:
        raise InputError("RUN_FOLDER", "a run of model=bert", config["model"]["_target_"])
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("FOLDER", "a new or empty folder", str(folder))
    trained = load(run_folder, trust=trust)
    bert = trained.model if isinstance(trained.model, Bert) else trained.model.encoder
    assert isinstance(bert, Bert)  # by the configuration
    assert trained.dataset is not None
    assert trained.dataset.vocabulary is not None  # which it was built with
    cut = config["dataset"]["tokenizer"]
    own = cut in CUTS
    tokens = trained.dataset.vocabulary.tokens
    tokenizer = fast_tokenizer(cut, tokens) if own else EncoderTokenizer(cut).inner
    try:
        with write_folder(folder) as part:
            bert.encoder.save_pretrained(part)
            tokenizer.save_pretrained(part)
    except OSError as error:
        raise unwritable("FOLDER", error) from error
    print(f"{folder}: model=pretrained_encoder model.name={folder} dataset.tokenizer={folder}")
