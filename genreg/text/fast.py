"""A vocabulary that was read from texts, as a tokenizer of transformers that makes the same numbers."""

from collections.abc import Sequence
from typing import Any

from genreg.text.encoder import transformers
from genreg.text.vocabulary import END, MASK, PAD, START, UNKNOWN

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
