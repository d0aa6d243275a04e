"""Manifests and the store: what is refused, what an operator can replace, what the licence setting leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lunaria.vision.packs import convert as conversion
from lunaria.vision.packs.manifest import ManifestError, Network, built_in_pack, load_pack, parse_pack
from lunaria.vision.packs.store import (
    KINDS,
    ModelLicenceError,
    ModelMissingError,
    ModelStore,
    UnknownRoleError,
)
from lunaria.vision.runtime import OnnxRuntimeSession

# Networks of others, which packages carry. Those that we train ourselves come with the product.
PUBLISHED = {
    "face_detector",
    "face_landmarks68",
    "face_descriptor",
    "face_quality",
    "face_mesh",
    "canonical_face_mesh",
    "face_blendshapes",
    "face_features",
    "face_age",
    "face_gender",
    "face_emotions_open",
    "face_ethnicity_open",
    "face_liveness_27",
    "face_liveness_40",
    "portrait_segmentation",
    "body_detector_nanodet",
    "body_detector_centernet",
    "body_keypoints",
    "body_features",
}


def _custom(folder: Path, **changes: Any) -> Path:
    network = {
        "role": "face_descriptor",
        "kind": "arcface",
        "title": "own",
        "file": "own.onnx",
        "sources": [],
        "licence": "research",
        "descriptor": {
            "version": 5001,
            "dimension": 512,
            "similarity": {"knots": [[-1, 0], [0.3, 0.9], [1, 1]], "evidence": "measured here"},
        },
    } | changes
    (folder / "custom").mkdir(exist_ok=True)
    (folder / "custom/own.onnx").write_bytes(b"weights")
    manifest = {"name": "own", "title": "own", "networks": {network["role"]: network}}
    (folder / "custom/manifest.json").write_text(json.dumps(manifest))
    return folder


def test_the_default_pack_names_every_role_with_two_sources_or_more_where_known() -> None:
    networks = built_in_pack("default").networks
    published = {role for role, network in networks.items() if network.sources[0].registry != "built-in"}
    assert published == PUBLISHED
    assert all(network.kind in KINDS[role] for role, network in networks.items())
    assert all(network.licence_notes for network in networks.values())
    assert len(networks["face_detector"].sources) >= 3
    for role in published:
        assert networks[role].check is not None or networks[role].kind == "constants"
    single = {"face_quality", "face_age", "face_gender", "face_liveness_27", "face_liveness_40", "body_features"}
    for role in published - single:  # those are known at one place only
        assert len(networks[role].sources) >= 2, role


def test_networks_trained_on_research_data_are_marked_so() -> None:
    """Sets that were issued for research alone: heads that we train on them are not `open`."""
    for role, network in built_in_pack("default").networks.items():
        if network.sources[0].registry == "built-in":
            named = f"{network.training_data} {network.licence_notes}"
            if any(name in named for name in ("PETA", "UTKFace", "CelebA-Spoof", "LFW", "FER2013")):
                assert network.licence == "research", role
            assert network.training_data, role
            assert network.measured, role


def test_the_similarity_scale_meets_the_promised_false_match_rates() -> None:
    """The study of the same network found these cosines at 1e-2 to 1e-5; a new calibration must stay near them."""
    by_similarity = {value: cosine for cosine, value in ModelStore(Path("nowhere")).descriptor_spec().similarity.knots}
    for similarity, cosine in ((0.5, 0.303), (0.75, 0.37), (0.9, 0.425), (0.95, 0.478), (1.0, 1.0)):
        assert by_similarity[similarity] == pytest.approx(cosine, abs=0.015)


@pytest.mark.parametrize("file", ["/etc/passwd", "../outside", "a/../../b", "..\\b", ""])
def test_a_file_name_cannot_leave_the_folder(file: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="inside the folder"):
        ModelStore(_custom(tmp_path, file=file))


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b'{"name": "x"}',
        b'{"name": "x", "title": "x", "surprise": 1}',
        b'{"name": "x", "title": "x", "photos": {"a": {"title": "t", "file": "f", "sources": [{"registry": "npm", '
        b'"sha256": "00"}]}}}',
    ],
)
def test_wrong_documents_are_named_with_their_fault(document: bytes) -> None:
    with pytest.raises(ManifestError, match=r"here\.json"):
        parse_pack(document, "here.json")


def test_unreadable_manifests_and_unknown_packs(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        load_pack(tmp_path / "absent.json")
    with pytest.raises(ManifestError, match="no pack called"):
        built_in_pack("nonsense")


def test_falling_knots_are_refused(tmp_path: Path) -> None:
    scale = {"knots": [[0.1, 0.5], [0.2, 0.4]], "evidence": ""}
    with pytest.raises(ManifestError, match="must rise"):
        ModelStore(_custom(tmp_path, descriptor={"version": 5001, "dimension": 8, "similarity": scale}))


def test_missing_and_unknown_networks(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    with pytest.raises(ModelMissingError, match="models pull"):
        store.network("face_detector")
    with pytest.raises(UnknownRoleError, match="face_detector"):
        store.network("nonsense")
    with pytest.raises(UnknownRoleError, match="no descriptors"):
        store.descriptor_spec("face_detector")


def test_an_operator_replaces_a_role(tmp_path: Path) -> None:
    store = ModelStore(_custom(tmp_path))
    assert store.network("face_descriptor").path == tmp_path / "custom/own.onnx"
    assert (store.descriptor_spec().version, store.descriptor_spec().dimension) == (5001, 512)
    assert store.spec("face_detector").kind == "yunet"


def test_the_open_setting_refuses_research_networks(tmp_path: Path) -> None:
    store = ModelStore(_custom(tmp_path), licence="open")
    with pytest.raises(ModelLicenceError, match="research"):
        store.network("face_descriptor")


def test_an_operator_cannot_take_our_version_forget_the_scale_or_the_file(tmp_path: Path) -> None:
    scale = {"knots": [[-1, 0], [1, 1]], "evidence": ""}
    with pytest.raises(ManifestError, match="1001"):
        ModelStore(_custom(tmp_path, descriptor={"version": 1001, "dimension": 128, "similarity": scale}))
    with pytest.raises(ManifestError, match="similarity knots"):
        ModelStore(_custom(tmp_path, descriptor=None))
    with pytest.raises(ManifestError, match="not beside it"):
        ModelStore(_custom(tmp_path, file="other.onnx"))
    with pytest.raises(ManifestError, match="SHA-256"):
        ModelStore(_custom(tmp_path, converted_sha256="0" * 64))


@pytest.mark.parametrize(
    "changes",
    [{"kind": "scrfd"}, {"role": "face_detector", "kind": "scrfd"}, {"role": "face_detector", "kind": "arcface"}],
)
def test_a_kind_that_nothing_reads_is_refused(tmp_path: Path, changes: dict[str, str]) -> None:
    with pytest.raises(ManifestError, match="cannot serve as"):
        ModelStore(_custom(tmp_path, **changes))


def test_a_role_that_nothing_asks_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no role 'face_detecter'"):
        ModelStore(_custom(tmp_path, role="face_detecter", kind="yunet"))


def test_every_network_of_the_pack_is_given_out(model_store: ModelStore) -> None:
    assert all(model_store.network(role).path.is_file() for role in built_in_pack("default").networks)
    vertices = np.load(model_store.network("canonical_face_mesh").path, allow_pickle=False)
    assert vertices.shape == (468, 3)
    assert vertices.dtype == np.float32
    # The face is symmetric: the outer eye corners (33, 263) mirror each other, the nose tip (1) lies in front.
    np.testing.assert_allclose(vertices[33] * [-1, 1, 1], vertices[263], atol=0.05)
    assert vertices[1, 2] > vertices[33, 2]


def _prelu_network() -> tuple[bytes, Any]:
    """An old-style file: weights among the inputs, a fixed batch, slopes below zero and above one."""
    rng = np.random.default_rng(5)
    slopes = np.array([0.0, 0.25, 1.0, 1.7, -0.4], np.float32).reshape(5, 1, 1)
    weight = rng.normal(size=(5, 3, 3, 3)).astype(np.float32)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["data", "weight"], ["mixed"], pads=[1, 1, 1, 1]),
            helper.make_node("PRelu", ["mixed", "slopes"], ["result"]),
        ],
        "old",
        [
            value("data", TensorProto.FLOAT, [1, 3, 8, 8]),
            value("weight", TensorProto.FLOAT, weight.shape),
            value("slopes", TensorProto.FLOAT, slopes.shape),
        ],
        [value("result", TensorProto.FLOAT, [1, 5, 8, 8])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(slopes, "slopes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    model.ir_version = 6
    return model.SerializeToString(), rng.normal(size=(1, 3, 8, 8)).astype(np.float32)


def test_the_rewritten_prelu_is_the_same_function(tmp_path: Path) -> None:
    original, image = _prelu_network()
    spec = Network(
        role="r",
        kind="k",
        title="t",
        file="n.onnx",
        sources=[],
        reader="onnx",
        transforms=["strip-inputs", "dynamic-batch", "prelu-to-depthwise"],
    )
    converted = conversion.convert(original, spec)
    assert converted == conversion.convert(original, spec)
    model = onnx.load_model_from_string(converted)
    assert [node.op_type for node in model.graph.node].count("PRelu") == 0
    assert [value.name for value in model.graph.input] == ["data"]
    (tmp_path / "old.onnx").write_bytes(original)
    (tmp_path / "new.onnx").write_bytes(converted)
    old, new = OnnxRuntimeSession(tmp_path / "old.onnx"), OnnxRuntimeSession(tmp_path / "new.onnx")
    both = new.run({"data": np.concatenate([image, -image])})["result"]
    for index, sign in enumerate((1, -1)):
        expected = old.run({"data": sign * image})["result"][0]
        np.testing.assert_allclose(both[index], expected, atol=1e-5)


def test_the_manifest_in_the_documentation_works(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    example = page.split("```json\n")[1].split("```")[0]
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom/manifest.json").write_text(example)
    (tmp_path / "custom/w600k_r50.onnx").write_bytes(b"weights")
    store = ModelStore(tmp_path)
    assert store.network("face_descriptor").spec.title == "ArcFace ResNet-50, WebFace600K"
    assert store.descriptor_spec().version == 5001
    networks = built_in_pack("default").networks
    assert all(f"`{role}`" in page and f"`{network.file}`" in page for role, network in networks.items())
