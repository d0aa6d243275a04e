"""Running networks: one interface, OpenVINO on x86 processors, ONNX Runtime elsewhere and on GPUs.

A session is loaded once and called from several threads at the same time; each call uses one thread, so that as many
workers as there are cores keep all of them busy.
"""

from __future__ import annotations

import importlib.util
import platform
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Backend = Literal["auto", "openvino", "onnxruntime"]
Device = Literal["cpu", "cuda"]


class RuntimeUnavailableError(RuntimeError):
    """The backend or the device that was asked for is not on this machine."""


class UnsupportedNetworkError(ValueError):
    """The file is no network that the backend can read."""


class NetworkInputError(ValueError):
    """A call had the wrong inputs: a name is missing or unknown, or a shape or type does not fit."""


class InferenceSession(Protocol):
    """A loaded network. `run` may be called from several threads at once."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Compute all outputs, by name, in the order of the graph. The arrays belong to the caller.

        Raises NetworkInputError when an input is missing, unknown or of the wrong shape.
        """
        ...


class OpenVinoSession:
    """A network in OpenVINO on the processor. Reads ONNX and TensorFlow Lite files."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        core = _openvino_core()
        try:
            model = core.read_model(path)
        except RuntimeError as error:
            raise UnsupportedNetworkError(f"{path.name} cannot be read by OpenVINO: {error}") from error
        self._compiled = core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
                "ENABLE_CPU_PINNING": False,
                "INFERENCE_PRECISION_HINT": "f32",
            },
        )
        self._requests = threading.local()
        # Compiling fuses nodes and adds their names to the ports: only the model as read knows the published ones.
        self.inputs = tuple(port.get_any_name() for port in model.inputs)
        self.outputs = tuple(port.get_any_name() for port in model.outputs)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        _check_names(self.inputs, feeds)
        request = getattr(self._requests, "request", None)
        if request is None:
            request = self._requests.request = self._compiled.create_infer_request()
        try:
            request.infer({name: np.ascontiguousarray(feeds[name]) for name in self.inputs})
        except (RuntimeError, TypeError, ValueError) as error:
            raise NetworkInputError(str(error)) from error
        return {name: request.get_output_tensor(index).data.copy() for index, name in enumerate(self.outputs)}


class OnnxRuntimeSession:
    """A network in ONNX Runtime, on the processor or on a CUDA device. Reads ONNX files."""

    def __init__(self, path: Path, threads: int = 1, device: Device = "cpu") -> None:
        import onnxruntime

        if path.suffix == ".tflite":
            raise UnsupportedNetworkError(
                f"{path.name} is a TensorFlow Lite network, which only OpenVINO reads; install `openvino` for it"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Shapes vary from call to call and from network to network: an arena would keep the largest of all.
        options.enable_cpu_mem_arena = False
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=_providers(onnxruntime, device))
        except RuntimeUnavailableError:
            raise
        except Exception as error:  # the library's own errors share no base class
            raise UnsupportedNetworkError(f"{path.name} cannot be read by ONNX Runtime: {error}") from error
        self.inputs = tuple(value.name for value in self._session.get_inputs())
        self.outputs = tuple(value.name for value in self._session.get_outputs())

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        _check_names(self.inputs, feeds)
        try:
            results = self._session.run(self.outputs, dict(feeds))
        except Exception as error:  # as above
            raise NetworkInputError(str(error)) from error
        return dict(zip(self.outputs, results, strict=True))


def open_session(
    path: Path, *, backend: Backend = "auto", threads: int = 1, device: Device = "cpu"
) -> InferenceSession:
    """Load a network.

    With "auto", OpenVINO is taken for the processor of an x86 machine and for TensorFlow Lite files, ONNX Runtime
    otherwise; what is not installed is passed over. `device="cuda"` needs ONNX Runtime with its CUDA provider.
    Raises FileNotFoundError, RuntimeUnavailableError or UnsupportedNetworkError.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no network at {path}")
    chosen = _choose(path, device) if backend == "auto" else backend
    if not _installed(chosen):
        raise RuntimeUnavailableError(f"the package {chosen!r} is not installed")
    if chosen == "openvino":
        if device != "cpu":
            raise RuntimeUnavailableError("OpenVINO runs networks on the processor only; CUDA needs ONNX Runtime")
        return OpenVinoSession(path, threads)
    return OnnxRuntimeSession(path, threads, device)


def _choose(path: Path, device: Device) -> Literal["openvino", "onnxruntime"]:
    if device == "cuda":
        return "onnxruntime"
    if path.suffix == ".tflite":
        return "openvino"
    preferred: tuple[Literal["openvino", "onnxruntime"], ...] = ("onnxruntime", "openvino")
    if platform.machine().lower() in ("x86_64", "amd64"):
        preferred = ("openvino", "onnxruntime")
    return next((name for name in preferred if _installed(name)), preferred[0])


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


_core_guard = threading.Lock()
_core: Any = None


def _openvino_core() -> Any:
    """One core for the process: it holds the plugins."""
    global _core
    with _core_guard:
        if _core is None:
            import openvino

            _core = openvino.Core()
        return _core


def _providers(onnxruntime: Any, device: Device) -> list[str]:
    if device == "cpu":
        return ["CPUExecutionProvider"]
    available = onnxruntime.get_available_providers()
    if "CUDAExecutionProvider" not in available:
        raise RuntimeUnavailableError(
            "ONNX Runtime has no CUDA provider here; install `onnxruntime-gpu` instead of `onnxruntime` "
            f"(available: {', '.join(available)})"
        )
    return ["CUDAExecutionProvider", "CPUExecutionProvider"]


def _check_names(expected: tuple[str, ...], feeds: Mapping[str, Any]) -> None:
    if set(feeds) != set(expected):
        raise NetworkInputError(
            f"the network wants the inputs {', '.join(expected)}, it was given {', '.join(sorted(feeds)) or 'none'}"
        )
