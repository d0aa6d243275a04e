"""Running networks: one interface, OpenVINO on x86 processors, ONNX Runtime elsewhere and on GPUs.

A session is loaded once and called from several threads at the same time; each call uses one thread, so that as many
workers as there are cores keep all of them busy.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lunaria.kit.once import Once

Backend = Literal["auto", "openvino", "onnxruntime"]
Device = Literal["cpu", "cuda"]


class RuntimeUnavailableError(RuntimeError):
    """The backend or the device that was asked for is not on this machine."""


class UnsupportedNetworkError(ValueError):
    """The file is no network that the backend can read."""


class NetworkInputError(ValueError):
    """A call had the wrong inputs: a name is missing or unknown, or a shape or type does not fit."""


class InferenceError(RuntimeError):
    """The backend failed inside a call whose inputs fit."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input of a network. A dimension that may vary from call to call is None."""

    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]

    @property
    def size_varies(self) -> bool:
        """Whether more than the batch dimension may vary."""
        return None in self.shape[1:]


class InferenceSession(Protocol):
    """A loaded network. `run` may be called from several threads at once.

    `inputs` and `outputs` are names in the order of the graph, `ports` says what each input takes.
    """

    inputs: tuple[str, ...]
    ports: dict[str, Port]
    outputs: tuple[str, ...]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Compute all outputs, by name, in the order of the graph. The arrays belong to the caller.

        Raises NetworkInputError when an input is missing, unknown or of the wrong shape or type (nothing is cast),
        InferenceError when the backend fails.
        """
        ...


class OpenVinoSession:
    """A network in OpenVINO on the processor. Reads ONNX and TensorFlow Lite files."""

    def __init__(self, path: Path, threads: int = 1, concurrency: int | None = None) -> None:
        try:
            model = _openvino_core().read_model(path)
        except RuntimeError as error:
            raise UnsupportedNetworkError(f"{path.name} cannot be read by OpenVINO: {error}") from error
        # Compiling fuses nodes and adds their names to the ports: only the model as read knows the published ones.
        self.ports = {port.get_any_name(): _openvino_port(port) for port in model.inputs}
        self.inputs = tuple(self.ports)
        self.outputs = tuple(port.get_any_name() for port in model.outputs)
        # One stream serves one call at a time: callers beyond their number wait, however many requests there are.
        streams = concurrency or max(1, available_cores() // threads)
        options = {
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams * threads,
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        if any(port.size_varies for port in self.ports.values()):
            # Kernels are cached per shape. With image sizes as they come that grew the process by 600 MB in 300 calls.
            options["CPU_RUNTIME_CACHE_CAPACITY"] = 0
        self._compiled = _openvino_core().compile_model(model, "CPU", options)
        self._local = threading.local()

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        _check(self.ports, feeds)
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        try:
            request.infer({name: np.ascontiguousarray(array) for name, array in feeds.items()})
        except RuntimeError as error:
            raise InferenceError(str(error)) from error
        return {name: request.get_output_tensor(index).data.copy() for index, name in enumerate(self.outputs)}


class OnnxRuntimeSession:
    """A network in ONNX Runtime, on the processor or on a CUDA device. Reads ONNX files."""

    def __init__(self, path: Path, threads: int = 1, device: Device = "cpu") -> None:
        import onnxruntime

        if path.suffix == ".tflite":
            raise UnsupportedNetworkError(
                f"{path.name} is a TensorFlow Lite network, which only OpenVINO reads; install `openvino` for it"
            )
        providers = _cuda_providers(onnxruntime) if device == "cuda" else [_CPU]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # A memory plan is kept for every shape ever seen; without it varying image sizes stay at 135 MB, not 178.
        options.enable_mem_pattern = False
        try:
            # Without the last argument the library itself goes on with the processor when a device fails.
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
        except Exception as error:  # the library's own errors share no base class
            raise UnsupportedNetworkError(f"{path.name} cannot be read by ONNX Runtime: {error}") from error
        if device == "cuda" and _CUDA not in self._session.get_providers():
            raise RuntimeUnavailableError(f"ONNX Runtime would run {path.name} on the processor, not on a CUDA device")
        self.ports = {value.name: _onnxruntime_port(value) for value in self._session.get_inputs()}
        self.inputs = tuple(self.ports)
        self.outputs = tuple(value.name for value in self._session.get_outputs())

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        _check(self.ports, feeds)
        try:
            results = self._session.run(self.outputs, dict(feeds))
        except Exception as error:  # as above
            raise InferenceError(str(error)) from error
        return dict(zip(self.outputs, results, strict=True))


class BatchedSession:
    """A network opened once for each batch size, smaller batches being filled up to the next power of two.

    For CUDA: cuDNN plans every convolution anew when a shape is not that of the call before, which takes tenths of a
    second.
    """

    def __init__(self, opened: Callable[[], InferenceSession]) -> None:
        self._sessions: dict[int, Once[InferenceSession]] = {}
        self._opened = opened
        first = self._of_size(1)
        self.inputs, self.ports, self.outputs = first.inputs, first.ports, first.outputs
        self._fills = len(self.ports) == 1 and self.ports[self.inputs[0]].shape[:1] == (None,)
        # The first call plans: better now than when someone waits.
        first.run({name: np.zeros([size or 1 for size in port.shape], port.dtype) for name, port in self.ports.items()})

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        _check(self.ports, feeds)
        if not self._fills:
            return self._of_size(1).run(feeds)
        ((name, batch),) = feeds.items()
        size = 1 << (len(batch) - 1).bit_length()
        if size == len(batch):
            return self._of_size(size).run(feeds)
        filled = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])
        results = self._of_size(size).run({name: filled})
        if any(result.shape[:1] != (size,) for result in results.values()):
            raise InferenceError("an output of the network has not one entry for each of the batch")
        return {output: result[: len(batch)] for output, result in results.items()}

    def _of_size(self, size: int) -> InferenceSession:
        return self._sessions.setdefault(size, Once(self._opened))()


def open_session(
    path: Path,
    *,
    backend: Backend = "auto",
    threads: int = 1,
    device: Device = "cpu",
    concurrency: int | None = None,
) -> InferenceSession:
    """Load a network.

    Each call uses `threads` cores; `concurrency` is the number of calls that OpenVINO may compute at the same time (as
    many as the cores allow when None; ONNX Runtime has no such bound). With "auto", OpenVINO serves the processor of an
    x86 machine and TensorFlow Lite files, ONNX Runtime everything else and networks whose image size varies: OpenVINO
    prepares its kernels anew when the size changes, which costs YuNet 8 ms a call, ONNX Runtime nothing. What is not
    installed is passed over. `device="cuda"` needs ONNX Runtime with its CUDA provider; networks whose image size
    varies run on the processor all the same (see BatchedSession).
    Raises FileNotFoundError, RuntimeUnavailableError or UnsupportedNetworkError.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no network at {path}")
    if threads < 1 or (concurrency is not None and concurrency < 1):
        raise ValueError("threads and concurrency must be at least 1")
    if backend == "auto":
        backend = _choose(path, device)
    if not _installed(backend):
        raise RuntimeUnavailableError(f"the package {backend!r} is not installed")
    if device == "cuda":
        return _open_on_cuda(path, backend, threads)
    return (
        OnnxRuntimeSession(path, threads) if backend == "onnxruntime" else OpenVinoSession(path, threads, concurrency)
    )


