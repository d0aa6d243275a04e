"""The matching index follows the database: what was committed is found, what was deleted is not."""

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import delete, insert, text

from lunaria.matching import index as index_module
from lunaria.matching.engine import Gallery
from lunaria.matching.index import Found, MatchingIndex, RowFilter
from lunaria.matching.sources import FaceDescriptors
from lunaria.storage.arrays import pack
from lunaria.storage.changes import FACE_CHANGES
from lunaria.storage.database import Database
from lunaria.storage.schema import (
    CODING_CLIENT,
    CODING_FLOAT16,
    face_descriptors,
    faces,
    list_faces,
    lists,
)

VERSION = 1001
DIMENSION = 128
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Vector = NDArray[np.float32]
ALL_FACES = RowFilter()


@pytest.fixture
def index(clean_database: Database) -> MatchingIndex:
    return MatchingIndex(FaceDescriptors(clean_database))


def unit(seed: int, dimension: int = DIMENSION) -> Vector:
    vector = np.random.default_rng(seed).standard_normal(dimension).astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector))


async def add_faces(
    database: Database, vectors: Sequence[Vector], account_id: UUID | None = None, version: int = VERSION
) -> list[UUID]:
    ids = [uuid4() for _ in vectors]
    owner = account_id or uuid4()
    async with database.transaction() as connection:
        await connection.execute(
            insert(faces), [{"face_id": one, "account_id": owner, "create_time": NOW} for one in ids]
        )
        await connection.execute(
            insert(face_descriptors),
            [
                {
                    "face_id": one,
                    "version": version,
                    "coding": CODING_FLOAT16,
                    "data": vector.astype(np.float16).tobytes(),
                }
                for one, vector in zip(ids, vectors, strict=True)
            ],
        )
    return ids


async def link(database: Database, account_id: UUID, face_ids: Sequence[UUID]) -> UUID:
    list_id = uuid4()
    async with database.transaction() as connection:
        row = {"list_id": list_id, "account_id": account_id, "create_time": NOW, "last_update_time": NOW}
        await connection.execute(insert(lists), row)
        await connection.execute(insert(list_faces), [{"list_id": list_id, "face_id": one} for one in face_ids])
    return list_id


async def search(
    index: MatchingIndex, query: Vector, wanted: RowFilter = ALL_FACES, limit: int = 3, version: int = VERSION
) -> list[Found]:
    await index.catch_up()
    prepared = index.search(version, query[None], limit, wanted, -1.0)
    if prepared is None:
        return []
    with prepared.index.searching():
        return prepared.run()[0]


async def test_finds_what_was_committed_before(index: MatchingIndex, clean_database: Database) -> None:
    assert await search(index, unit(0)) == []
    ids = await add_faces(clean_database, [unit(seed) for seed in range(10)])
    found = await search(index, unit(4))
    assert found[0].key == ids[4]
    assert found[0].cosine == pytest.approx(1.0, abs=1e-3)
    later = await add_faces(clean_database, [unit(100)])
    assert (await search(index, unit(100)))[0].key == later[0]


async def test_deleted_faces_are_not_found(index: MatchingIndex, clean_database: Database) -> None:
    ids = await add_faces(clean_database, [unit(seed) for seed in range(10)])
    assert (await search(index, unit(3)))[0].key == ids[3]
    async with clean_database.transaction() as connection:
        await connection.execute(delete(faces).where(faces.c.face_id == ids[3]))
    assert ids[3] not in {found.key for found in await search(index, unit(3), limit=10)}
    assert len(index) == 9


async def test_a_replaced_descriptor_counts_at_once(index: MatchingIndex, clean_database: Database) -> None:
    (face_id,) = await add_faces(clean_database, [unit(1)])
    assert (await search(index, unit(1)))[0].cosine > 0.99
    async with clean_database.transaction() as connection:
        data = unit(2).astype(np.float16).tobytes()
        await connection.execute(face_descriptors.update().values(data=data))
    assert (await search(index, unit(2)))[0] == Found(face_id, pytest.approx(1.0, abs=1e-3))
    async with clean_database.transaction() as connection:
        await connection.execute(delete(face_descriptors))
    assert await search(index, unit(2)) == []


