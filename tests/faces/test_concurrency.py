"""Many requests at the same faces and lists at once: no deadlock, no violated key, nothing half done."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Table, delete, func, select

from lunaria.attributes.schemas import BasicAttributes
from lunaria.attributes.service import NewAttribute
from lunaria.attributes.store import AttributesStore
from lunaria.faces.attributes_store import FaceAttributesStore
from lunaria.faces.failures import MissingAttributeError, MissingFaceError, MissingListError, TakenAttributeError
from lunaria.faces.filters import FaceFilter, ListFilter
from lunaria.faces.links import add_links
from lunaria.faces.lists_store import ListsStore
from lunaria.faces.locks import forbid_linking, lock_faces
from lunaria.faces.store import FacesStore
from lunaria.storage.database import Database
from lunaria.storage.schema import face_attributes, faces, list_faces, lists
from lunaria.storage.scope import Scope

REFUSALS = (MissingFaceError, MissingListError, MissingAttributeError, TakenAttributeError)
NEW = NewAttribute(basic=BasicAttributes(age=1))


class Stores:
    """Everything that changes faces and lists, for one account."""

    def __init__(self, database: Database) -> None:
        self.owner = uuid4()
        self.scope = Scope(self.owner)
        self.faces = FacesStore(database)
        self.attributes = FaceAttributesStore(database)
        self.lists = ListsStore(database)
        self.temporary = AttributesStore(database)

    async def enrol(self, attribute: NewAttribute | UUID | None = None, lists: list[UUID] | None = None) -> UUID:
        face_id, now = uuid4(), datetime.now(UTC)
        row = {"face_id": face_id, "account_id": self.owner, "create_time": now}
        await self.faces.add(self.owner, row, attribute, lists or [], now)
        return face_id

    async def new_list(self) -> UUID:
        list_id, now = uuid4(), datetime.now(UTC)
        row = {"list_id": list_id, "account_id": self.owner, "create_time": now, "last_update_time": now}
        await self.lists.add(self.owner, row)
        return list_id

    async def new_attribute(self) -> UUID:
        attribute_id, now = uuid4(), datetime.now(UTC)
        row = {
            "attribute_id": attribute_id,
            "account_id": self.owner,
            "create_time": now,
            "expires_at": now + timedelta(minutes=5),
            **NEW.columns,
        }
        await self.temporary.add(self.owner, [row], {})
        return attribute_id


@pytest.fixture
def stores(clean_database: Database) -> Stores:
    return Stores(clean_database)


async def test_one_attribute_serves_one_of_many_faces(stores: Stores, clean_database: Database) -> None:
    attribute_id = await stores.new_attribute()
    existing = [await stores.enrol() for _ in range(4)]
    now = datetime.now(UTC)
    results = await asyncio.gather(
        *(stores.enrol(attribute_id) for _ in range(4)),
        *(stores.attributes.replace(stores.scope, face_id, attribute_id, now) for face_id in existing),
        return_exceptions=True,
    )
    refused = [result for result in results if isinstance(result, BaseException)]
    assert len(refused) == 7
    assert {type(error) for error in refused} == {TakenAttributeError}
    async with clean_database.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(face_attributes))).scalar_one() == 1
        assert (await connection.execute(select(func.count()).select_from(faces))).scalar_one() in (4, 5)


async def test_a_new_face_comes_into_all_lists_or_is_not_there(stores: Stores, clean_database: Database) -> None:
    first, second = await stores.new_list(), await stores.new_list()
    foreign = await Stores(clean_database).new_list()
    for missing in (uuid4(), foreign):
        for attribute in (NEW, await stores.new_attribute()):
            with pytest.raises(MissingListError) as refused:
                await stores.enrol(attribute, [first, missing, second])
            assert refused.value.id == missing
    assert await stores.faces.count(stores.scope, FaceFilter()) == 0
    rows = await stores.lists.find(stores.scope, ListFilter(), 10, 0)
    assert all(row["last_update_time"] == row["create_time"] for row in rows)
    face_id = await stores.enrol(NEW, [second, first])
    (face,) = await stores.faces.get(stores.scope, [face_id], with_lists=True)
    assert set(face["lists"]) == {first, second}
    rows = await stores.lists.find(stores.scope, ListFilter(), 10, 0)
    assert all(row["last_update_time"] > row["create_time"] for row in rows)


async def test_deleting_lists_with_faces_takes_every_face_that_came_before(stores: Stores) -> None:
    """A face that was created in the list is either gone with it or was refused: none is left behind."""
    for _ in range(5):
        list_id = await stores.new_list()
        results = await asyncio.gather(
            *(stores.enrol(NEW, [list_id]) for _ in range(6)),
            stores.lists.delete(stores.owner, [list_id], datetime.now(UTC), with_faces=True),
            *(stores.enrol(NEW, [list_id]) for _ in range(6)),
            return_exceptions=True,
        )
        failures = {type(result) for result in results if isinstance(result, BaseException)}
        assert failures <= {MissingListError}
        assert await stores.faces.count(stores.scope, FaceFilter()) == 0


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_storm(stores: Stores, clean_database: Database, seed: int) -> None:
    """Six workers do whatever they like to the same few objects; every failure is one that a client is told of."""
    pick = random.Random(seed)
    face_ids = [await stores.enrol(NEW) for _ in range(8)]
    list_ids = [await stores.new_list() for _ in range(4)]
    attribute_ids = [await stores.new_attribute() for _ in range(3)]

    def some(things: list[UUID], most: int) -> list[UUID]:
        return pick.sample(things, pick.randint(1, min(most, len(things))))

    async def enrol() -> None:
        attribute = pick.choice([None, NEW, pick.choice(attribute_ids)])
        face_ids[pick.randrange(8)] = await stores.enrol(attribute, some(list_ids, 4))

    async def renew_list() -> None:
        number = pick.randrange(4)
        list_ids[number], old = await stores.new_list(), list_ids[number]
        await stores.lists.delete(stores.owner, [old], datetime.now(UTC), with_faces=pick.random() < 0.5)

    actions: list[Callable[[], Awaitable[object]]] = [
        enrol,
        enrol,
        renew_list,
        lambda: stores.lists.attach(stores.owner, pick.choice(list_ids), some(face_ids, 8), datetime.now(UTC)),
        lambda: stores.lists.attach(stores.owner, pick.choice(list_ids), some(face_ids, 8), datetime.now(UTC)),
        lambda: stores.lists.detach(stores.owner, pick.choice(list_ids), some(face_ids, 8), datetime.now(UTC)),
        lambda: stores.lists.delete(stores.owner, some(list_ids, 2), datetime.now(UTC), with_faces=True),
        lambda: stores.faces.delete(stores.scope, some(face_ids, 4), datetime.now(UTC), ignore_missing=True),
        lambda: stores.faces.change(stores.scope, pick.choice(face_ids), {"user_data": "x"}),
        lambda: stores.lists.change(stores.scope, pick.choice(list_ids), "y", datetime.now(UTC)),
        lambda: stores.attributes.replace(
            stores.scope, pick.choice(face_ids), pick.choice([NEW, pick.choice(attribute_ids)]), datetime.now(UTC)
        ),
        lambda: stores.attributes.delete(stores.scope, pick.choice(face_ids)),
    ]
    done = 0

    async def work() -> None:
        nonlocal done
        for _ in range(60):
            try:
                await pick.choice(actions)()
                done += 1
            except REFUSALS:
                continue

    await asyncio.wait_for(asyncio.gather(*(work() for _ in range(6))), 60)
    assert done > 60
    async with clean_database.connect() as connection:
        linked = set((await connection.execute(select(list_faces.c.face_id))).scalars())
        linking = set((await connection.execute(select(list_faces.c.list_id))).scalars())
        present = set((await connection.execute(select(faces.c.face_id))).scalars())
    assert linked <= present
    assert linking <= {row["list_id"] for row in await stores.lists.find(stores.scope, ListFilter(), 1000, 0)}


@pytest.mark.parametrize("table", [faces, lists], ids=lambda table: table.name)
async def test_linking_waits_for_a_deletion_under_way(stores: Stores, clean_database: Database, table: Table) -> None:
    face_id, list_id = await stores.enrol(), await stores.new_list()
    (key,) = table.primary_key.columns
    async with clean_database.transaction() as connection:
        await connection.execute(delete(table).where(key.in_([face_id, list_id])))
        linking = asyncio.create_task(stores.lists.attach(stores.owner, list_id, [face_id], datetime.now(UTC)))
        await asyncio.sleep(0.2)
        assert not linking.done()
    with pytest.raises(MissingFaceError if table is faces else MissingListError):
        await linking


async def test_those_who_wait_for_locks_leave_connections_to_others(stores: Stores, clean_database: Database) -> None:
    list_id = await stores.new_list()
    async with clean_database.scoped_transaction(stores.scope) as connection:
        await forbid_linking(connection, stores.owner)
        waiting = [asyncio.create_task(stores.enrol(NEW, [list_id])) for _ in range(20)]
        await asyncio.sleep(0.2)
        async with asyncio.timeout(2):
            assert await stores.faces.get(stores.scope, [uuid4()], with_lists=True) == []
        assert not any(task.done() for task in waiting)
    assert len(set(await asyncio.gather(*waiting))) == 20


async def test_deletion_waits_for_linking_under_way(stores: Stores, clean_database: Database) -> None:
    face_id, list_id = await stores.enrol(), await stores.new_list()
    async with clean_database.scoped_transaction(stores.scope) as connection:
        await lock_faces(connection, [face_id], exclusively=False)
        await add_links(connection, [list_id], [face_id], datetime.now(UTC))
        deleting = asyncio.create_task(
            stores.faces.delete(stores.scope, [face_id], datetime.now(UTC), ignore_missing=False)
        )
        await asyncio.sleep(0.2)
        assert not deleting.done()
    await deleting
    (row,) = await stores.lists.find(stores.scope, ListFilter(), 1, 0)
    assert row["last_update_time"] > row["create_time"]
    async with clean_database.connect() as reading:
        assert (await reading.execute(select(func.count()).select_from(list_faces))).scalar_one() == 0
