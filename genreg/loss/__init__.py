"""Losses of labeled items, `loss=`. Per item, so that methods can weigh, mix and replace it."""

from genreg.loss.base import Loss as Loss
from genreg.loss.cross_entropy import CrossEntropy as CrossEntropy
from genreg.loss.mse import MSE as MSE
