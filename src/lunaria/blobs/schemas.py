"""Wire objects of samples, images and objects, and the meta headers of images."""

import re
from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from lunaria.http.errors import ApiError
from lunaria.http.query import Flag, Query

META_PREFIX = "x-luna-meta-"
META_LIMIT = 8192
"""Most bytes of all keys and values of an image's meta: what common servers and proxies accept as headers."""

_KEY = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class SampleCreated(Struct, frozen=True):
    """Where a new sample lies."""

    sample_id: UUID
    url: str


class ImageCreated(Struct, frozen=True):
    """Where a new image lies."""

    image_id: UUID
    url: str


class ObjectCreated(Struct, frozen=True):
    """Where a new object lies."""

    object_id: UUID
    url: str


class ImageQuery(Query, frozen=True, kw_only=True):
    with_meta: Annotated[Flag, Meta(description="Whether to send the image's meta as X-Luna-Meta-* headers.")] = 0


def meta_of(headers: Mapping[str, str]) -> dict[str, str]:
    """The user's meta among request headers (lower-case names): key -> value, without control characters.

    Raises 400/12046 for a key that no header name may have, and for too much of it.
    """
    meta: dict[str, str] = {}
    for name, value in headers.items():
        if not name.startswith(META_PREFIX):
            continue
        key = name.removeprefix(META_PREFIX)
        if not _KEY.fullmatch(key):
            raise ApiError(12046, f"the header '{name[:100]}' does not name a key of the meta")
        meta[key] = _CONTROLS.sub("", value).strip()
    if sum(len(key) + len(value) for key, value in meta.items()) > META_LIMIT:
        raise ApiError(12046, f"the X-Luna-Meta-* headers are longer than {META_LIMIT} bytes")
    return meta


def meta_headers(meta: Mapping[str, str]) -> dict[str, str]:
    """Response headers that carry the meta."""
    return {f"X-Luna-Meta-{key}": value for key, value in meta.items()}
