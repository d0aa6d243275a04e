"""The structure of a JPEG file, as far as it decides whether decoding it is safe."""

from __future__ import annotations

import re

SCAN_LIMIT = 100
"""Scans allowed in one picture; encoders write about ten in a progressive one. Every scan makes the decoder walk over
all blocks again while it costs an attacker some hundred bytes, so a file within the size limit could occupy a core for
minutes."""

_STANDALONE = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
_MARKER_AFTER_SCAN = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]", re.DOTALL)


def count_scans(data: bytes, limit: int = SCAN_LIMIT) -> int:
    """Scans of the first picture in `data`; counting stops one beyond `limit`.

    Markers inside metadata segments (thumbnails) and behind the end of the picture (motion photos) do not count.
    """
    scans = 0
    position = 2
    while position + 1 < len(data) and scans <= limit:
        if data[position] != 0xFF:
            found = _MARKER_AFTER_SCAN.search(data, position)
            if found is None:
                break
            position = found.end() - 2
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker == _END_OF_IMAGE:
            break
        elif marker in _STANDALONE or marker == 0:
            position += 2
        else:
            scans += marker == _START_OF_SCAN
            length = int.from_bytes(data[position + 2 : position + 4], "big")
            position += 2 + max(length, 2)
            if marker == _START_OF_SCAN:
                found = _MARKER_AFTER_SCAN.search(data, position)
                if found is None:
                    break
                position = found.end() - 2
    return scans
