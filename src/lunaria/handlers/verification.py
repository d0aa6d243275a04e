"""The way of a request through a verifier: pictures and descriptors in, similarities with the candidates out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
import numpy as np

from lunaria.attributes.service import AttributesService
from lunaria.blobs.service import BlobsService
from lunaria.estimation.catalogue import Catalogue, asked
from lunaria.estimation.examination import ExaminedFace, ExaminedImage, Examiner, Order
from lunaria.handlers.event_making import face_attributes, shown_face
from lunaria.handlers.orders import order_of
from lunaria.handlers.persons import Extract, face_extract, given_extract
from lunaria.handlers.sources import SourceDescriptor, SourceImage, Sources
from lunaria.handlers.storage_plan import attribute_of
from lunaria.handlers.verification_candidates import CandidateReader, Candidates
from lunaria.handlers.verification_schemas import (
    FilteredSample,
    FilteredVerification,
    FilteredVerifications,
    RawVerification,
    RawVerificationResult,
    RawVerifications,
    Verification,
    VerificationQuery,
    VerificationResult,
    VerifiedDetection,
    VerifiedDetections,
    VerifiedFace,
    VerifiedImage,
    VerifiedSample,
)
from lunaria.handlers.verifier_policies import VerifierPolicies, VerifierStorage
from lunaria.http.errors import ApiError
from lunaria.kit.pool import WorkerPool
from lunaria.matching.matcher import Matcher
from lunaria.matching.schemas import MatchRaw, RawResult
from lunaria.matching.service import MatchingService
from lunaria.storage.scope import Scope
from lunaria.vision.plan import ImageType


@dataclass(frozen=True, slots=True)
class _Found:
    """A face of a picture with what was extracted of it."""

    source: SourceImage
    face: ExaminedFace
    extract: Extract


@dataclass(frozen=True, slots=True)
class _Kept:
    """Where a face is kept; None: nowhere."""

    sample: UUID | None = None
    attribute: UUID | None = None

    @property
    def samples(self) -> list[UUID]:
        return [] if self.sample is None else [self.sample]


class VerificationService:
    """Verifies. `limit`: most pairs of a face and a candidate in one request."""

    def __init__(
        self,
        catalogue: Catalogue,
        examiner: Examiner,
        blobs: BlobsService,
        attributes: AttributesService,
        candidates: CandidateReader,
        matching: MatchingService,
        matcher: Matcher,
        pool: WorkerPool,
        limit: int,
    ) -> None:
        self._catalogue = catalogue
        self._examiner = examiner
        self._blobs = blobs
        self._attributes = attributes
        self._candidates = candidates
        self._matching = matching
        self._matcher = matcher
        self._pool = pool
        self._limit = limit

    async def verify_raw(self, policies: VerifierPolicies, wanted: MatchRaw) -> RawVerificationResult:
        """Compare every reference with every candidate. Raises 400/12022."""
        compared = await self._matcher.raw(wanted)
        return await self._pool.run(_decided, compared, policies.verification_threshold)

    async def verify(
        self, owner: UUID, policies: VerifierPolicies, sources: Sources, query: VerificationQuery
    ) -> VerificationResult:
        """Compare every face and every given descriptor with the candidates, and keep what the policies say.

        Raises 403/11044 for an estimate that cannot be made here, 400/100007 for the descriptor of a body, what
        `CandidateReader.read` raises, and 400/31007 for too many pairs.
        """
        order = _order(policies, query)
        if sources.images:
            self._catalogue.refuse_missing(asked(order))
        candidates = await self._candidates.read(Scope(owner), query, self._versions(sources))
        images = await self._examiner.examine(sources.images, order)
        score = policies.extract_policy.fd_score_threshold
        found = [
            _Found(source, face, face_extract(face, score))
            for source, image in zip(sources.images, images, strict=True)
            for face in image.faces
        ]
        extracts = [*(one.extract for one in found), *map(given_extract, sources.descriptors)]
        self._refuse_pairs(len(extracts), candidates)
        threshold = policies.verification_threshold
        verifications = iter(await self._pool.run(self._compare, extracts, candidates, threshold))
        kept = await self._keep(owner, policies.storage_policy, found)
        detections = (
            _of_face(one, place, verified) for one, place, verified in zip(found, kept, verifications, strict=False)
        )
        return VerificationResult(
            [
                *(self._image(image, detections) for image in images),
                *(
                    self._descriptor(given, extract, verified)
                    for given, extract, verified in zip(
                        sources.descriptors, extracts[len(found) :], verifications, strict=True
                    )
                ),
            ]
        )

    def _versions(self, sources: Sources) -> set[int]:
        """The versions of descriptors that are compared."""
        for given in sources.descriptors:
            if given.kind != "face":
                raise ApiError(100007, f"'{given.filename}' describes a body, verifiers compare faces")
        versions = {given.descriptor.version for given in sources.descriptors}
        return versions | {self._matching.models["face"].version} if sources.images else versions

    def _refuse_pairs(self, number: int, candidates: Mapping[int, Candidates]) -> None:
        most = self._limit // max((len(own.objects) for own in candidates.values()), default=1)
        if number > most:
            raise ApiError(31007, most)

    def _compare(
        self, extracts: Sequence[Extract], candidates: Mapping[int, Candidates], threshold: float
    ) -> list[list[Verification]]:
        """For every extract the candidates in their order; none for one without a usable descriptor."""
        verified: list[list[Verification]] = [[] for _ in extracts]
        for version, own in candidates.items():
            numbers = [
                number
                for number, extract in enumerate(extracts)
                if extract.descriptor is not None and extract.descriptor.coded.version == version
            ]
            if not numbers:
                continue
            vectors = [one.descriptor.vector for number in numbers if (one := extracts[number]).descriptor is not None]
            similarities = self._matching.compare("face", np.stack(vectors), own.vectors)
            for number, row in zip(numbers, similarities.tolist(), strict=True):
                verified[number] = [
                    Verification(similarity, status=similarity > threshold, **one)
                    for one, similarity in zip(own.objects, row, strict=True)
                ]
        return verified

    async def _keep(self, owner: UUID, policy: VerifierStorage, found: Sequence[_Found]) -> list[_Kept]:
        """Store samples and temporary attributes; a picture that is a stored sample already keeps its id."""
        samples: list[UUID | None] = [one.source.sample_id for one in found]
        if policy.face_sample_policy.store_sample:
            new = [(number, warp) for number, one in enumerate(found) if (warp := _unsaved(one)) is not None]
            saved = await self._blobs.save_face_samples(owner, [warp for _, warp in new])
            for (number, _), sample in zip(new, saved, strict=True):
                samples[number] = sample
        kept = [_Kept(sample) for sample in samples]
        keeping = policy.attribute_policy
        if not keeping.store_attribute:
            return kept
        made = [
            None if one.extract.reasons else attribute_of(one.extract, place.samples)
            for one, place in zip(found, kept, strict=True)
        ]
        ids = iter(await self._attributes.create(owner, [one for one in made if one is not None], keeping.ttl))
        return [
            _Kept(place.sample, None if attribute is None else next(ids))
            for place, attribute in zip(kept, made, strict=True)
        ]

    def _image(self, image: ExaminedImage, detections: Iterator[VerifiedDetection]) -> VerifiedImage:
        return VerifiedImage(
            filename=image.filename,
            status=image.status,
            error=self._examiner.error_of(image),
            detections=VerifiedDetections(
                [next(detections) for _ in image.faces],
                FilteredVerifications(
                    [
                        FilteredVerification(FilteredSample(image.filename, _sample(face, None)), face.reasons)
                        for face in image.filtered_faces
                    ]
                ),
            ),
            exif=image.exif,
        )

    def _descriptor(self, given: SourceDescriptor, extract: Extract, verified: list[Verification]) -> VerifiedImage:
        detection = VerifiedDetection(None, face_attributes(extract, None, []), verified)
        examined = ExaminedImage(given.filename)
        return VerifiedImage(
            given.filename, examined.status, self._examiner.error_of(examined), VerifiedDetections([detection])
        )


def _decided(compared: RawResult, threshold: float) -> RawVerificationResult:
    """The similarities, each with what it means."""
    return RawVerificationResult(
        [
            RawVerifications(
                one.reference_id,
                [
                    RawVerification(match.candidate_id, match.similarity, status=match.similarity > threshold)
                    for match in one.matches
                ],
            )
            for one in compared.matches
        ]
    )


def _order(policies: VerifierPolicies, query: VerificationQuery) -> Order:
    return order_of(
        policies.detection,
        policies.extraction,
        image_type=ImageType(query.image_type),
        use_exif_info=bool(query.use_exif_info),
        face_warps=bool(policies.storage_policy.face_sample_policy.store_sample),
    )


def _unsaved(found: _Found) -> bytes | None:
    return found.face.warp if found.source.sample_id is None else None


def _of_face(found: _Found, kept: _Kept, verified: list[Verification]) -> VerifiedDetection:
    return VerifiedDetection(
        _sample(found.face, kept.sample),
        face_attributes(found.extract, kept.attribute, kept.samples),
        verified,
    )


def _sample(face: ExaminedFace, sample_id: UUID | None) -> VerifiedSample:
    """A face for the wire. Verifiers do not look at the boxes that come with warps."""
    detection = shown_face(None, face.detection)
    url = None if sample_id is None else f"/6/samples/faces/{sample_id}"
    return VerifiedSample(
        VerifiedFace(sample_id=sample_id, url=url, detection=detection, **msgspec.structs.asdict(detection))
    )
