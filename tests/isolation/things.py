"""Own objects of every kind, and what traces of them could leak."""

import base64
import io
import struct
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
from PIL import Image

PACK_VERSION, PACK_DIMENSION = 1001, 128
BODY_VERSION, BODY_DIMENSION = 2002, 256
JPEG = "image/jpeg"


def picture(width: int, height: int) -> bytes:
    """A JPEG of soft noise."""
    pixels = np.random.default_rng(width).integers(90, 160, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


FACE_WARP = picture(250, 250)
BODY_WARP = picture(128, 256)
PHOTO = picture(320, 240)


def descriptor(seed: int, version: int = PACK_VERSION, dimension: int = PACK_DIMENSION) -> str:
    """A descriptor of the installed pack as clients send it: base64 of header and bytes."""
    vector = np.random.default_rng(seed).standard_normal(dimension)
    vector /= np.linalg.norm(vector)
    data = np.clip(np.rint(128 + 128 * vector), 0, 255).astype(np.uint8).tobytes()
    return base64.b64encode(b"dp\0\0" + struct.pack("<I", version) + data).decode()


def body_descriptor(seed: int) -> str:
    """As `descriptor`, of a body."""
    return descriptor(seed, BODY_VERSION, BODY_DIMENSION)


@dataclass(frozen=True)
class Call:
    """A request without credentials."""

    method: str
    url: str
    json: Any = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)

    async def send(self, client: httpx.AsyncClient, **credentials: Any) -> httpx.Response:
        headers = {**self.headers, **credentials.pop("headers", {})}
        body = {"content": self.content} if self.content is not None else {}
        if self.json is not None:
            body["json"] = self.json
        return await client.request(self.method, self.url, headers=headers, **body, **credentials)


@dataclass(frozen=True)
class Things:
    """What an account owns: ids as text, and texts that stand in no request."""

    account_id: str
    marker: str
    external_id: str
    face: str
    list: str
    attribute: str
    face_sample: str
    body_sample: str
    image: str
    object: str
    handler: str
    dynamic_handler: str
    verifier: str
    event: str
    body_event: str
    token: str
    jwt: str
    seed: int

    def traces(self, call: Call) -> set[str]:
        """Everything that tells of these things, except what the request itself names."""
        said = f"{call.url} {call.json}"
        return {text for text in map(str, vars(self).values()) if len(text) > 12 and text not in said}


async def make_things(client: httpx.AsyncClient, account_id: str) -> Things:
    """Objects of every kind for the account of the client's credentials."""
    seed = uuid4().int >> 96
    marker, external_id = f"mark-{uuid4().hex}", f"ext-{uuid4().hex[:30]}"
    picture_type = {"Content-Type": JPEG}

    async def made(call: Call) -> Any:
        reply = await call.send(client)
        assert reply.status_code == 201, (call.method, call.url, reply.text)
        return reply.json()

    sample = (await made(Call("POST", "/6/samples/faces", content=FACE_WARP, headers=picture_type)))["sample_id"]
    body = (await made(Call("POST", "/6/samples/bodies", content=BODY_WARP, headers=picture_type)))["sample_id"]
    image = (await made(Call("POST", "/6/images", content=PHOTO, headers=picture_type)))["image_id"]
    stored = (await made(Call("POST", "/6/objects", content=marker.encode(), headers={"Content-Type": "text/plain"})))[
        "object_id"
    ]
    list_id = (await made(Call("POST", "/6/lists", json={"user_data": marker})))["list_id"]
    inline = {"face_descriptors": [descriptor(seed)], "face_descriptor_samples": [sample]}
    attribute = (await made(Call("POST", "/6/attributes?ttl=3600", json=inline)))["attribute_id"]
    face = {
        "attribute": inline,
        "user_data": marker,
        "external_id": external_id,
        "avatar": f"/6/samples/faces/{sample}",
        "lists": [list_id],
    }
    face_id = (await made(Call("POST", "/6/faces", json=face)))["face_id"]
    static = {"description": marker, "policies": {}}
    handler = (await made(Call("POST", "/6/handlers", json=static)))["handler_id"]
    dynamic = {"description": marker, "handler_type": 1}
    dynamic_handler = (await made(Call("POST", "/6/handlers", json=dynamic)))["handler_id"]
    verifier = (await made(Call("POST", "/6/verifiers", json={"description": marker})))["verifier_id"]
    seen = [
        {"type": "sdk_descriptor", "id": "face", "data": descriptor(seed)},
        {"type": "sdk_descriptor", "id": "body", "data": body_descriptor(seed)},
    ]
    generation = f"/6/handlers/{handler}/events?user_data={marker}&external_id={external_id}"
    events = (await made(Call("POST", generation, json={"raw_descriptors": seen})))["events"]
    token_body = {"expiration_time": None, "permissions": {"face": ["view"]}, "description": marker}
    token = await made(Call("POST", "/6/tokens", json=token_body))
    return Things(
        account_id=account_id,
        marker=marker,
        external_id=external_id,
        face=face_id,
        list=list_id,
        attribute=attribute,
        face_sample=sample,
        body_sample=body,
        image=image,
        object=stored,
        handler=handler,
        dynamic_handler=dynamic_handler,
        verifier=verifier,
        event=events[0]["event_id"],
        body_event=events[1]["event_id"],
        token=token["token_id"],
        jwt=token["token"],
        seed=seed,
    )
