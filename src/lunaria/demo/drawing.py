"""Photographs with what was found drawn on them."""

import base64
import io
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from lunaria.demo import projection
from lunaria.demo.conversation import Photograph

SIDE = 880
"""Height of a drawn photograph in pixels: about twice the shown one, for sharp lines."""
FACE, BODY, POINT, DOT, IRIS, GAZE, HEAD = "#4fd694", "#ffa94d", "#ffd166", "#7fd6ff", "#f8f9fa", "#ffe14d", "#ff5fa2"
AXES = {"across": "#ff5252", "up": "#5be35b", "forward": "#4d9bff"}
PERSONS = ("#4fd694", "#ffa94d", "#6cc5ff", "#f783ac", "#ffe066", "#b197fc")
"""A colour for each person, in which face and body are drawn."""

NOSE_TIP = 30
"""Among the 68 landmarks."""
CLOSE_UP = 1.7
"""Side of the close-up in sides of the face box."""

Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """The part of a photograph that is shown, from `left`, `top` on, enlarged by `scale`."""

    left: float
    top: float
    scale: float

    def at(self, x: float, y: float) -> Place:
        """Where a point of the photograph is shown."""
        return (x - self.left) * self.scale, (y - self.top) * self.scale

    def corners(self, rect: dict[str, int]) -> tuple[float, float, float, float]:
        """Where a rectangle of the photograph is shown."""
        left, top = rect["x"], rect["y"]
        return (*self.at(left, top), *self.at(left + rect["width"], top + rect["height"]))


def draw_faces(photo: Photograph, faces: Iterable[dict[str, Any]]) -> str:
    """Boxes and landmarks of detections, as the address of a picture."""
    picture, frame = _whole(photo)
    canvas = ImageDraw.Draw(picture)
    for face in faces:
        canvas.rectangle(frame.corners(face["rect"]), outline=FACE, width=5)
        _dots(canvas, frame, face.get("landmarks68", ()), 3, DOT)
        _dots(canvas, frame, face.get("landmarks5", ()), 6, POINT)
    return _address(picture)


def draw_whole(photo: Photograph, persons: Iterable[dict[str, Any]], heads: Iterable[tuple[int, int]]) -> str:
    """Faces in one colour, bodies in another, and the heads of the counted people."""
    picture, frame = _whole(photo)
    canvas = ImageDraw.Draw(picture)
    for person in persons:
        for part, colour in (("body", BODY), ("face", FACE)):
            if person[part]:
                canvas.rectangle(frame.corners(person[part]["detection"]["rect"]), outline=colour, width=6)
    _number(canvas, frame, heads)
    return _address(picture)


def draw_persons(photo: Photograph, persons: Iterable[dict[str, Any]], heads: Iterable[tuple[int, int]]) -> str:
    """Face and body of each person in a colour of its own, tied together, and the heads of the counted people."""
    picture, frame = _whole(photo)
    canvas = ImageDraw.Draw(picture)
    for person, colour in zip(persons, itertools.cycle(PERSONS)):
        boxes = [frame.corners(person[part]["detection"]["rect"]) for part in ("body", "face") if person[part]]
        for box in boxes:
            canvas.rectangle(box, outline=colour, width=6)
        if len(boxes) == 2:
            (left, top, right, bottom), face = boxes
            middle = (left + right) / 2, (top + bottom) / 2
            canvas.line([((face[0] + face[2]) / 2, face[3]), middle], colour, 6)
            _dot(canvas, middle, 11, colour)
    _number(canvas, frame, heads)
    return _address(picture)


