"""Clients that enrol photographs all the time and keep the books of what was acknowledged."""

import threading
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from tests.servers import PHOTOS, Server

PHOTO_NAMES = ("obama.jpg", "biden.jpg", "obama2.jpg", "obama3.jpg")
JPEG = {"Content-Type": "image/jpeg"}


@dataclass
class Books:
    """What the server said yes to. Ids that nobody acknowledged may exist or not."""

    faces: dict[str, str] = field(default_factory=dict)
    """Face id -> external id."""
    links: set[tuple[str, str]] = field(default_factory=set)
    """(list id, face id)."""
    samples: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    enrolled: int = 0
    """Faces, the deleted ones as well."""
    refusals: list[str] = field(default_factory=list)
    """Answers that are neither a yes nor one of a server that cannot serve now."""


class Enroller(threading.Thread):
    """detector -> extractor -> face in a list, and now and then a face deleted; over and over until `stop`."""

    def __init__(self, server: Server, credentials: tuple[str, str], list_id: str, number: int) -> None:
        super().__init__(daemon=True)
        self.books = Books()
        self._server = server
        self._credentials = credentials
        self._list_id = list_id
        self._number = number
        self._ended = threading.Event()

    def run(self) -> None:
        photo = (PHOTOS / PHOTO_NAMES[self._number % len(PHOTO_NAMES)]).read_bytes()
        with self._server.client(self._credentials, timeout=30) as client:
            while not self._ended.is_set():
                try:
                    self._enrol(client, photo)
                except httpx.TransportError:
                    time.sleep(0.05)  # the server is away: what was asked may have happened, it was not acknowledged

    def stop(self) -> Books:
        self._ended.set()
        self.join(60)
        assert not self.is_alive()
        return self.books

    def _enrol(self, client: httpx.Client, photo: bytes) -> None:
        found = self._ask(client, "POST", "/6/detector", content=photo, headers=JPEG)
        if found is None:
            return
        sample = found["images"][0]["detections"]["samples"][0]["face"]["sample_id"]
        self.books.samples.add(sample)
        attributes = self._ask(client, "POST", "/6/extractor", json=[sample])
        if attributes is None:
            return
        external_id = uuid4().hex
        body = {
            "attribute": {"attribute_id": attributes[0]["attribute_id"]},
            "external_id": external_id,
            "avatar": f"/6/samples/faces/{sample}",
            "lists": [self._list_id],
        }
        face = self._ask(client, "POST", "/6/faces", json=body)
        if face is None:
            return
        face_id = face["face_id"]
        self.books.faces[face_id] = external_id
        self.books.links.add((self._list_id, face_id))
        self.books.enrolled += 1
        if len(self.books.faces) % 4 == 0:
            self._remove(client, next(iter(self.books.faces)))

    def _remove(self, client: httpx.Client, face_id: str) -> None:
        # From the moment it is asked for, the face may be gone; from the answer on, it must be.
        del self.books.faces[face_id]
        self.books.links.discard((self._list_id, face_id))
        if self._ask(client, "DELETE", f"/6/faces/{face_id}") is not None:
            self.books.deleted.add(face_id)

    def _ask(self, client: httpx.Client, method: str, url: str, **body: Any) -> Any:
        """The reply's content, or None when the server cannot serve now."""
        reply = client.request(method, url, **body)
        if reply.status_code < 300:
            return reply.json() if reply.content else {}
        if reply.status_code != 503:
            told = self._server.log_text()[-3000:]
            self.books.refusals.append(f"{method} {url}: {reply.status_code} {reply.text[:300]}\n{told}")
        return None


def assert_kept(client: httpx.Client, books: list[Books], list_id: str) -> int:
    """Everything acknowledged is there and is found by search; what was deleted is neither. Returns the faces kept."""
    for book in books:
        assert not book.refusals, book.refusals[:3]
    faces = {face_id: external for book in books for face_id, external in book.faces.items()}
    deleted = {face_id for book in books for face_id in book.deleted}
    links = {face_id for book in books for _, face_id in book.links}
    samples = {sample for book in books for sample in book.samples}
    stored = {face["face_id"]: face for face in _all_faces(client)}
    assert set(faces) <= set(stored)
    assert {face_id: stored[face_id]["external_id"] for face_id in faces} == faces
    external_ids = [face["external_id"] for face in stored.values()]
    assert len(external_ids) == len(set(external_ids)), "a request was carried out twice"
    assert deleted.isdisjoint(stored)
    listed = {face_id for face_id, face in stored.items() if list_id in face["lists"]}
    assert links <= listed
    for sample in samples:
        assert client.head(f"/6/samples/faces/{sample}").status_code == 200
    found = _searched(client, list(faces), list_id)
    assert set(faces) <= found
    assert deleted.isdisjoint(found)
    return len(faces)


def _all_faces(client: httpx.Client) -> list[dict[str, Any]]:
    faces: list[dict[str, Any]] = []
    page = 1
    while True:
        reply = client.get("/6/faces", params={"page": page, "page_size": 1000})
        assert reply.status_code == 200, reply.text
        faces += reply.json()["faces"]
        if len(reply.json()["faces"]) < 1000:
            return faces
        page += 1


def _searched(client: httpx.Client, face_ids: list[str], list_id: str) -> set[str]:
    """Every face that finds itself in the list with full similarity."""
    found: set[str] = set()
    for start in range(0, len(face_ids), 30):
        part = face_ids[start : start + 30]
        references = [{"type": "face", "id": face_id} for face_id in part]
        candidates = [{"filters": {"origin": "faces", "list_id": list_id}, "limit": 1000, "threshold": 0.99}]
        reply = client.post("/6/matcher/faces", json={"references": references, "candidates": candidates})
        assert reply.status_code == 200, reply.text
        for face_id, result in zip(part, reply.json(), strict=True):
            matches = {match["face"]["face_id"] for match in result["matches"][0]["result"]}
            assert face_id in matches
            found |= matches
    return found
