"""Which estimates this server can make, and with what. One table for the refusals and for /features."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from lunaria.http.errors import ApiError
from lunaria.system.schemas import EstimationSource
from lunaria.vision.packs.store import ModelStore

AVAILABLE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "face_detection": ("face_detector",),
        "face_landmarks5": ("face_landmarks68",),
        "face_landmarks68": ("face_landmarks68",),
        "face_descriptor": ("face_landmarks68", "face_descriptor"),
        "head_pose": ("face_mesh",),
    }
)
"""Estimates by name, with the roles of the networks that they run on."""

MISSING = frozenset(
    {
        "emotions",
        "mask",
        "glasses",
        "liveness",
        "deepfake",
        "quality",
        "gaze",
        "eyes_attributes",
        "mouth_attributes",
        "face_quality",
        "iso",
        "basic_attributes",
        "body_detection",
        "body_descriptor",
        "body_attributes",
        "people_count",
    }
)
"""Estimates that the API names and that this server has no network for."""


def refuse_missing(wanted: Iterable[str]) -> None:
    """Raise 403/11044 naming the first of the wanted estimates that cannot be made."""
    for name in wanted:
        if name in MISSING:
            raise ApiError(11044, name)


def sources(store: ModelStore) -> dict[str, EstimationSource]:
    """What every available estimate is computed with."""
    made = {}
    for name, roles in AVAILABLE.items():
        networks = [store.spec(role) for role in roles]
        licence = "research" if any(network.licence == "research" for network in networks) else "open"
        made[name] = EstimationSource(", ".join(network.title for network in networks), licence)
    return made
