"""POST /6/extractor: stored face samples become temporary attributes."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from msgspec import UNSET

from lunaria.attributes import schemas as stored
from lunaria.attributes.descriptors import coded
from lunaria.attributes.service import AttributesService, NewAttribute
from lunaria.blobs.service import BlobKind, BlobsService
from lunaria.estimation.aggregation import merge_basic_attributes
from lunaria.estimation.catalogue import Catalogue
from lunaria.estimation.estimates import ETHNICITY_NUMBERS, BasicAttributes
from lunaria.estimation.examination import Examiner, Order
from lunaria.estimation.inputs import InputImage
from lunaria.estimation.queries import ExtractorQuery
from lunaria.estimation.schemas import ExtractedAttribute
from lunaria.http.errors import ApiError
from lunaria.storage.scope import Scope
from lunaria.vision.descriptors import Descriptor, aggregate
from lunaria.vision.plan import ImageType, Plan


@dataclass(frozen=True, slots=True)
class _Extract:
    """What was extracted from one sample, or merged from several; what was not asked for is None."""

    descriptor: Descriptor | None
    basic: BasicAttributes | None

    def reaches(self, threshold: float) -> bool:
        """Whether the descriptor is good enough; where none was asked for, nothing can be too bad."""
        return self.descriptor is None or self.descriptor.score >= threshold


class ExtractorService:
    def __init__(
        self, examiner: Examiner, blobs: BlobsService, attributes: AttributesService, catalogue: Catalogue
    ) -> None:
        self._examiner = examiner
        self._blobs = blobs
        self._attributes = attributes
        self._catalogue = catalogue

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
            self._catalogue.refuse_missing(["basic_attributes"])
        extracts = await self._extracts(scope, list(dict.fromkeys(sample_ids)), query)
        good = [key for key, extract in extracts.items() if extract.reaches(query.score_threshold)]
        if query.aggregate_attributes:
            groups = [good] if good else [[key] for key in extracts]
        else:
            groups = [[key] for key in sample_ids]
        accepted = [group for group in groups if group[0] in good]
        merged = [_merged([extracts[key] for key in group], group) for group in accepted]
        made = [_new_attribute(extract, group) for group, extract in zip(accepted, merged, strict=True)]
        attribute_ids = await self._attributes.create(owner, made, query.ttl)
        created = zip(attribute_ids, merged, strict=True)
        return [
            _kept(group, *next(created)) if group[0] in good else _filtered(group, extracts[group[0]])
            for group in groups
        ]

    async def _extracts(self, scope: Scope, sample_ids: Sequence[UUID], query: ExtractorQuery) -> dict[UUID, _Extract]:
        """What is extracted from each sample."""
        pictures = await self._blobs.load(scope, BlobKind.FACE_SAMPLE, sample_ids)
        images = [InputImage(str(key), data) for key, data in zip(sample_ids, pictures, strict=True)]
        plan = Plan(descriptor=bool(query.extract_descriptor), basic_attributes=bool(query.extract_basic_attributes))
        found: dict[UUID, _Extract] = {}
        examined = await self._examiner.examine(images, Order(plan, ImageType.FACE_WARP))
        for key, image in zip(sample_ids, examined, strict=True):
            if image.error is not None:
                raise image.error
            (face,) = image.faces  # a warp shows one
            basic = face.detection.attributes.basic_attributes
            found[key] = _Extract(face.descriptor, None if basic is UNSET else basic)
        return found


def _merged(extracts: Sequence[_Extract], sample_ids: Sequence[UUID]) -> _Extract:
    if len(extracts) == 1:
        return extracts[0]
    descriptors = [extract.descriptor for extract in extracts if extract.descriptor is not None]
    basic = [extract.basic for extract in extracts if extract.basic is not None]
    try:
        descriptor = aggregate(descriptors) if descriptors else None
    except ValueError:
        raise ApiError(11034, "the aggregate of samples", ", ".join(map(str, sample_ids))) from None
    return _Extract(descriptor, merge_basic_attributes(basic) if basic else None)


def _new_attribute(extract: _Extract, sample_ids: list[UUID]) -> NewAttribute:
    return NewAttribute(
        descriptors=[] if extract.descriptor is None else [coded(extract.descriptor)],
        descriptor_samples=[] if extract.descriptor is None else sample_ids,
        basic=None if extract.basic is None else kept_basic_attributes(extract.basic),
        basic_samples=[] if extract.basic is None else sample_ids,
    )


def kept_basic_attributes(basic: BasicAttributes) -> stored.BasicAttributes:
    """As attributes keep them: the predominant ethnicity by its number."""
    known = basic.ethnicities
    ethnicity = UNSET if known is UNSET else ETHNICITY_NUMBERS[known.predominant_ethnicity]
    return stored.BasicAttributes(basic.age, basic.gender, ethnicity)


def _kept(sample_ids: list[UUID], attribute_id: UUID, extract: _Extract) -> ExtractedAttribute:
    return ExtractedAttribute(
        sample_ids,
        attribute_id,
        f"/6/attributes/{attribute_id}",
        UNSET if extract.descriptor is None else extract.descriptor.score,
        UNSET if extract.basic is None else extract.basic,
    )


def _filtered(sample_ids: list[UUID], extract: _Extract) -> ExtractedAttribute:
    score = UNSET if extract.descriptor is None else extract.descriptor.score
    return ExtractedAttribute(sample_ids, score=score, filtered=1)