def _open_on_cuda(path: Path, backend: Backend, threads: int) -> InferenceSession:
    if backend == "openvino":
        raise RuntimeUnavailableError("OpenVINO runs networks on the processor only; CUDA needs ONNX Runtime")
    session = OnnxRuntimeSession(path, threads, "cuda")
    if any(port.size_varies for port in session.ports.values()):
        return OnnxRuntimeSession(path, threads)
    return BatchedSession(lambda: OnnxRuntimeSession(path, threads, "cuda"))


def one_thread_a_call() -> None:
    """Let OpenCV and the linear algebra of NumPy compute on the thread that calls them, in the whole process.

    By themselves they start a thread a core for each call. Where workers keep all cores busy, these only wait for each
    other: that cost about a tenth of the processor time of an analysis on two cores.
    """
    cv2.setNumThreads(1)
    threadpool_limits(1, user_api="blas")


def readable(file: str) -> bool:
    """Whether some backend here reads networks of this kind of file: TensorFlow Lite needs OpenVINO."""
    return not file.endswith(".tflite") or _installed("openvino")


def available_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _choose(path: Path, device: Device) -> Literal["openvino", "onnxruntime"]:
    if device == "cuda":
        return "onnxruntime"
    if path.suffix == ".tflite":
        return "openvino"
    if not _installed("openvino"):
        return "onnxruntime"
    if not _installed("onnxruntime"):
        return "openvino"
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return "openvino" if x86 and not _size_varies(path) else "onnxruntime"


