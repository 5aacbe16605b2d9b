"""A data set of one's own: a function that returns arrays."""

import numpy as np


def rings(items: int = 600, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Points on three circles around the origin, (N, 2), and the number of the circle, (N,)."""
    draw = np.random.default_rng(0)
    y = np.arange(items) % 3
    angle = draw.uniform(0, 2 * np.pi, items)
    circle = np.stack((np.cos(angle), np.sin(angle)), 1) * (1 + y[:, None])
    return circle + noise * draw.normal(size=(items, 2)), y
