"""What the embedded PostgreSQL is started with."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

MEBIBYTE = 1024 * 1024
LEAST_BUFFERS, MOST_BUFFERS = 128 * MEBIBYTE, 512 * MEBIBYTE
BUFFERS_SHARE = 16
"""PostgreSQL keeps pages of tables and indexes in a sixteenth of the memory, within these bounds.

What is not there it copies from the operating system and checks, which takes half of the time of a search that reads
many rows. Memory is taken as pages are used.
"""
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container's limit stands: the second and the first version of control groups."""

_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "max_connections": "100",
        "max_wal_size": "512MB",  # bounds the time of crash recovery
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "jit": "off",
        "password_encryption": "scram-sha-256",
        "unix_socket_permissions": "0700",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "logging_collector": "off",
        "log_checkpoints": "off",
        # What users stored does not belong into a log: no statement texts, no "Key (login)=(...)".
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
    }
)


def server_settings() -> dict[str, str]:
    """The settings, by name, for a server on this machine."""
    buffers = min(max(_memory() // BUFFERS_SHARE, LEAST_BUFFERS), MOST_BUFFERS)
    return {**_SETTINGS, "shared_buffers": f"{buffers // MEBIBYTE}MB"}


def _memory() -> int:
    """Bytes of memory of this machine, or of the container that this runs in."""
    limits = (path.read_text().strip() for path in _LIMITS if path.exists())
    of_machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([of_machine, *(int(text) for text in limits if text.isdigit())])  # else "max"
