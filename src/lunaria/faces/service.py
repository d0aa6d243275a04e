"""The rules of faces and their attributes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from msgspec import UNSET

from lunaria.attributes.descriptors import DescriptorVersions
from lunaria.attributes.schemas import ESTIMATES_TARGETS, Estimates
from lunaria.attributes.service import NewAttribute, new_attribute, samples_of, shown_estimates
from lunaria.attributes.store import DescriptorChoice
from lunaria.faces.attributes_store import FaceAttributesStore
from lunaria.faces.failures import MissingAttributeError, MissingFaceError, MissingListError, TakenAttributeError
from lunaria.faces.filters import FaceFilter
from lunaria.faces.schemas import (
    CreateFace,
    Face,
    FaceAttributeData,
    FaceFilterQuery,
    FacesQuery,
    PatchFace,
    is_uri_reference,
    shown_face,
)
from lunaria.faces.store import FacesStore
from lunaria.http.errors import ApiError
from lunaria.kit.times import Clock
from lunaria.storage.scope import Scope


class FacesService:
    """The faces of all accounts."""

    def __init__(
        self, store: FacesStore, attributes: FaceAttributesStore, versions: DescriptorVersions, clock: Clock
    ) -> None:
        self._store = store
        self._attributes = attributes
        self._versions = versions
        self._clock = clock

    async def create(self, owner: UUID, wanted: CreateFace) -> UUID:
        """Create a face, with attributes and links if wanted, all or nothing.

        Raises 400/22009, 404/22003 or 404/22005 for a list, 404/22011, 409/22001, 400/22022, 400/22024, 400/12036,
        400/100007.
        """
        _check_avatar(wanted.avatar)
        attribute = None if wanted.attribute is UNSET else self._given(wanted.attribute)
        lists = [] if wanted.lists is UNSET else list(dict.fromkeys(wanted.lists))
        face_id, now = uuid4(), self._clock.now()
        row = {
            "face_id": face_id,
            "account_id": owner,
            "event_id": None if wanted.event_id is UNSET else wanted.event_id,
            "user_data": wanted.user_data,
            "create_time": now,
            "external_id": wanted.external_id,
            "avatar": wanted.avatar,
        }
        with _attribute_errors(attribute, 22011):
            try:
                await self._store.add(owner, row, attribute, lists, now)
            except MissingListError as error:
                raise ApiError(22003 if len(lists) == 1 else 22005, error.id) from None
        return face_id

    async def get(self, scope: Scope, face_id: UUID, targets: list[str] | None) -> Face:
        """Raises 404/22002."""
        found = await self._find(scope, FaceFilter(face_ids=[face_id]), 1, 0, targets)
        if not found:
            raise ApiError(22002, face_id)
        return found[0]

    async def get_many(self, scope: Scope, query: FacesQuery) -> list[Face]:
        return await self._find(scope, query.filter, query.page_size, query.offset, query.targets)

    async def count(self, scope: Scope, query: FaceFilterQuery) -> int:
        return await self._store.count(scope, query.filter)

    async def change(self, scope: Scope, face_id: UUID, wanted: PatchFace) -> None:
        """Raises 404/22002, 400/22009."""
        given = {name: getattr(wanted, name) for name in wanted.__struct_fields__}
        values: dict[str, Any] = {name: value for name, value in given.items() if value is not UNSET}
        _check_avatar(values.get("avatar", ""))
        if not await self._store.change(scope, face_id, values):
            raise ApiError(22002, face_id)

    async def delete(self, scope: Scope, face_id: UUID) -> None:
        """Raises 404/22002."""
        try:
            await self._store.delete(scope, [face_id], self._clock.now(), ignore_missing=False)
        except MissingFaceError:
            raise ApiError(22002, face_id) from None

    async def delete_many(self, scope: Scope, face_ids: Sequence[UUID], *, ignore_missing: bool) -> None:
        """Delete all or none; raises 404/22004 unless missing ones are ignored."""
        try:
            await self._store.delete(scope, face_ids, self._clock.now(), ignore_missing=ignore_missing)
        except MissingFaceError as error:
            raise ApiError(22004, error.id) from None

    # Attributes

    async def set_attributes(self, scope: Scope, face_id: UUID, given: FaceAttributeData) -> None:
        """Replace all attributes of a face.

        Raises 404/22002, 404/22010, 409/22001, 400/22022, 400/22024, 400/12036, 400/100007.
        """
        attribute = self._given(given)
        with _attribute_errors(attribute, 22010):
            try:
                await self._attributes.replace(scope, face_id, attribute, self._clock.now())
            except MissingFaceError:
                raise ApiError(22002, face_id) from None

    async def attributes(
        self, scope: Scope, face_id: UUID, targets: list[str] | None, version: int | None
    ) -> Estimates:
        """Raises 404/22002, 404/11032 for a face without any, 400/12036, 404/22018 without the asked-for descriptor."""
        self._versions.require(version)
        shown = targets or ESTIMATES_TARGETS
        choice = DescriptorChoice(version, self._versions.default) if "face_descriptor" in shown else None
        try:
            found = await self._attributes.find(scope, face_id, choice)
        except MissingFaceError:
            raise ApiError(22002, face_id) from None
        if found is None:
            raise ApiError(11032, face_id)
        if version is not None and choice is not None and found.descriptor is None:
            raise ApiError(22018, version, face_id)
        return Estimates(**shown_estimates(found, shown))

    async def samples(self, scope: Scope, face_id: UUID) -> list[UUID]:
        """The samples that a face's attributes come from. Raises 404/22002."""
        try:
            found = await self._attributes.find(scope, face_id, None)
        except MissingFaceError:
            raise ApiError(22002, face_id) from None
        return [] if found is None else samples_of(found.row)

    async def delete_attributes(self, scope: Scope, face_id: UUID) -> None:
        """Raises 404/22002; a face without attributes is fine."""
        try:
            await self._attributes.delete(scope, face_id)
        except MissingFaceError:
            raise ApiError(22002, face_id) from None

    async def count_with_attributes(self, scope: Scope) -> int:
        return await self._attributes.count(scope)

    async def _find(
        self, scope: Scope, wanted: FaceFilter, limit: int, offset: int, targets: list[str] | None
    ) -> list[Face]:
        with_lists = targets is None or "lists" in targets
        rows = await self._store.find(scope, wanted, limit, offset, with_lists=with_lists)
        return [shown_face(row, targets) for row in rows]

    def _given(self, given: FaceAttributeData) -> NewAttribute | UUID:
        """Raises 400/22022, 400/22024, 400/12036, 400/100007."""
        return new_attribute(given, self._versions) if given.attribute_id is UNSET else given.attribute_id


@contextmanager
def _attribute_errors(attribute: NewAttribute | UUID | None, missing: int) -> Iterator[None]:
    """`missing`: the code for a temporary attribute that is not there."""
    try:
        yield
    except MissingAttributeError:
        raise ApiError(missing, attribute) from None
    except TakenAttributeError:
        raise ApiError(22001, attribute) from None


def _check_avatar(avatar: str) -> None:
    if not is_uri_reference(avatar):
        raise ApiError(22009, avatar)
