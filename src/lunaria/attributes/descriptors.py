"""Descriptors between clients and the database: which versions there are, how bytes come in and go out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lunaria.http.errors import ApiError
from lunaria.storage.schema import CODING_CLIENT, CODING_FLOAT16
from lunaria.vision.descriptor_coding import HEADER_SIZE, MAGIC, DescriptorCoding, DescriptorError
from lunaria.vision.descriptors import Descriptor

_UNKNOWN_VERSION = 200003


@dataclass(frozen=True, slots=True)
class CodedDescriptor:
    """A descriptor as the database holds it. `score` 0..1: usability, None when unknown."""

    version: int
    coding: int
    data: bytes
    score: float | None = None


def coded(descriptor: Descriptor) -> CodedDescriptor:
    """A descriptor of our own networks, for storing."""
    data = descriptor.vector.astype("<f2").tobytes()
    return CodedDescriptor(descriptor.version, CODING_FLOAT16, data, descriptor.score)


class TooManyDescriptorsError(Exception):
    """A stream has more descriptors than are allowed."""


class DescriptorVersions:
    """The versions that this server knows. `default`: the one that the installed pack makes.

    `bodies`: the versions of descriptors of bodies.
    """

    def __init__(self, coding: DescriptorCoding, default: int, bodies: Collection[int] = ()) -> None:
        self._coding = coding
        self._bodies = frozenset(bodies)
        self.default = default

    def kind(self, version: int) -> Literal["face", "body"]:
        """What descriptors of a version are of."""
        return "body" if version in self._bodies else "face"

    def require(self, version: int | None) -> None:
        """Raises 400/12036 for a version that nobody may ask for; None asks for none in particular."""
        if version is not None and version not in self._coding.dimensions:
            raise ApiError(12036, version)

    def read(self, data: bytes, version: int | None) -> CodedDescriptor:
        """A client's descriptor: with its header, or without one and with `version`. Its bytes are kept as they are.

        Raises 400/12036 and 400/100007.
        """
        self.require(version)
        try:
            _, found = self._coding.decode(data, version)
        except DescriptorError as error:
            raise _refused(error, data) from None
        return CodedDescriptor(found, CODING_CLIENT, data[-self._coding.dimensions[found] :])

    def read_stream(self, data: bytes, limit: int) -> list[CodedDescriptor]:
        """All descriptors of an XPK stream: with headers, one after the other, at most `limit`.

        Raises 400/12036, 400/100007, and TooManyDescriptorsError for more.
        """
        found: list[CodedDescriptor] = []
        position = 0
        while position < len(data) or not found:
            if len(found) == limit:
                raise TooManyDescriptorsError
            version = int.from_bytes(data[position + len(MAGIC) : position + HEADER_SIZE], "little")
            end = position + HEADER_SIZE + self._coding.dimensions.get(version, 0)
            found.append(self.read(data[position:end], None))
            position = end
        return found


def _refused(error: DescriptorError, data: bytes) -> ApiError:
    if error.code == _UNKNOWN_VERSION:
        return ApiError(12036, int.from_bytes(data[len(MAGIC) : HEADER_SIZE], "little"))
    return ApiError(100007, error.detail)


def refuse_repeated_versions(descriptors: Sequence[CodedDescriptor]) -> None:
    """Raises 400/22024 for two descriptors of one version."""
    seen: set[int] = set()
    for descriptor in descriptors:
        if descriptor.version in seen:
            raise ApiError(22024, descriptor.version)
        seen.add(descriptor.version)


def with_header(descriptor: CodedDescriptor) -> bytes:
    """The descriptor with its header, as the API shows it. Works for versions that are not installed any more, too."""
    if descriptor.coding == CODING_FLOAT16:
        vector = np.frombuffer(descriptor.data, "<f2").astype(np.float32)
        return DescriptorCoding({descriptor.version: len(vector)}).encode(vector, descriptor.version)
    return MAGIC + descriptor.version.to_bytes(HEADER_SIZE - len(MAGIC), "little") + descriptor.data
