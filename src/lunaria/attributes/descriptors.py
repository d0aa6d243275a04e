"""Descriptors between clients and the database: which versions there are, how bytes come in and go out."""

from collections.abc import Sequence
from dataclasses import dataclass

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


class DescriptorVersions:
    """The versions that this server knows. `default`: the one that the installed pack makes."""

    def __init__(self, coding: DescriptorCoding, default: int) -> None:
        self._coding = coding
        self.default = default

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
            if error.code == _UNKNOWN_VERSION:
                raise ApiError(12036, int.from_bytes(data[len(MAGIC) : HEADER_SIZE], "little")) from None
            raise ApiError(100007, error.detail) from None
        return CodedDescriptor(found, CODING_CLIENT, data[-self._coding.dimensions[found] :])


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
