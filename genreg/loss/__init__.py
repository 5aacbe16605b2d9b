"""Losses of labeled items, `loss=`: per item, so that methods can weigh, mix and replace them."""

from genreg.loss.base import Loss as Loss
from genreg.loss.cross_entropy import CrossEntropy as CrossEntropy
from genreg.loss.mse import MSE as MSE
