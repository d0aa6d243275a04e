"""Ids looked up all together, against sets."""

from uuid import UUID

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lunaria.matching._ids import places_of, words
from lunaria.storage.arrays import pack

IDS = st.builds(lambda high, low: UUID(int=high << 64 | low), st.integers(0, 3), st.integers(0, 3))


@given(st.lists(IDS, min_size=1, unique=True), st.lists(IDS))
def test_places(wanted: list[UUID], own: list[UUID]) -> None:
    places = places_of(words(pack(wanted)), words(pack(own)))
    assert places is not None
    np.testing.assert_array_equal(places, [place for place, one in enumerate(own) if one in wanted])


@given(IDS, st.lists(IDS))
def test_what_is_wanted_twice_is_left_to_the_caller(twice: UUID, own: list[UUID]) -> None:
    assert places_of(words(pack([twice, twice])), words(pack(own))) is None
