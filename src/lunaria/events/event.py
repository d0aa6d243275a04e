"""An event on its way from the pipeline to the store and to those who listen."""

from dataclasses import dataclass
from uuid import UUID

from lunaria.attributes.descriptors import CodedDescriptor
from lunaria.events.schemas import DescriptorKind, Event
from lunaria.matching.schemas import Match

BestMatch = tuple[str, Match]
"""A candidate under the label of the entry of the match policy that found it."""


@dataclass(frozen=True, slots=True)
class EventDescriptor:
    """A descriptor by which a stored event can be found and matched."""

    kind: DescriptorKind
    descriptor: CodedDescriptor


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event with everything about it that its wire form does not show.

    `best`: of its matches, with the ids that may not be shown there; None: what is shown tells.
    """

    account_id: UUID
    handler_id: UUID
    event: Event
    descriptors: tuple[EventDescriptor, ...] = ()
    best: BestMatch | None = None
