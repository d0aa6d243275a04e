"""What a model pack says about itself: for every file where it comes from, how it is read and what is known of it.

A pack is a JSON document. Its networks are keyed by role ("face_detector", "face_descriptor" ...): a role is what the
rest of the product asks for, the file behind it can be replaced by an operator. A pack of photographs uses the same
sources and checks.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import msgspec

Registry = Literal["pypi-wheel", "pypi-sdist", "npm", "url", "built-in"]
Reader = Literal[
    "copy", "onnx", "minifasnet", "mobilenet-v2-quality", "canonical-face-mesh", "efficientnet-lite0", "tfjs"
]
Transform = Literal["dynamic-size", "dynamic-batch", "strip-inputs", "prelu-to-depthwise"]
Licence = Literal["open", "research"]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]

BUILT_IN_PACKS = ("default", "photos")


class ManifestError(ValueError):
    """A manifest that cannot be read or that contradicts itself; the text names the document and the fault."""


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One place that has the file.

    `path` is the file inside the package. When that file is itself a zip archive, `member` names the file in it.
    `sha256` is the hash of the file finally taken out. `wheel_tag` chooses among the wheels of a package that has
    one for each platform; the machine that pulls never has to be of that platform, as nothing is executed. The registry
    "built-in" is the product itself: `path` is a file beside the manifest. `beside` names further files of the same
    folder that the first one needs, each with its own SHA-256, such as the weights of a TensorFlow.js model.
    """

    registry: Registry
    sha256: Sha256
    package: str = ""
    version: str = ""
    path: str = ""
    member: str = ""
    url: str = ""
    wheel_tag: str = "py3-none-any"
    beside: dict[str, Sha256] = {}

    def __post_init__(self) -> None:
        if self.registry == "url":
            if not self.url.startswith("https://"):
                raise ValueError("a source of the registry 'url' needs an https address")
        elif self.registry == "built-in":
            if not self.path or not _stays_inside(self.path):
                raise ValueError("a source of the registry 'built-in' needs a path that stays beside the manifest")
        elif not (self.package and self.version and self.path):
            raise ValueError(f"a source of the registry {self.registry!r} needs package, version and path")
        if self.beside and self.member:
            raise ValueError("files beside a file inside an archive cannot be named")
        if any(not _stays_inside(name) or len(PurePosixPath(name).parts) != 1 for name in self.beside):
            raise ValueError("the files beside a source are named without a folder")

    @property
    def archive(self) -> str:
        """What has to be downloaded to get at the file; equal for files of the same package."""
        if self.registry == "url":
            return self.url
        return f"{self.registry}:{self.package}=={self.version}"

    def neighbours(self) -> dict[str, Source]:
        """The sources of the files in `beside`, by name."""
        return {name: self._neighbour(name, sha256) for name, sha256 in self.beside.items()}

    def _neighbour(self, name: str, sha256: str) -> Source:
        path = str(PurePosixPath(self.path).with_name(name)) if self.path else ""
        url = f"{self.url.rpartition('/')[0]}/{name}" if self.url else ""
        return msgspec.structs.replace(self, path=path, url=url, sha256=sha256, beside={})


def _stays_inside(path: str) -> bool:
    parts = PurePosixPath(path)
    return bool(parts.parts) and not parts.is_absolute() and ".." not in parts.parts and "\\" not in path


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A fixed input and what the network answered to it when the pack was made.

    The input is a sequence of pseudo-random numbers in low..high that `packs.verify.check_input` defines. `outputs`
    holds, per output in the order of the graph, eight values spread evenly over the flattened tensor. They must be met
    within `tolerance` times the largest magnitude of that output. A network whose rows may change places, as those of a
    detector that sorts by score, or whose answer is nearly all zeros is `unordered`: its numbers are sorted before the
    eight are chosen.
    """

    input: str
    shape: tuple[int, ...]
    low: float
    high: float
    outputs: list[list[float]]
    tolerance: float = 2e-3
    unordered: bool = False


class SimilarityScale(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Knots (cosine, similarity) of a piecewise linear, rising map, and the measurement that they rest on."""

    knots: list[tuple[float, float]]
    evidence: str

    def __post_init__(self) -> None:
        if len(self.knots) < 2:
            raise ValueError("a similarity scale needs at least two knots")
        for (cosine, similarity), (next_cosine, next_similarity) in zip(self.knots, self.knots[1:], strict=False):
            if next_cosine <= cosine or next_similarity < similarity:
                raise ValueError("the knots of a similarity scale must rise")


class DescriptorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What has to be known of a descriptor network: descriptors of different versions are never compared."""

    version: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    dimension: Annotated[int, msgspec.Meta(ge=1, le=4096)]
    similarity: SimilarityScale


class Preprocessing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How pixels (0..255) become the input tensor: value = (pixel - mean) / scale, in this channel order and layout."""

    width: int | None = None
    height: int | None = None
    channels: Literal["RGB", "BGR", "GRAY"] = "RGB"
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    crop: str = ""


class Asset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file of a pack, as it lies in the folder after the pull.

    `outputs` belongs to readers of graphs that have more than is wanted: the names that the outputs of the network
    shall have, and what the source calls them.
    """

    file: str
    sources: list[Source]
    reader: Reader = "copy"
    transforms: list[Transform] = []
    outputs: dict[str, str] = {}
    converted_sha256: Sha256 | None = None
    licence: Licence = "open"
    licence_notes: str = ""

    def __post_init__(self) -> None:
        if not _stays_inside(self.file):
            raise ValueError(f"the file name {self.file!r} must stay inside the folder of the models")

    def recipe(self) -> str:
        """A hash of everything that decides the bytes after conversion, apart from the program itself."""
        parts = [self.reader, *self.transforms, *sorted({source.sha256 for source in self.sources})]
        parts += sorted({sha256 for source in self.sources for sha256 in source.beside.values()})
        parts += [f"{name}={tensor}" for name, tensor in self.outputs.items()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Network(Asset, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A network, or the constants that belong to one, under the role that the product asks for."""

    role: str
    kind: str
    title: str
    preprocessing: Preprocessing | None = None
    parameters: dict[str, Any] = {}
    descriptor: DescriptorSpec | None = None
    training_data: str = ""
    trained: str = ""
    measured: dict[str, str] = {}
    check: Check | None = None


class Photo(Asset, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A photograph for the demonstration and for tests."""

    title: str


class Pack(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A set of networks or photographs that is pulled and checked together."""

    name: str
    title: str
    licence_notes: str = ""
    networks: dict[str, Network] = {}
    photos: dict[str, Photo] = {}

    def __post_init__(self) -> None:
        for role, network in self.networks.items():
            if role != network.role:
                raise ValueError(f"the network under the role {role!r} calls itself {network.role!r}")
        files = [asset.file for asset in self.assets().values()]
        if len(files) != len(set(files)):
            raise ValueError("two entries of a pack name the same file")

    def assets(self) -> dict[str, Asset]:
        """Everything that has a file, by role or by name."""
        return {**self.networks, **self.photos}


def load_pack(path: Path) -> Pack:
    """Read a manifest from a file. Raises ManifestError."""
    try:
        return parse_pack(path.read_bytes(), str(path))
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from error


def built_in_pack(name: str) -> Pack:
    """A pack that comes with the product: "default" (the networks) or "photos"."""
    if name not in BUILT_IN_PACKS:
        raise ManifestError(f"no pack called {name!r}; there are {', '.join(BUILT_IN_PACKS)}")
    data = resources.files(__package__).joinpath(f"{name}.json").read_bytes()
    return parse_pack(data, f"{name}.json")


def parse_pack(data: bytes, origin: str) -> Pack:
    """Read a manifest from JSON. `origin` is named in errors. Raises ManifestError."""
    try:
        return msgspec.json.decode(data, type=Pack)
    except msgspec.DecodeError as error:
        raise ManifestError(f"{origin}: {error}") from error
