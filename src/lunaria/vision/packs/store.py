"""Which file stands behind a role: the default pack, an operator's own networks over it, the licence setting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lunaria.vision.packs.files import file_sha256
from lunaria.vision.packs.manifest import (
    DescriptorSpec,
    ManifestError,
    Network,
    Pack,
    built_in_pack,
    load_pack,
)

CUSTOM_FOLDER = "custom"
MANIFEST_FILE = "manifest.json"
OUR_DESCRIPTOR_VERSIONS = frozenset({1001, 2001, 2002})

# How the output of a network is read depends on its kind: a kind without a reader must not pass for another one.
KINDS = {
    "face_detector": {"yunet"},
    "face_landmarks68": {"landmarks68"},
    "face_descriptor": {"sface", "arcface"},
    "face_quality": {"face-quality"},
    "face_mesh": {"face-mesh"},
    "canonical_face_mesh": {"constants"},
    "face_blendshapes": {"face-blendshapes"},
    "face_features": {"faceres"},
    "face_age": {"dlib-age"},
    "face_age_head": {"age-head"},
    "face_gender": {"dlib-gender"},
    "face_ethnicity": {"linear-head"},
    "face_ethnicity_open": {"gear"},
    "face_mask": {"linear-head"},
    "face_mask_open": {"linear-head"},
    "face_glasses": {"glasses"},
    "face_headwear": {"headwear"},
    "face_emotions": {"emotions"},
    "face_emotions_head": {"linear-head"},
    "face_emotions_open": {"fer"},
    "face_liveness_27": {"minifasnet"},
    "face_liveness_40": {"minifasnet"},
    "face_deepfake": {"deepfake"},
    "portrait_segmentation": {"selfie-segmentation"},
    "body_detector_nanodet": {"nanodet"},
    "body_detector_centernet": {"centernet"},
    "body_keypoints": {"movenet"},
    "body_features": {"efficientnet-lite0"},
    "body_pedestrians": {"efficientnet-lite0"},
    "body_descriptor": {"body-descriptor"},
    "body_attributes": {"body-attributes"},
    "clothing_colors": {"color-table"},
}

LicenceSetting = Literal["all", "open"]


class ModelStoreError(Exception):
    """A network cannot be given out."""


class UnknownRoleError(ModelStoreError):
    """No pack has a network for the role."""


class ModelMissingError(ModelStoreError):
    """The file of a network is not in the folder: `lunaria models pull` brings it."""


class ModelLicenceError(ModelStoreError):
    """The network is marked `research` and the setting allows only `open` ones."""


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """A network ready to be loaded."""

    path: Path
    spec: Network


class ModelStore:
    """Gives the file of a network by its role.

    `folder` is where `pull` puts files. A file `<folder>/custom/manifest.json`, a pack in the same format, replaces
    roles of the default pack; the files it names lie beside it. With licence "open", networks that are marked
    `research` are refused. Raises ManifestError when the operator's manifest is wrong.
    """

    def __init__(self, folder: Path, licence: LicenceSetting = "all", *, pack: Pack | None = None) -> None:
        self.folder = folder
        self.licence = licence
        self._networks = {
            role: NetworkFile(folder / network.file, network)
            for role, network in (pack or built_in_pack("default")).networks.items()
        }
        custom = folder / CUSTOM_FOLDER
        if (custom / MANIFEST_FILE).is_file():
            self._networks |= _read_custom(custom)

    def roles(self) -> list[str]:
        """Every role that has a network, pulled or not, allowed or not."""
        return sorted(self._networks)

    def spec(self, role: str) -> Network:
        """What is known of the network of a role, without asking for its file. Raises UnknownRoleError."""
        try:
            return self._networks[role].spec
        except KeyError:
            raise UnknownRoleError(
                f"no network is known for the role {role!r}; there are {', '.join(self.roles())}"
            ) from None

    def allows(self, role: str) -> bool:
        """Whether some pack has a network for the role and the licence setting lets it serve."""
        return role in self._networks and (self.licence == "all" or self.spec(role).licence == "open")

    def network(self, role: str) -> NetworkFile:
        """The file of a role. Raises UnknownRoleError, ModelLicenceError or ModelMissingError."""
        spec = self.spec(role)
        if not self.allows(role):
            raise ModelLicenceError(
                f"the network for {role!r} ({spec.title}) is marked 'research' and only 'open' ones are allowed: "
                f"{spec.licence_notes}"
            )
        found = self._networks[role]
        if not found.path.is_file():
            raise ModelMissingError(
                f"the network for {role!r} is missing ({found.path}); `lunaria models pull` downloads it"
            )
        return found

    def descriptor_spec(self, role: str = "face_descriptor") -> DescriptorSpec:
        """Version, dimension and similarity scale of a descriptor network. Raises UnknownRoleError."""
        descriptor = self.spec(role).descriptor
        if descriptor is None:
            raise UnknownRoleError(f"the network for {role!r} gives no descriptors")
        return descriptor


def _read_custom(folder: Path) -> dict[str, NetworkFile]:
    manifest = folder / MANIFEST_FILE
    pack = load_pack(manifest)
    for role, network in pack.networks.items():
        path = folder / network.file
        if not path.is_file():
            raise ManifestError(f"{manifest}: the file {network.file!r} of the role {role!r} is not beside it")
        if network.converted_sha256 and file_sha256(path) != network.converted_sha256:
            raise ManifestError(f"{manifest}: the file {network.file!r} has another SHA-256 than the manifest says")
        _check_kind(manifest, role, network)
        _check_descriptor(manifest, role, network)
    return {role: NetworkFile(folder / network.file, network) for role, network in pack.networks.items()}


def _check_kind(manifest: Path, role: str, network: Network) -> None:
    kinds = KINDS.get(role)
    if kinds is None:
        raise ManifestError(f"{manifest}: there is no role {role!r}; there are {', '.join(KINDS)}")
    if network.kind not in kinds:
        raise ManifestError(
            f"{manifest}: a network of the kind {network.kind!r} cannot serve as {role!r}, "
            f"only {' or '.join(sorted(kinds))}"
        )


def _check_descriptor(manifest: Path, role: str, network: Network) -> None:
    """A foreign network must not pass its descriptors off as ours: they would be compared with each other."""
    if role.endswith("_descriptor") and network.descriptor is None:
        raise ManifestError(f"{manifest}: the network for {role!r} needs version, dimension and similarity knots")
    if network.descriptor and network.descriptor.version in OUR_DESCRIPTOR_VERSIONS:
        raise ManifestError(
            f"{manifest}: the descriptor version {network.descriptor.version} belongs to a network of the default "
            "pack; give yours a number of its own"
        )
