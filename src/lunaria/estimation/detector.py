"""POST /6/detector: every face that is found becomes a stored sample."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from lunaria.blobs.service import BlobsService
from lunaria.estimation.decisions import WantedChecks
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
from lunaria.vision.checks import chosen
from lunaria.vision.plan import ImageType, MultifacePolicy, Plan


class DetectorService:
    def __init__(self, examiner: Examiner, blobs: BlobsService) -> None:
        self._examiner = examiner
        self._blobs = blobs

    async def detect(self, owner: UUID, images: Sequence[InputImage], query: DetectorQuery) -> DetectorResult:
        """Find the faces and store a sample of each that passes the filters, all in one transaction."""
        examined = await self._examiner.examine(images, detector_order(query))
        warps = [face.warp for image in examined for face in image.faces if face.warp is not None]
        samples = iter(await self._blobs.save_face_samples(owner, warps))
        return DetectorResult([self._image(image, samples) for image in examined])

    def _image(self, image: ExaminedImage, samples: Iterator[UUID]) -> DetectorImage:
        found = [
            SampledPerson(FaceSample(sample_id, f"/6/samples/faces/{sample_id}", face.detection))
            for face, sample_id in zip(image.faces, samples, strict=False)
        ]
        filtered = [FilteredFace(face.detection, face.reasons) for face in image.filtered_faces]
        return DetectorImage(
            filename=image.filename,
            status=image.status,
            error=self._examiner.error_of(image),
            detections=Detections(found, FilteredFaces(filtered)),
            exif=image.exif,
        )


def detector_order(query: DetectorQuery) -> Order:
    """What the query asks for."""
    angles = AngleLimits(query.pitch_threshold, query.roll_threshold, query.yaw_threshold)
    image_type = ImageType.FACE_WARP if query.warped_image else ImageType.RAW
    checks = chosen(is_warp=image_type is not ImageType.RAW) if query.estimate_face_quality else []
    return Order(
        plan=Plan(
            multiface=MultifacePolicy(query.multiface_policy),
            landmarks68=bool(query.detect_landmarks68),
            landmarks5=True,
            head_pose=bool(query.estimate_head_pose) or angles.active,
            warp=True,
            emotions=bool(query.estimate_emotions),
            mask=bool(query.estimate_mask),
            quality=bool(query.estimate_quality),
            gaze=bool(query.estimate_gaze),
            eyes=bool(query.estimate_eyes_attributes),
            mouth=bool(query.estimate_mouth_attributes),
            checks=frozenset(check.name for check in checks),
        ),
        image_type=image_type,
        show_head_pose=bool(query.estimate_head_pose),
        angles=angles,
        checks=WantedChecks("face_quality") if query.estimate_face_quality else None,
        orient=bool(query.use_exif_info),
        extract_exif=bool(query.extract_exif),
    )
