"""Keeping trained weights: the file in the pack's folder `own`, and its entry in the manifest of the default pack."""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import json
from pathlib import Path
from typing import Any

from lunaria.vision.packs.manifest import parse_pack

PACKS = Path(__file__).parents[1] / "src" / "lunaria" / "vision" / "packs"
MANIFEST = PACKS / "default.json"
OWN = PACKS / "own"


def record(role: str, file: str, data: bytes, entry: dict[str, Any]) -> None:
    """Write `data` as the weights of a role, and its entry.

    `entry` holds kind, title, licence, licence_notes, training_data, measured (texts by name) and, where they apply,
    preprocessing, parameters and descriptor, as lunaria.vision.packs.manifest.Network. The date of the training is
    added. Several processes may record at the same time.
    """
    OWN.mkdir(exist_ok=True)
    (OWN / file).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    network = {
        "role": role,
        "file": file,
        "sources": [{"registry": "built-in", "path": f"own/{file}", "sha256": digest}],
        "converted_sha256": digest,
        "trained": datetime.date.today().isoformat(),
        **entry,
    }
    update(role, network)


def update(role: str, network: dict[str, Any]) -> None:
    """Put the entry of a role into the manifest in place of the one before."""
    with MANIFEST.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        pack = json.load(file)
        pack["networks"][role] = network
        text = json.dumps(pack, indent=2, ensure_ascii=False) + "\n"
        parse_pack(text.encode(), str(MANIFEST))
        file.seek(0)
        file.write(text)
        file.truncate()
