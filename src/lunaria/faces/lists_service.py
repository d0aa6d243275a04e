"""The rules of lists."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from msgspec import UNSET
from sqlalchemy import RowMapping

from lunaria.faces.failures import MissingFaceError, MissingListError
from lunaria.faces.filters import ListFilter
from lunaria.faces.list_schemas import FaceList, LinkFaces, ListFilterQuery, ListsQuery, PatchList
from lunaria.faces.lists_store import ListsStore
from lunaria.http.errors import ApiError
from lunaria.kit.times import Clock
from lunaria.storage.scope import Scope


class ListsService:
    """The lists of all accounts."""

    def __init__(self, store: ListsStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, owner: UUID, user_data: str) -> UUID:
        list_id, now = uuid4(), self._clock.now()
        row = {
            "list_id": list_id,
            "account_id": owner,
            "user_data": user_data,
            "create_time": now,
            "last_update_time": now,
        }
        await self._store.add(owner, row)
        return list_id

    async def get(self, scope: Scope, list_id: UUID) -> FaceList:
        """Raises 404/22003."""
        found = await self._store.find(scope, ListFilter(list_ids=[list_id]), 1, 0)
        if not found:
            raise ApiError(22003, list_id)
        return _face_list(found[0])

    async def get_many(self, scope: Scope, query: ListsQuery) -> list[FaceList]:
        return [_face_list(row) for row in await self._store.find(scope, query.filter, query.page_size, query.offset)]

    async def count(self, scope: Scope, query: ListFilterQuery) -> int:
        return await self._store.count(scope, query.filter)

    async def change(self, scope: Scope, list_id: UUID, wanted: PatchList) -> None:
        """Raises 404/22003."""
        if wanted.user_data is UNSET:
            await self.get(scope, list_id)
        elif not await self._store.change(scope, list_id, wanted.user_data, self._clock.now()):
            raise ApiError(22003, list_id)

    async def delete(self, owner: UUID, list_id: UUID, *, with_faces: bool) -> None:
        """Delete a list, with the faces in it if wanted. Raises 404/22003."""
        try:
            await self._store.delete(owner, [list_id], self._clock.now(), with_faces=with_faces)
        except MissingListError:
            raise ApiError(22003, list_id) from None

    async def delete_many(self, owner: UUID, list_ids: Sequence[UUID], *, with_faces: bool) -> None:
        """Delete all or none. Raises 404/22005."""
        try:
            await self._store.delete(owner, list_ids, self._clock.now(), with_faces=with_faces)
        except MissingListError as error:
            raise ApiError(22005, error.id) from None

    async def link(self, owner: UUID, list_id: UUID, wanted: LinkFaces) -> None:
        """Attach faces to a list or detach them, all or none. Raises 404/22003, 404/22004."""
        work = self._store.attach if wanted.action == "attach" else self._store.detach
        try:
            await work(owner, list_id, list(dict.fromkeys(wanted.face_ids)), self._clock.now())
        except MissingListError:
            raise ApiError(22003, list_id) from None
        except MissingFaceError as error:
            raise ApiError(22004, error.id) from None


def _face_list(row: RowMapping) -> FaceList:
    return FaceList(row["list_id"], row["user_data"], row["account_id"], row["create_time"], row["last_update_time"])
