"""POST /6/liveness: whether photographs show a live person."""

from collections.abc import Sequence

from lunaria.estimation.aggregation import merge_liveness
from lunaria.estimation.estimates import Liveness
from lunaria.estimation.examination import ExaminedImage, Examiner, Order
from lunaria.estimation.inputs import InputImage
from lunaria.estimation.queries import LivenessQuery
from lunaria.estimation.schemas import (
    AggregatedLiveness,
    LivenessImage,
    LivenessPrediction,
    LivenessProbabilities,
    LivenessResult,
)
from lunaria.http.errors import ApiError
from lunaria.vision.plan import Plan

_ORDER = Order(Plan(liveness=True))
_NUMBERS = {"spoof": 0, "real": 1, "unknown": 2}


class LivenessService:
    def __init__(self, examiner: Examiner) -> None:
        self._examiner = examiner

    async def predict(self, images: Sequence[InputImage], query: LivenessQuery) -> LivenessResult:
        """Estimate the one face of each image; an image with none or several has an error of its own."""
        examined = await self._examiner.examine(images, _ORDER)
        found = [_liveness(image) for image in examined]
        live = [one for one in found if isinstance(one, Liveness)]
        merged = merge_liveness(live, self._examiner.decisions) if query.aggregate and live else None
        return LivenessResult(
            [self._image(image, one) for image, one in zip(examined, found, strict=True)],
            AggregatedLiveness(None if merged is None else _prediction(merged)),
        )

    def _image(self, image: ExaminedImage, found: Liveness | ApiError) -> LivenessImage:
        if isinstance(found, ApiError):
            return LivenessImage(image.filename, 0, self._examiner.error_body(found))
        return LivenessImage(image.filename, 1, self._examiner.error_of(image), _prediction(found))


def _liveness(image: ExaminedImage) -> Liveness | ApiError:
    """The estimate of the only face, or why there is none."""
    if image.error is not None:
        return image.error
    estimates = [face.detection.attributes.liveness for face in image.faces]
    found = [estimate for estimate in estimates if isinstance(estimate, Liveness)]
    if not found:
        return ApiError(32008, f"no face was found in image '{image.filename}'")
    if len(found) > 1:
        return ApiError(32017, f"{len(found)} in image '{image.filename}'")
    return found[0]


def _prediction(found: Liveness) -> LivenessPrediction:
    scores = found.estimations
    return LivenessPrediction(
        _NUMBERS[found.prediction],  # type: ignore[arg-type]
        LivenessProbabilities(scores.score, scores.quality),
    )
