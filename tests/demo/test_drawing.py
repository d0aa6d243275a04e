"""Frames, arrows and whole pictures of the demo."""

import base64
import io
from typing import Any

import pytest
from PIL import Image

from lunaria.demo.conversation import Photograph
from lunaria.demo.drawing import (
    BODY,
    FACE,
    PERSONS,
    SIDE,
    Frame,
    around,
    arrow,
    draw_close_up,
    draw_persons,
    draw_whole,
)


def photograph(width: int = 400, height: int = 440) -> Photograph:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "black").save(buffer, "PNG")
    return Photograph("plain.png", buffer.getvalue())


def drawn(address: str) -> Image.Image:
    head, _, data = address.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


def near(picture: Image.Image, place: tuple[float, float], colour: str) -> bool:
    """Whether a colour, blurred a little by JPEG, is found within three pixels of a place."""
    wanted = tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))
    x, y = (round(coordinate) for coordinate in place)
    patch = picture.crop((x - 3, y - 3, x + 4, y + 4))
    pixels = [patch.getpixel((column, row)) for column in range(7) for row in range(7)]
    return any(
        max(abs(seen - want) for seen, want in zip(pixel, wanted, strict=True)) < 60
        for pixel in pixels
        if isinstance(pixel, tuple)
    )


def rect(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "width": width, "height": height}


def person(face: dict[str, int] | None, body: dict[str, int] | None) -> dict[str, Any]:
    return {"face": face and {"detection": {"rect": face}}, "body": body and {"detection": {"rect": body}}}


def test_a_frame_places_what_it_shows() -> None:
    frame = Frame(left=10, top=20, scale=4)
    assert frame.at(10, 20) == (0, 0)
    assert frame.corners(rect(11, 22, 5, 10)) == (4, 8, 24, 48)


def test_a_close_up_is_a_square_around_the_face() -> None:
    left, top, side = around(rect(100, 100, 60, 100))
    assert side == pytest.approx(170)
    assert (left + side / 2, top + side / 2) == pytest.approx((130, 150))


def test_an_arrow_ends_where_its_direction_leads_and_its_head_lies_behind_its_end() -> None:
    end, head = arrow((10, 10), (0.6, 0.8, 0), reach=100, head=20)
    assert end == pytest.approx((70, 90))
    assert head[0] == end
    middle = ((head[1][0] + head[2][0]) / 2, (head[1][1] + head[2][1]) / 2)
    assert middle == pytest.approx((70 - 0.6 * 20, 90 - 0.8 * 20))
    assert abs(head[1][0] - head[2][0]) == pytest.approx(0.8 * 20)


def test_an_arrow_towards_the_viewer_has_no_head() -> None:
    assert arrow((10, 10), (0.1, 0, 0.99), reach=100, head=20) == ((20, 10), [])


def test_the_whole_photograph_has_face_and_body_in_their_colours() -> None:
    picture = drawn(draw_whole(photograph(), [person(rect(100, 50, 80, 100), rect(50, 40, 200, 380))], [(140, 100)]))
    scale = SIDE / 440
    assert picture.size == (round(400 * scale), SIDE)
    assert near(picture, (100 * scale + 3, 100 * scale), FACE)
    assert near(picture, (50 * scale + 3, 200 * scale), BODY)
    assert not near(picture, (300 * scale, 200 * scale), BODY)


def test_face_and_body_of_a_person_share_a_colour_of_their_own() -> None:
    persons = [
        person(rect(30, 30, 40, 50), rect(10, 20, 100, 300)),
        person(rect(230, 30, 40, 50), rect(210, 20, 100, 300)),
        person(None, rect(330, 20, 60, 300)),
    ]
    picture = drawn(draw_persons(photograph(), persons, []))
    scale = SIDE / 440
    for colour, left in zip(PERSONS, (10, 210, 330), strict=False):
        assert near(picture, (left * scale + 3, 250 * scale), colour)
    assert near(picture, (30 * scale + 3, 50 * scale), PERSONS[0])
    assert near(picture, (230 * scale + 3, 50 * scale), PERSONS[1])


@pytest.mark.parametrize("pose", [None, {"pitch": 0.0, "roll": 0.0, "yaw": 40.0}])
@pytest.mark.parametrize("gaze", [{"yaw": None, "pitch": None}, {"yaw": 10.0, "pitch": -5.0}])
def test_a_close_up_is_drawn_with_whatever_can_be_told(
    pose: dict[str, float] | None, gaze: dict[str, float | None]
) -> None:
    face = {
        "rect": rect(350, -20, 80, 100),  # reaches beyond the photograph
        "landmarks68": [[360 + number, 10 + number] for number in range(68)],
        "attributes": {
            "head_pose": pose,
            "gaze": gaze,
            "eyes_attributes": {
                side: {"iris_landmarks": [[370, 20], [374, 20], [374, 24], [370, 24]]}
                for side in ("left_eye", "right_eye")
            },
        },
    }
    assert drawn(draw_close_up(photograph(), face)).size == (SIDE, SIDE)
