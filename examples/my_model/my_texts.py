"""A bag of words in plain PyTorch."""

from torch import Tensor, nn


class Bag(nn.Module):
    """The mean of a text's embeddings, and two layers; x are rows of token numbers, padded behind."""

    def __init__(self, vocab_size: int, padding_idx: int, num_classes: int, width: int = 32) -> None:
        super().__init__()
        self.padding = padding_idx
        self.words = nn.Embedding(vocab_size, width, padding_idx=padding_idx)
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        here = (x != self.padding)[..., None]
        logits: Tensor = self.head((self.words(x) * here).sum(1) / here.sum(1))
        return logits
