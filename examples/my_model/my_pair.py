"""A generator and a critic in plain PyTorch."""

from torch import nn


def pair(in_features: int, latent: int = 2, width: int = 64) -> tuple[nn.Module, nn.Module]:
    """Maps (B, latent) to (B, in_features), and those to scores (B, 1)."""
    generator = nn.Sequential(nn.Linear(latent, width), nn.ReLU(), nn.Linear(width, in_features))
    critic = nn.Sequential(nn.Linear(in_features, width), nn.LeakyReLU(0.2), nn.Linear(width, 1))
    return generator, critic
