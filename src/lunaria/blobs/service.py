"""Samples, images and objects: bytes in the blob store, their records in the database.

Bytes are written before their record and removed after it, so that whatever happens between the two leaves at most
bytes that nobody can reach, never a record without bytes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from lunaria.blobs.pictures import BODY_SIZE, FACE_SIZE, prepare_sample, verify_image
from lunaria.blobs.store import BlobsStore
from lunaria.http.errors import ApiError
from lunaria.kit.concurrency import map_concurrently
from lunaria.kit.pool import WorkerPool
from lunaria.kit.times import Clock
from lunaria.storage.blobstore import BlobNotFoundError, BlobStore, blob_key
from lunaria.storage.scope import Scope
from lunaria.vision.images import Decoder

JPEG = "image/jpeg"
TRANSFERS = 8
"""Blobs that one request reads or writes at a time."""


class BlobKind(StrEnum):
    """What a blob is; also the name of the right that a token needs for it."""

    FACE_SAMPLE = "face_sample"
    BODY_SAMPLE = "body_sample"
    IMAGE = "image"
    OBJECT = "object"


_FOLDERS = {
    BlobKind.FACE_SAMPLE: "faces",
    BlobKind.BODY_SAMPLE: "bodies",
    BlobKind.IMAGE: "images",
    BlobKind.OBJECT: "objects",
}
_SAMPLE_SIZES = {BlobKind.FACE_SAMPLE: FACE_SIZE, BlobKind.BODY_SAMPLE: BODY_SIZE}


@dataclass(frozen=True, slots=True)
class BlobRecord:
    """What is known of a blob beside its bytes. `size` is in bytes."""

    kind: BlobKind
    id: UUID
    content_type: str
    size: int
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewBlob:
    """A blob that is about to be stored as it is, under an id of its own."""

    kind: BlobKind
    id: UUID
    content_type: str
    data: bytes
    meta: Mapping[str, str] = field(default_factory=dict)

    def row(self, owner: UUID, now: datetime) -> dict[str, Any]:
        """Its record."""
        return {
            "kind": self.kind,
            "blob_id": self.id,
            "account_id": owner,
            "content_type": self.content_type,
            "size": len(self.data),
            "meta": dict(self.meta),
            "create_time": now,
        }


class BlobsService:
    """The blobs of all accounts. `pool` runs the checks of pictures, `decoder` sets their limits."""

    def __init__(
        self, store: BlobsStore, blob_store: BlobStore, decoder: Decoder, pool: WorkerPool, clock: Clock
    ) -> None:
        self._store = store
        self._blob_store = blob_store
        self._decoder = decoder
        self._pool = pool
        self._clock = clock

    async def save_sample(self, kind: BlobKind, owner: UUID, data: bytes, content_type: str) -> UUID:
        """Store a picture of the sample's exact size as JPEG.

        Raises 400/11028, 400/11030 and the decoder's codes (`pictures.prepare_sample`).
        """
        jpeg = await self._pool.run(prepare_sample, self._decoder, data, content_type, _SAMPLE_SIZES[kind])
        return await self.save(kind, owner, jpeg, JPEG)

    async def save_image(self, owner: UUID, data: bytes, content_type: str, meta: Mapping[str, str]) -> UUID:
        """Store a picture with the user's meta. Raises 400/11028, 400/100010 and 400/100012."""
        await self._pool.run(verify_image, self._decoder, data, content_type)
        return await self.save(BlobKind.IMAGE, owner, data, content_type, meta)

    async def save_face_sample(self, owner: UUID, jpeg: bytes) -> UUID:
        """Store a face warp that this server made itself (a 250x250 JPEG, not checked again)."""
        return await self.save(BlobKind.FACE_SAMPLE, owner, jpeg, JPEG)

    async def save_face_samples(self, owner: UUID, jpegs: Sequence[bytes]) -> list[UUID]:
        """`save_face_sample` for many: their ids in the same order. All are stored, or the call raises."""
        return await self._save_all(BlobKind.FACE_SAMPLE, owner, jpegs, JPEG, {})

    async def save(
        self, kind: BlobKind, owner: UUID, data: bytes, content_type: str, meta: Mapping[str, str] | None = None
    ) -> UUID:
        """Store bytes as they are."""
        (blob_id,) = await self._save_all(kind, owner, [data], content_type, meta or {})
        return blob_id

    async def write(self, made: Sequence[NewBlob]) -> None:
        """Write the bytes only. They cannot be reached before the caller adds their records (`store.new_blobs`)."""

        async def write(blob: NewBlob) -> None:
            await self._blob_store.put(_key(blob.kind, blob.id), blob.data)

        await map_concurrently(write, made, TRANSFERS)

    async def find(self, scope: Scope, kinds: Collection[BlobKind], blob_id: UUID) -> BlobRecord:
        """The record of a blob of one of `kinds`. Raises 404/13003 or 404/13007."""
        row = await self._store.find(scope, kinds, blob_id)
        if row is None:
            raise _not_found(kinds, blob_id)
        return BlobRecord(BlobKind(row["kind"]), blob_id, row["content_type"], row["size"], row["meta"])

    async def read(self, scope: Scope, kinds: Collection[BlobKind], blob_id: UUID) -> tuple[BlobRecord, bytes]:
        """A blob of one of `kinds` with its bytes. Raises 404/13003 or 404/13007."""
        record = await self.find(scope, kinds, blob_id)
        return record, await self._bytes(record.kind, blob_id)

    async def load(self, scope: Scope, kind: BlobKind, blob_ids: Sequence[UUID]) -> list[bytes]:
        """The bytes of many blobs, in the order of `blob_ids`. Raises 404/13003 (13007) naming the first missing."""
        wanted = list(dict.fromkeys(blob_ids))
        existing = await self._store.existing(scope, kind, wanted) if wanted else set()
        for blob_id in wanted:
            if blob_id not in existing:
                raise _not_found([kind], blob_id)

        async def read(blob_id: UUID) -> bytes:
            return await self._bytes(kind, blob_id)

        found = dict(zip(wanted, await map_concurrently(read, wanted, TRANSFERS), strict=True))
        return [found[blob_id] for blob_id in blob_ids]

    async def delete(self, scope: Scope, kinds: Collection[BlobKind], blob_id: UUID) -> None:
        """Delete a blob of one of `kinds`. Raises 404/13003 or 404/13007."""
        kind = await self._store.delete(scope, kinds, blob_id)
        if kind is None:
            raise _not_found(kinds, blob_id)
        await self._blob_store.delete(_key(BlobKind(kind), blob_id))

    async def _save_all(
        self, kind: BlobKind, owner: UUID, contents: Sequence[bytes], content_type: str, meta: Mapping[str, str]
    ) -> list[UUID]:
        if not contents:
            return []
        made = [NewBlob(kind, uuid4(), content_type, data, meta) for data in contents]
        await self.write(made)
        now = self._clock.now()
        await self._store.add(owner, [blob.row(owner, now) for blob in made])
        return [blob.id for blob in made]

    async def _bytes(self, kind: BlobKind, blob_id: UUID) -> bytes:
        try:
            return await self._blob_store.get(_key(kind, blob_id))
        except BlobNotFoundError:
            # It was deleted after its record had been read.
            raise _not_found([kind], blob_id) from None


def _key(kind: BlobKind, blob_id: UUID) -> str:
    return blob_key(_FOLDERS[kind], blob_id)


def _not_found(kinds: Collection[BlobKind], blob_id: UUID) -> ApiError:
    return ApiError(13007 if BlobKind.OBJECT in kinds else 13003, blob_id)
