"""Expired attributes: not found at once, deleted in bounded parts."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from lunaria.attributes.descriptors import CodedDescriptor, DescriptorVersions
from lunaria.attributes.schemas import BasicAttributes
from lunaria.attributes.service import AttributesService, NewAttribute
from lunaria.attributes.store import AttributesStore, DescriptorChoice
from lunaria.storage.database import Database
from lunaria.storage.schema import CODING_CLIENT, attribute_descriptors, attributes
from lunaria.storage.scope import Scope
from lunaria.vision.descriptor_coding import DescriptorCoding

START = datetime(2026, 1, 1, tzinfo=UTC)


class SetClock:
    """A clock that shows what it is set to."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def service(clean_database: Database, clock: SetClock) -> AttributesService:
    versions = DescriptorVersions(DescriptorCoding({1001: 128}), 1001)
    return AttributesService(AttributesStore(clean_database), versions, clock)


def described(*versions: int) -> NewAttribute:
    coded = [CodedDescriptor(version, CODING_CLIENT, bytes([version % 256]) * 4) for version in versions]
    return NewAttribute(coded, basic=BasicAttributes(age=1))


async def rows(database: Database) -> tuple[int, int]:
    """How many attributes and descriptors are stored."""
    async with database.connect() as connection:
        counts = [
            (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (attributes, attribute_descriptors)
        ]
    return counts[0], counts[1]


async def test_expired_ones_are_invisible_and_then_removed(
    service: AttributesService, clock: SetClock, clean_database: Database
) -> None:
    owner = uuid4()
    short = await service.create(owner, [described(1001, 56), described(57)], 10)
    (long,) = await service.create(owner, [described(1001)], 20)
    clock.time = START + timedelta(seconds=10)
    found = await service.get_many(Scope(owner), [*short, long], ["attribute_id"], None)
    assert [attribute.attribute_id for attribute in found] == [long]
    assert await rows(clean_database) == (3, 4)
    assert await service.remove_expired() == 2
    assert await rows(clean_database) == (1, 1)
    assert await service.remove_expired() == 0


async def test_removal_goes_in_parts(service: AttributesService, clock: SetClock, clean_database: Database) -> None:
    await service.create(uuid4(), [described(1001)] * 7, 10)
    later = START + timedelta(minutes=1)
    assert await AttributesStore(clean_database).delete_expired(later, 5) == 5
    assert await rows(clean_database) == (2, 2)
    clock.time = later
    assert await service.remove_expired() == 2


async def test_removal_passes_over_what_a_request_holds(
    service: AttributesService, clock: SetClock, clean_database: Database
) -> None:
    held, _ = await service.create(uuid4(), [described(1001)] * 2, 10)
    clock.time = START + timedelta(minutes=1)
    async with clean_database.transaction() as connection:
        await connection.execute(update(attributes).where(attributes.c.attribute_id == held).values(age=2))
        assert await service.remove_expired() == 1
    assert await rows(clean_database) == (1, 1)
    assert await service.remove_expired() == 1


@pytest.mark.parametrize(
    ("stored", "wanted", "chosen"),
    [
        ((56, 1001, 1002), None, 1001),
        ((57, 60, 56), None, 60),
        ((57, 60, 1001), 57, 57),
        ((57, 60), 1001, None),
        ((), None, None),
    ],
)
async def test_choice_of_a_descriptor(
    service: AttributesService,
    clean_database: Database,
    stored: tuple[int, ...],
    wanted: int | None,
    chosen: int | None,
) -> None:
    owner = uuid4()
    ids: list[UUID] = await service.create(owner, [described(*stored), described(1001)], 10)
    choice = DescriptorChoice(wanted, 1001)
    found = (await AttributesStore(clean_database).find(Scope(owner), ids, START, choice))[ids[0]]
    assert (None if found.descriptor is None else found.descriptor.version) == chosen
