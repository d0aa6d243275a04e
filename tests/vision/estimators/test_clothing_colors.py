"""Names of colours: the table that the pack holds, on painted bodies."""

from __future__ import annotations

import numpy as np
import pytest

from lunaria.vision.estimators.clothing_colors import BINS, NAMED, NAMES, ColorTable, with_prototypes
from lunaria.vision.geometry import Pixels
from lunaria.vision.packs.store import ModelStore

GROUND = (135, 135, 135)
PAINTS = {
    "black": (25, 25, 28),
    "white": (235, 235, 235),
    "red": (185, 30, 35),
    "blue": (40, 60, 150),
    "green": (45, 120, 60),
    "yellow": (220, 200, 60),
}


@pytest.fixture(scope="module")
def table(model_store: ModelStore) -> ColorTable:
    return ColorTable.read(model_store.network("clothing_colors").path)


def painted(upper: tuple[int, int, int], lower: tuple[int, int, int]) -> Pixels:
    """A figure of two blocks before grey ground."""
    warp = np.full((256, 128, 3), GROUND, np.uint8)
    warp[48:120, 32:96] = upper
    warp[130:220, 36:92] = lower
    return warp


def best(table: ColorTable, warp: Pixels) -> tuple[str, str]:
    return (
        NAMES[int(table.look(warp, "upper").shares.argmax())],
        NAMES[int(table.look(warp, "lower").shares.argmax())],
    )


@pytest.mark.parametrize("color", PAINTS)
def test_a_plain_garment_has_its_name(table: ColorTable, color: str) -> None:
    assert best(table, painted(PAINTS[color], PAINTS["black"])) == (color, "black")


def test_a_camera_that_sees_all_in_green_does_not_turn_white_and_black_green(table: ColorTable) -> None:
    tint = np.array([0.82, 1.0, 0.88])
    tinted = (painted(PAINTS["white"], PAINTS["black"]) * tint).astype(np.uint8)
    upper, lower = best(table, tinted)
    assert upper in ("white", "grey")
    assert lower == "black"


def test_a_garment_of_four_colours_is_multicolored_and_a_plain_one_is_not(table: ColorTable) -> None:
    warp = painted(PAINTS["red"], PAINTS["black"])
    assert not table.look(warp, "upper").multicolored
    for index, color in enumerate(("red", "blue", "yellow", "white")):
        warp[52 + 15 * index : 67 + 15 * index] = PAINTS[color]
    assert table.look(warp, "upper").multicolored


def test_beige_and_khaki_come_from_their_prototypes() -> None:
    even = with_prototypes(np.full((BINS, BINS, BINS, len(NAMED)), 1 / len(NAMED)))
    assert np.allclose(even.sum(axis=-1), 1)
    table = ColorTable(np.full((BINS, BINS, BINS, len(NAMED)), 1 / len(NAMED)))
    assert best(table, painted((215, 195, 160), (150, 140, 95))) == ("beige", "khaki")


def test_a_table_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        ColorTable(np.zeros((8, 8, 8, len(NAMED))))
