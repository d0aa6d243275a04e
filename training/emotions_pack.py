"""Measure the emotion network of `training.emotions` on the public test part of FER2013, and put it into the pack.

    python -m training.emotions_pack --data FOLDER --out FOLDER

`data` holds the mosaics of FER2013, `out` what `training.emotions` left. The share of a tile that is looked at was
chosen on the faces held back; the public test part was looked at once with these weights.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from lunaria.vision.estimators.emotions import SIDE
from lunaria.vision.packs.manifest import Check
from lunaria.vision.packs.verify import fingerprint
from training.emotions import EMOTIONS, INPUT_SIDE, TILE, VISIBLE, Answering, centred, load_tiles, network
from training.half_precision import halved
from training.record import record


def trained(out: Path) -> Answering:
    """The network that the training left."""
    net = network()
    net.load_state_dict(torch.load(out / "emotions.pt", weights_only=True, map_location="cpu"))
    return Answering([net], [INPUT_SIDE])


def report(net: Answering, data: Path) -> dict[str, Any]:
    """Accuracy and recalls on the public test part, faces as they lie in it."""
    tiles, labels = load_tiles(data, "public_test")
    found = net.both_ways(centred(torch.from_numpy(tiles))).argmax(1).numpy()
    recalls = {name: float((found[labels == k] == k).mean()) for k, name in enumerate(EMOTIONS)}
    return {"accuracy": float((found == labels).mean()), "recalls": recalls, "faces": len(labels)}


def onnx_bytes(net: nn.Module) -> bytes:
    """The network as ONNX with a free batch: `face` (N, 1, 48, 48), standardised, to `logits` (N, 7); half precision
    weights, which are widened when they are loaded."""
    net.eval()
    stream = io.BytesIO()
    torch.onnx.export(
        net,
        (torch.zeros(1, 1, INPUT_SIDE, INPUT_SIDE),),
        stream,
        input_names=["face"],
        output_names=["logits"],
        dynamic_axes={"face": {0: "N"}, "logits": {0: "N"}},
        opset_version=17,
        dynamo=False,
    )
    return halved(onnx.load_model_from_string(stream.getvalue()))


def keep(net: Answering, data: Path) -> None:
    """Write the weights and their entry of the manifest."""
    figures = report(net, data)
    weights = onnx_bytes(net.nets[0])
    recalls = ", ".join(f"{name} {value:.2f}" for name, value in figures["recalls"].items())
    record(
        "face_emotions",
        "face_emotions.onnx",
        weights,
        {
            "kind": "emotions",
            "title": "Residual network for seven emotions (Lunaria)",
            "licence": "research",
            "licence_notes": "The weights are the project's own. FER2013 was issued for research.",
            "training_data": "FER2013, training part: 25,839 of 28,709 faces, 2,870 held back to choose with",
            "preprocessing": {
                "width": INPUT_SIDE,
                "height": INPUT_SIDE,
                "channels": "GRAY",
                "layout": "NCHW",
                "crop": (
                    f"square of {SIDE * VISIBLE / TILE:.1f} around (124.5, 131) of the 250x250 warp; mean 0 and "
                    "deviation 1"
                ),
            },
            "measured": {
                f"accuracy on the public test part of FER2013 ({figures['faces']:,} faces as they lie in it)": (
                    f"{figures['accuracy']:.4f}"
                ),
                "recalls there": recalls,
            },
            "check": check_of(weights),
        },
    )
    print(f"public test part: accuracy {figures['accuracy']:.4f}; {recalls}")


def check_of(weights: bytes) -> dict[str, Any]:
    """What the network answers to the fixed input of `lunaria models verify`."""
    wanted = Check(input="face", shape=(1, 1, INPUT_SIDE, INPUT_SIDE), low=-1.0, high=1.0, outputs=[])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        file.write_bytes(weights)
        outputs = fingerprint(file, wanted)
    return {"input": "face", "shape": list(wanted.shape), "low": -1.0, "high": 1.0, "outputs": outputs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("out/training"))
    options = parser.parse_args()
    keep(trained(options.out), options.data)


if __name__ == "__main__":
    main()
