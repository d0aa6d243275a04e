"""What the quickstart does, request by request, with everything that the page shows of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lunaria.demo.conversation import Conversation, Exchange, Photograph

THRESHOLD = 0.9
"""Least similarity that the demo calls a match: at most one in 10,000 pairs of strangers reaches it."""

ENROLLED = {"obama.jpg": "Barack Obama", "biden.jpg": "Joe Biden"}
IDENTIFIED = ("obama2.jpg", "obama3.jpg", "obama_partial_face.jpg", "obama_partial_face2.jpg", "astronaut.png")


@dataclass(slots=True)
class Sight:
    """A photograph and what was found in it."""

    photo: Photograph
    faces: list[dict[str, Any]]
    """Detections: rect, landmarks5, landmarks68, attributes."""
    title: str
    matches: list[tuple[str, float]] = field(default_factory=list)
    """(name, similarity), best first."""
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def recognised(self) -> str | None:
        return self.matches[0][0] if self.matches and self.matches[0][1] >= THRESHOLD else None


class Story:
    """Runs on any server of this API; `photos` is the folder of the photographs."""

    def __init__(self, server: Conversation, photos: Path) -> None:
        self._server = server
        self._photos = photos
        self.account: list[Exchange] = []
        self.enrolled: list[Sight] = []
        self.identified: list[Sight] = []

    def tell(self) -> None:
        """Make an account and a list, enrol, identify. Raises httpx.HTTPStatusError when the server refuses."""
        self._server.register()
        list_id = self._server.call("POST", "/6/lists", json={"user_data": "known people"})["list_id"]
        self.account = self._server.taken()
        for name, person in ENROLLED.items():
            self.enrolled.append(self._enrol(Photograph.read(self._photos / name), person, list_id))
            print(f"enrolled    {person:15} from {name}")
        for name in IDENTIFIED:
            sight = self._identify(Photograph.read(self._photos / name), list_id)
            self.identified.append(sight)
            best = f"{sight.matches[0][0]} {sight.matches[0][1]:.3f}" if sight.matches else "nobody"
            print(f"identified  {name:25} {sight.recognised or 'a stranger':15} (most similar: {best})")

    def _enrol(self, photo: Photograph, person: str, list_id: str) -> Sight:
        params = {"detect_landmarks68": 1, "estimate_head_pose": 1}
        reply = self._server.send("/6/detector", photo, params)
        face = reply["images"][0]["detections"]["samples"][0]["face"]
        (attribute,) = self._server.call("POST", "/6/extractor", json=[face["sample_id"]])
        new_face = {
            "attribute": {"attribute_id": attribute["attribute_id"]},
            "user_data": person,
            "avatar": face["url"],
            "lists": [list_id],
        }
        self._server.call("POST", "/6/faces", json=new_face)
        return Sight(photo, [face["detection"]], person, exchanges=self._server.taken())

    def _identify(self, photo: Photograph, list_id: str) -> Sight:
        params = {"detect_face": 1, "estimate_landmarks5": 1, "estimate_landmarks68": 1, "estimate_head_pose": 1}
        reply = self._server.send("/6/sdk", photo, params)
        faces = [found["face"]["detection"] for found in reply["images_estimations"][0]["estimations"]]
        if not faces:
            return Sight(photo, [], photo.name, exchanges=self._server.taken())
        descriptor = faces[0]["attributes"]["descriptor"]["sdk_descriptor"]
        wanted = {
            "references": [{"type": "sdk_descriptor", "id": photo.name, "data": descriptor}],
            "candidates": [
                {
                    "filters": {"origin": "faces", "list_id": list_id},
                    "limit": 2,
                    "targets": ["face_id", "user_data", "similarity"],
                }
            ],
        }
        (result,) = self._server.call("POST", "/6/matcher/faces", json=wanted)
        matches = [(one["face"]["user_data"], one["similarity"]) for one in result["matches"][0]["result"]]
        return Sight(photo, faces, photo.name, matches, self._server.taken())
