"""The storage policy on a person: what is kept of it and where, who is told. Nothing is written here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from lunaria.attributes.service import NewAttribute, NewTemporaryAttribute
from lunaria.blobs.pictures import media_type_of
from lunaria.blobs.service import JPEG, BlobKind, NewBlob
from lunaria.estimation.examination import ExaminedBody, ExaminedFace
from lunaria.estimation.extractor import kept_basic_attributes
from lunaria.events.callbacks_schemas import HttpCallback
from lunaria.handlers.filters import Subject, passes
from lunaria.handlers.persons import Extract, Person, Sighting
from lunaria.handlers.sources import SourceImage
from lunaria.handlers.storage_policy import ImageOriginPolicy, SamplePolicy, StoragePolicy
from lunaria.vision.plan import ImageType

REFERENCE_LIMIT = 256
"""Longest address of a picture that is remembered in place of a copy."""


class Origins:
    """Where the whole pictures of a request are kept: each is stored once, whatever number of events refers to it."""

    def __init__(self, policy: ImageOriginPolicy) -> None:
        self._policy = policy
        self._stored: dict[int, UUID] = {}

    def of(self, source: SourceImage, subject: Subject) -> tuple[str | None, NewBlob | None]:
        """The address of a picture for a person's event, and the picture when it has to be stored for it."""
        reference = source.image_origin or source.external_url
        if self._policy.use_external_references and reference is not None and len(reference) <= REFERENCE_LIMIT:
            return reference, None
        if not self._policy.store_image or not passes(self._policy.filters, subject):
            return None, None
        known = self._stored.get(id(source))
        if known is not None:
            return _image_url(known), None
        data = source.origin or source.data
        assert data is not None, "a picture without bytes shows nobody"
        blob = NewBlob(BlobKind.IMAGE, uuid4(), media_type_of(data), data)
        self._stored[id(source)] = blob.id
        return _image_url(blob.id), blob


@dataclass(frozen=True, slots=True)
class KeptSighting:
    """What is kept of a sighting; None: nothing is."""

    face_sample: UUID | None
    body_sample: UUID | None
    image_origin: str | None


@dataclass(frozen=True, slots=True)
class KeptFace:
    """The face that is made of a person."""

    id: UUID
    attribute: NewAttribute | None
    avatar: str
    list_ids: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class StoragePlan:
    """What is kept of a person (`sightings` in its order), whether the event is stored, and who is told of it."""

    sightings: Sequence[KeptSighting]
    blobs: Sequence[NewBlob]
    attribute: NewTemporaryAttribute | None
    face: KeptFace | None
    store: bool
    notify: bool
    callbacks: Sequence[HttpCallback]

    @property
    def face_samples(self) -> list[UUID]:
        """The samples of the person's faces, each once."""
        return _each_once(seen.face_sample for seen in self.sightings)

    @property
    def body_samples(self) -> list[UUID]:
        """The samples of the person's bodies, each once."""
        return _each_once(seen.body_sample for seen in self.sightings)


def plan_storage(policy: StoragePolicy, person: Person, subject: Subject, origins: Origins) -> StoragePlan:
    """What the policy says about a person. `subject` knows what was matched.

    Where the descriptor was dropped as unusable, neither an attribute nor a face is made.
    """
    blobs: list[NewBlob] = []
    sightings = [_keep(policy, sighting, subject, origins, blobs) for sighting in person.sightings]
    samples = _each_once(seen.face_sample for seen in sightings)
    usable = person.face is not None and not person.face.reasons
    attribute = attribute_of(person.face, samples) if person.face is not None and usable else None
    keeping, making = policy.attribute_policy, policy.face_policy
    storing, telling = policy.event_policy, policy.notification_policy
    kept_attribute: NewTemporaryAttribute | None = None
    if attribute is not None and keeping.store_attribute and passes(keeping.filters, subject):
        kept_attribute = NewTemporaryAttribute(uuid4(), attribute, keeping.ttl)
    face: KeptFace | None = None
    if usable and making.store_face and passes(making.filters, subject):
        links = [link.list_id for link in making.link_to_lists_policy if passes(link.filters, subject)]
        avatar = f"/6/samples/faces/{samples[0]}" if samples and making.set_sample_as_avatar else ""
        face = KeptFace(uuid4(), attribute, avatar, _each_once(links))
    return StoragePlan(
        sightings,
        blobs,
        kept_attribute,
        face,
        store=bool(storing.store_event) and passes(storing.filters, subject),
        notify=bool(telling.send_notification) and passes(telling.filters, subject),
        callbacks=[callback for callback in policy.callbacks if callback.enable and passes(callback.filters, subject)],
    )


def _keep(
    policy: StoragePolicy, sighting: Sighting, subject: Subject, origins: Origins, blobs: list[NewBlob]
) -> KeptSighting:
    """What is kept of a sighting; what has to be stored for it comes to the `blobs`."""
    source = sighting.source

    def sample(
        found: ExaminedFace | ExaminedBody | None, rule: SamplePolicy, kind: BlobKind, warp_type: ImageType
    ) -> UUID | None:
        if found is None:
            return None
        if source.sample_id is not None and source.image_type is warp_type:
            return source.sample_id
        if found.warp is None or not rule.store_sample or not passes(rule.filters, subject):
            return None
        blobs.append(NewBlob(kind, uuid4(), JPEG, found.warp))
        return blobs[-1].id

    face = sample(sighting.face, policy.face_sample_policy, BlobKind.FACE_SAMPLE, ImageType.FACE_WARP)
    body = sample(sighting.body, policy.body_sample_policy, BlobKind.BODY_SAMPLE, ImageType.BODY_WARP)
    origin, picture = origins.of(source, subject)
    if picture is not None:
        blobs.append(picture)
    return KeptSighting(face, body, origin)


def attribute_of(extract: Extract, samples: list[UUID]) -> NewAttribute | None:
    """What was extracted of a face as attributes hold it; None when nothing was."""
    descriptor, basic = extract.descriptor, extract.basic
    if descriptor is None and basic is None:
        return None
    return NewAttribute(
        descriptors=[] if descriptor is None else [descriptor.coded],
        descriptor_samples=[] if descriptor is None else samples,
        basic=None if basic is None else kept_basic_attributes(basic),
        basic_samples=[] if basic is None else samples,
    )


def _image_url(image_id: UUID) -> str:
    return f"/6/images/{image_id}"


def _each_once(ids: Iterable[UUID | None]) -> list[UUID]:
    return list(dict.fromkeys(one for one in ids if one is not None))
