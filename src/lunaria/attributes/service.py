"""The rules of temporary attributes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from msgspec import UNSET
from sqlalchemy import RowMapping

from lunaria.attributes.descriptors import (
    CodedDescriptor,
    DescriptorVersions,
    refuse_repeated_versions,
    with_header,
)
from lunaria.attributes.schemas import (
    ATTRIBUTE_TARGETS,
    Attribute,
    AttributeData,
    BasicAttributes,
    DescriptorData,
)
from lunaria.attributes.store import AttributesStore, DescriptorChoice, FoundAttribute
from lunaria.http.errors import ApiError
from lunaria.kit.times import Clock
from lunaria.storage.scope import Scope

CLEANING_BATCH = 1000


@dataclass(frozen=True, slots=True)
class NewAttribute:
    """What becomes a temporary attribute, or the attributes of a face."""

    descriptors: Sequence[CodedDescriptor] = ()
    descriptor_samples: Sequence[UUID] = ()
    basic: BasicAttributes | None = None
    basic_samples: Sequence[UUID] = ()

    @property
    def columns(self) -> dict[str, Any]:
        """The columns that temporary attributes and faces' attributes share."""
        basic = {} if self.basic is None else _basic_columns(self.basic)
        return {
            "age": basic.get("age"),
            "gender": basic.get("gender"),
            "ethnicity": basic.get("ethnicity"),
            "has_basic": self.basic is not None,
            "descriptor_samples": list(self.descriptor_samples),
            "basic_samples": list(self.basic_samples),
        }


@dataclass(frozen=True, slots=True)
class NewTemporaryAttribute:
    """An attribute that is about to be kept for `ttl` seconds, under an id of its own."""

    id: UUID
    attribute: NewAttribute
    ttl: int

    def row(self, owner: UUID, now: datetime) -> dict[str, Any]:
        """Its row, without descriptors."""
        return {
            "attribute_id": self.id,
            "account_id": owner,
            "create_time": now,
            "expires_at": now + timedelta(seconds=self.ttl),
            **self.attribute.columns,
        }


def new_attribute(given: AttributeData, versions: DescriptorVersions) -> NewAttribute:
    """Read what a client sent. Raises 400/22022, 400/22024, 400/12036 and 400/100007."""
    descriptors = [] if given.face_descriptors is UNSET else given.face_descriptors
    basic = None if given.basic_attributes is UNSET else given.basic_attributes
    if not descriptors and basic is None:
        raise ApiError(22022)
    coded = [
        versions.read(item.descriptor, item.version) if isinstance(item, DescriptorData) else versions.read(item, None)
        for item in descriptors
    ]
    refuse_repeated_versions(coded)
    return NewAttribute(coded, given.face_descriptor_samples, basic, given.basic_attributes_samples)


def shown_estimates(found: FoundAttribute, targets: Collection[str]) -> dict[str, Any]:
    """Those of the targets that temporary attributes and faces' attributes share, by name."""
    row = found.row
    shown: dict[str, Any] = {}
    if "create_time" in targets:
        shown["create_time"] = row["create_time"]
    if "face_descriptor_samples" in targets:
        shown["face_descriptor_samples"] = row["descriptor_samples"]
    if "basic_attributes_samples" in targets:
        shown["basic_attributes_samples"] = row["basic_samples"]
    if "face_descriptor" in targets:
        shown["face_descriptor"] = None if found.descriptor is None else with_header(found.descriptor)
    if "basic_attributes" in targets:
        shown["basic_attributes"] = _basic(row)
    return shown


def samples_of(row: RowMapping) -> list[UUID]:
    """The samples that attributes come from, each once."""
    return list(dict.fromkeys([*row["descriptor_samples"], *row["basic_samples"]]))


