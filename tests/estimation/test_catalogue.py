"""The table of estimates is complete and true, and what the licence "open" leaves of it."""

from pathlib import Path

import pytest

from lunaria.estimation import catalogue
from lunaria.estimation.catalogue import ESTIMATES, Catalogue, asked
from lunaria.estimation.detector import detector_order
from lunaria.estimation.queries import DetectorQuery, SdkQuery
from lunaria.estimation.sdk import sdk_order
from lunaria.http.errors import ApiError
from lunaria.http.query import parse_query
from lunaria.vision.packs.manifest import built_in_pack
from lunaria.vision.packs.store import KINDS, ModelStore

RESEARCH_ONLY = {"glasses", "deepfake", "body_descriptor", "body_attributes"}
"""What nothing but weights for research can tell."""
OTHER_NETWORKS = {
    "emotions": "face_emotions_open",
    "basic_attributes": "face_ethnicity_open",
    "mask": "face_mask_open",
    "mouth_attributes": "face_mask_open",
}
"""What another network tells where research is not allowed, and its role."""
LESS_NETWORKS = {"gaze", "eyes_attributes", "face_quality", "iso"}
"""What is told with less: without glasses before the eyes, without the checks of glasses and headwear."""
QUERIES = (SdkQuery, DetectorQuery)
ALWAYS = {
    *("estimate_head_pose", "estimate_landmarks68", "estimate_landmarks5", "estimate_face_descriptor"),
    "estimate_face_warp",
}
"""Query parameters whose estimates every server makes, for no pack goes without their networks."""


def wanted_by(query: str, kind: type[SdkQuery] | type[DetectorQuery] = SdkQuery) -> set[str]:
    """The estimates that a query asks for."""
    parsed = parse_query(query, kind)
    return set(asked(sdk_order(parsed) if isinstance(parsed, SdkQuery) else detector_order(parsed)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return Catalogue(ModelStore(tmp_path_factory.mktemp("empty")))


@pytest.fixture(scope="module")
def only_open(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return Catalogue(ModelStore(tmp_path_factory.mktemp("empty"), "open"))


def test_every_role_is_one_that_packs_may_have() -> None:
    roles = {role for alternatives in ESTIMATES.values() for roles in alternatives for role in roles}
    assert roles <= KINDS.keys()
    assert roles <= built_in_pack("default").networks.keys()


def test_all_licences_leave_nothing_out(whole: Catalogue) -> None:
    assert whole.missing == set()
    assert whole.sources.keys() == ESTIMATES.keys()
    whole.refuse_missing(ESTIMATES)


@pytest.mark.parametrize("licence", ["all", "open"])
def test_sources_are_networks_of_the_pack(whole: Catalogue, only_open: Catalogue, licence: str) -> None:
    """Each names the networks of one alternative, and is as open as the least open of them."""
    pack = built_in_pack("default")
    found = {"all": whole, "open": only_open}[licence]
    for name, source in found.sources.items():
        titles = {
            ", ".join(pack.networks[role].title for role in roles): {pack.networks[role].licence for role in roles}
            for roles in ESTIMATES[name]
        }
        assert source.network in titles, name
        assert source.licence == ("research" if "research" in titles[source.network] else "open")
        assert source.licence == "open" or licence == "all"


def test_what_open_networks_cannot_tell_is_missing(only_open: Catalogue) -> None:
    assert only_open.missing == RESEARCH_ONLY
    assert only_open.sources.keys() == ESTIMATES.keys() - RESEARCH_ONLY


def test_what_falls_back(whole: Catalogue, only_open: Catalogue) -> None:
    fallen = {name for name, source in only_open.sources.items() if whole.sources[name] != source}
    assert fallen == OTHER_NETWORKS.keys() | LESS_NETWORKS
    for name in fallen:
        assert (whole.sources[name].licence, only_open.sources[name].licence) == ("research", "open")
    for name, role in OTHER_NETWORKS.items():
        title = built_in_pack("default").networks[role].title
        assert title in only_open.sources[name].network
        assert title not in whole.sources[name].network


def test_the_first_missing_estimate_is_named(only_open: Catalogue) -> None:
    only_open.refuse_missing(["emotions", "liveness", "iso"])
    with pytest.raises(ApiError) as raised:
        only_open.refuse_missing(["emotions", "glasses", "deepfake"])
    assert (raised.value.code, raised.value.status) == (11044, 403)
    assert raised.value.detail.startswith("glasses ")


def test_networks_that_cannot_be_read_here_leave_their_estimates_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head pose has another source; gaze, eyes, mouth and the checks have none."""
    monkeypatch.setattr(catalogue, "readable", lambda file: not file.endswith(".tflite"))
    found = Catalogue(ModelStore(tmp_path))
    assert found.missing == {"gaze", "eyes_attributes", "mouth_attributes", "face_quality", "iso"}
    assert found.sources["head_pose"].network == built_in_pack("default").networks["face_landmarks68"].title


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("estimate_body_descriptor=0", set()),
        ("detect_face=1&estimate_head_pose=1&estimate_landmarks68=1&estimate_face_warp=1", set()),
        ("estimate_emotions=1&estimate_liveness=1", {"emotions", "liveness"}),
        ("detect_body=1", {"body_detection", "body_descriptor"}),
        ("detect_body=1&estimate_body_descriptor=0", {"body_detection"}),
        ("estimate_people_count=1", {"people_count"}),
        ("image_type=1&estimate_liveness=1&estimate_gaze=1&estimate_deepfake=1&detect_body=1", set()),
        ("image_type=1&estimate_glasses=1&estimate_upper_body=1", {"glasses"}),
        ("image_type=2&estimate_emotions=1", {"body_descriptor"}),
        ("image_type=2&estimate_accessories=1&estimate_body_descriptor=0", {"body_attributes"}),
    ],
)
def test_what_a_query_of_the_sdk_wants(query: str, wanted: set[str]) -> None:
    assert wanted_by(query) == wanted


@pytest.mark.parametrize("kind", QUERIES)
def test_every_estimate_of_a_query_is_in_the_table(kind: type[SdkQuery] | type[DetectorQuery]) -> None:
    """No parameter is overlooked: each that asks for an estimate either names it, so that it can be refused, or is one
    that every server makes."""
    asking = [name for name in kind.__struct_fields__ if name.startswith("estimate_")]
    assert len(asking) >= 7
    for name in asking:
        query = f"{name}=1"
        if kind is SdkQuery:
            query += "&detect_face=1&detect_body=1"
            query += "" if name == "estimate_body_descriptor" else "&estimate_body_descriptor=0"
        wanted = wanted_by(query, kind) - {"body_detection"}
        assert wanted <= ESTIMATES.keys()
        if name == "estimate_body_warp":
            continue  # nothing but the detection, which is named itself
        assert (not wanted) == (name in ALWAYS), name


def test_every_estimate_of_the_table_is_asked_for_somewhere() -> None:
    everything = "&".join(
        f"{name}=1" for name in SdkQuery.__struct_fields__ if name.startswith(("estimate_", "detect_"))
    )
    named = wanted_by(everything) | {"face_quality", "iso"}
    without = {"face_detection", "face_landmarks5", "face_landmarks68", "face_descriptor", "head_pose"}
    assert named | without == ESTIMATES.keys()
