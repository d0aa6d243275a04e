"""The table of estimates is complete and true."""

from pathlib import Path

import pytest

from lunaria.estimation.catalogue import AVAILABLE, MISSING, refuse_missing, sources
from lunaria.estimation.queries import DetectorQuery, SdkQuery
from lunaria.http.errors import ApiError
from lunaria.http.query import parse_query
from lunaria.vision.packs.manifest import Pack, built_in_pack
from lunaria.vision.packs.store import ModelStore


def test_every_estimate_is_either_available_or_missing() -> None:
    assert not AVAILABLE.keys() & MISSING


def test_every_source_is_a_network_of_the_default_pack(tmp_path: Path) -> None:
    named = sources(ModelStore(tmp_path))
    assert named.keys() == AVAILABLE.keys()
    pack: Pack = built_in_pack("default")
    for name, source in named.items():
        roles = [pack.networks[role] for role in AVAILABLE[name]]
        assert source.network == ", ".join(network.title for network in roles)
        assert source.licence == ("research" if "research" in {network.licence for network in roles} else "open")


def test_the_first_missing_estimate_is_named() -> None:
    refuse_missing(["head_pose", "face_descriptor"])
    with pytest.raises(ApiError) as raised:
        refuse_missing(["head_pose", "mask", "gaze"])
    assert (raised.value.code, raised.value.status) == (11044, 403)
    assert raised.value.detail.startswith("mask ")


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", set()),
        ("detect_face=1&estimate_head_pose=1&estimate_landmarks68=1&estimate_face_warp=1", set()),
        ("estimate_emotions=1&estimate_liveness=1", {"emotions", "liveness"}),
        ("detect_body=1", {"body_detection"}),
        ("estimate_people_count=1", {"people_count"}),
        ("image_type=1&estimate_liveness=1&estimate_gaze=1&estimate_deepfake=1&detect_body=1", set()),
        ("image_type=1&estimate_glasses=1&estimate_upper_body=1", {"glasses"}),
        ("image_type=2&estimate_emotions=1", {"body_detection"}),
        ("image_type=2&estimate_accessories=1", {"body_detection", "body_attributes"}),
    ],
)
def test_what_a_query_of_the_sdk_wants(query: str, wanted: set[str]) -> None:
    assert set(parse_query(query, SdkQuery).wanted) == wanted


def test_every_estimate_of_a_query_is_either_made_or_refused() -> None:
    """No parameter is overlooked: each that asks for an estimate is one we know how to make, or is refused."""
    made = {
        SdkQuery: {"head_pose", "landmarks68", "landmarks5", "face_descriptor", "face_warp", "body_descriptor"},
        DetectorQuery: {"head_pose"},
    }
    for kind, known in made.items():
        for field in kind.__struct_fields__:
            if field.startswith("estimate_") and field.removeprefix("estimate_") not in known:
                wanted = list(parse_query(f"{field}=1", kind).wanted)
                assert wanted, field
                assert set(wanted) <= MISSING