class AttributesService:
    """The temporary attributes of all accounts."""

    def __init__(self, store: AttributesStore, versions: DescriptorVersions, clock: Clock) -> None:
        self._store = store
        self._versions = versions
        self._clock = clock

    async def save(self, owner: UUID, given: AttributeData, ttl: int) -> UUID:
        """Keep what a client sent for `ttl` seconds. Raises as `new_attribute` does."""
        (attribute_id,) = await self.create(owner, [new_attribute(given, self._versions)], ttl)
        return attribute_id

    async def create(self, owner: UUID, made: Sequence[NewAttribute], ttl: int) -> list[UUID]:
        """Keep attributes for `ttl` seconds, all or none: their ids in the same order."""
        if not made:
            return []
        now = self._clock.now()
        kept = [NewTemporaryAttribute(uuid4(), one, ttl) for one in made]
        rows = [one.row(owner, now) for one in kept]
        await self._store.add(owner, rows, {one.id: one.attribute.descriptors for one in kept})
        return [one.id for one in kept]

    async def get(
        self, scope: Scope, attribute_id: UUID, targets: Collection[str] | None, version: int | None
    ) -> Attribute:
        """One attribute. Raises 404/22011, 400/12036, and 404/22018 when it lacks the asked-for descriptor."""
        found = (await self._find(scope, [attribute_id], targets, version)).get(attribute_id)
        if found is None:
            raise ApiError(22011, attribute_id)
        shown = targets or ATTRIBUTE_TARGETS
        if version is not None and found.descriptor is None and "face_descriptor" in shown:
            raise ApiError(22018, version, attribute_id)
        return _attribute(found, shown)

    async def get_many(
        self, scope: Scope, attribute_ids: Sequence[UUID], targets: Collection[str] | None, version: int | None
    ) -> list[Attribute]:
        """Those of the attributes that live, in the order asked for, each once. Raises 400/12036."""
        found = await self._find(scope, attribute_ids, targets, version)
        return [
            _attribute(found[key], targets or ATTRIBUTE_TARGETS) for key in dict.fromkeys(attribute_ids) if key in found
        ]

    async def samples(self, scope: Scope, attribute_id: UUID) -> list[UUID]:
        """Raises 404/22011."""
        found = (await self._store.find(scope, [attribute_id], self._clock.now(), None)).get(attribute_id)
        if found is None:
            raise ApiError(22011, attribute_id)
        return samples_of(found.row)

    async def delete(self, scope: Scope, attribute_id: UUID) -> None:
        """Raises 404/22011."""
        if not await self._store.delete(scope, attribute_id, self._clock.now()):
            raise ApiError(22011, attribute_id)

    async def remove_expired(self) -> int:
        """Delete the rows of all expired attributes, in bounded transactions. How many went."""
        removed = 0
        while True:
            batch = await self._store.delete_expired(self._clock.now(), CLEANING_BATCH)
            removed += batch
            if batch < CLEANING_BATCH:
                return removed

    async def _find(
        self, scope: Scope, attribute_ids: Collection[UUID], targets: Collection[str] | None, version: int | None
    ) -> dict[UUID, FoundAttribute]:
        self._versions.require(version)
        wanted = "face_descriptor" in (targets or ATTRIBUTE_TARGETS)
        choice = DescriptorChoice(version, self._versions.default) if wanted else None
        return await self._store.find(scope, attribute_ids, self._clock.now(), choice)


def _attribute(found: FoundAttribute, targets: Collection[str]) -> Attribute:
    ids = {name: found.row[name] for name in ("attribute_id", "account_id") if name in targets}
    return Attribute(**ids, **shown_estimates(found, targets))


def _basic_columns(basic: BasicAttributes) -> dict[str, int]:
    given = {"age": basic.age, "gender": basic.gender, "ethnicity": basic.ethnicity}
    return {name: value for name, value in given.items() if value is not UNSET}


def _basic(row: RowMapping) -> BasicAttributes | None:
    if not row["has_basic"]:
        return None
    return BasicAttributes(**{name: row[name] for name in ("age", "gender", "ethnicity") if row[name] is not None})
