"""The way of a request through a handler: images and descriptors in, recorded events out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from msgspec import UNSET

from lunaria.estimation.examination import ExaminedImage, Examiner, Order
from lunaria.faces.lists_store import ListsStore
from lunaria.handlers.event_context import EventContext, each_once
from lunaria.handlers.event_making import filtered_bodies, filtered_faces, prepare_event
from lunaria.handlers.filters import Subject, passes
from lunaria.handlers.generation_schemas import FilteredDetections, GeneratedImage, GenerationResult
from lunaria.handlers.matching_step import best_match, best_similarities, match_persons, shown_matches
from lunaria.handlers.orders import decisions_of, order_of
from lunaria.handlers.persons import Person, merged_person, single_persons
from lunaria.handlers.policies import Policies
from lunaria.handlers.recorder import PreparedEvent, Recorder
from lunaria.handlers.sources import SourceDescriptor, SourceImage
from lunaria.handlers.storage_plan import Origins, plan_storage
from lunaria.http.errors import ApiError
from lunaria.matching.service import MatchingService
from lunaria.storage.scope import Scope
from lunaria.vision.plan import ImageType

Images = Sequence[tuple[SourceImage, ExaminedImage]]


@dataclass(frozen=True, slots=True)
class Generation:
    """What is to become events. `policies` are those that `HandlersService.policies_of` gives.

    `now`: when the request came. `context`: of images that have none of their own, of descriptors, and of the one event
    with `aggregate`.
    """

    owner: UUID
    handler_id: UUID
    policies: Policies
    now: datetime
    context: EventContext
    images: Sequence[SourceImage] = ()
    descriptors: Sequence[SourceDescriptor] = ()
    aggregate: bool = False
    use_exif_info: bool = True


class EventPipeline:
    """Runs policies: examines, matches, tags, and hands to the recorder. `matches`: most that one request may want."""

    def __init__(
        self, examiner: Examiner, matching: MatchingService, lists: ListsStore, recorder: Recorder, *, matches: int
    ) -> None:
        self._examiner = examiner
        self._matching = matching
        self._lists = lists
        self._recorder = recorder
        self._matches = matches

    async def generate(self, wanted: Generation, request_id: str) -> GenerationResult:
        """Make the events and record them, all or none.

        Raises 400/11038, 400/34008 and 400/11034 for images that cannot be told as one person, 400/34005 for too many
        matches, 404/22003 for a list that faces are to be put into and that there is not, 503/11.
        """
        policies = wanted.policies
        images = await self._examine(wanted)
        persons = _persons(wanted, images)
        subjects = [person.subject for person in persons]
        found = await match_persons(
            self._matching, wanted.owner, policies.match_policy, persons, subjects, wanted.now, self._matches
        )
        origins = Origins(policies.storage_policy.image_origin_policy)
        prepared: list[PreparedEvent] = []
        for person, subject, matches in zip(persons, subjects, found, strict=True):
            matched = replace(subject, similarities=best_similarities(matches))
            prepared.append(
                prepare_event(
                    wanted.owner,
                    wanted.handler_id,
                    person,
                    plan_storage(policies.storage_policy, person, matched, origins),
                    shown_matches(policies.match_policy, matches),
                    best_match(matches),
                    _tags(policies, person, matched),
                    wanted.now,
                )
            )
        await self._refuse_unknown_lists(wanted.owner, prepared)
        wait = bool(policies.storage_policy.event_policy.wait_saving)
        await self._recorder.record(prepared, wait=wait, request_id=request_id)
        return GenerationResult(
            [self._image(image) for _, image in images],
            [one.new.event for one in prepared],
            FilteredDetections(
                [filtered for source, image in images for filtered in filtered_faces(source, image)],
                [filtered for source, image in images for filtered in filtered_bodies(source, image)],
            ),
        )

    async def _examine(self, wanted: Generation) -> Images:
        """The images with what was found in them, in their order; those of one type are examined alike."""
        by_type: dict[ImageType, list[SourceImage]] = {}
        for image in wanted.images:
            by_type.setdefault(image.image_type, []).append(image)
        examined = {
            kind: iter(await self._examiner.examine(given, _order(wanted, kind))) for kind, given in by_type.items()
        }
        return [(image, next(examined[image.image_type])) for image in wanted.images]

    async def _refuse_unknown_lists(self, owner: UUID, prepared: Sequence[PreparedEvent]) -> None:
        """404/22003 before anything is stored; whoever deletes a list after this is told by the recorder."""
        linked = {list_id for one in prepared if one.face is not None for list_id in one.face.list_ids}
        if linked:
            existing = await self._lists.existing(Scope(owner), linked)
            for list_id in linked - existing:
                raise ApiError(22003, list_id)

    def _image(self, image: ExaminedImage) -> GeneratedImage:
        return GeneratedImage(
            image.filename,
            image.status,
            self._examiner.error_of(image),
            image.exif,
            UNSET if image.people is None else len(image.people),
        )


def _order(wanted: Generation, image_type: ImageType) -> Order:
    policies = wanted.policies
    return order_of(
        policies.detect_policy,
        policies.extract_policy,
        image_type=image_type,
        use_exif_info=wanted.use_exif_info,
        aggregate=wanted.aggregate,
        face_warps=bool(policies.storage_policy.face_sample_policy.store_sample),
        body_warps=bool(policies.storage_policy.body_sample_policy.store_sample),
    )


def _persons(wanted: Generation, images: Images) -> list[Person]:
    threshold = wanted.policies.extract_policy.fd_score_threshold
    if not wanted.aggregate:
        return single_persons(wanted.context, images, wanted.descriptors, threshold)
    decisions = decisions_of(wanted.policies.detect_policy)
    person = merged_person(wanted.context, images, wanted.descriptors, threshold, decisions)
    return [] if person is None else [person]


def _tags(policies: Policies, person: Person, subject: Subject) -> tuple[str, ...]:
    """The tags that the client gave, then those of the policy whose filters pass; each once."""
    given = [tag.tag for tag in policies.conditional_tags_policy if passes(tag.filters, subject)]
    return each_once((*person.context.tags, *given))
