"""The composition root: settings -> services -> ASGI application. The only place that knows everything."""

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

import msgspec
import structlog

from lunaria.accounts.routes import AccountRoutes
from lunaria.accounts.service import AccountsService
from lunaria.accounts.store import AccountsStore
from lunaria.attributes.descriptors import DescriptorVersions
from lunaria.attributes.routes import AttributeRoutes
from lunaria.attributes.service import AttributesService
from lunaria.attributes.store import AttributesStore
from lunaria.blobs.routes import ImageRoutes, ObjectRoutes, SampleRoutes
from lunaria.blobs.service import BlobsService
from lunaria.blobs.store import BlobsStore
from lunaria.documents.routes import DocumentRoutes
from lunaria.estimation.catalogue import Catalogue
from lunaria.estimation.decisions import Decisions
from lunaria.estimation.detector import DetectorService
from lunaria.estimation.examination import Examiner
from lunaria.estimation.extractor import ExtractorService
from lunaria.estimation.inputs import ImageInputs
from lunaria.estimation.iso import IsoService
from lunaria.estimation.liveness import LivenessService
from lunaria.estimation.routes import EstimationRoutes, ExtractorRoutes
from lunaria.estimation.sdk import SdkService
from lunaria.events.callbacks import CallbackLimits, CallbackSender
from lunaria.events.partitions import Partitions
from lunaria.events.publishing import EventPublisher, ReaderLimits
from lunaria.events.routes import EventRoutes
from lunaria.events.service import EventsService
from lunaria.events.statistics import StatisticsService
from lunaria.events.statistics_routes import StatisticsRoutes
from lunaria.events.store import EventsStore
from lunaria.events.websocket import WebsocketRoutes
from lunaria.faces.attributes_store import FaceAttributesStore
from lunaria.faces.list_routes import ListRoutes
from lunaria.faces.lists_service import ListsService
from lunaria.faces.lists_store import ListsStore
from lunaria.faces.routes import FaceRoutes
from lunaria.faces.service import FacesService
from lunaria.faces.store import FacesStore
from lunaria.handlers.generation_routes import GenerationRoutes
from lunaria.handlers.pipeline import EventPipeline
from lunaria.handlers.raw_event_routes import RawEventRoutes
from lunaria.handlers.raw_events import RawEventsService
from lunaria.handlers.recorder import Recorder
from lunaria.handlers.routes import HandlerRoutes
from lunaria.handlers.service import HandlersService
from lunaria.handlers.sources import SourceReader
from lunaria.handlers.store import HandlersStore
from lunaria.handlers.stream_event_routes import StreamEventRoutes
from lunaria.handlers.stream_events import StreamEventsService
from lunaria.handlers.verification import VerificationService
from lunaria.handlers.verification_candidates import CandidateReader
from lunaria.handlers.verifier_routes import VerifierRoutes
from lunaria.handlers.verifier_service import VerifiersService
from lunaria.handlers.verifier_store import VerifiersStore
from lunaria.http.credentials import Gate
from lunaria.http.edge import BodyBudget, Edge, Refusals
from lunaria.http.errors import ErrorLinks
from lunaria.http.middleware import Application, RequestContext
from lunaria.http.operation import Operation, Routes
from lunaria.http.router import build_application
from lunaria.kit.outbound import OutboundClient
from lunaria.kit.periodic import Periodic
from lunaria.kit.pool import WorkerPool
from lunaria.kit.times import SystemClock
from lunaria.matching.index import MatchingIndex
from lunaria.matching.matcher import Limits, Matcher
from lunaria.matching.references import References
from lunaria.matching.routes import MatchingRoutes
from lunaria.matching.service import Indexes, MatchingService, Model, Models
from lunaria.matching.sources import EventDescriptors, FaceDescriptors
from lunaria.matching.store import MatchingStore
from lunaria.settings import Settings, SettingsError
from lunaria.storage.blobstore import BlobStore, S3Options, open_blob_store
from lunaria.storage.database import Database
from lunaria.storage.migrate import upgrade
from lunaria.system.routes import SystemRoutes
from lunaria.system.service import SystemService, features
from lunaria.vision.analysis import Analyzer
from lunaria.vision.descriptor_coding import DescriptorCoding
from lunaria.vision.images import Decoder, ImageLimits
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.similarity import Similarity

