"""The cost of texts, as ratios of CPU times measured alternately in one run: median [min, max].

    python scripts/benchmark_text.py
    python scripts/benchmark_text.py --models transformer --repeat 9 --max-length 256

- vat: a step of VAT over a supervised one, and the same ratio of their operations (matrix products and
  convolutions; those of recurrent layers are not counted).
- buckets: a pass over batches of like length, over one padded to `max_length` and over one as wide as each
  batch's longest text without buckets.
- cache: reading tokens from the cache over making them again.
- plain: the gradient in the embedding with plain attention over that with fused attention.
- checkpointing: a step of an encoder with `gradient_checkpointing` over one without, and what each keeps.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig

from genreg.dataset import Dataset, zh_sentiment
from genreg.dataset.sampler import Buckets, Sampler
from genreg.dataset.texts import cached, encode
from genreg.dataset.tokenizer import Fitted
from genreg.dataset.zh_sentiment import SOURCE, read_texts
from genreg.download import default_data_dir, fetch
from genreg.groups import CONFIGS
from genreg.model.passes import twice
from genreg.run.factory import factory
from genreg.task.classify import Classify

Run = Callable[[], Any]


def configured(group: str, option: str, /, **changes: Any) -> Callable[..., Any]:
    node: Any = OmegaConf.to_object(OmegaConf.load(CONFIGS / group / f"{option}.yaml"))
    return factory({**node, **changes}, group)


@cache
def data(folder: Path, longest: int = 128) -> Dataset:
    return zh_sentiment(data_dir=folder, max_length=longest)


def task(folder: Path, model: str, method: str | None = None, longest: int = 128, **changes: Any) -> Classify:
    return Classify(
        dataset=lambda seed: data(folder, longest), model=configured("model", model, **changes),
        optimizer=configured("optimizer", "adam"),
        regularizer={method: configured("regularizer", method)()} if method else {},
        batch_size=32, unlabeled_batch_size=32,
    )  # fmt: skip


def steps(made: Classify, n: int = 4) -> Run:
    return lambda: [made.step(step) for step in range(n)]


def seconds(run: Run) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def compare(label: str, first: Run, second: Run, repeat: int) -> None:
    """Print the ratios of neighbors in A B A B ..., after a pair that warms up."""
    ratios = [seconds(first) / seconds(second) for _ in range(repeat + 1)][1:]
    print(f"{label:<70}{median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]", flush=True)


def operations(run: Run) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def vat(folder: Path, name: str, repeat: int) -> None:
    with_vat, without = steps(task(folder, name, "vat")), steps(task(folder, name))
    compare(f"{name}: step of vat over a supervised one", with_vat, without, repeat)
    if name != "gru":
        counted = operations(with_vat) / operations(without)
        print(f"{name + ': the same in operations':<70}{counted:.2f}", flush=True)


def buckets(folder: Path, name: str, repeat: int, longest: int) -> None:
    made = task(folder, name, longest=longest)
    x = data(folder, longest).unlabeled
    lengths = (x != 0).sum(1)
    options: Any = {"seed": 0, "stream": "batch/unlabeled", "device": "cpu"}
    like, any_length = Buckets(lengths, 32, **options), Sampler(len(x), 32, **options)

    def forward(batches: Callable[[int], Tensor]) -> Run:
        def run() -> None:
            with torch.no_grad():
                for step in range(32):
                    made.model(batches(step))

        return run

    bucketed = forward(lambda step: like.take(x, step))
    whole = forward(lambda step: any_length.take(x, step))
    trimmed = forward(lambda step: made.model.trimmed(any_length.take(x, step)))
    compare(f"{name}: padding to {longest} over buckets of like length", whole, bucketed, repeat)
    compare(f"{name}: padding to the longest of a batch over buckets", trimmed, bucketed, repeat)
    if name == "gru":
        shown = [like.take(x, step) for step in range(512)]
        widths = sum(batch.numel() for batch in shown) / sum(int((batch != 0).sum()) for batch in shown)
        fixed = x.numel() / int(lengths.sum())
        print(f"positions over tokens: {widths:.2f} in buckets, {fixed:.2f} padded to {longest}", flush=True)


def tokens(folder: Path, repeat: int) -> None:
    (path,) = fetch(SOURCE, folder)
    texts = {name: split.texts for name, split in read_texts(path).items()}
    by = Fitted("characters", texts["train"], 2)
    cached(texts, by, 128)
    compare("characters: making tokens over reading them from the cache",
            lambda: encode(texts, by, 128), lambda: cached(texts, by, 128), repeat)  # fmt: skip
    compare("characters: the same, each with reading the vocabulary from the pool",
            lambda: encode(texts, Fitted("characters", texts["train"], 2), 128),
            lambda: cached(texts, Fitted("characters", texts["train"], 2), 128), repeat)  # fmt: skip


def plain(folder: Path, repeat: int) -> None:
    made = task(folder, "transformer", dropout=0.0).model
    x = data(folder).unlabeled[:32]

    def gradient(context: Callable[[], Any]) -> Run:
        def run() -> None:
            e = made.embed(x).detach().requires_grad_()
            with context():
                torch.autograd.grad(made(embedding=e, mask=made.mask(x)).sum(), e)

        return run

    compare(
        "transformer: gradient by plain attention over fused", gradient(twice), gradient(nullcontext), repeat
    )


def encoder(folder: Path, checkpointing: bool) -> Classify:
    """VAT of a BERT of 4 layers, 128 wide, with random weights."""
    with tempfile.TemporaryDirectory() as name:
        BertConfig(vocab_size=len(data(folder).vocabulary or ()), hidden_size=128, num_hidden_layers=4,
                   num_attention_heads=4, intermediate_size=512).save_pretrained(name)  # fmt: skip
        return task(folder, "pretrained_encoder", "vat", name=name, random_weights=True,
                    gradient_checkpointing=checkpointing)  # fmt: skip


def checkpointing(folder: Path, repeat: int) -> None:
    pair = [steps(encoder(folder, on), 1) for on in (True, False)]
    compare("encoder: step of vat with gradient checkpointing over without", *pair, repeat)
    sizes = [kept(run) / 1e6 for run in pair]
    print(
        f"{'encoder: MB kept for the way back, with and without':<70}{sizes[0]:.0f}, {sizes[1]:.0f}",
        flush=True,
    )


def kept(run: Run) -> int:
    """Bytes of the tensors that all passes of a step keep for the way back, each once."""
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(found.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["transformer", "gru", "char_cnn"])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--data", type=Path, default=default_data_dir(), help="where data sets lie")
    parser.add_argument("--max-length", type=int, default=128, help="tokens of a text")
    given = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in given.models:
        vat(given.data, name, given.repeat)
        buckets(given.data, name, given.repeat, given.max_length)
    tokens(given.data, given.repeat)
    plain(given.data, given.repeat)
    checkpointing(given.data, given.repeat)


if __name__ == "__main__":
    main()
