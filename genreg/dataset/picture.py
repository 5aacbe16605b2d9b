"""One picture file -> a square of bytes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

WIDE = {"I;16": "16-bit", "I;16L": "16-bit", "I;16B": "16-bit", "I": "16-bit"}
CONVERTED = {
    1: WIDE,
    3: {"1": "grey", "L": "grey", "LA": "grey", "P": "palette", "PA": "palette", "CMYK": "CMYK",
        "YCbCr": "YCbCr", **WIDE},
}  # fmt: skip
"""Words for pictures by PIL's mode, by the number of channels that they are converted to."""
MODES = {1: ("1", "L", "LA", *CONVERTED[1]), 3: ("RGB", "RGBA", *CONVERTED[3])}
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
"""Errors of PIL for broken files."""


@dataclass(frozen=True)
class Decoded:
    """pixels: (size, size, channels) uint8, none where there is a `fault`. converted: from what, if so."""

    pixels: np.ndarray
    fault: str = ""
    converted: str = ""
    several_frames: bool = False


def decode(file: Path, size: int, channels: int) -> Decoded:
    """The middle square of the (first) picture of a file, resized; white where it is transparent."""
    try:
        with Image.open(file) as opened:
            mode = opened.mode
            if mode not in MODES[channels]:
                return fault(f"mode {mode} where channels={channels} takes {', '.join(MODES[channels])}")
            upright = ImageOps.exif_transpose(opened)
            picture = over_white(eight_bits(upright) if mode in WIDE else upright)
            whole = picture.convert("L" if channels == 1 else "RGB")
            square = middle(whole).resize((size, size), Image.Resampling.BICUBIC)
            several = has_several_frames(opened)
    except UNREADABLE as error:
        return fault((str(error) or type(error).__name__).replace(str(file), file.name))
    pixels = np.asarray(square).reshape(size, size, channels)
    return Decoded(pixels, "", CONVERTED[channels].get(mode, ""), several)


def fault(reason: str) -> Decoded:
    return Decoded(np.empty(0, np.uint8), reason)


def has_several_frames(opened: Image.Image) -> bool:
    """True if the file goes on after its first picture; a broken rest does not count."""
    try:
        return bool(getattr(opened, "is_animated", False))
    except UNREADABLE:
        return False


def eight_bits(picture: Image.Image) -> Image.Image:
    """A grey picture of 16 bits, whose white is 65535, in 8; PIL's own conversion cuts off above 255."""
    values = np.asarray(picture)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(f"values {values.min()} to {values.max()} where 16 bits have 0 to 65535")
    return Image.fromarray((values / 257).round().astype(np.uint8))


def middle(picture: Image.Image) -> Image.Image:
    """The largest square in the middle: cut first, since a filter would read beyond its box."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def over_white(picture: Image.Image) -> Image.Image:
    """The picture on a white ground where it is transparent."""
    if not picture.has_transparency_data:
        return picture
    coloured = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured)
