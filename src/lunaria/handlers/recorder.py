"""Writes events with all that belongs to them, then tells those who listen.

Bytes come first, then one statement (or transaction) with everything else of a request, then the messages: whatever
happens in between, no record lacks its bytes, no event its parts, and nobody is told of what is not there.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
import structlog
from sqlalchemy.exc import IntegrityError

from lunaria.attributes.service import NewTemporaryAttribute
from lunaria.attributes.store import new_temporary_attributes
from lunaria.blobs.service import BlobsService, NewBlob
from lunaria.blobs.store import new_blobs
from lunaria.events.callbacks import CallbackSender
from lunaria.events.callbacks_schemas import HttpCallback
from lunaria.events.event import NewEvent
from lunaria.events.publishing import EventPublisher
from lunaria.events.store import EventsStore, new_events
from lunaria.faces.failures import MissingListError
from lunaria.faces.store import NewFace, add_faces
from lunaria.handlers.recorded import is_recorded
from lunaria.http.errors import ApiError
from lunaria.kit.times import Clock
from lunaria.storage.database import Database, DatabaseUnavailableError
from lunaria.storage.scope import NewRows, Scope

log = structlog.get_logger(__name__)

WRITERS = 4
"""Requests whose events are written in the background at a time."""
PATIENCE = 60.0
"""Seconds for which the background waits for a database that is away before it gives events up."""
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
"""Seconds between attempts; they double from the first to the longest."""
END_SECONDS = 8.0
"""For what still waits when the process ends."""
CANCEL_SECONDS = 1.0
"""For what is cancelled then."""


@dataclass(frozen=True, slots=True)
class PreparedEvent:
    """An event with what belongs to it and what is to be done with it.

    `blobs`: samples and source images; what several events of a request share belongs to the first of them. `face` is
    the face that the event makes. `callbacks` are those whose filters the event has passed.
    """

    new: NewEvent
    blobs: Sequence[NewBlob] = ()
    attribute: NewTemporaryAttribute | None = None
    face: NewFace | None = None
    store: bool = True
    notify: bool = True
    callbacks: Sequence[HttpCallback] = ()


@dataclass(frozen=True, slots=True)
class _Job:
    """Events of one request; `size`: about as many bytes as they hold until they are written."""

    prepared: Sequence[PreparedEvent]
    request_id: str
    size: int


@dataclass(frozen=True, slots=True)
class _Records:
    """What one transaction adds for events of one account."""

    owner: UUID
    blobs: Sequence[NewBlob]
    attributes: Sequence[NewTemporaryAttribute]
    faces: Sequence[NewFace]
    events: Sequence[NewEvent]

    @property
    def some(self) -> bool:
        return bool(self.blobs or self.attributes or self.faces or self.events)

    def rows(self, now: datetime) -> list[NewRows]:
        """The rows of everything but the faces."""
        scope = Scope(self.owner)
        described = {one.id: one.attribute.descriptors for one in self.attributes}
        return [
            new_blobs(scope, [blob.row(self.owner, now) for blob in self.blobs]),
            *new_temporary_attributes(scope, [one.row(self.owner, now) for one in self.attributes], described),
            *new_events(scope, self.events),
        ]


class Recorder:
    """Records events at once or in the background, where at most `queue` events with `queue_bytes` wait."""

    def __init__(
        self,
        database: Database,
        blobs: BlobsService,
        events: EventsStore,
        publisher: EventPublisher,
        callbacks: CallbackSender,
        clock: Clock,
        *,
        queue: int,
        queue_bytes: int,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._events = events
        self._publisher = publisher
        self._callbacks = callbacks
        self._clock = clock
        self._most_events = queue
        self._most_bytes = queue_bytes
        self._waiting_events = 0
        self._waiting_bytes = 0
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()
        self._writers: list[asyncio.Task[None]] = []
        self._unfinished: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._writers = [asyncio.create_task(self._write_on(), name=f"event writer {n}") for n in range(WRITERS)]

    async def stop(self) -> None:
        """Write what waits, then end. Call it when no more requests come.

        What is not written after END_SECONDS is lost, which is logged.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self._jobs.join()
                while self._unfinished:
                    await asyncio.wait(self._unfinished)
        late = [*self._writers, *self._unfinished]
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=CANCEL_SECONDS)
        self._writers = []
        while not self._jobs.empty():
            job = self._jobs.get_nowait()
            _log_loss(job, "the server ends")
            self._let_go(job)

    async def record(self, prepared: Sequence[PreparedEvent], *, wait: bool, request_id: str) -> None:
        """Write events of one account, all or none, and tell of them; without `wait` in the background.

        Raises 404/22003 for a list that is gone, and without `wait` 503/11 when too much waits already.
        What fails in the background is logged only.
        """
        if not prepared:
            return
        if wait:
            await self._record(prepared, request_id)
            return
        job = _Job(prepared, request_id, sum(map(_size, prepared)))
        if self._waiting_events and (
            self._waiting_events + len(prepared) > self._most_events
            or self._waiting_bytes + job.size > self._most_bytes
        ):
            raise ApiError(11, "too many events wait to be written", headers={"Retry-After": "1"})
        self._waiting_events += len(prepared)
        self._waiting_bytes += job.size
        self._jobs.put_nowait(job)

    async def _write_on(self) -> None:
        while True:
            job = await self._jobs.get()
            try:
                await self._record_patiently(job)
            except asyncio.CancelledError:
                _log_loss(job, "the server ends")
                raise
            except Exception as error:  # nobody waits for an answer; the next ones must be written all the same
                _log_loss(job, repr(error))
            finally:
                self._let_go(job)

    def _let_go(self, job: _Job) -> None:
        self._waiting_events -= len(job.prepared)
        self._waiting_bytes -= job.size
        self._jobs.task_done()

    async def _record(self, prepared: Sequence[PreparedEvent], request_id: str) -> None:
        records = _records_of(prepared)
        await self._write_bytes(records)
        # It goes on when the request is cancelled: an event that came to be stored must be told of as well.
        ending = asyncio.create_task(self._save_and_tell(records, prepared, request_id))
        self._unfinished.add(ending)
        ending.add_done_callback(self._unfinished.discard)
        await asyncio.shield(ending)

    async def _save_and_tell(self, records: _Records, prepared: Sequence[PreparedEvent], request_id: str) -> None:
        await self._save(records)
        await self._tell(prepared, request_id)

    async def _record_patiently(self, job: _Job) -> None:
        """As `_record`, but the database may be away for a while, as when it restarts: this was promised to a client.

        Where nobody knows whether a commit happened, it is looked for before anything is written again.
        """
        records = _records_of(job.prepared)
        await self._write_bytes(records)
        now = asyncio.get_running_loop().time
        end, pause, repeated = now() + PATIENCE, FIRST_PAUSE, False
        while True:
            try:
                if not (repeated and await self._is_saved(records)):
                    await self._save(records)
                break
            except (DatabaseUnavailableError, IntegrityError) as error:
                # An attempt whose connection was lost may end after it was looked for: then the ids are taken.
                if now() + pause > end or (isinstance(error, IntegrityError) and not repeated):
                    raise
                log.warning("saving events is tried again", request_id=job.request_id, pause=pause, error=repr(error))
            except ApiError:
                # Likewise: the list that is missing now may have been there for such an attempt.
                if not (repeated and await self._is_saved(records)):
                    raise
                break
            await asyncio.sleep(pause)
            repeated, pause = True, min(2 * pause, LONGEST_PAUSE)
        await self._tell(job.prepared, job.request_id)

    async def _tell(self, prepared: Sequence[PreparedEvent], request_id: str) -> None:
        told = [one.new for one in prepared if one.notify]
        if told:
            await self._publisher.publish(told, request_id)
        calls = [(callback, one.new) for one in prepared for callback in one.callbacks]
        if calls:
            self._callbacks.send(calls, request_id)

    async def _write_bytes(self, records: _Records) -> None:
        if records.blobs:
            await self._blobs.write(records.blobs)

    async def _save(self, records: _Records) -> None:
        """Everything but the bytes."""
        if not records.some:
            return
        if records.events:
            await self._events.make_room({one.event.create_time for one in records.events})
        now = self._clock.now()
        try:
            await add_faces(self._database, records.owner, records.faces, now, records.rows(now))
        except MissingListError as error:
            raise ApiError(22003, error.id) from None

    async def _is_saved(self, records: _Records) -> bool:
        async with self._database.scoped_connect(Scope(records.owner)) as connection:
            return await is_recorded(
                connection,
                records.events,
                face_ids=[one.row["face_id"] for one in records.faces],
                attribute_ids=[one.id for one in records.attributes],
                blob_ids=[one.id for one in records.blobs],
            )


def _records_of(prepared: Sequence[PreparedEvent]) -> _Records:
    (owner,) = {one.new.account_id for one in prepared}
    return _Records(
        owner,
        blobs=[blob for one in prepared for blob in one.blobs],
        attributes=[one.attribute for one in prepared if one.attribute is not None],
        faces=[one.face for one in prepared if one.face is not None],
        events=[one.new for one in prepared if one.store],
    )


def _log_loss(job: _Job, error: str) -> None:
    lost = [str(one.new.event.event_id) for one in job.prepared]
    log.error("events were not saved", request_id=job.request_id, events=lost, error=error)


def _size(prepared: PreparedEvent) -> int:
    """The bytes of an event with its blobs."""
    return sum(len(blob.data) for blob in prepared.blobs) + len(msgspec.json.encode(prepared.new.event))
