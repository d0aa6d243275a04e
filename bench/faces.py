"""The two ways to the face of a photograph: networks in this process, or a running server."""

import base64
import os
import threading
import zipfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import httpx
import numpy as np
from numpy.typing import NDArray

from bench.report import progress
from lunaria.vision.analysis import Analyzer
from lunaria.vision.descriptor_coding import HEADER_SIZE, DescriptorCoding
from lunaria.vision.images import Decoder, Image
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.plan import Plan

REPOSITORY = Path(__file__).parents[1]

Found = TypeVar("Found")
Seen = TypeVar("Seen", covariant=True)
Picture = TypeVar("Picture")
Shown = TypeVar("Shown", contravariant=True)


@dataclass(frozen=True, slots=True)
class Face:
    """A face in the middle of a photograph. `box`: x1, y1, x2, y2; `vector`: unit descriptor (D,)."""

    box: NDArray[np.float64]
    vector: NDArray[np.float32]


class Finder(Protocol[Shown, Seen]):
    """Finds the face that a photograph is about. Thread-safe."""

    def face(self, data: Shown) -> Seen | None: ...


class Source(Finder[bytes, Face], Protocol):
    """Finds it with its descriptor."""

    name: str


def models_folder(given: Path | None = None) -> Path:
    """Where the networks are: as given, as the server's setting says, or where `make run` puts them."""
    named = os.environ.get("LUNARIA_MODELS_FOLDER")
    return given or (Path(named) if named else REPOSITORY / "data" / "models")


def central(faces: Sequence[Found], boxes: Sequence[NDArray[np.float64]], width: float, height: float) -> Found | None:
    """Of several faces the one nearest to the middle of the photograph: in this data set the person that is named.

    `boxes`: x1, y1, x2, y2 of each.
    """
    if not faces:
        return None
    away = [float(np.linalg.norm((box[:2] + box[2:]) / 2 - np.array([width, height]) / 2)) for box in boxes]
    return faces[int(np.argmin(away))]


class InProcess:
    """The networks, called directly."""

    def __init__(self, store: ModelStore) -> None:
        self.analyzer = Analyzer(store)
        self.decoder = Decoder()
        self.name = "in process"

    def face(self, data: bytes) -> Face | None:
        return self.face_in(self.decoder.decode(data).pixels)

    def face_in(self, pixels: NDArray[np.uint8]) -> Face | None:
        """The central face of an RGB image."""
        faces = [
            Face(
                np.array(
                    [found.rect.x, found.rect.y, found.rect.x + found.rect.width, found.rect.y + found.rect.height],
                    float,
                ),
                found.descriptor.vector,
            )
            for found in self.analyzer.analyze(image(pixels), Plan(descriptor=True))
            if found.descriptor is not None
        ]
        return central(faces, [face.box for face in faces], pixels.shape[1], pixels.shape[0])


def image(pixels: NDArray[np.uint8]) -> Image:
    return Image(pixels=pixels, format="PNG")


class OverHttp:
    """A running server's /6/sdk. Descriptors come in 8 bits a component."""

    def __init__(self, url: str, login: str, password: str) -> None:
        self._client = httpx.Client(base_url=url, auth=(login, password), timeout=60)
        self._decoder = Decoder()
        self.name = "over HTTP, descriptors in 8 bits a component"

    def face(self, data: bytes) -> Face | None:
        reply = self._client.post(
            "/6/sdk?detect_face=1&estimate_face_descriptor=1", content=data, headers={"Content-Type": "image/jpeg"}
        )
        reply.raise_for_status()
        (found,) = reply.json()["images_estimations"]
        if not found["status"]:
            raise RuntimeError(f"the server could not read a photograph: {found['error']}")
        faces = []
        for person in found["estimations"]:
            detection = person["face"]["detection"]
            rect = detection["rect"]
            descriptor = base64.b64decode(detection["attributes"]["descriptor"]["sdk_descriptor"])
            box = np.array([rect["x"], rect["y"], rect["x"] + rect["width"], rect["y"] + rect["height"]], float)
            version, dimension = int.from_bytes(descriptor[4:8], "little"), len(descriptor) - HEADER_SIZE
            faces.append(Face(box, DescriptorCoding({version: dimension}).decode(descriptor)[0]))
        height, width = self._decoder.decode(data).pixels.shape[:2]
        return central(faces, [face.box for face in faces], width, height)


def faces_of(
    source: Finder[Picture, Found], photographs: Iterable[tuple[str, Picture]], count: int, workers: int
) -> dict[str, Found | None]:
    """The face of every named photograph, several at a time, with progress."""
    done: dict[str, Found | None] = {}
    waiting = threading.Semaphore(workers * 4)
    with ThreadPoolExecutor(workers) as pool:

        def work(name: str, data: Picture) -> None:
            try:
                done[name] = source.face(data)
            finally:
                waiting.release()
            if len(done) % 250 == 0:
                progress(f"{len(done)} of {count} photographs")

        tasks = []
        for name, data in photographs:
            waiting.acquire()  # so that not all photographs lie in memory
            tasks.append(pool.submit(work, name, data))
        for task in tasks:
            task.result()
    return done


def files(source: Path, suffixes: Sequence[str] = (".jpg", ".jpeg", ".png")) -> dict[str, bytes]:
    """Every photograph in a folder or zip by name."""
    if source.is_dir():
        found = sorted(file for file in source.rglob("*") if file.suffix.lower() in suffixes)
        return {file.relative_to(source).as_posix(): file.read_bytes() for file in found}
    if not source.exists():
        raise SystemExit(f"there are no photographs at {source}: see `lunaria models pull --photos`")
    with zipfile.ZipFile(source) as archive:
        return {
            name: archive.read(name) for name in sorted(archive.namelist()) if name.lower().endswith(tuple(suffixes))
        }
