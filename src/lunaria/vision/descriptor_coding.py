"""Descriptors as bytes: 8 bits a component, with or without the header of an SDK descriptor.

Header: "dp" and two zero bytes, then the model version as an unsigned 32-bit number, little-endian; then one byte per
component, 128 + 128 * component of the unit vector, rounded and clipped. An XPK stream is one or several of these, one
after the other.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

MAGIC = b"dp\x00\x00"
HEADER_SIZE = 8
_CENTRE = 128

FOREIGN_DIMENSIONS: Mapping[int, int] = {46: 256, 52: 256, 54: 512, 56: 512, 57: 512, 58: 512, 59: 512, 60: 512}
"""Components of the versions that clients may bring. They are compared among themselves only."""


class DescriptorError(Exception):
    """Bytes that are no descriptor. `code`: 26302 cannot be read, 100007 has no direction, 200003 unknown version."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class DescriptorCoding:
    """Reads and writes descriptors of known versions.

    `dimensions`: version -> number of components of the own models, in addition to the foreign ones.
    """

    def __init__(self, dimensions: Mapping[int, int]) -> None:
        self.dimensions: Mapping[int, int] = {**FOREIGN_DIMENSIONS, **dimensions}

    def encode(self, vector: Vector, version: int, *, header: bool = True) -> bytes:
        """The bytes of a unit vector (D,). Raises DescriptorError when its length is not that of the version."""
        if vector.shape != (self._dimension(version),):
            expected = self._dimension(version)
            raise DescriptorError(
                26302, f"A descriptor of version {version} has {expected} components, not {vector.size}"
            )
        data = np.clip(np.rint(_CENTRE + _CENTRE * vector.astype(np.float64)), 0, 255).astype(np.uint8).tobytes()
        return MAGIC + struct.pack("<I", version) + data if header else data

    def decode(self, data: bytes, version: int | None = None) -> tuple[Vector, int]:
        """The unit vector (D,) float32 and the version of one descriptor.

        With a header the version comes from there, and a given `version` must be the same; without one it must be
        given. Raises DescriptorError.
        """
        if data.startswith(MAGIC) and len(data) != self.dimensions.get(version or -1):
            found = self.decode_stream(data)
            if len(found) != 1:
                raise DescriptorError(26302, f"One descriptor was expected, the data holds {len(found)}")
            if version is not None and found[0][1] != version:
                raise DescriptorError(26302, f"The descriptor has version {found[0][1]}, not {version}")
            return found[0]
        if version is None:
            raise DescriptorError(26302, "The descriptor has no header, so its version has to be given")
        return self._vector(data, version), version

    def decode_stream(self, data: bytes) -> list[tuple[Vector, int]]:
        """All descriptors of an XPK stream: descriptors with headers, one after the other. Raises DescriptorError."""
        found: list[tuple[Vector, int]] = []
        position = 0
        while position < len(data) or not found:
            if data[position : position + len(MAGIC)] != MAGIC or len(data) - position < HEADER_SIZE:
                raise DescriptorError(26302, f"No descriptor header at byte {position}")
            (version,) = struct.unpack_from("<I", data, position + len(MAGIC))
            start = position + HEADER_SIZE
            position = start + self._dimension(version)
            found.append((self._vector(data[start:position], version), version))
        return found

    def _dimension(self, version: int) -> int:
        try:
            return self.dimensions[version]
        except KeyError:
            raise DescriptorError(200003, f"Not supported descriptor version {version}") from None

    def _vector(self, data: bytes, version: int) -> Vector:
        dimension = self._dimension(version)
        if len(data) != dimension:
            raise DescriptorError(26302, f"A descriptor of version {version} has {dimension} bytes, not {len(data)}")
        centred = np.frombuffer(data, np.uint8).astype(np.float32) - _CENTRE
        length = float(np.linalg.norm(centred))
        if length == 0:
            raise DescriptorError(100007, "All components of the descriptor are zero")
        return centred / np.float32(length)
