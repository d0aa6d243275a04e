"""One contract for every backend: the same answers, from many threads, for shapes that vary."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lunaria.vision import runtime
from lunaria.vision.packs.manifest import built_in_pack
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.packs.verify import check_input
from lunaria.vision.runtime import (
    InferenceError,
    InferenceSession,
    NetworkInputError,
    OnnxRuntimeSession,
    OpenVinoSession,
    RuntimeUnavailableError,
    UnsupportedNetworkError,
    open_session,
)

BACKENDS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed"),
    )
    for name in ("openvino", "onnxruntime")
]


def _cuda_serves() -> bool:
    try:
        runtime._prepare_cuda(importlib.import_module("onnxruntime"))
    except (ImportError, RuntimeUnavailableError):
        return False
    return True


needs_cuda = pytest.mark.skipif(not _cuda_serves(), reason="no CUDA device")
WEIGHT = np.random.default_rng(3).normal(size=(4, 2, 3, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolution whose batch and image size vary, with two outputs: every value, and the mean of each channel."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "weight"], ["features"], pads=[1, 1, 1, 1]),
            helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["mean"]),
        ],
        "varying",
        [value("image", TensorProto.FLOAT, ["N", 2, "H", "W"])],
        [value("features", TensorProto.FLOAT, ["N", 4, "H", "W"]), value("mean", TensorProto.FLOAT, ["N", 4])],
        [numpy_helper.from_array(WEIGHT, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    path = tmp_path_factory.mktemp("network") / "varying.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture(params=[*BACKENDS, pytest.param("cuda", marks=needs_cuda)])
def session(request: pytest.FixtureRequest, network: Path) -> InferenceSession:
    if request.param == "cuda":
        return OnnxRuntimeSession(network, device="cuda")
    return open_session(network, backend=request.param, concurrency=2)


def _image(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _truth(image: NDArray[np.float32]) -> NDArray[np.float64]:
    padded = np.pad(image.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, WEIGHT)


def test_names_and_ports(session: InferenceSession) -> None:
    assert session.inputs == ("image",)
    assert session.outputs == ("features", "mean")
    assert session.ports["image"].shape == (None, 2, None, None)
    assert session.ports["image"].dtype == np.float32
    assert session.ports["image"].size_varies


def test_the_answer_is_right_whatever_the_shape(session: InferenceSession) -> None:
    for number, shape in enumerate([(1, 2, 8, 8), (3, 2, 5, 9), (1, 2, 1, 1), (2, 2, 40, 3), (1, 2, 8, 8)]):
        image = _image(*shape, seed=number)
        results = session.run({"image": image})
        assert list(results) == ["features", "mean"]
        np.testing.assert_allclose(results["features"], _truth(image), atol=1e-3)
        np.testing.assert_allclose(results["mean"], _truth(image).mean(axis=(2, 3)), atol=1e-3)


def test_results_belong_to_the_caller(session: InferenceSession) -> None:
    first = session.run({"image": _image(1, 2, 6, 6, seed=1)})
    kept = first["features"].copy()
    session.run({"image": _image(1, 2, 6, 6, seed=2)})
    np.testing.assert_array_equal(first["features"], kept)
    first["features"][:] = 0  # writable


def test_views_and_transposed_images_are_taken(session: InferenceSession) -> None:
    image = _image(1, 7, 6, 4).transpose(0, 3, 1, 2)[:, ::2]
    assert not image.flags.c_contiguous
    np.testing.assert_allclose(session.run({"image": image})["features"], _truth(image), atol=1e-3)


@pytest.mark.parametrize(
    "feeds",
    [
        {},
        {"picture": _image(1, 2, 4, 4)},
        {"image": _image(1, 2, 4, 4), "more": _image(1)},
        {"image": _image(1, 3, 4, 4)},
        {"image": _image(2, 4, 4)},
        {"image": _image(1, 2, 0, 4)},
        {"image": _image(1, 2, 4, 4).astype(np.float64)},
        {"image": np.zeros((1, 2, 4, 4), np.uint8)},
    ],
)
def test_wrong_inputs_are_refused_and_the_session_lives_on(session: InferenceSession, feeds: dict[str, Any]) -> None:
    with pytest.raises(NetworkInputError):
        session.run(feeds)
    image = _image(1, 2, 4, 4)
    np.testing.assert_allclose(session.run({"image": image})["features"], _truth(image), atol=1e-3)


def _together(count: int, work: Callable[[int], None]) -> None:
    """Run `work` in threads that start at once; the first failure is raised."""
    barrier = threading.Barrier(count)
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        barrier.wait()
        try:
            work(number)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if failures:
        raise failures[0]


def test_four_threads_do_not_disturb_each_other(session: InferenceSession) -> None:
    def work(number: int) -> None:
        for step in range(25):
            image = _image(1 + step % 2, 2, 4 + number, 4 + step % 5, seed=100 * number + step)
            np.testing.assert_allclose(session.run({"image": image})["features"], _truth(image), atol=1e-3)

    _together(4, work)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_no_network_is_refused(backend: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(UnsupportedNetworkError, match=r"net\.onnx"):
        open_session(path, backend=backend)
    with pytest.raises(UnsupportedNetworkError):
        open_session(path)
    with pytest.raises(FileNotFoundError):
        open_session(tmp_path / "absent.onnx", backend=backend)


def test_the_backend_is_chosen_by_machine_and_network(
    network: Path, model_store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    fixed_size = model_store.network("face_landmarks68").path
    monkeypatch.setattr(runtime.platform, "machine", lambda: "x86_64")
    assert isinstance(open_session(fixed_size), OpenVinoSession)
    assert isinstance(open_session(network), OnnxRuntimeSession)
    monkeypatch.setattr(runtime.platform, "machine", lambda: "aarch64")
    assert isinstance(open_session(fixed_size), OnnxRuntimeSession)


def test_without_a_backend_the_other_one_serves(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(runtime, "_installed", lambda package: package == "openvino")
    assert isinstance(open_session(network), OpenVinoSession)
    with pytest.raises(RuntimeUnavailableError, match="onnxruntime"):
        open_session(network, backend="onnxruntime")


def test_cuda_is_refused_clearly_where_there_is_none(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(runtime, "_cuda_usable", False)
    with pytest.raises(RuntimeUnavailableError, match="onnxruntime-gpu"):
        open_session(network, device="cuda")
    with pytest.raises(RuntimeUnavailableError):
        open_session(network, backend="openvino", device="cuda")


@pytest.mark.skipif(_cuda_serves(), reason="this machine has CUDA")
def test_a_cuda_provider_without_a_device_is_refused(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`onnxruntime-gpu` names its provider on every machine."""
    onnxruntime = pytest.importorskip("onnxruntime")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    with pytest.raises(RuntimeUnavailableError, match="a device"):
        open_session(network, device="cuda")


