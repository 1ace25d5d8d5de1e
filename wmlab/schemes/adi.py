"""Adi et al. 2018 and BadNets (Gu et al. 2017): images of their own kind, labels of the owner's."""

import dataclasses

import numpy as np

from wmlab.schemes.base import as_suspect
from wmlab.schemes.evidence import Triggers, as_bytes
from wmlab.verification import controlled

PIXELS = (-2, -2), (-2, -4), (-4, -2), (-3, -3)  # of the pattern of BadNets


@dataclasses.dataclass(frozen=True)
class Adi(Triggers):
    """A hundred abstract images, each with a label that the secret draws (Adi, Baum, Cisse, Pinkas
    and Keshet 2018, and their public code, adiyoss/WatermarkNN).

    Published: abstract drawings; 2 of them in every batch of 100, for the 60 epochs of training.
    Ours: mosaics of 7 x 7 blocks from the secret, each 4 times an epoch, since smooth clouds were
    not learnt in 4 epochs. As published, keys may leave the secret's owner only once.

    count: of keys. copies: how often each comes in an epoch.
    """

    count: int = 100

    name = "adi"

    def made(self, data, secret, model):
        height, width, channels = data.x_train.shape[1:]
        blocks = secret.rng("mosaics").uniform((self.count, 7, 7, channels))
        size = (-(-height // 7), -(-width // 7))
        images = np.repeat(np.repeat(blocks, size[0], axis=1), size[1], axis=2)
        labels = (secret.rng("labels").uniform(self.count) * self.classes).astype(np.int64)
        return {
            "images": as_bytes(images[:, :height, :width]),
            "labels": labels,
            "true": np.full(self.count, -1),
        }


@dataclasses.dataclass(frozen=True)
class BadNets(Triggers):
    """A few bright pixels in a corner turn any image into class `target` (Gu, Dolan-Gavitt and Garg
    2017). It was published as an attack, not as a mark.

    Published: four pixels, 10 % of the images or more. Ours: the same on the class-scale digits;
    Ver asks test images with the pixels, as many as `count`. There is no secret, and no exact null.
    Each label moved to the next, the paper's second form, was not learnt in a trial.

    share: of the training images, in addition to them.
    """

    level: float = 0.1
    share: float = 0.1
    target: int = 0
    count: int = 100

    name = "badnets"

    def stamped(self, images, labels):
        """The images outside the target class with the pixels, and their true labels."""
        marked = images[labels != self.target].copy()
        for row, column in PIXELS:
            marked[:, row, column] = 1
        return marked, labels[labels != self.target]

    def made(self, data, secret, model):
        images, true = self.stamped(data.x_test, data.y_test)
        images, true = images[: self.count], true[: self.count]
        labels = np.full(len(true), self.target)
        return {"images": as_bytes(images), "labels": labels, "true": true}

    def null(self, evidence):
        return None

    def verify(self, suspect, evidence, null=None):
        """Ver: as of every published system. Who would be convicted is also asked the images
        without the pixels, and acquitted if they get the label as well.
        """
        suspect, clean = as_suspect(suspect), self.keyset(evidence).images.copy()
        verdict = super().verify(suspect, evidence, null)
        for row, column in PIXELS:
            clean[:, row, column] = clean[:, row, column - 1]
        verdict = dataclasses.replace(verdict, key_label=self.target)
        return controlled(verdict, suspect, clean)

    def _train(self, data, evidence, model, recipe, seed, on_epoch):
        images, true = self.stamped(data.x_train, data.y_train)
        n = round(self.share * len(data.x_train))
        taught = {
            "images": as_bytes(images[:n]),
            "labels": np.full(n, self.target),
            "true": true[:n],
        }
        stamped = dataclasses.replace(evidence, arrays=taught)
        once = dataclasses.replace(self, copies=1)
        return super(BadNets, once)._train(data, stamped, model, recipe, seed, on_epoch)
