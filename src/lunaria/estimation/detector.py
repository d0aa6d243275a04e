"""POST /6/detector: every face that is found becomes a stored sample."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from lunaria.blobs.service import BlobsService
from lunaria.estimation.examination import ExaminedImage, Examiner, Order
from lunaria.estimation.filters import AngleLimits
from lunaria.estimation.inputs import InputImage
from lunaria.estimation.queries import DetectorQuery
from lunaria.estimation.schemas import (
    Detections,
    DetectorImage,
    DetectorResult,
    FaceSample,
    FilteredFace,
    FilteredFaces,
    SampledPerson,
)
from lunaria.vision.analysis import ImageType, MultifacePolicy, Plan


class DetectorService:
    def __init__(self, examiner: Examiner, blobs: BlobsService) -> None:
        self._examiner = examiner
        self._blobs = blobs

    async def detect(self, owner: UUID, images: Sequence[InputImage], query: DetectorQuery) -> DetectorResult:
        """Find the faces and store a sample of each that passes the filters, all in one transaction."""
        examined = await self._examiner.examine(images, _order(query))
        warps = [face.warp for image in examined for face in image.accepted if face.warp is not None]
        samples = iter(await self._blobs.save_face_samples(owner, warps))
        return DetectorResult([self._image(image, samples) for image in examined])

    def _image(self, image: ExaminedImage, samples: Iterator[UUID]) -> DetectorImage:
        found = [
            SampledPerson(FaceSample(sample_id, f"/6/samples/faces/{sample_id}", face.detection))
            for face, sample_id in zip(image.accepted, samples, strict=False)
        ]
        filtered = [FilteredFace(face.detection, face.reasons) for face in image.filtered]
        return DetectorImage(
            filename=image.filename,
            status=image.status,
            error=self._examiner.error_of(image),
            detections=Detections(found, FilteredFaces(filtered)),
            exif=image.exif,
        )


def _order(query: DetectorQuery) -> Order:
    angles = AngleLimits(query.pitch_threshold, query.roll_threshold, query.yaw_threshold)
    return Order(
        plan=Plan(
            multiface=MultifacePolicy(query.multiface_policy),
            landmarks68=bool(query.detect_landmarks68),
            landmarks5=True,
            head_pose=bool(query.estimate_head_pose) or angles.active,
            warp=True,
        ),
        image_type=ImageType.FACE_WARP if query.warped_image else ImageType.RAW,
        show_head_pose=bool(query.estimate_head_pose),
        angles=angles,
        orient=bool(query.use_exif_info),
        extract_exif=bool(query.extract_exif),
    )
