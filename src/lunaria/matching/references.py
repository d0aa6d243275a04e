"""What is matched: references of a request, each with the descriptor that stands for it or why there is none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from msgspec import UNSET

from lunaria.events.schemas import DescriptorKind
from lunaria.http.errors import ApiError
from lunaria.kit.times import Clock
from lunaria.matching.schemas import (
    AttributeReference,
    EventExternalIdReference,
    EventReference,
    EventTrackIdReference,
    ExternalIdReference,
    FaceReference,
    GivenDescriptor,
    RawDescriptor,
    Reference,
    ShownReference,
    XpkFile,
)
from lunaria.matching.service import Models, Vectors
from lunaria.matching.store import MatchingStore, StoredDescriptor
from lunaria.storage.scope import Scope
from lunaria.vision.descriptor_coding import DescriptorCoding, DescriptorError


@dataclass(frozen=True, slots=True)
class Query:
    """A reference with the descriptor that stands for it, or why there is none."""

    shown: ShownReference
    version: int = 0
    vector: Vectors | None = None
    error: ApiError | None = None


Objects = Mapping[UUID, list[StoredDescriptor]]
"""Objects that exist, with their descriptors."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """What references name: single objects by the reference's type, and objects that share a name, by that name too."""

    single: Mapping[type, Objects]
    sharing: Mapping[type, Mapping[str, Objects]]


_MISSING: Mapping[type, Callable[[Any], ApiError]] = {
    FaceReference: partial(ApiError, 22002),
    AttributeReference: partial(ApiError, 22011),
    EventReference: partial(ApiError, 23001),
    ExternalIdReference: partial(ApiError, 11041),
    EventExternalIdReference: partial(ApiError, 11057, "external id"),
    EventTrackIdReference: partial(ApiError, 11057, "track id"),
}


@dataclass(frozen=True, slots=True)
class References:
    """Reads references. `coding` knows the versions of both kinds; `limit`: most queries of a request."""

    store: MatchingStore
    coding: DescriptorCoding
    models: Models
    clock: Clock
    limit: int

    async def queries(self, scope: Scope, kind: DescriptorKind, references: Sequence[Reference]) -> list[Query]:
        """The queries of all references, in their order; an external id or a track id gives one for each object.

        Raises 400/12022 (a descriptor that cannot be read or is of another kind), 400/31007 (too many).
        """
        stored = await self._stored(scope, kind, references)
        queries: list[Query] = []
        for number, reference in enumerate(references):
            if isinstance(reference, GivenDescriptor):
                queries += self.given(f"references.{number}", reference, kind)
            else:
                queries += self._found(kind, reference, stored)
        if len(queries) > self.limit:
            raise ApiError(31007, self.limit)
        return queries

    def given(self, path: str, given: GivenDescriptor, kind: DescriptorKind | None = None) -> list[Query]:
        """The descriptors that a reference carries, of a kind where one is asked for. Raises 400/12022."""
        try:
            if isinstance(given, XpkFile):
                decoded = self.coding.decode_stream(given.data)
            else:
                version = given.version if isinstance(given, RawDescriptor) else UNSET
                decoded = [self.coding.decode(given.data, None if version is UNSET else version)]
        except DescriptorError as error:
            raise ApiError(12022, f"{path}.data", error.detail) from None
        for _, version in decoded:
            found = self.kind_of(version)
            if kind not in (None, found):
                told = f"version {version} describes a {found}, here a descriptor of a {kind} is needed"
                raise ApiError(12022, f"{path}.data", told)
        return [Query(_shown(given), version, vector) for vector, version in decoded]

    def kind_of(self, version: int) -> DescriptorKind:
        """What descriptors of a version describe. Those that clients may bring are of faces."""
        return "body" if version == self.models["body"].version else "face"

    async def _stored(self, scope: Scope, kind: DescriptorKind, references: Sequence[Reference]) -> _Stored:
        def named(wanted: type[Any]) -> set[Any]:
            return {one.id for one in references if isinstance(one, wanted)}

        store = self.store
        faces, attributes, events = named(FaceReference), named(AttributeReference), named(EventReference)
        owners, persons, tracks = (
            named(ExternalIdReference),
            named(EventExternalIdReference),
            named(EventTrackIdReference),
        )
        most = self.limit + 1
        return _Stored(
            {
                FaceReference: await store.face_references(scope, faces) if faces else {},
                AttributeReference: (
                    await store.attribute_references(scope, attributes, self.clock.now()) if attributes else {}
                ),
                EventReference: await store.event_references(scope, kind, events) if events else {},
            },
            {
                ExternalIdReference: await store.external_references(scope, owners, most) if owners else {},
                EventExternalIdReference: (
                    await store.named_events(scope, kind, "external_id", persons, most) if persons else {}
                ),
                EventTrackIdReference: (
                    await store.named_events(scope, kind, "track_id", tracks, most) if tracks else {}
                ),
            },
        )

    def _found(self, kind: DescriptorKind, reference: Reference, stored: _Stored) -> list[Query]:
        """The queries of what a reference names: one with an error when that is nothing."""
        if isinstance(reference, FaceReference | AttributeReference | EventReference):
            own = stored.single[type(reference)]
            objects = {reference.id: own[reference.id]} if reference.id in own else {}
        else:
            objects = dict(stored.sharing[type(reference)].get(reference.id, {}))
        if not objects:
            return [Query(_shown(reference), error=_MISSING[type(reference)](reference.id))]
        return [self._query(kind, reference, key, found) for key, found in objects.items()]

    def _query(self, kind: DescriptorKind, reference: Reference, key: UUID, found: Sequence[StoredDescriptor]) -> Query:
        """The query of a stored object: by the installed version when it has that, else by its newest."""
        shown, installed = _shown(reference), self.models[kind].version
        if not found:
            of_face = isinstance(reference, FaceReference | ExternalIdReference)
            return Query(shown, error=ApiError(11032, key) if of_face else ApiError(22018, installed, key))
        best = max(found, key=lambda stored: (stored.version == installed, stored.version))
        return Query(shown, best.version, best.vector)


def _shown(reference: Reference) -> ShownReference:
    return ShownReference(str(reference.__struct_config__.tag), str(reference.id))
