"""The match policy on the persons of a request: all their descriptors in one search."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from lunaria.events.schemas import LabelMatches
from lunaria.handlers.filters import Subject, passes
from lunaria.handlers.match_policy import MatchEntry
from lunaria.handlers.persons import Person
from lunaria.http.errors import ApiError
from lunaria.matching.schemas import Match
from lunaria.matching.service import MatchingService, Search
from lunaria.storage.scope import Scope

Found = Mapping[str, list[Match]]
"""The candidates of a person, best first, by the label of the entry that found them; entries that did not run lack."""


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
            searches.append(Search(entry.at(now), [vectors[number] for number in numbers], version, kind))
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
    best = best_similarities(found)
    ordered = sorted(found, key=lambda label: -best.get(label, -1.0))
    return [LabelMatches(label, found[label]) for label in ordered]