log = structlog.get_logger(__name__)

FOLLOW_SECONDS = 10.0
"""The index also follows without searches, so that the first one after a quiet time has little to catch up with."""
PRUNE_SECONDS = 60.0
MONTH_SECONDS = 3600.0
"""How often it is seen to that the next month of events has its partitions."""


class Platform:
    """One running server: everything it holds, built from the settings, closed in reverse order."""

    def __init__(self, settings: Settings, database_url: str) -> None:
        self.settings = settings
        self.clock = SystemClock()
        self.database = Database(
            database_url,
            pool_size=settings.database.connections,
            statement_timeout=settings.database.statement_timeout,
        )
        self.blob_store = configured_blob_store(settings)
        self.hashing = WorkerPool(1, 64, name="password")
        self.accounts = AccountsService(
            AccountsStore(self.database), self.clock, self.hashing, settings.access.credential_cache
        )
        limits = settings.vision
        self.decoder = Decoder(
            ImageLimits(
                max_bytes=limits.image_bytes,
                max_side=limits.image_side,
                max_pixels=limits.image_pixels,
                budget_pixels=limits.pixel_budget,
            )
        )
        self.models = ModelStore(settings.models_folder, settings.models.licence)
        self.analyzer = Analyzer(self.models, settings.models.backend, device=settings.models.device)
        self.vision = WorkerPool(limits.workers or _cores(), limits.queue, name="vision")
        self.blobs = BlobsService(BlobsStore(self.database), self.blob_store, self.decoder, self.vision, self.clock)
        self.refusals = Refusals()
        self.searching = WorkerPool(settings.matching.workers or _cores(), settings.matching.queue, name="search")
        self.links = ErrorLinks(settings.documentation.error_link)
        matching_store = MatchingStore(self.database)
        self.indexes = Indexes(
            MatchingIndex(FaceDescriptors(self.database)),
            MatchingIndex(EventDescriptors(self.database, "face")),
            MatchingIndex(EventDescriptors(self.database, "body")),
        )
        self.coding = DescriptorCoding({self.analyzer.descriptor_version: self.analyzer.descriptor_dimension})
        versions = DescriptorVersions(self.coding, self.analyzer.descriptor_version)
        self.attributes = AttributesService(AttributesStore(self.database), versions, self.clock)
        faces_store = FacesStore(self.database)
        self.faces = FacesService(faces_store, FaceAttributesStore(self.database), versions, self.clock)
        lists_store = ListsStore(self.database)
        self.lists = ListsService(lists_store, self.clock)
        outbound = settings.outbound
        try:
            self.outbound = OutboundClient(outbound.allow, outbound.timeout, outbound.redirects)
            posting = OutboundClient(
                outbound.allow,
                outbound.timeout,
                outbound.redirects,
                connections=settings.callbacks.connections,
            )
        except ValueError as error:
            raise SettingsError(f"bad setting outbound.allow: {error}") from None
        self.callbacks = CallbackSender(posting, CallbackLimits(**msgspec.structs.asdict(settings.callbacks)))
        notifications = settings.notifications
        self.publisher = EventPublisher(
            self.database,
            ReaderLimits(
                notifications.subscribers,
                notifications.subscribers_per_account,
                notifications.queue,
                notifications.queue_bytes,
            ),
        )
        self.inputs = ImageInputs(
            self.blobs, self.outbound, max_images=limits.images_per_request, max_bytes=limits.image_bytes
        )
        estimation = settings.estimation
        decisions = Decisions(estimation.liveness_threshold, estimation.liveness_quality, estimation.deepfake_threshold)
        bodies_too = DescriptorCoding(self.analyzer.descriptor_dimensions)
        self.examiner = Examiner(self.analyzer, self.decoder, bodies_too, self.vision, self.links, decisions)
        given_versions = DescriptorVersions(
            bodies_too,
            self.analyzer.descriptor_version,
            self.analyzer.descriptor_dimensions.keys() - {self.analyzer.descriptor_version},
        )
        self.sources = SourceReader(self.inputs, self.blobs, given_versions, max_objects=limits.images_per_request)
        self.catalogue = Catalogue(self.models)
        self.handlers = HandlersService(
            HandlersStore(self.database), self.catalogue, self.clock, settings.handlers.candidates
        )
        self.verifiers = VerifiersService(VerifiersStore(self.database), self.catalogue, self.clock)
        self._loading: asyncio.Task[None] | None = None
        self.partitions = Partitions(self.database, self.clock)
        events_store = EventsStore(self.database, self.partitions)
        self.events = EventsService(events_store, self.clock)
        body = self.models.descriptor_spec("body_descriptor")
        models: Models = {
            "face": Model(self.analyzer.descriptor_version, self.analyzer.similarity),
            "body": Model(body.version, Similarity(body.similarity.knots)),
        }
        self.matching = MatchingService(
            self.indexes, matching_store, faces_store, events_store, models, self.searching, self.clock
        )
        self.recorder = Recorder(
            self.database,
            self.blobs,
            events_store,
            self.publisher,
            self.callbacks,
            self.clock,
            queue=settings.handlers.saving_queue,
            queue_bytes=settings.handlers.saving_bytes,
        )
        self.pipeline = EventPipeline(
            self.examiner, self.matching, lists_store, self.recorder, matches=settings.matching.matches
        )
        self.raw_events = RawEventsService(self.handlers, self.recorder, given_versions, self.clock)
        self.stream_events = StreamEventsService(self.handlers, self.inputs, self.pipeline, self.clock)
        limits_of_matching = Limits(
            settings.matching.expanded_references, settings.matching.raw_pairs, settings.matching.matches
        )
        both = DescriptorCoding({**self.coding.dimensions, body.version: body.dimension})
        references = References(matching_store, both, models, self.clock, limits_of_matching.expanded_references)
        self.matcher = Matcher(self.matching, references, self.searching, self.links, limits_of_matching)
        self.verification = VerificationService(
            self.catalogue,
            self.examiner,
            self.blobs,
            self.attributes,
            CandidateReader(self.matching, faces_store, events_store, limits_of_matching.expanded_references),
            self.matching,
            self.matcher,
            self.searching,
            limits_of_matching.matches,
        )
        self.background = [
            Periodic("follow changed descriptors", FOLLOW_SECONDS, self.indexes.keep_up),
            Periodic("prune the logs of changes", PRUNE_SECONDS, matching_store.prune),
            Periodic("make room for the next month of events", MONTH_SECONDS, self.partitions.make_next),
            Periodic("remove old broadcasts", PRUNE_SECONDS, self.publisher.prune),
            Periodic("remove expired attributes", settings.attributes.cleaning_period, self.attributes.remove_expired),
        ]
        self.system = SystemService(
            version("lunaria"),
            {"database": self.database.ping, "blob store": self.blob_store.ping},
            lambda: features(self.catalogue.sources, self.catalogue.missing),
        )

    def operations(self) -> list[Operation]:
        """Every operation of the API with its handler; the router adds OPTIONS."""
        routes: list[Routes] = [
            SystemRoutes(self.system, self.settings),
            AccountRoutes(self.accounts, registration_open=self.settings.registration_open),
            SampleRoutes(self.blobs),
            ImageRoutes(self.blobs),
            ObjectRoutes(self.blobs),
            EstimationRoutes(
                self.inputs,
                self.catalogue,
                SdkService(self.examiner),
                IsoService(self.examiner),
                DetectorService(self.examiner, self.blobs),
                LivenessService(self.examiner),
            ),
            ExtractorRoutes(ExtractorService(self.examiner, self.blobs, self.attributes, self.catalogue)),
            AttributeRoutes(self.attributes),
            FaceRoutes(self.faces),
            ListRoutes(self.lists),
            MatchingRoutes(self.matcher),
            HandlerRoutes(self.handlers),
            GenerationRoutes(self.handlers, self.sources, self.pipeline, self.clock),
            StreamEventRoutes(self.stream_events),
            RawEventRoutes(self.raw_events),
            EventRoutes(self.events),
            WebsocketRoutes(self.publisher),
            StatisticsRoutes(StatisticsService(self.database, self.settings.events.statistics_values)),
            VerifierRoutes(self.verifiers, self.verification, self.sources),
        ]
        routes.append(DocumentRoutes(lambda: declared, version("lunaria")))
        declared = [operation for noun in routes for operation in noun.operations()]
        return declared

    @property
    def websockets(self) -> frozenset[str]:
        """Paths at which a connection becomes a websocket."""
        return frozenset(declared.path for declared in self.operations() if declared.websocket)

    def application(self) -> Application:
        settings = self.settings
        edge = Edge(
            Gate(self.accounts, settings.account_header_allowed, settings.access.anonymous_reading),
            self.links,
            settings.server.body_limit,
            settings.server.body_timeout,
            settings.server.processing_timeout,
            BodyBudget(settings.server.body_budget),
            None if settings.exposed else frozenset(name.lower() for name in settings.server.hosts),
            settings.notifications.recheck,
            lambda: self.vision.full,
            self.refusals,
        )
        return RequestContext(build_application(self.operations(), edge))

    async def start(self) -> None:
        await self.accounts.start()
        await self._ensure_admin()
        await self.partitions.make_next()
        await self.indexes.faces.catch_up()
        self.publisher.start()
        self.recorder.start()
        for work in self.background:
            work.start()
        self._tell_licences()
        if self.settings.models.preload:
            self._loading = asyncio.create_task(asyncio.to_thread(self.analyzer.load_all))

    def _tell_licences(self) -> None:
        """Which estimates rest on weights or data that were issued for research, and which are left out for it."""
        research = sorted(name for name, source in self.catalogue.sources.items() if source.licence == "research")
        if research:
            log.info(
                "some estimates rest on data for research only; LUNARIA_MODELS_LICENCE=open leaves them out",
                estimates=research,
            )
        if self.catalogue.missing:
            log.info("estimates that are turned off", estimates=sorted(self.catalogue.missing))

    async def stop(self) -> None:
        """End everything. Every step is taken, whatever an earlier one raises, which is logged."""
        steps: list[Callable[[], Awaitable[object]]] = [work.stop for work in self.background]
        if self._loading is not None:
            steps.append(partial(asyncio.gather, self._loading))
        steps += [self.recorder.stop, self._close_pools, self.callbacks.stop, self.publisher.stop]
        steps += [self.outbound.close, self.database.close]
        async with AsyncExitStack() as ending:  # also when this is cancelled
            for step in reversed(steps):
                ending.push_async_callback(_taken, step)

    async def _close_pools(self) -> None:
        for pool in (self.hashing, self.vision, self.searching):
            pool.close()

    async def _ensure_admin(self) -> None:
        """At the first start: an admin with the configured password, else with a random one kept for its owner only."""
        access = self.settings.access
        if await self.accounts.has_admin():
            return
        file = self.settings.data_folder / "admin-password"
        password = access.admin_password or secrets.token_urlsafe(18)
        if not access.admin_password:  # kept before it counts: a crash in between locks nobody out
            await asyncio.to_thread(_write_private, file, password + "\n")
        await self.accounts.make_admin(access.admin_login, password)
        if not access.admin_password:
            # Printed, not logged: a log is kept and shipped, a password must not be.
            sys.stdout.write(f"Admin account: {access.admin_login}  password: {password}  (kept in {file})\n")
            sys.stdout.flush()


@asynccontextmanager
async def running(settings: Settings, database_url: str) -> AsyncIterator[Platform]:
    """A started platform on a database that is brought to the current schema first."""
    await upgrade(database_url)
    platform = Platform(settings, database_url)
    try:
        await platform.start()
        yield platform
    finally:
        await platform.stop()


async def _taken(step: Callable[[], Awaitable[object]]) -> None:
    """One step of the end, whatever becomes of it."""
    try:
        await step()
    except Exception:  # told with its trace; the steps after it must be taken all the same
        log.exception("a step of the end failed")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def configured_blob_store(settings: Settings) -> BlobStore:
    """The blob store that the settings name. Raises SettingsError, BlobStoreUnavailableError."""
    blobs = settings.blobs
    options = S3Options(
        endpoint=blobs.endpoint or None,
        region=blobs.region,
        access_key=blobs.access_key or None,
        secret_key=blobs.secret_key or None,
    )
    try:
        return open_blob_store(settings.blobs_url, options)
    except ValueError as error:
        raise SettingsError(f"bad setting blobs.url: {error}") from None


def _write_private(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(text)
