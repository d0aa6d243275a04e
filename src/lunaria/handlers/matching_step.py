"""The match policy on the persons of a request: all their descriptors in one search."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import UNSET
from msgspec.structs import replace

from lunaria.events.event import BestMatch
from lunaria.events.schemas import LabelMatches
from lunaria.handlers.filters import Subject, passes
from lunaria.handlers.match_policy import MatchEntry
from lunaria.handlers.persons import Person
from lunaria.http.errors import ApiError
from lunaria.matching.schemas import EventFilters, FaceFilters, Match
from lunaria.matching.service import MatchingService, Search
from lunaria.storage.scope import Scope

Found = Mapping[str, list[Match]]
"""The candidates of a person, best first, by the label of the entry that found them; entries that did not run lack.

Candidates have their ids, whether the entry shows them or not.
"""


async def match_persons(
    matching: MatchingService,
    owner: UUID,
    policy: Sequence[MatchEntry],
    persons: Sequence[Person],
    subjects: Sequence[Subject],
    now: datetime,
    most: int,
) -> list[Found]:
    """What every entry of the policy finds for every person; a person without a usable descriptor is not matched.

    Raises 400/34005 when more than `most` matches are asked for altogether.
    """
    searches: list[Search] = []
    asked: list[tuple[str, list[int]]] = []
    for entry in policy:
        kind = entry.descriptor.descriptor_type
        by_version: dict[int, list[int]] = {}
        vectors = {}
        for number, (person, subject) in enumerate(zip(persons, subjects, strict=True)):
            extract = person.extract(kind)
            if extract is not None and extract.descriptor is not None and passes(entry.filters, subject):
                by_version.setdefault(extract.descriptor.coded.version, []).append(number)
                vectors[number] = extract.descriptor.vector
        for version, numbers in by_version.items():
            candidates = entry.at(now)
            candidates = replace(candidates, targets=[*candidates.shown, *_hidden(entry)])
            searches.append(Search(candidates, [vectors[number] for number in numbers], version, kind))
            asked.append((entry.label, numbers))
    found: list[dict[str, list[Match]]] = [{} for _ in persons]
    wanted = sum(search.candidates.limit * len(search.vectors) for search in searches)
    if wanted > most:
        raise ApiError(34005, wanted, most)
    if searches:
        results = await matching.search(Scope(owner), searches)
        for (label, numbers), matches in zip(asked, results, strict=True):
            for number, own in zip(numbers, matches, strict=True):
                found[number][label] = own
    return list(found)


def best_similarities(found: Found) -> dict[str, float]:
    """The similarity of the best candidate under each label that has any."""
    return {label: matches[0].similarity for label, matches in found.items() if matches}


def shown_matches(policy: Sequence[MatchEntry], found: Found) -> list[LabelMatches] | None:
    """What an event shows of the matches: the label with the best candidate first; null without a match policy."""
    if not policy:
        return None
    entries = {entry.label: entry for entry in policy}
    return [LabelMatches(label, _shown(entries[label], found[label])) for label in _ordered(found)]


def best_match(found: Found) -> BestMatch | None:
    """The best candidate of all with its label."""
    return next(((label, found[label][0]) for label in _ordered(found) if found[label]), None)


def _ordered(found: Found) -> list[str]:
    best = best_similarities(found)
    return sorted(found, key=lambda label: -best.get(label, -1.0))


def _hidden(entry: MatchEntry) -> list[str]:
    """By what the stored event names its best match, as far as the entry does not show it."""
    shown = entry.targets or ()
    if isinstance(entry.candidates, FaceFilters):
        return [name for name in ("face_id", "external_id") if name not in shown]
    if isinstance(entry.candidates, EventFilters):
        return [name for name in ("event_id", "external_id") if name not in shown]
    return []


def _shown(entry: MatchEntry, matches: list[Match]) -> list[Match]:
    hidden: dict[str, Any] = dict.fromkeys(_hidden(entry), UNSET)
    if not hidden:
        return matches
    return [
        replace(
            match,
            face=UNSET if match.face is UNSET else replace(match.face, **hidden),
            event=UNSET if match.event is UNSET else replace(match.event, **hidden),
        )
        for match in matches
    ]
