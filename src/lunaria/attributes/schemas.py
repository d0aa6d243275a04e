"""Wire objects of attributes: temporary ones, and what faces' attributes share with them."""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

from lunaria.http.errors import ApiError
from lunaria.http.query import OfAccount, Query

SAMPLES_LIMIT = 1000
DESCRIPTORS_LIMIT = 100
IDS_LIMIT = 1000
"""Most samples of an attribute, descriptors of an attribute, ids in one query parameter."""

Version = Annotated[int, Meta(ge=1, le=2**31 - 1, description="Version of a descriptor.")]
SampleIds = Annotated[
    list[UUID],
    Meta(max_length=SAMPLES_LIMIT, extra_json_schema={"uniqueItems": True}, description="Samples, each once."),
]


class DescriptorData(Struct, frozen=True, forbid_unknown_fields=True):
    """A descriptor's bytes, with or without header, and its version."""

    descriptor: bytes
    version: Version


class BasicAttributes(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is estimated about a person; at least one of it. Gender: 0 female, 1 male.

    Ethnicity: 1 African American, 2 Indian, 3 Asian, 4 Caucasian.
    """

    age: Annotated[int, Meta(ge=0, le=100)] | UnsetType = UNSET
    gender: Annotated[int, Meta(ge=0, le=1)] | UnsetType = UNSET
    ethnicity: Annotated[int, Meta(ge=1, le=4)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.age is UNSET and self.gender is UNSET and self.ethnicity is UNSET:
            raise ValueError("at least one of age, gender, ethnicity is required")


FaceDescriptors = Annotated[
    list[bytes | DescriptorData],
    Meta(
        min_length=1,
        max_length=DESCRIPTORS_LIMIT,
        description="Descriptors of different versions; plain bytes must begin with a header.",
    ),
]


class AttributeData(Struct, frozen=True, forbid_unknown_fields=True):
    """Descriptors, basic attributes or both, with the samples that they come from."""

    face_descriptors: FaceDescriptors | UnsetType = UNSET
    face_descriptor_samples: SampleIds = field(default_factory=list)
    basic_attributes: BasicAttributes | UnsetType = UNSET
    basic_attributes_samples: SampleIds = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("face_descriptor_samples", "basic_attributes_samples"):
            samples = getattr(self, name)
            if len(set(samples)) < len(samples):
                raise ValueError(f"{name}: items must be unique")


class AttributeCreated(Struct, frozen=True):
    attribute_id: UUID
    url: str


class Samples(Struct, frozen=True):
    """Ids of samples, each once."""

    samples: list[UUID]


class Estimates(Struct, kw_only=True, omit_defaults=True):
    """What temporary attributes and faces' attributes have in common; fields that are not among the targets lack."""

    create_time: datetime | UnsetType = UNSET
    face_descriptor_samples: list[UUID] | UnsetType = UNSET
    basic_attributes_samples: list[UUID] | UnsetType = UNSET
    face_descriptor: Annotated[bytes, Meta(description="With header.")] | UnsetType | None = UNSET
    basic_attributes: BasicAttributes | UnsetType | None = UNSET


class Attribute(Estimates, kw_only=True, omit_defaults=True):
    """A temporary attribute."""

    attribute_id: UUID | UnsetType = UNSET
    account_id: UUID | UnsetType = UNSET


class Attributes(Struct):
    attributes: list[Attribute]


ESTIMATES_TARGETS = Estimates.__struct_fields__
ATTRIBUTE_TARGETS = Attribute.__struct_fields__


Targets = Annotated[
    list[Annotated[str, Meta(extra_json_schema={"enum": list(ATTRIBUTE_TARGETS)})]],
    Meta(min_length=1, description="Fields to show; all by default."),
]


def check_targets(given: Collection[str] | None, valid: Collection[str]) -> None:
    """Raises 400/22016 for a target that is not among the valid ones."""
    for target in given or ():
        if target not in valid:
            raise ApiError(22016, target, ", ".join(valid))


class AttributeSelection(Query, frozen=True, kw_only=True):
    """What to show of one attribute."""

    targets: Targets | None = None
    descriptor_version: Version | None = None

    def __post_init__(self) -> None:
        check_targets(self.targets, ATTRIBUTE_TARGETS)


class AttributesQuery(OfAccount, frozen=True, kw_only=True):
    attribute_ids: Annotated[list[UUID], Meta(min_length=1, max_length=IDS_LIMIT)]
    targets: Targets | None = None
    descriptor_version: Version | None = None

    def __post_init__(self) -> None:
        check_targets(self.targets, ATTRIBUTE_TARGETS)


class TtlQuery(Query, frozen=True, kw_only=True):
    ttl: Annotated[int, Meta(ge=1, le=86400, description="Seconds that the attribute lives.")] = 300
