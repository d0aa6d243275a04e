"""POST /6/extractor: stored face samples become temporary attributes."""

from collections.abc import Sequence
from uuid import UUID

from lunaria.attributes.descriptors import coded
from lunaria.attributes.service import AttributesService, NewAttribute
from lunaria.blobs.service import BlobKind, BlobsService
from lunaria.estimation.catalogue import refuse_missing
from lunaria.estimation.examination import Examiner, Order
from lunaria.estimation.inputs import InputImage
from lunaria.estimation.queries import ExtractorQuery
from lunaria.estimation.schemas import ExtractedAttribute
from lunaria.http.errors import ApiError
from lunaria.storage.scope import Scope
from lunaria.vision.analysis import ImageType, Plan
from lunaria.vision.descriptors import Descriptor, aggregate

_ORDER = Order(Plan(descriptor=True), ImageType.FACE_WARP)


class ExtractorService:
    def __init__(self, examiner: Examiner, blobs: BlobsService, attributes: AttributesService) -> None:
        self._examiner = examiner
        self._blobs = blobs
        self._attributes = attributes

    async def extract(
        self, owner: UUID, scope: Scope, sample_ids: Sequence[UUID], query: ExtractorQuery
    ) -> list[ExtractedAttribute]:
        """Make temporary attributes of `owner` from samples within `scope`, in the order of the samples.

        Raises 400/22022 when nothing is to be extracted, 403/11044 for what cannot be, 404/13003 for an unknown
        sample, the decoder's codes for a sample that is damaged, 400/11034 when descriptors cannot be aggregated.
        """
        if not query.extract_descriptor and not query.extract_basic_attributes:
            raise ApiError(22022)
        if query.extract_basic_attributes:
            refuse_missing(["basic_attributes"])
        descriptors = await self._descriptors(scope, list(dict.fromkeys(sample_ids)))
        good = [key for key, descriptor in descriptors.items() if descriptor.score >= query.score_threshold]
        if query.aggregate_attributes:
            groups = [good] if good else [[key] for key in descriptors]
        else:
            groups = [[key] for key in sample_ids]
        accepted = [group for group in groups if group[0] in good]
        merged = [_merged([descriptors[key] for key in group], group) for group in accepted]
        made = [NewAttribute([coded(descriptor)], group) for group, descriptor in zip(accepted, merged, strict=True)]
        attribute_ids = await self._attributes.create(owner, made, query.ttl)
        created = zip(attribute_ids, merged, strict=True)
        return [
            _kept(group, *next(created)) if group[0] in good else _filtered(group, descriptors[group[0]])
            for group in groups
        ]

    async def _descriptors(self, scope: Scope, sample_ids: Sequence[UUID]) -> dict[UUID, Descriptor]:
        """The descriptor of each sample."""
        pictures = await self._blobs.load(scope, BlobKind.FACE_SAMPLE, sample_ids)
        images = [InputImage(str(key), data) for key, data in zip(sample_ids, pictures, strict=True)]
        found: dict[UUID, Descriptor] = {}
        for key, image in zip(sample_ids, await self._examiner.examine(images, _ORDER), strict=True):
            if image.error is not None:
                raise image.error
            for face in image.faces:  # one, as a warp shows one
                if face.descriptor is not None:
                    found[key] = face.descriptor
        return found


def _merged(descriptors: Sequence[Descriptor], sample_ids: Sequence[UUID]) -> Descriptor:
    if len(descriptors) == 1:
        return descriptors[0]
    try:
        return aggregate(descriptors)
    except ValueError:
        raise ApiError(11034, "the aggregate of samples", ", ".join(map(str, sample_ids))) from None


def _kept(sample_ids: list[UUID], attribute_id: UUID, descriptor: Descriptor) -> ExtractedAttribute:
    url = f"/6/attributes/{attribute_id}"
    return ExtractedAttribute(sample_ids, attribute_id, url, descriptor.score)


def _filtered(sample_ids: list[UUID], descriptor: Descriptor) -> ExtractedAttribute:
    return ExtractedAttribute(sample_ids, score=descriptor.score, filtered=1)
