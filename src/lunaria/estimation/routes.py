"""Operations 17, 19, 21, 49, 183: the front ends of the one analysis."""

from uuid import UUID

from lunaria.estimation.catalogue import Catalogue, asked
from lunaria.estimation.detector import DetectorService, detector_order
from lunaria.estimation.extractor import ExtractorService
from lunaria.estimation.inputs import IMAGE_BODY, IMAGE_BODY_ERRORS, ImageInputs
from lunaria.estimation.iso import IsoService
from lunaria.estimation.liveness import LivenessService
from lunaria.estimation.queries import DetectorQuery, ExtractorQuery, IsoQuery, LivenessQuery, SdkQuery
from lunaria.estimation.schemas import (
    DetectorResult,
    ExtractedAttribute,
    IsoResult,
    LivenessResult,
    SampleIds,
    SdkResult,
)
from lunaria.estimation.sdk import SdkService, sdk_order
from lunaria.http.operation import Call, Content, Reply, Routes, TypedBody, operation
from lunaria.http.principal import Need

TURNED_OFF = 11044
DEVICE_PARTS = ("meta", "x_meta")
"""Parts of a form that old clients of /liveness send; they have no meaning any more."""


class EstimationRoutes(Routes):
    """Operations that take images."""

    def __init__(
        self,
        inputs: ImageInputs,
        catalogue: Catalogue,
        sdk: SdkService,
        iso: IsoService,
        detector: DetectorService,
        liveness: LivenessService,
    ) -> None:
        self._inputs = inputs
        self._catalogue = catalogue
        self._sdk = sdk
        self._iso = iso
        self._detector = detector
        self._liveness = liveness

    @operation(
        "POST",
        "/6/sdk",
        "sdk",
        "sdk resource",
        needs=(Need("sdk"),),
        query=SdkQuery,
        body=IMAGE_BODY,
        replies={200: Content(SdkResult)},
        errors=(*IMAGE_BODY_ERRORS, TURNED_OFF, 11034),
        msgpack_reply=True,
    )
    async def sdk(self, call: Call[SdkQuery, bytes]) -> Reply:
        """Detect faces and estimate what is asked for; nothing is stored.

        An image that cannot be used has an error of its own and leaves the others alone. What is impossible with
        warps is left out for them.
        """
        self._catalogue.refuse_missing(asked(sdk_order(call.query)))
        images = await self._inputs.read(call)
        return Reply(body=await self._sdk.estimate(images, call.query))

    @operation(
        "POST",
        "/6/iso",
        "iso",
        "iso resource",
        needs=(Need("iso"),),
        query=IsoQuery,
        body=IMAGE_BODY,
        replies={200: Content(IsoResult)},
        errors=(*IMAGE_BODY_ERRORS, TURNED_OFF),
        msgpack_reply=True,
    )
    async def iso(self, call: Call[IsoQuery, bytes]) -> Reply:
        """Check portraits against the requirements of ISO/IEC 19794-5.

        A check whose value cannot be had of an image is left out and does not count.
        """
        self._catalogue.refuse_missing(["iso"])
        images = await self._inputs.read(call)
        return Reply(body=await self._iso.check(images, call.query))

    @operation(
        "POST",
        "/6/detector",
        "samples",
        "detect faces",
        needs=(Need("face_sample", "creation"),),
        query=DetectorQuery,
        body=IMAGE_BODY,
        replies={200: Content(DetectorResult)},
        errors=(*IMAGE_BODY_ERRORS, TURNED_OFF),
    )
    async def detect(self, call: Call[DetectorQuery, bytes]) -> Reply:
        """Detect faces, store a sample of each, and estimate what is asked for.

        Filtered faces are told of and not stored. An image that cannot be used has an error of its own.
        """
        owner = call.principal.owner
        self._catalogue.refuse_missing(asked(detector_order(call.query)))
        images = await self._inputs.read(call)
        return Reply(body=await self._detector.detect(owner, images, call.query))

    @operation(
        "POST",
        "/6/liveness",
        "liveness",
        "predict liveness",
        needs=(Need("liveness"),),
        query=LivenessQuery,
        body=IMAGE_BODY,
        replies={200: Content(LivenessResult)},
        errors=(*IMAGE_BODY_ERRORS, TURNED_OFF),
    )
    async def liveness(self, call: Call[LivenessQuery, bytes]) -> Reply:
        """Tell whether images show a live person rather than a picture of one.

        Each image must show exactly one face; one that does not has an error of its own.
        """
        self._catalogue.refuse_missing(["liveness"])
        images = await self._inputs.read(call, ignored_parts=DEVICE_PARTS)
        return Reply(body=await self._liveness.predict(images, call.query))


class ExtractorRoutes(Routes):
    """The operation that makes attributes of stored samples."""

    def __init__(self, extractor: ExtractorService) -> None:
        self._extractor = extractor

    @operation(
        "POST",
        "/6/extractor",
        "attributes",
        "extract attributes",
        needs=(Need("attribute", "creation"),),
        query=ExtractorQuery,
        body=TypedBody(SampleIds),
        replies={201: Content(list[ExtractedAttribute])},
        errors=(TURNED_OFF, 11030, 11034, 13003, 22022, 100010, 100011, 100012, 100029),
    )
    async def extract(self, call: Call[ExtractorQuery, list[UUID]]) -> Reply:
        """Extract descriptors from face samples into temporary attributes, one for each sample or one for all.

        A sample whose score is too low makes no attribute and is told of.
        """
        principal = call.principal
        found = await self._extractor.extract(principal.owner, principal.writes(), call.body, call.query)
        return Reply(201, found)
