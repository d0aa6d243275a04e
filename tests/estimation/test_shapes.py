"""Findings in the shapes of the API."""

from __future__ import annotations

import msgspec

from lunaria.estimation.estimates import BodyDetection
from lunaria.estimation.shapes import body_detection
from lunaria.vision.estimators.body_attributes import BodyAttributes
from lunaria.vision.estimators.clothing_colors import MULTICOLORED, NAMES
from lunaria.vision.findings import BodyFinding
from lunaria.vision.plan import Box, Plan


def test_every_colour_of_clothes_is_a_word_of_the_api() -> None:
    colors = (*NAMES, MULTICOLORED)
    found = BodyAttributes(
        age=30,
        gender="male",
        headwear="absent",
        headwear_color="undefined",
        sleeve="long",
        upper_colors=colors,
        lower_garment="trousers",
        lower_colors=colors,
        shoes_color="black",
        backpack="absent",
    )
    plan = Plan(upper_body=True, lower_body=True)
    shape = body_detection(BodyFinding(Box(0, 0, 10, 20), 0.9, attributes=found), plan)
    told = msgspec.json.encode(shape)
    assert msgspec.json.decode(told, type=BodyDetection) == shape
    assert b'"gray"' in told