def _size_varies(path: Path) -> bool:
    try:
        model = _openvino_core().read_model(path)
    except RuntimeError as error:
        raise UnsupportedNetworkError(f"{path.name} cannot be read by OpenVINO: {error}") from error
    return any(_openvino_port(port).size_varies for port in model.inputs)


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


_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

CUDA_OPTIONS = {
    # Products of 32-bit floats would be rounded to 10 bits of mantissa. Descriptors would then depend on the device.
    "use_tf32": "0",
    # The default tries every algorithm, for each shape anew, and may choose another one after each start.
    "cudnn_conv_algo_search": "HEURISTIC",
    # The default doubles what a session holds whenever it needs more; there are some twenty sessions.
    "arena_extend_strategy": "kSameAsRequested",
}
"""What ONNX Runtime's CUDA provider is told. CUDA_VISIBLE_DEVICES says which device is the first one, which is used."""

_cuda_guard = threading.Lock()
_cuda_usable = False


def _cuda_providers(onnxruntime: Any) -> list[Any]:
    """CUDA, and the processor for nodes that CUDA has no kernel for. Raises RuntimeUnavailableError."""
    global _cuda_usable
    with _cuda_guard:
        if not _cuda_usable:
            _prepare_cuda(onnxruntime)
            _cuda_usable = True
    return [(_CUDA, CUDA_OPTIONS), _CPU]


def _prepare_cuda(onnxruntime: Any) -> None:
    """Load CUDA's libraries and put a value onto the device.

    A provider counts as available as soon as it was compiled in; where its libraries or a device are missing, sessions
    would silently run on the processor.
    """
    available = onnxruntime.get_available_providers()
    if _CUDA not in available:
        raise RuntimeUnavailableError(
            "ONNX Runtime has no CUDA provider here; install `onnxruntime-gpu` instead of `onnxruntime` "
            f"(available: {', '.join(available)})"
        )
    # It finds those that came as Python packages, which the dynamic linker does not; the others are found as ever. What
    # is missing it says on standard output only, so the next step tells.
    onnxruntime.preload_dlls(msvc=False)
    try:
        onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(1, np.float32), "cuda", 0)
    except Exception as error:  # as above
        raise RuntimeUnavailableError(
            "ONNX Runtime cannot use a CUDA device here: the driver, a device, or CUDA's libraries are missing "
            f"(`pip install 'onnxruntime-gpu[cuda,cudnn]'` brings the libraries): {error}"
        ) from error


_ONNX_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(bool)": np.bool_,
}


def _openvino_port(port: Any) -> Port:
    shape = tuple(None if size.is_dynamic else size.get_length() for size in port.partial_shape)
    return Port(shape, np.dtype(port.element_type.to_dtype()))


def _onnxruntime_port(value: Any) -> Port:
    if value.type not in _ONNX_TYPES:
        raise UnsupportedNetworkError(f"the input {value.name!r} has the type {value.type}")
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return Port(shape, np.dtype(_ONNX_TYPES[value.type]))


def _check(ports: Mapping[str, Port], feeds: Mapping[str, NDArray[Any]]) -> None:
    if set(feeds) != set(ports):
        raise NetworkInputError(
            f"the network wants the inputs {', '.join(ports)}, it was given {', '.join(sorted(feeds)) or 'none'}"
        )
    for name, port in ports.items():
        array = feeds[name]
        fits = array.ndim == len(port.shape) and all(
            size > 0 and wanted in (None, size) for size, wanted in zip(array.shape, port.shape, strict=True)
        )
        if not fits or array.dtype != port.dtype:
            wanted_shape = " x ".join("any" if size is None else str(size) for size in port.shape)
            raise NetworkInputError(
                f"the input {name!r} must be {port.dtype} of {wanted_shape}, it is {array.dtype} of "
                f"{' x '.join(map(str, array.shape))}"
            )
