"""Short texts of twelve tokens whose class is told by two of them; models of a few units that read them."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from conftest import draw

from genreg.dataset import Dataset, Split
from genreg.dataset.texts import Vocabulary
from genreg.dataset.tokenizer import count
from genreg.forward.base import Draws
from genreg.forward.classifier import ClassifierForward, embedded
from genreg.model import GRU, CharCNN, TextClassifier, Transformer
from genreg.task.classify import Classify
from genreg.task.pretrain import Pretrain

WORDS = ["[PAD]", "[UNK]", "[MASK]", "[CLS]", "[SEP]", *["good", "bad", "so", "a", "film", "it", "was"]]
LONGEST = 9
GOOD, BAD = WORDS.index("good"), WORDS.index("bad")


def texts(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of 4 to 9 tokens, one of which tells the class."""
    numbers = draw(seed)
    x = torch.randint(7, len(WORDS), (n, LONGEST), generator=numbers, dtype=torch.int32)
    y = torch.randint(2, (n,), generator=numbers)
    length = torch.randint(4, LONGEST + 1, (n,), generator=numbers)
    place = 1 + torch.randint(2, (n,), generator=numbers)
    rows = torch.arange(n)
    x[:, 0] = WORDS.index("[CLS]")
    x[rows, place] = torch.where(y == 1, GOOD, BAD).int()
    x[rows, length - 1] = WORDS.index("[SEP]")
    x[torch.arange(LONGEST) >= length[:, None]] = 0
    return x, y


@cache
def reviews(labeled: int = 16) -> Dataset:
    pool, validation, test = (texts(n, seed) for seed, n in enumerate((96, 32, 32)))
    splits = [Split(*part, torch.ones(len(part[1]), dtype=torch.bool)) for part in (pool, validation, test)]
    labeled = splits[0][torch.arange(labeled)]
    vocabulary = Vocabulary(WORDS, count(pool[0], len(WORDS)))
    return Dataset(labeled, pool[0], splits[1], splits[2], 2, vocabulary=vocabulary)


MODELS: dict[str, Callable[..., TextClassifier]] = {
    "transformer": partial(Transformer, width=8, layers=2, heads=2),
    "gru": partial(GRU, width=6, units=5),
    "char_cnn": partial(CharCNN, width=6, kernel_sizes=[2, 3], channels=5),
}


def model(name: str, seed: int = 0, **options: Any) -> TextClassifier:
    """In float64 and evaluation mode; its output layer is three times as large as it was drawn."""
    torch.manual_seed(seed)
    data = reviews()
    made = (
        MODELS[name](vocabulary=data.vocabulary, input_shape=[LONGEST], outputs=2, **options).double().eval()
    )
    with torch.no_grad():
        made.output.weight.mul_(3)
    return made


def clean(made: TextClassifier, x: torch.Tensor, y: torch.Tensor | None = None) -> ClassifierForward:
    """The pass over a batch, which is its own unlabeled one."""
    batch = embedded(made, made.trimmed(x), x.new_empty(0) if y is None else y, 2, len(WORDS))
    found = ClassifierForward(made, batch, draws=Draws(0, 0, x.device)).of("vat")
    found.unlabeled_pass = found
    return found


def adam(parameters: Any) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=1e-2)


def classify(
    name: str, regularizer: dict[str, Any] | None = None, labeled: int = 16, **options: Any
) -> Classify:
    given = {"dataset": lambda seed: reviews(labeled), "model": MODELS[name], "optimizer": adam}
    sizes = {"batch_size": 8, "unlabeled_batch_size": 16}
    return Classify(**{**given, **sizes, "regularizer": regularizer or {}, **options})


def pretrain(name: str, **options: Any) -> Pretrain:
    given = {"dataset": lambda seed: reviews(), "model": MODELS[name], "optimizer": adam, "batch_size": 16}
    return Pretrain(**{**given, **options})
