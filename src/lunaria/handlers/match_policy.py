"""With what a handler compares the descriptors of an event."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from lunaria.handlers.filters import Label, PersonFilters, Similarity
from lunaria.kit.times import RELATIVE_TIME, format_time, resolve_time
from lunaria.matching.schemas import SIMILARITY, AttributeFilters, Candidates, EventFilters, FaceFilters

Time = Annotated[
    str,
    Meta(
        description="A time, or now-<number><unit> with the unit s, m, h, d, w, M (months) or y.",
        extra_json_schema={"anyOf": [{"format": "date-time"}, {"pattern": f"^{RELATIVE_TIME.pattern}$"}]},
    ),
]
_Wanted = TypeVar("_Wanted", FaceFilters, EventFilters)


class FaceCandidates(FaceFilters, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Candidates among faces; all conditions hold together. Relative times count from each event on."""

    create_time__gte: Time | None = None
    create_time__lt: Time | None = None

    def __post_init__(self) -> None:
        self.at(datetime.now(UTC))

    def at(self, now: datetime) -> FaceFilters:
        """The filters at a moment. Raises ValueError for what is no time."""
        return _resolved(self, FaceFilters, now)


class EventCandidates(EventFilters, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Candidates among events; all conditions hold together. Relative times count from each event on."""

    create_time__gte: Time | None = None
    create_time__lt: Time | None = None
    end_time__gte: Time | None = None
    end_time__lt: Time | None = None

    def __post_init__(self) -> None:
        self.at(datetime.now(UTC))

    def at(self, now: datetime) -> EventFilters:
        """The filters at a moment. Raises ValueError for what is no time."""
        return _resolved(self, EventFilters, now)


class MatchDescriptor(Struct, frozen=True, forbid_unknown_fields=True):
    """Which of the descriptors is compared; bodies only with those of events."""

    descriptor_type: Literal["face", "body"] = "face"


class MatchEntry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One set of candidates with which every event is compared."""

    label: Annotated[Label, Meta(description="Name of the entry, by which filters refer to it.")]
    candidates: FaceCandidates | EventCandidates | AttributeFilters
    descriptor: MatchDescriptor = MatchDescriptor()
    limit: Annotated[int, Meta(ge=1, le=2**31 - 1, description="Most candidates that are shown.")] = 3
    threshold: Annotated[Similarity, Meta(description="Similarity from which on a candidate is shown.")] = 0.0
    targets: Annotated[list[str], Meta(description="What is shown of a candidate; everything by default.")] | None = (
        None
    )
    filters: Annotated[PersonFilters, Meta(description="Which persons are compared.")] = PersonFilters()

    def __post_init__(self) -> None:
        if self.descriptor.descriptor_type == "body" and not isinstance(self.candidates, EventFilters):
            raise ValueError("bodies can be compared with candidates of the origin events only")
        shown = self.at(datetime.now(UTC)).shown
        force_setattr(self, "targets", [*shown, SIMILARITY])

    def at(self, now: datetime) -> Candidates:
        """The candidates at a moment: relative times of their filters become times. Raises ValueError."""
        wanted = self.candidates if isinstance(self.candidates, AttributeFilters) else self.candidates.at(now)
        return Candidates(wanted, self.limit, self.threshold, self.targets)


def _resolved(given: Struct, kind: type[_Wanted], now: datetime) -> _Wanted:
    values: dict[str, Any] = {name: getattr(given, name) for name in kind.__struct_fields__}
    for name in ("create_time__gte", "create_time__lt", "end_time__gte", "end_time__lt"):
        if values.get(name) is not None:
            try:
                values[name] = format_time(resolve_time(values[name], now))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
    return kind(**values)
