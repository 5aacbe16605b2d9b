"""Features of pictures, on which FID and its kin compare a generator's samples with data.

Called with pictures (N, C, H, W) in [-1, 1], on any device, each returns (N, D) float32; `name` says what
they are, as a table should print it, and `checksums` holds the sha256 of the files they came from.
"""

from genreg.features.classifier import Classifier as Classifier
from genreg.features.inception import Inception as Inception
from genreg.features.random import Random as Random
