"""Wire objects of verification: of given descriptors, and of pictures."""

from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct, field

from lunaria.estimation.estimates import FaceDetection, FilterReason
from lunaria.estimation.queries import UseExif
from lunaria.estimation.schemas import Exif, Status
from lunaria.events.schemas import EventFaceAttributes
from lunaria.faces.schemas import QUERY_LIMIT, QueryIds
from lunaria.http.errors import ApiError, ErrorBody
from lunaria.http.query import Query
from lunaria.matching.schemas import Match, RawMatch

Verified = Annotated[bool, Meta(description="Whether the similarity is greater than the verifier's threshold.")]
QueryExternalIds = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=36, pattern=r"^[^\x00]*$")]],
    Meta(min_length=1, max_length=QUERY_LIMIT),
]


class RawVerification(RawMatch, kw_only=True):
    """A candidate's similarity, and what it means to the verifier."""

    status: Verified


class RawVerifications(Struct):
    reference_id: str
    matches: list[RawVerification]


class RawVerificationResult(Struct):
    """References and candidates in the order of the request."""

    matches: list[RawVerifications]


class VerificationQuery(Query, frozen=True, kw_only=True):
    """Whom the pictures are compared with, and what the pictures are."""

    face_ids: QueryIds | None = None
    event_ids: QueryIds | None = None
    attribute_ids: QueryIds | None = None
    external_ids: (
        Annotated[QueryExternalIds, Meta(description="External ids of faces; each names all that have it.")] | None
    ) = None
    image_type: Annotated[Literal[0, 1], Meta(description="0 - raw image, 1 - face warp (250x250).")] = 0
    use_exif_info: UseExif = 1

    def __post_init__(self) -> None:
        if not (self.face_ids or self.event_ids or self.attribute_ids or self.external_ids):
            raise ApiError(12012, "face_ids,event_ids,attribute_ids,external_ids", "at least one of these is required")


class Verification(Match, kw_only=True, omit_defaults=True):
    """A candidate (face, event or attribute), its similarity, and what that means to the verifier."""

    status: Verified


class VerifiedFace(FaceDetection, frozen=True, kw_only=True):
    """A face and the sample that was stored of it (null: none).

    The keys of the detection stand here, too: there are clients of either form.
    """

    sample_id: UUID | None
    url: str | None
    detection: FaceDetection


class VerifiedSample(Struct, frozen=True):
    face: VerifiedFace


class VerifiedDetection(Struct, frozen=True):
    """A face, or a given descriptor (then `sample` is null), and how similar the candidates are, in their order."""

    sample: VerifiedSample | None
    face_attributes: EventFaceAttributes
    verifications: list[Verification]


class FilteredSample(Struct, frozen=True):
    filename: str
    sample: VerifiedSample


class FilteredVerification(Struct, frozen=True):
    """A face that was not verified, and why."""

    detection: FilteredSample
    filter_reasons: list[FilterReason]


class FilteredVerifications(Struct, frozen=True):
    face_detections: list[FilteredVerification] = field(default_factory=list)


class VerifiedDetections(Struct, frozen=True):
    face_detections: list[VerifiedDetection] = field(default_factory=list)
    filtered_detections: FilteredVerifications = FilteredVerifications()


class VerifiedImage(Struct, frozen=True):
    filename: str
    status: Status
    error: ErrorBody
    detections: VerifiedDetections = VerifiedDetections()
    exif: Exif = field(default_factory=dict)


class VerificationResult(Struct, frozen=True):
    """Pictures and descriptors in the order of the request."""

    images: list[VerifiedImage]
