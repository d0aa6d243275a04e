"""Generated faces, written straight into PostgreSQL: a gallery of any size in seconds.

Vectors are those of bench.search, in the 8-bit coding; unless another version is named, in the foreign version 59,
which no network of ours makes.
"""

import asyncio
import datetime
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import numpy as np
from numpy.typing import NDArray

from lunaria.storage.schema import CODING_CLIENT
from lunaria.vision.descriptor_coding import DescriptorCoding

VERSION = 59
DIMENSION = 512
AT_ONCE = 20_000


@dataclass(frozen=True)
class Gallery:
    """The faces that were written. `codes` (N, D) uint8: their descriptors as the API writes them."""

    faces: list[UUID]
    codes: NDArray[np.uint8]

    def descriptor(self, number: int) -> bytes:
        """A face's descriptor with its header."""
        coding = DescriptorCoding({})
        vector, _ = coding.decode(self.codes[number].tobytes(), VERSION)
        return coding.encode(vector, VERSION)


def fill(
    database_url: str,
    account: UUID,
    count: int,
    *,
    logged: bool = False,
    version: int = VERSION,
    dimension: int = DIMENSION,
) -> Gallery:
    """Write `count` faces of the account. Unless they are `logged` as changes, a running server does not see them."""
    random = np.random.default_rng(7)
    codes = np.empty((count, dimension), np.uint8)
    for start in range(0, count, AT_ONCE):
        vectors = random.standard_normal((min(AT_ONCE, count - start), dimension), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        codes[start : start + len(vectors)] = np.clip(np.rint(128 + 128 * vectors), 0, 255).astype(np.uint8)
    faces = [uuid.uuid4() for _ in range(count)]
    asyncio.run(_write(database_url, account, faces, codes, version, logged))
    return Gallery(faces, codes)


async def _write(
    database_url: str, account: UUID, faces: list[UUID], codes: NDArray[np.uint8], version: int, logged: bool
) -> None:
    now = datetime.datetime.now(datetime.UTC)
    connection = await asyncpg.connect(database_url)
    try:
        if not logged:
            # Without triggers and the checks of foreign keys, which take most of the time.
            await connection.execute("SET session_replication_role = replica")
        await connection.copy_records_to_table(
            "faces",
            columns=["face_id", "account_id", "user_data", "create_time"],
            records=((face, account, f"face {number}", now) for number, face in enumerate(faces)),
        )
        await connection.copy_records_to_table(
            "face_descriptors",
            columns=["face_id", "version", "coding", "data"],
            records=_descriptors(faces, codes, version),
        )
        await connection.execute("ANALYZE faces, face_descriptors")
    finally:
        await connection.close()


def _descriptors(faces: list[UUID], codes: NDArray[np.uint8], version: int) -> Iterator[tuple[Any, ...]]:
    for face, code in zip(faces, codes, strict=True):
        yield face, version, CODING_CLIENT, code.tobytes()
