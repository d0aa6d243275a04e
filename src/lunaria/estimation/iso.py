"""POST /6/iso: whether photographs would do as portraits."""

from collections.abc import Sequence

from lunaria.estimation.decisions import WantedChecks
from lunaria.estimation.examination import Examiner, Order
from lunaria.estimation.inputs import InputImage
from lunaria.estimation.queries import IsoQuery
from lunaria.estimation.schemas import CheckedFace, DetectedFace, IsoImage, IsoResult
from lunaria.vision.checks import chosen
from lunaria.vision.plan import ImageType, MultifacePolicy, Plan


class IsoService:
    def __init__(self, examiner: Examiner) -> None:
        self._examiner = examiner

    async def check(self, images: Sequence[InputImage], query: IsoQuery) -> IsoResult:
        """Check every face with the default thresholds."""
        examined = await self._examiner.examine(images, _order(query))
        return IsoResult(
            [
                IsoImage(
                    filename=image.filename,
                    status=image.status,
                    error=self._examiner.error_of(image),
                    estimations=[CheckedFace(DetectedFace(face.detection)) for face in image.faces],
                    exif=image.exif,
                )
                for image in examined
            ]
        )


def _order(query: IsoQuery) -> Order:
    image_type = ImageType(query.image_type)
    wanted = chosen(iso=True, is_warp=image_type is not ImageType.RAW)
    return Order(
        plan=Plan(multiface=MultifacePolicy(query.multiface_policy), checks=frozenset(check.name for check in wanted)),
        image_type=image_type,
        checks=WantedChecks("iso"),
        extract_exif=bool(query.extract_exif),
    )