def test_a_session_that_would_run_on_the_processor_is_refused(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(runtime, "_cuda_providers", lambda onnxruntime: ["CPUExecutionProvider"])
    with pytest.raises(RuntimeUnavailableError, match="on the processor"):
        open_session(network, device="cuda")


def test_batches_are_filled_up_so_that_few_sizes_are_seen(model_store: ModelStore) -> None:
    pytest.importorskip("onnxruntime")
    path = model_store.network("face_landmarks68").path
    seen: list[int] = []

    class Session(OnnxRuntimeSession):
        def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            seen.append(len(feeds["input"]))
            return super().run(feeds)

    opened: list[Session] = []

    def open_another() -> Session:
        opened.append(Session(path))
        return opened[-1]

    batched, plain = runtime.BatchedSession(open_another), OnnxRuntimeSession(path)
    for count in (1, 3, 4, 5, 2, 1):
        faces = _image(count, 1, 64, 64, seed=count)
        np.testing.assert_allclose(
            batched.run({"input": faces})["output"], plain.run({"input": faces})["output"], atol=1e-5
        )
    assert seen == [1, 1, 4, 4, 8, 2, 1]  # the first one while opening
    assert len(opened) == 4
    with pytest.raises(NetworkInputError):
        batched.run({"input": np.zeros((0, 1, 64, 64), np.float32)})


def test_a_network_with_one_batch_size_keeps_its_session(model_store: ModelStore) -> None:
    pytest.importorskip("onnxruntime")
    path = model_store.network("body_keypoints").path
    session = runtime.BatchedSession(lambda: OnnxRuntimeSession(path))
    image = np.full((1, 256, 256, 3), 90, np.int32)
    expected = OnnxRuntimeSession(path).run({"input": image})
    for name, value in session.run({"input": image}).items():
        np.testing.assert_array_equal(value, expected[name])


def test_outputs_that_are_no_batch_are_refused(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("ReduceMax", ["image"], ["largest"], keepdims=0)],
        "largest",
        [value("image", TensorProto.FLOAT, ["N", 2])],
        [value("largest", TensorProto.FLOAT, [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    path = tmp_path / "largest.onnx"
    path.write_bytes(model.SerializeToString())
    session = runtime.BatchedSession(lambda: OnnxRuntimeSession(path))
    with pytest.raises(InferenceError, match="batch"):
        session.run({"image": _image(3, 2)})


@needs_cuda
def test_images_of_varying_size_stay_on_the_processor(network: Path) -> None:
    session = open_session(network, device="cuda")
    assert isinstance(session, OnnxRuntimeSession)
    assert session.run({"image": _image(1, 2, 5, 9)})["mean"].shape == (1, 4)


@needs_cuda
def test_products_on_a_device_keep_32_bits(network: Path) -> None:
    image = _image(1, 2, 64, 64)
    result = OnnxRuntimeSession(network, device="cuda").run({"image": image})["features"]
    np.testing.assert_allclose(result, _truth(image), atol=1e-5)  # 1e-3 with the 10 bits of TF32


def test_onnx_runtime_says_who_reads_tensorflow_lite(model_store: ModelStore) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(UnsupportedNetworkError, match="OpenVINO"):
        open_session(model_store.network("face_mesh").path, backend="onnxruntime")


@pytest.mark.parametrize("role", ["face_detector", "face_landmarks68", "face_descriptor", "face_quality"])
def test_backends_agree_on_the_networks_of_the_pack(role: str, model_store: ModelStore) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    found = model_store.network(role)
    check = built_in_pack("default").networks[role].check
    assert check is not None
    sessions = [open_session(found.path, backend=backend) for backend in ("openvino", "onnxruntime")]
    results = [session.run({check.input: check_input(check)}) for session in sessions]
    assert list(results[0]) == list(results[1])
    for name, expected in results[1].items():
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(results[0][name], expected, atol=1e-3 * scale)


def test_a_batch_of_descriptors_equals_single_ones(model_store: ModelStore) -> None:
    session = open_session(model_store.network("face_descriptor").path)
    crops = np.random.default_rng(1).uniform(0, 255, (3, 3, 112, 112)).astype(np.float32)
    batch = session.run({"data": crops})["fc1"]
    assert batch.shape == (3, 128)
    for crop, expected in zip(crops, batch, strict=True):
        np.testing.assert_allclose(session.run({"data": crop[None]})["fc1"][0], expected, atol=1e-3)


def test_libraries_compute_on_the_thread_that_calls_them() -> None:
    asked = "from lunaria.vision.runtime import one_thread_a_call; one_thread_a_call()"
    told = "import cv2, threadpoolctl; print(cv2.getNumThreads(), *(l['num_threads'] for l in threadpoolctl.threadpool_info()))"
    found = subprocess.run([sys.executable, "-c", f"{asked}; {told}"], capture_output=True, text=True, check=True)
    assert set(found.stdout.split()) == {"1"}
