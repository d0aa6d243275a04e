"""The policies of a verifier: how pictures are looked at, and from which similarity on it is the same person."""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import asdict

from lunaria.handlers.detect_policy import DetectPolicy, ExtractPolicy, FaceDetectPolicy, FaceExtractPolicy
from lunaria.handlers.storage_policy import KeptAttribute, KeptSample


class VerifierStorage(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is kept of the faces that are verified."""

    face_sample_policy: KeptSample = KeptSample()
    attribute_policy: KeptAttribute = KeptAttribute()


class VerifierPolicies(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a verifier does with a picture: the face part of what handlers do."""

    verification_threshold: Annotated[
        float, Meta(ge=0, le=1, description="A similarity above this means that it is the same person.")
    ] = 0.9
    detect_policy: FaceDetectPolicy = FaceDetectPolicy()
    extract_policy: FaceExtractPolicy = FaceExtractPolicy()
    storage_policy: VerifierStorage = VerifierStorage()

    @property
    def detection(self) -> DetectPolicy:
        """What a handler would do to find the same: faces, no bodies."""
        return DetectPolicy(**asdict(self.detect_policy))

    @property
    def extraction(self) -> ExtractPolicy:
        """What a handler would do to extract the same: always the descriptor of the face."""
        return ExtractPolicy(**asdict(self.extract_policy))
