"""What the quickstart does, request by request, with everything that the page shows of it."""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

PASSWORD = "quickstart"  # noqa: S105 - of an account that the demo makes for itself
THRESHOLD = 0.9
"""Least similarity that the demo calls a match: at most one in 10,000 pairs of strangers reaches it."""

ENROLLED = {"obama.jpg": "Barack Obama", "biden.jpg": "Joe Biden"}
IDENTIFIED = ("obama2.jpg", "obama3.jpg", "obama_partial_face.jpg", "obama_partial_face2.jpg", "astronaut.png")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request with its reply, as a person would read them."""

    request: str
    reply: str


@dataclass(slots=True)
class Sight:
    """A photograph and what was found in it."""

    photo: Path
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

    def __init__(self, client: httpx.Client, photos: Path) -> None:
        self._client = client
        self._photos = photos
        self._exchanges: list[Exchange] = []
        self.account: list[Exchange] = []
        self.enrolled: list[Sight] = []
        self.identified: list[Sight] = []

    def tell(self) -> None:
        """Make an account and a list, enrol, identify. Raises httpx.HTTPStatusError when the server refuses."""
        login = f"demo-{uuid4().hex[:8]}@example.org"
        body = {"login": login, "password": PASSWORD, "account_type": "user"}
        self._call("POST", "/6/accounts", json=body)
        self._client.auth = httpx.BasicAuth(login, PASSWORD)
        list_id = self._call("POST", "/6/lists", json={"user_data": "known people"})["list_id"]
        self.account = self._taken()
        for name, person in ENROLLED.items():
            self.enrolled.append(self._enrol(self._photos / name, person, list_id))
            print(f"enrolled    {person:15} from {name}")
        for name in IDENTIFIED:
            sight = self._identify(self._photos / name, list_id)
            self.identified.append(sight)
            best = f"{sight.matches[0][0]} {sight.matches[0][1]:.3f}" if sight.matches else "nobody"
            print(f"identified  {name:25} {sight.recognised or 'a stranger':15} (most similar: {best})")

    def _enrol(self, photo: Path, person: str, list_id: str) -> Sight:
        params = {"detect_landmarks68": 1, "estimate_head_pose": 1}
        reply = self._photo("/6/detector", photo, params)
        face = reply["images"][0]["detections"]["samples"][0]["face"]
        (attribute,) = self._call("POST", "/6/extractor", json=[face["sample_id"]])
        new_face = {
            "attribute": {"attribute_id": attribute["attribute_id"]},
            "user_data": person,
            "avatar": face["url"],
            "lists": [list_id],
        }
        self._call("POST", "/6/faces", json=new_face)
        return Sight(photo, [face["detection"]], person, exchanges=self._taken())

    def _identify(self, photo: Path, list_id: str) -> Sight:
        params = {"detect_face": 1, "estimate_landmarks5": 1, "estimate_landmarks68": 1, "estimate_head_pose": 1}
        reply = self._photo("/6/sdk", photo, params)
        faces = [found["face"]["detection"] for found in reply["images_estimations"][0]["estimations"]]
        if not faces:
            return Sight(photo, [], photo.name, exchanges=self._taken())
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
        (result,) = self._call("POST", "/6/matcher/faces", json=wanted)
        matches = [(one["face"]["user_data"], one["similarity"]) for one in result["matches"][0]["result"]]
        return Sight(photo, faces, photo.name, matches, self._taken())

    def _photo(self, path: str, photo: Path, params: dict[str, int]) -> Any:
        kind = "image/png" if photo.suffix == ".png" else "image/jpeg"
        return self._call(
            "POST", path, params=params, content=photo.read_bytes(), headers={"Content-Type": kind}, shown=photo.name
        )

    def _call(self, method: str, path: str, shown: str = "", **request: Any) -> Any:
        reply = self._client.request(method, path, **request)
        if reply.is_error:
            raise httpx.HTTPStatusError(reply.text, request=reply.request, response=reply)
        sent = f"< {shown}" if shown else _readable(request.get("json"))
        url = reply.request.url.raw_path.decode()
        body = reply.json() if reply.content else None
        self._exchanges.append(Exchange(f"{method} {url}\n{sent}", f"{reply.status_code}\n{_readable(body)}"))
        return body

    def _taken(self) -> list[Exchange]:
        taken, self._exchanges = self._exchanges, []
        return taken


def _readable(body: Any) -> str:
    return json.dumps(_shortened(body), indent=1, ensure_ascii=False) if body is not None else ""


def _shortened(value: Any) -> Any:
    """Long texts and arrays cut, so that a reply can be taken in at a glance."""
    if isinstance(value, dict):
        return {name: _shortened(item) for name, item in value.items()}
    if isinstance(value, list):
        kept = [_shortened(item) for item in value[:3]]
        return [*kept, f"... {len(value)} in all"] if len(value) > 5 else [_shortened(item) for item in value]
    if isinstance(value, str) and len(value) > 80:
        return f"{value[:32]}... ({len(value)} characters)"
    return value


def data_uri(image: bytes) -> str:
    """A JPEG for use inside a page."""
    return "data:image/jpeg;base64," + base64.b64encode(image).decode()
