"""Features of pictures, on which FID and its kin compare a generator's samples with data."""

from genreg.features.random import Random as Random
