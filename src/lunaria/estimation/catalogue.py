"""Which estimates this server can make, and with what. One table for the refusals and for /features."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from lunaria.estimation.examination import Order
from lunaria.http.errors import ApiError
from lunaria.system.schemas import EstimationSource
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.plan import ImageType
from lunaria.vision.runtime import readable

Roles = tuple[str, ...]

_GLASSES: Roles = ("body_features", "face_glasses")
"""Sunglasses hide eyes; where nothing tells glasses, no eye counts as hidden by them."""
_MOVEMENTS: Roles = ("face_mesh", "face_blendshapes")
_CHECKS: Roles = (*_MOVEMENTS, "portrait_segmentation", "body_keypoints", "face_features")
_ALL_CHECKS: Roles = (*_CHECKS, "face_emotions_head", "face_mask", *_GLASSES, "face_headwear")
_OPEN_CHECKS: Roles = (*_CHECKS, "face_mask_open")
"""The checks of glasses and headwear are left out where nothing tells these."""

ESTIMATES: Mapping[str, tuple[Roles, ...]] = MappingProxyType(
    {
        "face_detection": (("face_detector",),),
        "face_landmarks5": (("face_landmarks68",),),
        "face_landmarks68": (("face_landmarks68",),),
        "face_descriptor": (("face_landmarks68", "face_descriptor"),),
        "head_pose": (("face_mesh",), ("face_landmarks68",)),
        "emotions": (("face_emotions", "face_features", "face_emotions_head"), ("face_emotions_open",)),
        "mask": (("face_features", "face_mask"), ("face_features", "face_mask_open")),
        "glasses": (("body_features", "face_glasses"),),
        "liveness": (("face_liveness_27", "face_liveness_40"),),
        "deepfake": (("face_deepfake",),),
        "quality": (("face_landmarks68",),),
        "gaze": ((*_MOVEMENTS, *_GLASSES), _MOVEMENTS),
        "eyes_attributes": (("face_mesh", *_GLASSES), ("face_mesh",)),
        "mouth_attributes": tuple(
            (*_MOVEMENTS, "face_features", *emotions, mask)
            for emotions in (("face_emotions_head",), ())
            for mask in ("face_mask", "face_mask_open")
        ),
        "basic_attributes": tuple(
            ("face_features", "face_age", *age, "face_gender", ethnicity)
            for age in (("face_age_head",), ())
            for ethnicity in ("face_ethnicity", "face_ethnicity_open")
        ),
        "face_quality": (_ALL_CHECKS, _OPEN_CHECKS),
        "iso": (_ALL_CHECKS, _OPEN_CHECKS),
        "body_detection": (("body_detector_nanodet", "body_detector_centernet"),),
        "body_descriptor": (("body_pedestrians", "body_descriptor"),),
        "body_attributes": (("body_pedestrians", "body_attributes", "clothing_colors"),),
        "people_count": (("body_detector_nanodet", "body_detector_centernet"),),
    }
)
"""Every estimate by name, with the roles of the networks that it runs on; the first set that is allowed serves."""


class Catalogue:
    """What the networks of a store allow on this machine.

    With the licence "open", some estimates have another source or none; without OpenVINO, what rests on networks that
    only it reads is missing.
    """

    def __init__(self, store: ModelStore) -> None:
        self.sources: dict[str, EstimationSource] = {}

        def serves(role: str) -> bool:
            return store.allows(role) and readable(store.spec(role).file)

        for name, alternatives in ESTIMATES.items():
            roles = next((roles for roles in alternatives if all(map(serves, roles))), None)
            if roles is not None:
                networks = [store.spec(role) for role in roles]
                licence = "research" if any(network.licence == "research" for network in networks) else "open"
                self.sources[name] = EstimationSource(", ".join(network.title for network in networks), licence)
        self.missing = ESTIMATES.keys() - self.sources.keys()

    def refuse_missing(self, wanted: Iterable[str]) -> None:
        """Raise 403/11044 naming the first of the wanted estimates that cannot be made."""
        for name in wanted:
            if name in self.missing:
                raise ApiError(11044, name)


def asked(order: Order) -> Iterator[str]:
    """The estimates that are asked for and that the kind of image allows, by their names in the table.

    Without those that every server makes.
    """
    plan = order.plan
    of_faces = {
        "emotions": plan.emotions,
        "mask": plan.mask,
        "glasses": plan.glasses,
        "quality": plan.quality,
        "eyes_attributes": plan.eyes,
        "mouth_attributes": plan.mouth,
        "basic_attributes": plan.basic_attributes,
        "face_quality": bool(plan.checks),
    }
    of_raw_images = {
        "liveness": plan.liveness,
        "deepfake": plan.deepfake,
        "gaze": plan.gaze,
        "people_count": plan.people_count,
    }
    raw = order.image_type is ImageType.RAW
    of_bodies = {
        "body_detection": plan.detect_bodies and raw,
        "body_descriptor": plan.body_descriptor and (plan.detect_bodies or not raw),
        "body_attributes": plan.body_attributes,
    }
    # Bodies are only looked at where they are detected.
    groups = {
        ImageType.RAW: (of_faces, of_raw_images, of_bodies),
        ImageType.FACE_WARP: (of_faces,),
        ImageType.BODY_WARP: (of_bodies,),
    }[order.image_type]
    yield from (name for group in groups for name, wanted in group.items() if wanted)
