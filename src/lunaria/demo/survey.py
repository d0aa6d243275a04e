"""Everything that is estimated of the photographs, asked of a server in two requests each."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from lunaria.demo.conversation import Conversation, Exchange, Photograph

SURVEYED = (
    *("obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg"),
    *("astronaut.png", "obama_partial_face.jpg", "obama_partial_face2.jpg"),
)
TOGETHER = ("obama3.jpg", "biden.jpg", "astronaut.png", "obama.jpg")
"""Stood beside each other for a picture with several persons."""

ESTIMATES = {
    "detect_face": "face_detection",
    "detect_body": "body_detection",
    **{
        f"estimate_{name}": name
        for name in (
            *("head_pose", "emotions", "mask", "glasses", "liveness", "deepfake", "quality", "gaze"),
            *("eyes_attributes", "mouth_attributes", "basic_attributes", "face_descriptor"),
            *("body_descriptor", "people_count"),
        )
    },
    "estimate_landmarks68": "face_landmarks68",
    **{
        f"estimate_{name}": "body_attributes"
        for name in ("body_basic_attributes", "upper_body", "lower_body", "accessories")
    },
}
"""Parameters of /6/sdk, with the estimates in /6/features that they ask for; only the warps are left out."""

GROUP_HEIGHT, GAP = 1100, 40


@dataclass(slots=True)
class Surveyed:
    """A photograph and everything that was estimated of it."""

    photo: Photograph
    persons: list[dict[str, Any]]
    """Estimations as /6/sdk replies them: `face` and `body`, either of which may be null."""
    heads: list[tuple[int, int]]
    """Where the counted people are."""
    checks: list[dict[str, Any]] = field(default_factory=list)
    """Of the best face: name, object_value, threshold_value, result."""
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def face(self) -> dict[str, Any] | None:
        """The detection of the first person's face: persons with faces come first, the surest of them at the front."""
        found = self.persons[0]["face"] if self.persons else None
        return found and found["detection"]

    @property
    def body(self) -> dict[str, Any] | None:
        """The detection of the first person's body."""
        found = self.persons[0]["body"] if self.persons else None
        return found and found["detection"]


class Survey:
    """Runs on any server of this API, as an account that it has already; `photos` is the folder of the photographs."""

    def __init__(self, server: Conversation, photos: Path) -> None:
        self._server = server
        self._photos = photos
        self.single: list[Surveyed] = []
        self.together: Surveyed | None = None
        self.sources: dict[str, dict[str, str]] = {}
        """Of each estimate that the server makes the network and its licence, open or research."""

    def make(self) -> None:
        """Ask of each photograph, then of several in one picture. Raises as the conversation does."""
        self.sources = self._server.call("GET", "/6/features")["sources"]
        self._server.taken()
        for name in SURVEYED:
            surveyed = self._look(Photograph.read(self._photos / name))
            checks = self._server.send("/6/iso", surveyed.photo, {"multiface_policy": 2})
            faces = checks["images"][0]["estimations"]
            surveyed.checks = faces[0]["face"]["detection"]["iso"]["checks"] if faces else []
            surveyed.exchanges += self._server.taken()
            self.single.append(surveyed)
            passed = sum(check["result"] for check in surveyed.checks)
            print(f"estimated   {name:25} {passed} of {len(surveyed.checks)} portrait checks passed")
        files = [(self._photos / name).read_bytes() for name in TOGETHER]
        self.together = self._look(Photograph("beside each other.jpg", beside_each_other(files, GROUP_HEIGHT, GAP)))
        print(f"counted     {len(self.together.heads)} people beside each other")

    def _look(self, photo: Photograph) -> Surveyed:
        everything = {parameter: 1 for parameter, estimate in ESTIMATES.items() if estimate in self.sources}
        (image,) = self._server.send("/6/sdk", photo, everything)["images_estimations"]
        people = image["image_estimations"]["people"]
        heads = [(x, y) for x, y in people["coordinates"]]
        return Surveyed(photo, image["estimations"], heads, exchanges=self._server.taken())


def beside_each_other(files: list[bytes], height: int, gap: int) -> bytes:
    """Photographs in one, a JPEG of this height, from left to right, with white between them."""
    pictures = []
    for file in files:
        with Image.open(io.BytesIO(file)) as opened:
            size = (round(opened.width * height / opened.height), height)
            pictures.append(opened.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    width = sum(picture.width for picture in pictures) + gap * (len(pictures) - 1)
    whole = Image.new("RGB", (width, height), "white")
    left = 0
    for picture in pictures:
        whole.paste(picture, (left, 0))
        left += picture.width + gap
    buffer = io.BytesIO()
    whole.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()
