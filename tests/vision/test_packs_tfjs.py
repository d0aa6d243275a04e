"""The reader of TensorFlow.js graph models: each kind of operation against numpy, and files that are not what they say."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from lunaria.vision.packs.convert import ConversionError, convert
from lunaria.vision.packs.manifest import Network
from lunaria.vision.runtime import OnnxRuntimeSession, OpenVinoSession

RNG = np.random.default_rng(11)
IMAGE = RNG.normal(size=(1, 7, 6, 4)).astype(np.float32)
NHWC = [0, 2, 3, 1]


def _text(text: str) -> dict[str, str]:
    return {"s": base64.b64encode(text.encode()).decode()}


def _numbers(*numbers: int) -> dict[str, Any]:
    return {"list": {"i": [str(number) for number in numbers]}}


def _texts(*texts: str) -> dict[str, Any]:
    return {"list": {"s": [_text(text)["s"] for text in texts]}}


def _node(name: str, op: str, *inputs: str, **attr: Any) -> dict[str, Any]:
    return {"name": name, "op": op, "input": list(inputs), "attr": attr}


def _input(shape: Sequence[int], name: str = "x", dtype: str = "DT_FLOAT") -> dict[str, Any]:
    sizes = {"shape": {"dim": [{"size": str(size)} for size in shape]}}
    return _node(name, "Placeholder", shape=sizes, dtype={"type": dtype})


def _model(
    nodes: list[dict[str, Any]], constants: dict[str, NDArray[Any]], *, half: bool = False
) -> tuple[bytes, bytes]:
    """A document and its file of weights."""
    weights, data = [], b""
    for name, array in constants.items():
        kind = "int32" if array.dtype.kind == "i" else "float32"
        entry: dict[str, Any] = {"name": name, "shape": list(array.shape), "dtype": kind}
        if half and kind == "float32":
            entry["quantization"] = {"dtype": "float16"}
            data += array.astype("<f2").tobytes()
        else:
            data += array.astype({"int32": "<i4", "float32": "<f4"}[kind]).tobytes()
        weights.append(entry)
    nodes = [*nodes, *(_node(name, "Const") for name in constants)]
    document = {
        "modelTopology": {"node": nodes},
        "weightsManifest": [{"paths": ["a.bin"], "weights": weights}],
    }
    return json.dumps(document).encode(), data


def _spec(outputs: dict[str, str], **more: Any) -> Network:
    return Network(role="r", kind="k", title="t", file="n.onnx", sources=[], reader="tfjs", outputs=outputs, **more)


def _run(
    folder: Path,
    nodes: list[dict[str, Any]],
    constants: dict[str, NDArray[Any]],
    x: NDArray[Any],
    *tensors: str,
    dynamic: bool = False,
) -> list[NDArray[Any]]:
    """What a graph computes, by both runtimes, which must agree."""
    if not any(node["op"] == "Placeholder" for node in nodes):
        kind = {"f": "DT_FLOAT", "i": "DT_INT32"}[x.dtype.kind]
        nodes = [_input((1, *x.shape[1:]) if dynamic else x.shape, dtype=kind), *nodes]
    document, data = _model(nodes, constants)
    outputs = {f"y{index}": tensor for index, tensor in enumerate(tensors or (nodes[-1]["name"],))}
    spec = _spec(outputs, transforms=["dynamic-batch"] if dynamic else [])
    converted = convert(document, spec, {"a.bin": data})
    assert converted == convert(document, spec, {"a.bin": data})
    path = folder / "network.onnx"
    path.write_bytes(converted)
    results = OnnxRuntimeSession(path).run({"x": x})
    for name, other in OpenVinoSession(path, concurrency=1).run({"x": x}).items():
        np.testing.assert_allclose(other, results[name], rtol=1e-4, atol=1e-5)
    return list(results.values())


def _convolve(
    image: NDArray[Any], kernel: NDArray[Any], stride: int, pads: Sequence[tuple[int, int]], dilation: int = 1
) -> NDArray[Any]:
    """A convolution of NHWC images with an HWIO kernel, written out."""
    padded = np.pad(image, [(0, 0), *pads, (0, 0)])
    height, width = kernel.shape[:2]
    rows = (padded.shape[1] - (height - 1) * dilation - 1) // stride + 1
    columns = (padded.shape[2] - (width - 1) * dilation - 1) // stride + 1
    result = np.zeros((image.shape[0], rows, columns, kernel.shape[3]))
    for row in range(height):
        for column in range(width):
            top, left = row * dilation, column * dilation
            part = padded[:, top : top + rows * stride : stride, left : left + columns * stride : stride]
            result += part[:, :rows, :columns] @ kernel[row, column]
    return result


def _conv_attributes(padding: str, stride: int, dilation: int = 1) -> dict[str, Any]:
    return {
        "padding": _text(padding),
        "strides": _numbers(1, stride, stride, 1),
        "dilations": _numbers(1, dilation, dilation, 1),
        "data_format": _text("NHWC"),
    }


@pytest.mark.parametrize(
    ("padding", "stride", "dilation", "pads"),
    [
        ("SAME", 1, 1, [(1, 1), (1, 1)]),
        ("SAME", 2, 1, [(1, 1), (0, 1)]),  # seven rows and six columns: what is odd comes after
        ("VALID", 2, 1, [(0, 0), (0, 0)]),
        ("SAME", 1, 2, [(2, 2), (2, 2)]),
    ],
)
def test_a_convolution_pads_as_tensorflow_does(
    padding: str, stride: int, dilation: int, pads: list[tuple[int, int]], tmp_path: Path
) -> None:
    kernel, bias = RNG.normal(size=(3, 3, 4, 5)).astype("f4"), RNG.normal(size=5).astype("f4")
    fused = _texts("BiasAdd", "Relu6")
    node = _node("y", "_FusedConv2D", "x", "k", "b", fused_ops=fused, **_conv_attributes(padding, stride, dilation))
    (found,) = _run(tmp_path, [node], {"k": kernel, "b": bias}, IMAGE)
    expected = np.clip(_convolve(IMAGE, kernel, stride, pads, dilation) + bias, 0, 6)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_depthwise_convolution_with_two_filters_a_channel(tmp_path: Path) -> None:
    kernel = RNG.normal(size=(3, 3, 4, 2)).astype("f4")
    (found,) = _run(
        tmp_path, [_node("y", "DepthwiseConv2dNative", "x", "k", **_conv_attributes("SAME", 1))], {"k": kernel}, IMAGE
    )
    each = [_convolve(IMAGE[..., [c]], kernel[:, :, [c]], 1, [(1, 1), (1, 1)]) for c in range(4)]
    np.testing.assert_allclose(found, np.concatenate(each, axis=3), rtol=1e-4, atol=1e-5)


def test_a_transposed_convolution_is_the_gradient_of_the_convolution(tmp_path: Path) -> None:
    """Moving one element of the larger image changes the smaller one by what the transposed kernel gives back."""
    kernel = RNG.normal(size=(3, 3, 2, 4)).astype("f4")
    size = np.array([1, 14, 11, 2], np.int32)
    node = _node("y", "Conv2DBackpropInput", "size", "k", "x", **_conv_attributes("SAME", 2))
    (found,) = _run(tmp_path, [node], {"k": kernel, "size": size}, IMAGE)
    other = RNG.normal(size=(1, 14, 11, 2))
    pads = [(0, 1), (1, 1)]
    assert found.shape == other.shape
    assert np.sum(found * other) == pytest.approx(np.sum(IMAGE * _convolve(other, kernel, 2, pads)), rel=1e-4)


def test_pooling(tmp_path: Path) -> None:
    attributes = {"ksize": _numbers(1, 3, 3, 1), "strides": _numbers(1, 1, 1, 1), "padding": _text("SAME")}
    nodes = [_node("y", "MaxPool", "x", **attributes), _node("z", "AvgPool", "x", **attributes)]
    largest, mean = _run(tmp_path, nodes, {}, IMAGE, "y", "z")
    for row, column in ((0, 0), (3, 2), (6, 5)):
        part = IMAGE[0, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        np.testing.assert_allclose(largest[0, row, column], part.max(axis=(0, 1)), rtol=1e-5)
        np.testing.assert_allclose(mean[0, row, column], part.mean(axis=(0, 1)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mode", ["half_pixel_centers", "align_corners", "neither"])
@pytest.mark.parametrize("size", [(14, 12), (5, 9)])
def test_bilinear_resizing_in_its_three_modes(mode: str, size: tuple[int, int], tmp_path: Path) -> None:
    node = _node("y", "ResizeBilinear", "x", "s", **({mode: {"b": True}} if mode != "neither" else {}))
    (found,) = _run(tmp_path, [node], {"s": np.array(size, np.int32)}, IMAGE)
    expected = IMAGE[0]
    for axis in (0, 1):
        old, new = IMAGE.shape[1 + axis], size[axis]
        at = np.arange(new) * old / new
        if mode == "half_pixel_centers":
            at = (np.arange(new) + 0.5) * old / new - 0.5
        elif mode == "align_corners":
            at = np.arange(new) * (old - 1) / (new - 1)
        at = np.clip(at, 0, old - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, old - 1)
        share = (at - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        expected = np.take(expected, low, axis) * (1 - share) + np.take(expected, high, axis) * share
    np.testing.assert_allclose(found[0], expected, rtol=1e-3, atol=1e-4)


def test_functions_of_single_elements(tmp_path: Path) -> None:
    scale, grid = RNG.normal(size=4).astype("f4"), RNG.normal(size=(7, 6, 1)).astype("f4")
    kernel = RNG.normal(size=(1, 1, 4, 4)).astype("f4")
    nodes = [
        _node("c", "Conv2D", "x", "k", **_conv_attributes("SAME", 1)),
        _node("scaled", "Mul", "c", "scale"),
        _node("moved", "AddV2", "grid", "scaled"),
        _node("both", "AddN", "moved", "x", "c"),
        _node("difference", "SquaredDifference", "both", "grid"),
        _node("quotient", "RealDiv", "difference", "three"),
        _node("leaky", "LeakyRelu", "both", alpha={"f": 0.1}),
        _node("slope", "Prelu", "both", "scale"),
        _node("same", "Equal", "x", "grid"),
        _node("number", "Cast", "same", DstT={"type": "DT_FLOAT"}),
        _node("softmax", "Softmax", "c"),
    ]
    x = IMAGE.copy()
    x[0, ..., 1] = grid[..., 0]
    constants = {"k": kernel, "scale": scale, "grid": grid, "three": np.array(3, np.float32)}
    names = ("both", "quotient", "leaky", "slope", "number", "softmax")
    found = dict(zip(names, _run(tmp_path, nodes, constants, x, *names), strict=True))
    c = x @ kernel[0, 0]
    both = grid + c * scale + x + c
    shares = np.exp(c - c.max(-1, keepdims=True))
    expected = {
        "both": both,
        "quotient": (both - grid) ** 2 / 3,
        "leaky": np.where(both > 0, both, 0.1 * both),
        "slope": np.where(both > 0, both, scale * both),
        "number": x == grid,
        "softmax": shares / shares.sum(-1, keepdims=True),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-4, err_msg=name)


def test_whole_numbers_are_divided_downwards(tmp_path: Path) -> None:
    x = np.array([[-7, -4, -1, 0, 1, 6, 9]], np.int32)
    nodes = [_node("quotient", "FloorDiv", "x", "four"), _node("rest", "FloorMod", "x", "four")]
    quotient, rest = _run(tmp_path, nodes, {"four": np.array(4, np.int32)}, x, "quotient", "rest")
    np.testing.assert_array_equal(quotient, x // 4)
    np.testing.assert_array_equal(rest, x % 4)


def test_joining_padding_and_reducing_after_a_convolution_keep_the_order_of_the_source(tmp_path: Path) -> None:
    kernel = np.eye(4, dtype="f4").reshape(1, 1, 4, 4)
    whole = {
        "three": np.array(3, np.int32),
        "pads": np.array([[0, 0], [1, 2], [3, 0], [0, 1]], np.int32),
        "one_two": np.array([1, 2], np.int32),
        "last": np.array([-1], np.int32),
    }
    nodes = [
        _node("c", "Conv2D", "x", "k", **_conv_attributes("SAME", 1)),
        _node("joined", "ConcatV2", "c", "x", "three"),
        _node("padded", "PadV2", "joined", "pads", "five"),
        _node("mean", "Mean", "padded", "one_two"),
        _node("largest", "Max", "padded", "last", keep_dims={"b": True}),
        _node("parts", "Split", "three", "joined", num_split={"i": "4"}),
        _node("sizes", "SplitV", "joined", "cuts", "three"),
    ]
    constants = {"k": kernel, "five": np.array(5, np.float32), "cuts": np.array([3, 5], np.int32), **whole}
    names = ("padded", "mean", "largest", "parts:2", "sizes:1")
    padded, mean, largest, part, rest = _run(tmp_path, nodes, constants, IMAGE, *names)
    joined = np.concatenate([IMAGE, IMAGE], axis=3)
    expected = np.pad(joined, whole["pads"], constant_values=5)
    np.testing.assert_allclose(padded, expected, atol=1e-5)
    np.testing.assert_allclose(mean, expected.mean(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(largest, expected.max(axis=3, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(part, joined[..., 4:6], atol=1e-5)
    np.testing.assert_allclose(rest, joined[..., 3:], atol=1e-5)


def test_a_graph_with_channels_first_costs_no_transposition_inside(tmp_path: Path) -> None:
    """Such graphs, made from PyTorch networks, wrap each convolution in two transpositions."""
    kernel = RNG.normal(size=(1, 1, 4, 4)).astype("f4")
    nodes = [_input((1, 4, 5, 6))]
    last = "x"
    for index in range(3):
        nodes += [
            _node(f"in{index}", "Transpose", last, "to_last"),
            _node(f"c{index}", "Conv2D", f"in{index}", "k", **_conv_attributes("VALID", 1)),
            _node(f"out{index}", "Transpose", f"c{index}", "to_first"),
        ]
        last = f"out{index}"
    order = {"to_last": np.array(NHWC, np.int32), "to_first": np.array([0, 3, 1, 2], np.int32)}
    x = RNG.normal(size=(1, 4, 5, 6)).astype("f4")
    (found,) = _run(tmp_path, nodes, {"k": kernel, **order}, x)
    product = kernel[0, 0] @ kernel[0, 0] @ kernel[0, 0]
    np.testing.assert_allclose(found, np.moveaxis(np.moveaxis(x, 1, 3) @ product, 3, 1), rtol=1e-3, atol=1e-4)
    assert b"Transpose" not in (tmp_path / "network.onnx").read_bytes()


def test_shapes_positions_and_choices(tmp_path: Path) -> None:
    x = RNG.normal(size=(1, 5, 4)).astype("f4")
    ints = {
        "shape": np.array([-1, 10], np.int32),
        "minus": np.array(-1, np.int32),
        "zero": np.array(0, np.int32),
        "one": np.array(1, np.int32),
        "three": np.array(3, np.int32),
        "begin": np.array([0, -1, 3], np.int32),
        "end": np.array([0, -6, 1], np.int32),
        "stride": np.array([1, -2, -1], np.int32),
        "rows": np.array([4, 0], np.int32),
        "points": np.array([[0, 2], [0, 4]], np.int32),
    }
    nodes = [
        _node("reshaped", "Reshape", "x", "shape"),
        _node("wider", "ExpandDims", "x", "minus"),
        _node("narrow", "Squeeze", "wider", squeeze_dims=_numbers(-1, 0)),
        _node("slice", "StridedSlice", "x", "begin", "end", "stride", shrink_axis_mask={"i": "1"}),
        _node("parts", "Unpack", "x", axis={"i": "2"}, num={"i": "4"}),
        _node("packed", "Pack", "parts:3", "parts", axis={"i": "1"}),
        _node("taken", "GatherV2", "x", "rows", "one"),
        _node("points_of", "GatherNd", "x", "points"),
        _node("best", "TopKV2", "x", "three", sorted={"b": True}),
        _node("where", "ArgMax", "x", "one", output_type={"type": "DT_INT32"}),
    ]
    names = ("reshaped", "narrow", "slice", "packed", "taken", "points_of", "best", "best:1", "where")
    expected = [
        x.reshape(2, 10),
        x[0],
        x[0, ::-2, 3:1:-1],
        np.stack([x[..., 3], x[..., 0]], axis=1),
        x[:, [4, 0]],
        x[0, [2, 4]],
        -np.sort(-x)[..., :3],
        np.argsort(-x)[..., :3],
        x.argmax(axis=1),
    ]
    for name, found, wanted in zip(names, _run(tmp_path, nodes, ints, x, *names), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6, err_msg=name)


def test_what_follows_from_constants_is_computed_once(tmp_path: Path) -> None:
    """A shape that the source puts together from a sparse tensor, a sum and a conversion."""
    x = RNG.normal(size=(1, 6, 4)).astype("f4")
    constants = {
        "at": np.array([[1]], np.int32),
        "length": np.array([3], np.int32),
        "values": np.array([2], np.int32),
        "ones": np.array(1, np.int32),
        "rest": np.array([0, 5, -2], np.int32),
    }
    nodes = [
        _node("dense", "SparseToDense", "at", "length", "values", "ones"),
        _node("size", "AddV2", "dense", "rest"),
        _node("y", "Reshape", "x", "size"),
        _node("sizes", "Shape", "y"),
        _node("flat", "Reshape", "y", "sizes"),
    ]
    with pytest.raises(ConversionError, match="do not fill"):
        _run(tmp_path, nodes, constants, x)  # 1 x 7 x -1
    constants["rest"] = np.array([0, 1, -2], np.int32)
    (found,) = _run(tmp_path, nodes, constants, x)
    np.testing.assert_array_equal(found, x.reshape(1, 3, 8))
    assert (tmp_path / "network.onnx").read_bytes().count(b"AddV2") == 0


def test_a_batch_gives_what_its_images_give_alone(tmp_path: Path) -> None:
    kernel, matrix = RNG.normal(size=(3, 3, 4, 2)).astype("f4"), RNG.normal(size=(3, 6)).astype("f4")
    ints = {
        "size": np.array([14, 12], np.int32),
        "flat": np.array([1, -1, 6], np.int32),
        "one": np.array([1], np.int32),
    }
    nodes = [
        _node("c", "Conv2D", "x", "k", **_conv_attributes("SAME", 2)),
        _node("r", "ResizeBilinear", "x", "size"),
        _node("long", "Reshape", "c", "flat"),
        _node("mean", "Mean", "long", "one"),
        _node("y", "_FusedMatMul", "mean", "m", "b", transpose_b={"b": True}, fused_ops=_texts("BiasAdd", "Sigmoid")),
    ]
    constants = {"k": kernel, "m": matrix, "b": np.ones(3, np.float32), **ints}
    images = RNG.normal(size=(3, 7, 6, 4)).astype("f4")
    scores, large = _run(tmp_path, nodes, constants, images, "y", "r", dynamic=True)
    assert scores.shape == (3, 3)
    assert large.shape == (3, 14, 12, 4)
    for index in range(3):
        alone, _ = _run(tmp_path, nodes, constants, images[[index]], "y", "r", dynamic=True)
        np.testing.assert_allclose(scores[index], alone[0], rtol=1e-4)


def test_half_precision_and_quantised_weights() -> None:
    document, data = _model(
        [_input((1, 2)), _node("y", "Add", "x", "w")], {"w": np.array([0.5, -2.0], "f4")}, half=True
    )
    assert len(data) == 4
    model = onnx.load_model_from_string(convert(document, _spec({"y": "y"}), {"a.bin": data}))
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(model.graph.initializer[0]), [[0.5, -2.0]])
    read = json.loads(document)
    read["weightsManifest"][0]["weights"][0]["quantization"] = {"dtype": "uint8", "scale": 0.25, "min": -2.0}
    model = onnx.load_model_from_string(convert(json.dumps(read).encode(), _spec({"y": "y"}), {"a.bin": b"\x0a\x00"}))
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(model.graph.initializer[0]), [[0.5, -2.0]])


def _hostile() -> dict[str, tuple[bytes, str]]:
    good, _ = _model([_input((1, 2)), _node("y", "Add", "x", "w")], {"w": np.zeros(2, "f4")})

    def changed(change: Any) -> bytes:
        document = json.loads(good)
        change(document, document["modelTopology"]["node"], document["weightsManifest"][0])
        return json.dumps(document).encode()

    return {
        "no JSON": (b"\xff\xfe", "no graph model"),
        "another document": (b'{"format": "layers-model"}', "no graph model"),
        "deep": (b"[" * 100_000, "no graph model"),
        "unknown operation": (changed(lambda d, n, w: n[1].update(op="PyFunc")), "'PyFunc'"),
        "a circle": (changed(lambda d, n, w: n[1].update(input=["y", "w"])), "needs itself"),
        "no such node": (changed(lambda d, n, w: n[1].update(input=["x", "v"])), "no node 'v'"),
        "no such output": (changed(lambda d, n, w: n[1].update(input=["x:7", "w"])), "no tensor 'x:7'"),
        "operands missing": (changed(lambda d, n, w: n[1].update(input=["x"])), "node 'y'"),
        "shapes that do not fit": (changed(lambda d, n, w: n.__setitem__(0, _input((1, 3)))), "node 'y'"),
        "a negative shape": (changed(lambda d, n, w: w["weights"][0].update(shape=[-2, -1])), "no shape"),
        "a huge shape": (changed(lambda d, n, w: w["weights"][0].update(shape=[1 << 40, 1 << 40])), "no shape"),
        "weights too short": (changed(lambda d, n, w: w["weights"][0].update(shape=[3])), "end before"),
        "weights too long": (changed(lambda d, n, w: w["weights"][0].update(shape=[1])), "too many"),
        "unknown type": (changed(lambda d, n, w: w["weights"][0].update(dtype="string")), "unknown way"),
        "another file": (changed(lambda d, n, w: w.update(paths=["../../etc/passwd"])), "was not given"),
        "a constant without weights": (changed(lambda d, n, w: w.update(weights=[], paths=[])), "lack 'w'"),
        "an input without a shape": (changed(lambda d, n, w: n[0].update(attr={})), "no usable shape"),
        "a nonsense attribute": (
            changed(lambda d, n, w: n[1].update(op="LeakyRelu", input=["x"], attr={"alpha": {"s": "%%%"}})),
            "node 'y'",
        ),
    }


@pytest.mark.parametrize("name", list(_hostile()))
def test_a_damaged_or_hostile_file_is_refused_in_words(name: str) -> None:
    document, message = _hostile()[name]
    with pytest.raises(ConversionError, match=message):
        convert(document, _spec({"y": "y"}), {"a.bin": bytes(8)})


def test_constants_cannot_grow_without_bound() -> None:
    constants = {
        "at": np.zeros((0, 2), np.int32),
        "size": np.array([1 << 20, 1 << 20], np.int32),
        "none": np.zeros(0, np.int32),
        "zero": np.array(0, np.int32),
    }
    nodes = [_node("dense", "SparseToDense", "at", "size", "none", "zero"), _node("y", "Shape", "dense")]
    document, data = _model(nodes, constants)
    with pytest.raises(ConversionError, match="no shape"):
        convert(document, _spec({"y": "y"}), {"a.bin": data})


def test_outputs_must_be_named() -> None:
    document, data = _model([_input((1, 2))], {})
    with pytest.raises(ConversionError, match="names of its outputs"):
        convert(document, _spec({}), {"a.bin": data})
