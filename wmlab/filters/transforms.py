"""Changes that a service may make to any image before it answers.

All functions take floats (n, height, width, 1 or 3) in [0, 1], and return float32 of that shape in
[0, 1]. `Transformed` takes such a function of images alone: `functools.partial(jpeg, quality=30)`.
"""

import io

import numpy as np
from scipy import ndimage

from wmlab.keys import check_images, eight_bits, noise_deviation


def jpeg(images, quality):
    """Each image after it was saved as a JPEG file by Pillow. quality: 1 to 95. Raises ValueError
    for another quality.
    """
    from PIL import Image

    check_images(images)
    if quality not in range(1, 96):
        raise ValueError(f"quality is {quality!r}, but must be a whole number from 1 to 95")
    decoded = []
    for image in np.round(images * 255).astype(np.uint8):
        file = io.BytesIO()
        Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(
            file, "JPEG", quality=int(quality)
        )
        decoded.append(np.asarray(Image.open(file)).reshape(image.shape))
    return np.stack(decoded) / np.float32(255)


def median(images, size):
    """Each pixel becomes the median of the size × size pixels around it, in each channel. size:
    odd, 1 or more. Raises ValueError for another size.
    """
    check_images(images)
    if size < 1 or size % 2 != 1:
        raise ValueError(
            f"size is {size!r}, but must be an odd number from 1: the side of the square around "
            "a pixel"
        )
    return ndimage.median_filter(images.astype(np.float32), (1, int(size), int(size), 1))


def bit_depth(images, bits):
    """Pixels rounded to 2^bits evenly spaced levels from 0 to 1. bits: 1 to 8. Raises ValueError
    for another number.
    """
    check_images(images)
    if bits not in range(1, 9):
        raise ValueError(f"bits is {bits!r}, but must be a whole number from 1 to 8")
    return (np.round(images * (2**bits - 1)) / (2**bits - 1)).astype(np.float32)


class AddedNoise:
    """Bob's own Gaussian noise on every image, clipped and rounded to 8 bits: AddedNoise(variance,
    seed)(images).

    variance: before clipping, in (0, 1], as β is for keys. The same seed and the same queries give
    the same noise, asked together or one by one. Raises ValueError for another variance.
    """

    def __init__(self, variance, seed=0):
        self.deviation, self.rng = noise_deviation(variance), np.random.default_rng(seed)

    def __call__(self, images):
        check_images(images)
        return eight_bits(images + self.deviation * self.rng.standard_normal(images.shape))