@pytest.mark.parametrize("few", [0, 5000])
async def test_lists_and_accounts_filter(
    index: MatchingIndex, clean_database: Database, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """With ids looked up one by one, and all together."""
    monkeypatch.setattr(index_module, "FEW", few)
    one, other = uuid4(), uuid4()
    mine = await add_faces(clean_database, [unit(seed) for seed in range(5)], one)
    theirs = await add_faces(clean_database, [unit(seed) for seed in range(5)], other)
    list_id = await link(clean_database, one, mine[:2])
    everything = {found.key for found in await search(index, unit(0), limit=100)}
    assert everything == {*mine, *theirs}
    own = {found.key for found in await search(index, unit(0), RowFilter(one), limit=100)}
    assert own == set(mine)
    listed = {found.key for found in await search(index, unit(0), RowFilter(one, list_id), limit=100)}
    assert listed == set(mine[:2])
    assert await search(index, unit(0), RowFilter(other, list_id)) == []
    assert await search(index, unit(0), RowFilter(one, uuid4())) == []
    named = await search(index, unit(0), RowFilter(one, None, pack([mine[3], theirs[0], uuid4()])))
    assert [found.key for found in named] == [mine[3]]
    named = await search(index, unit(0), RowFilter(None, None, pack([mine[3], theirs[3], uuid4()])), limit=100)
    assert {found.key for found in named} == {mine[3], theirs[3]}
    twice = await search(index, unit(0), RowFilter(one, None, pack([mine[3], mine[3], theirs[3]])), limit=100)
    assert [found.key for found in twice] == [mine[3]]
    assert await search(index, unit(0), RowFilter(one, None, b"")) == []
    async with clean_database.transaction() as connection:
        await connection.execute(delete(list_faces).where(list_faces.c.face_id == mine[0]))
    assert [found.key for found in await search(index, unit(0), RowFilter(one, list_id))] == [mine[1]]
    async with clean_database.transaction() as connection:
        await connection.execute(delete(lists))
    assert await search(index, unit(0), RowFilter(one, list_id)) == []
    assert len(await search(index, unit(0), RowFilter(one), limit=100)) == 5


async def test_versions_are_kept_apart(index: MatchingIndex, clean_database: Database) -> None:
    await add_faces(clean_database, [unit(1)])
    (foreign,) = await add_faces(clean_database, [unit(1, 512)], version=59)
    found = await search(index, unit(1, 512), version=59)
    assert [one.key for one in found] == [foreign]
    assert await search(index, unit(1, 512), version=60) == []


async def test_client_coding_is_read(index: MatchingIndex, clean_database: Database) -> None:
    (face_id,) = await add_faces(clean_database, [unit(1)])
    coded = np.clip(np.rint(128 + 128 * unit(7)), 0, 255).astype(np.uint8).tobytes()
    async with clean_database.transaction() as connection:
        await connection.execute(face_descriptors.update().values(coding=CODING_CLIENT, data=coded))
    found = await search(index, unit(7))
    assert found[0].key == face_id
    assert found[0].cosine > 0.99


async def test_unreadable_descriptors_do_not_stop_the_index(index: MatchingIndex, clean_database: Database) -> None:
    good, zero, short = await add_faces(clean_database, [unit(1), unit(2), unit(3)])
    async with clean_database.transaction() as connection:
        for face_id, data in ((zero, bytes(2 * DIMENSION)), (short, bytes(range(20)))):
            statement = face_descriptors.update().where(face_descriptors.c.face_id == face_id)
            await connection.execute(statement.values(data=data))
    assert good in {found.key for found in await search(index, unit(1))}
    assert zero not in {found.key for found in await search(index, unit(2))}


async def test_a_transaction_that_ends_late_is_not_missed(index: MatchingIndex, clean_database: Database) -> None:
    """Sequence numbers do not come in commit order: the slow transaction's are the older ones."""
    await search(index, unit(0))
    slow, quick = uuid4(), None
    async with clean_database.transaction() as connection:
        await connection.execute(insert(faces), {"face_id": slow, "account_id": uuid4(), "create_time": NOW})
        data = unit(1).astype(np.float16).tobytes()
        row = {"face_id": slow, "version": VERSION, "coding": CODING_FLOAT16, "data": data}
        await connection.execute(insert(face_descriptors), row)
        for seed in range(2, 6):
            (quick,) = await add_faces(clean_database, [unit(seed)])
            assert (await search(index, unit(seed)))[0].key == quick
        assert slow not in {found.key for found in await search(index, unit(1), limit=10)}
    assert (await search(index, unit(1)))[0].key == slow


async def test_a_follower_that_fell_behind_loads_anew(index: MatchingIndex, clean_database: Database) -> None:
    old = await add_faces(clean_database, [unit(1), unit(2)])
    await search(index, unit(1))
    async with clean_database.transaction() as connection:
        await connection.execute(delete(faces).where(faces.c.face_id == old[0]))
    new = await add_faces(clean_database, [unit(3)])
    await add_faces(clean_database, [unit(4)])
    async with clean_database.transaction() as connection:
        assert await FACE_CHANGES.prune(connection, 0) > 0
    found = {one.key for one in await search(index, unit(3), limit=10)}
    assert new[0] in found
    assert old[0] not in found


async def test_a_freed_row_waits_for_running_searches(index: MatchingIndex, clean_database: Database) -> None:
    """A search that is under way must never name the face that took over a row."""
    ids = await add_faces(clean_database, [unit(seed) for seed in range(4)])
    await index.catch_up()
    prepared = index.search(VERSION, unit(2)[None], 1, RowFilter(), -1.0)
    assert prepared is not None
    with prepared.index.searching():
        async with clean_database.transaction() as connection:
            await connection.execute(delete(faces).where(faces.c.face_id == ids[2]))
        await add_faces(clean_database, [unit(50)])
        await index.catch_up()
        assert ids[2].bytes not in prepared.index.key_of
        assert len(prepared.index.key_of) == 5  # a new row, not the freed one
    await add_faces(clean_database, [unit(51)])
    await index.catch_up()
    assert len(prepared.index.key_of) == 5  # now it is taken


async def test_a_row_is_taken_only_when_the_gallery_has_emptied_it(
    index: MatchingIndex, clean_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the gallery still has the descriptor of a deleted face, nobody else is found by it."""
    (gone, *_) = await add_faces(clean_database, [unit(seed) for seed in range(4)])
    await index.catch_up()
    entered, release = threading.Event(), threading.Event()
    apply = index_module._apply

    def slow(*arguments: Any) -> None:
        entered.set()
        assert release.wait(10)
        apply(*arguments)

    monkeypatch.setattr(index_module, "_apply", slow)
    async with clean_database.transaction() as connection:
        await connection.execute(delete(faces).where(faces.c.face_id == gone))
    (new,) = await add_faces(clean_database, [unit(50)])
    following = asyncio.create_task(index.catch_up())
    try:
        await asyncio.to_thread(entered.wait, 10)
        prepared = index.search(VERSION, unit(0)[None], 10, RowFilter(), -1.0)
        assert prepared is not None
        assert new not in {found.key for found in prepared.run()[0]}
    finally:
        release.set()
        await following
    assert (await search(index, unit(50), limit=1))[0].key == new


def test_what_is_small_is_told_by_the_rows_that_are_scanned() -> None:
    version = index_module.VersionIndex(Gallery(DIMENSION))
    rows = np.arange(30_000, dtype=np.int32)
    version.gallery.put(rows, np.tile(unit(1).astype(np.float16), (30_000, 1)))

    def small(queries: int, limit: int, among: NDArray[np.int32] | None = None, keys: bytes | None = None) -> bool:
        asked = np.stack([unit(2)] * queries)
        return index_module.PreparedSearch(version, asked, limit, among, -1.0, keys).small

    assert not small(1, 1)
    assert small(1, 1, rows[:10_000])
    version.gallery.remove(rows[5:-5])
    assert not small(1, 1)  # few are left, but they lie far apart
    version.gallery.remove(rows[-5:])
    assert small(4, 25, rows[:5])
    assert not small(5, 1, rows[:5])
    assert not small(4, 26, rows[:5])
    assert not small(1, 1, rows[:5], b"ids")


async def test_many_searches_beside_many_changes(index: MatchingIndex, clean_database: Database) -> None:
    """Every acknowledged face is found by a search that starts afterwards, whatever else goes on."""

    async def enrol(seed: int) -> None:
        for number in range(8):
            vector = unit(1000 * seed + number)
            (face_id,) = await add_faces(clean_database, [vector])
            assert (await search(index, vector))[0].key == face_id
            if number % 2:
                async with clean_database.transaction() as connection:
                    await connection.execute(delete(faces).where(faces.c.face_id == face_id))
                assert face_id not in {found.key for found in await search(index, vector)}

    await asyncio.gather(*(enrol(seed) for seed in range(1, 6)))
    async with clean_database.connect() as connection:
        stored = (await connection.execute(text("SELECT count(*) FROM face_descriptors"))).scalar_one()
    assert len(index) == stored == 20


async def test_a_caller_that_gives_up_leaves_the_index_whole(
    index: MatchingIndex, clean_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = await add_faces(clean_database, [unit(1)])
    await index.catch_up()
    entered, release, ended = threading.Event(), threading.Event(), threading.Event()
    apply = index_module._apply

    def slow(*arguments: Any) -> None:
        monkeypatch.setattr(index_module, "_apply", apply)
        entered.set()
        release.wait(10)
        apply(*arguments)
        ended.set()

    monkeypatch.setattr(index_module, "_apply", slow)
    async with clean_database.transaction() as connection:
        await connection.execute(delete(faces).where(faces.c.face_id == first))
    abandoned = asyncio.create_task(index.catch_up())
    assert await asyncio.to_thread(entered.wait, 10)
    abandoned.cancel()
    (second,) = await add_faces(clean_database, [unit(2)])  # in the row of the first
    following = asyncio.create_task(index.catch_up())
    await asyncio.wait([following], timeout=0.5)
    release.set()
    await following
    assert await asyncio.to_thread(ended.wait, 10)
    assert [found.key for found in await search(index, unit(2))] == [second]


async def test_a_failed_change_is_made_good(
    index: MatchingIndex, clean_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await add_faces(clean_database, [unit(1), unit(2)])
    await index.catch_up()
    async with clean_database.transaction() as connection:
        await connection.execute(delete(faces).where(faces.c.face_id == first))

    def fail(*arguments: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(index_module, "_apply", fail)
        with pytest.raises(MemoryError):
            await index.catch_up()
    assert [found.key for found in await search(index, unit(1), limit=1)] == [second]
    assert len(index) == 1
