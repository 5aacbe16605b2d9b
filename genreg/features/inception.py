"""Features of the Inception network by which published FIDs are computed."""

from pathlib import Path

import torch
from torch import Tensor

from genreg import download
from genreg.errors import InputError
from genreg.parameters import checked

CHUNK = 100  # pictures at a time


class Inception:
    """The 2,048 features of the FID's Inception (2015-12-05), from a TorchScript file on disk.

    The file is the conversion that ships with StyleGAN's metrics (`inception-2015-12-05.pt`): called as
    `network(pictures, return_features=True)` with values 0 to 255 of three channels, it resizes by itself,
    as TensorFlow did. Raises InputError where the file is missing or no TorchScript.
    """

    @checked
    def __init__(self, *, path: str, output_dir: Path | None = None) -> None:
        file = Path(path)
        if not file.is_file():
            raise InputError("features.path", "a TorchScript file of the FID's Inception", path)
        digest = download.of_file(file)
        self.name = f"inception sha256:{digest[:8]}"
        self.checksums = {file.name: digest}
        try:
            self.network = torch.jit.load(file, map_location="cpu").eval()
        except RuntimeError as error:
            raise InputError("features.path", "a TorchScript file", path) from error

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        """(N, 1 or 3, H, W) in [-1, 1] -> (N, 2048)."""
        network = self.network.to(pictures.device)
        found = []
        for chunk in pictures.split(CHUNK):
            levels = ((chunk + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
            colour = levels.expand(-1, 3, -1, -1)  # grey pictures: the same in each channel
            found.append(network(colour, return_features=True).float())
        return torch.cat(found)
