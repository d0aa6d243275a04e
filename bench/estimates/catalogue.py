"""Which estimates can be measured, on which data, and by which networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.estimates import attributes, bodies, coverings, emotions, eyes, genuineness, pedestrians
from bench.estimates.run import LeftOutError, Report, Run
from lunaria.vision.packs.store import ModelStoreError


@dataclass(frozen=True, slots=True)
class Estimate:
    """`data`: the data sets in a folder that `all` needs; `roles`: networks without which nothing can be measured."""

    measure: Callable[[Run], Sequence[Report]]
    data: tuple[str, ...]
    roles: tuple[str, ...] = ()

    def check(self, run: Run) -> None:
        """Raises LeftOutError when a network is missing."""
        for role in self.roles:
            try:
                run.store.network(role)
            except ModelStoreError as error:
                raise LeftOutError(str(error)) from None


ESTIMATES = {
    "attributes": Estimate(attributes.measure, ("utkface",), ("face_age", "face_gender", "face_features")),
    "mask": Estimate(coverings.measure_mask, ("lfw", "masks"), ("face_mask",)),
    "glasses": Estimate(coverings.measure_glasses, ("lfw", "sunglasses", "utkface", "masks"), ("face_glasses",)),
    "headwear": Estimate(coverings.measure_headwear, ("lfw",), ("face_headwear",)),
    "liveness": Estimate(genuineness.measure_liveness, ("liveness", "lfw"), ("face_liveness_27", "face_liveness_40")),
    "deepfake": Estimate(genuineness.measure_deepfake, ("lfw", "liveness"), ("face_deepfake",)),
    "eyes": Estimate(eyes.measure_eyes, ("lfw", "utkface", "fer2013_training.jpg"), ("face_mesh", "face_blendshapes")),
    "pose": Estimate(eyes.measure_turned, ("lfw",), ("face_mesh",)),
    "shoulders": Estimate(eyes.measure_shoulders, ("lfw",), ("body_keypoints",)),
    "landmarks": Estimate(bodies.measure_landmarks, ("groups",)),
    "bodies": Estimate(bodies.measure_bodies, ("coco_persons",), (*bodies.DETECTORS, "body_keypoints")),
    "people": Estimate(bodies.measure_people, ("street_counting",), bodies.DETECTORS),
    "body-attributes": Estimate(
        pedestrians.measure_attributes, ("peta",), ("body_pedestrians", "body_attributes", "clothing_colors")
    ),
    "body-descriptor": Estimate(pedestrians.measure_descriptor, ("peta",), ("body_pedestrians", "body_descriptor")),
    "emotions": Estimate(emotions.measure, (emotions.FER2013,)),
}
"""By the name on the command line; what takes longest comes last."""
