"""An encoder's files and its own tokenizer, read by transformers; ours written as one of theirs."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genreg import download
from genreg.dataset.tokenizer import END, MASK, PAD, START, UNKNOWN, Tokenizer, digest
from genreg.errors import InputError, extra

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "config.json")
"""Each of these is enough to find a tokenizer in a folder."""


class EncoderTokenizer(Tokenizer):
    """The tokenizer that lies with an encoder. name: on the hub, or a local folder."""

    def __init__(self, name: str) -> None:
        with reading(name, "dataset.tokenizer"):
            self.inner = transformers().AutoTokenizer.from_pretrained(name)
        numbers: dict[str, int] = self.inner.get_vocab()
        if len(numbers) < 2 or self.inner.pad_token_id is None:
            raise InputError("dataset.tokenizer", "a folder with a tokenizer that has a padding token", name)
        self.tokens = sorted(numbers, key=lambda token: numbers[token])
        self.pad, self.mask = self.inner.pad_token_id, self.inner.mask_token_id
        self.special = frozenset(self.inner.all_special_ids)
        backend = getattr(self.inner, "backend_tokenizer", None)
        self.identity = digest([backend.to_str() if backend else numbers, type(self.inner).__name__])
        if folder := download.encoder_folder(name):
            self.checksums = {f"{name}/tokenizer": download.of_tokenizer(folder)}

    def __call__(self, texts: Sequence[str], longest: int) -> list[list[int]]:
        encoded = self.inner(list(texts), truncation=True, max_length=longest, return_attention_mask=False)
        rows: list[list[int]] = encoded["input_ids"]
        return rows


def transformers() -> Any:
    """The package; InputError where it is not installed."""
    try:
        import transformers as package
    except ImportError as error:
        raise InputError("model", f"transformers, which {extra('text')} brings", "none") from error
    told: Any = package.logging
    told.set_verbosity_error()
    told.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # of each try to reach the hub
    return package


@contextmanager
def reading(name: str, key: str) -> Iterator[None]:
    """Say in one line why transformers cannot read an encoder."""
    local = Path(name)
    if local.exists() and not local.is_dir():
        raise InputError(key, "the name of an encoder on the hub, or a folder", name)
    needed = TOKENIZER_FILES if key == "dataset.tokenizer" else ("config.json",)
    if local.is_dir() and not any((local / file).is_file() for file in needed):
        raise InputError(key, f"a folder that save_pretrained wrote ({needed[0]} is missing)", name)
    try:
        if download.encoder_folder(name) is None:
            ask_hub(name)
        yield
    except (OSError, ValueError, ImportError, KeyError) as error:
        if local.is_dir():
            expected = "a readable encoder's folder"
            raise InputError(key, expected, f"{name}: {first_line(error)}") from error
        how = "an encoder that can be had: a local folder, or a hub name (fetch it once while online: "
        how += f"`hf download {name}`; HF_HUB_OFFLINE=1 then keeps to what was fetched)"
        raise InputError(key, how, f"{name}: {first_line(error)}") from error


def ask_hub(name: str) -> None:
    """Ask the hub for an encoder once; OSError or ValueError where it has none or does not answer.

    transformers asks for each file of a name six times over, a minute without a network. InputError where it
    is not installed.
    """
    transformers()
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(name, timeout=10)
    except (OSError, ValueError):
        raise
    except Exception as error:  # of the client's HTTP library, which has been two so far
        raise OSError(f"the hub does not answer: {error}") from error


def first_line(error: Exception) -> str:
    """The first line of what an error says."""
    return (str(error) or type(error).__name__).strip().splitlines()[0]


SPACE = r"\s\x1c-\x1f"  # what Python calls space; the others call only some of it so
WORD = rf"[\p{{L}}\p{{N}}_]+|[^\p{{L}}\p{{N}}_{SPACE}]"


def fast_tokenizer(cut: str, tokens: Sequence[str]) -> Any:
    """The tokenizer `Fitted` of `characters` or `words`, for `save_pretrained`.

    It differs in words that end with a capital sigma, which Python alone writes otherwise there, and in
    letters that are newer than the Unicode of this Python.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    numbers = {token: number for number, token in enumerate(tokens)}
    made: Any = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN))
    if cut == "words":
        made.normalizer = normalizers.Lowercase()
        made.pre_tokenizer = pre_tokenizers.Split(Regex(WORD), "removed", invert=True)
    else:
        made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    made.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", pair=f"{START} $A {END} $B:1 {END}:1",
        special_tokens=[(START, numbers[START]), (END, numbers[END])],
    )  # fmt: skip
    return transformers().PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=PAD, unk_token=UNKNOWN, mask_token=MASK, cls_token=START,
        sep_token=END, split_special_tokens=True,  # a text that says [MASK] says six characters
    )  # fmt: skip
