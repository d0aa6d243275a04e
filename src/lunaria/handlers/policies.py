"""The policies of a handler: what it does with an image, in the order in which it does it."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct, field

from lunaria.handlers.detect_policy import DetectPolicy, ExtractPolicy
from lunaria.handlers.filters import Filters
from lunaria.handlers.match_policy import MatchEntry
from lunaria.handlers.storage_policy import StoragePolicy

ENTRIES_LIMIT = 30
"""Most entries of the match policy, and most conditional tags."""


class ConditionalTag(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A tag that events of the chosen persons get."""

    tag: Annotated[str, Meta(min_length=1, max_length=36, pattern=r"^[^\x00]*$")]
    filters: Filters = Filters()


class Policies(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a handler does: find and estimate, extract, match, tag, store and tell."""

    detect_policy: DetectPolicy = DetectPolicy()
    extract_policy: ExtractPolicy = ExtractPolicy()
    match_policy: Annotated[list[MatchEntry], Meta(max_length=ENTRIES_LIMIT)] = field(default_factory=list)
    conditional_tags_policy: Annotated[list[ConditionalTag], Meta(max_length=ENTRIES_LIMIT)] = field(
        default_factory=list
    )
    storage_policy: StoragePolicy = StoragePolicy()

    def __post_init__(self) -> None:
        labels: set[str] = set()
        for entry in self.match_policy:
            if entry.label in labels:
                raise ValueError(f"match_policy: the label '{entry.label}' is there twice")
            labels.add(entry.label)
        for place, filters in self._filters():
            for label in filters.labels:
                if label not in labels:
                    raise ValueError(f"{place}: there is no label '{label}' in match_policy")

    def _filters(self) -> Iterator[tuple[str, Filters]]:
        """Every filter that may speak of labels, with its place."""
        for index, tag in enumerate(self.conditional_tags_policy):
            yield f"conditional_tags_policy.{index}.filters", tag.filters
        storage = self.storage_policy
        for name in storage.__struct_fields__:
            if name != "callbacks":
                yield f"storage_policy.{name}.filters", getattr(storage, name).filters
        for index, link in enumerate(storage.face_policy.link_to_lists_policy):
            yield f"storage_policy.face_policy.link_to_lists_policy.{index}.filters", link.filters
        for index, callback in enumerate(storage.callbacks):
            yield f"storage_policy.callbacks.{index}.filters", callback.filters
