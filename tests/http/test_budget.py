"""The budget of bytes that bodies may hold at one time."""

import pytest

from lunaria.http.edge import BodyBudget
from lunaria.http.errors import ApiError


def test_room_is_refused_and_given_back() -> None:
    budget = BodyBudget(10)
    budget.take(6)
    with pytest.raises(ApiError) as caught:
        budget.take(5)
    assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "1"})
    budget.give_back(6)
    budget.take(10)