def draw_close_up(photo: Photograph, face: dict[str, Any]) -> str:
    """A face with landmarks, irises, the axes of the head and the gaze."""
    picture, frame = _cut(photo, around(face["rect"]))
    canvas = ImageDraw.Draw(picture)
    canvas.rectangle(frame.corners(face["rect"]), outline=FACE, width=3)
    landmarks = face["landmarks68"]
    _dots(canvas, frame, landmarks, 4, DOT)
    attributes = face["attributes"]
    irises = [eye["iris_landmarks"] for eye in attributes.get("eyes_attributes", {}).values()]
    for points in irises:
        places = [frame.at(x, y) for x, y in points]
        canvas.line([*places, places[0]], IRIS, 3)
    pose, gaze = attributes["head_pose"], attributes.get("gaze")
    if pose is None:
        return _address(picture)
    reach = 0.42 * face["rect"]["width"] * frame.scale
    for axis, colour in zip(projection.axes(pose), AXES.values(), strict=True):
        _arrow(canvas, frame.at(*landmarks[NOSE_TIP]), axis, reach, colour)
    if gaze is not None and gaze["yaw"] is not None:
        looks = projection.gaze(pose, gaze["yaw"], gaze["pitch"])
        for points in irises:
            _arrow(canvas, frame.at(*centre(points)), looks, reach, GAZE)
    return _address(picture)


def around(rect: dict[str, int]) -> tuple[float, float, float]:
    """The square of the close-up of a face: left, top, side."""
    side = CLOSE_UP * max(rect["width"], rect["height"])
    return rect["x"] + (rect["width"] - side) / 2, rect["y"] + (rect["height"] - side) / 2, side


def centre(points: Sequence[Place]) -> Place:
    """The mean of points."""
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


def arrow(start: Place, direction: projection.Vector, reach: float, head: float) -> tuple[Place, list[Place]]:
    """Where an arrow of this length in space ends in the picture, and the three corners of its head, `head` long.

    An arrow towards the viewer is shortened; one shorter than its head has none: the corners are empty.
    """
    x, y = direction[0] * reach, direction[1] * reach
    end = start[0] + x, start[1] + y
    length = hypot(x, y)
    if length < head:
        return end, []
    along = x / length * head, y / length * head
    base = end[0] - along[0], end[1] - along[1]
    across = -along[1] / 2, along[0] / 2
    return end, [end, (base[0] + across[0], base[1] + across[1]), (base[0] - across[0], base[1] - across[1])]


def _arrow(canvas: ImageDraw.ImageDraw, start: Place, direction: projection.Vector, reach: float, colour: str) -> None:
    """Outlined in black, so that it is seen on every skin."""
    end, head = arrow(start, direction, reach, 24)
    for ink, extra in (("black", 3), (colour, 0)):
        canvas.line([start, end], ink, 6 + extra)
        if head:
            canvas.polygon(head, ink, outline=ink, width=1 + extra)
        else:
            _dot(canvas, end, 9 + extra / 2, ink)
    _dot(canvas, start, 6, colour)


def _whole(photo: Photograph) -> tuple[Image.Image, Frame]:
    picture = _opened(photo)
    scale = SIDE / picture.height
    return picture.resize((round(picture.width * scale), SIDE), Image.Resampling.LANCZOS), Frame(0, 0, scale)


def _cut(photo: Photograph, square: tuple[float, float, float]) -> tuple[Image.Image, Frame]:
    """A square of the photograph, black where it reaches beyond it."""
    left, top, side = square
    scale = SIDE / side
    inverse = (1 / scale, 0, left, 0, 1 / scale, top)
    cut = _opened(photo).transform((SIDE, SIDE), Image.Transform.AFFINE, inverse, Image.Resampling.BICUBIC)
    return cut, Frame(left, top, scale)


def _opened(photo: Photograph) -> Image.Image:
    with Image.open(io.BytesIO(photo.data)) as opened:
        return opened.convert("RGB")


def _number(canvas: ImageDraw.ImageDraw, frame: Frame, heads: Iterable[tuple[int, int]]) -> None:
    font = ImageFont.load_default(26)
    for number, (x, y) in enumerate(heads, 1):
        _dot(canvas, frame.at(x, y), 19, HEAD)
        canvas.text(frame.at(x, y), str(number), "white", font, anchor="mm", stroke_width=1, stroke_fill="white")


def _dots(canvas: ImageDraw.ImageDraw, frame: Frame, points: Iterable[Place], radius: float, colour: str) -> None:
    for x, y in points:
        _dot(canvas, frame.at(x, y), radius, colour)


def _dot(canvas: ImageDraw.ImageDraw, place: Place, radius: float, colour: str) -> None:
    x, y = place
    canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour, outline="black")


def _address(picture: Image.Image) -> str:
    """A picture for use inside a page."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=86)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
