"""Keep what `training.body_network` trained: the network of pedestrians, the descriptor and the head for attributes.

    python -m training.body_pedestrians --data FOLDER --models FOLDER --trained FOLDER

`--data` is the folder with peta.zip, `--models` that of the pulled networks, `--trained` what was written there.
Figures are of the product's own code on the weights as they are kept.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from lunaria.vision.estimators.body_attributes import TASKS
from lunaria.vision.estimators.body_views import BodyFeatureNetwork
from lunaria.vision.packs.manifest import Check, Network
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.packs.verify import fingerprint
from lunaria.vision.runtime import open_session
from training import body_attributes, body_descriptor, body_figures, peta
from training.body_vectors import computed
from training.half_precision import halved
from training.record import record

SAID = (
    "area under the curve within sets (gender, headwear, backpack, sleeve), mean recall (garment), right (others), "
    "area of pairs, mean average precision and first places of the descriptor"
)


def network_bytes(published: Path, arrays: dict[str, NDArray[Any]]) -> bytes:
    """The published network with other weights. Raises ValueError when one is missing or has another shape."""
    model = onnx.load(published)
    for constant in model.graph.initializer:
        if constant.name.endswith((".weight", ".bias")):
            values = arrays.pop(constant.name)
            if list(values.shape) != list(constant.dims):
                raise ValueError(f"{constant.name} has the shape {values.shape}, not {tuple(constant.dims)}")
            constant.CopyFrom(numpy_helper.from_array(values.astype(np.float32), constant.name))
    if arrays:
        raise ValueError(f"the network has no {', '.join(arrays)}")
    return halved(model)


def keep_network(weights: bytes, file: Path, published: Network, measured: str) -> None:
    """Write the network and its entry of the manifest. `file`: where `weights` lie."""
    shape = (1, 3, 256, 128)
    answers = fingerprint(file, Check(input="image", shape=shape, low=-1.0, high=1.0, outputs=[]))
    assert published.preprocessing is not None
    record(
        "body_pedestrians",
        "body_pedestrians.onnx",
        weights,
        {
            "kind": published.kind,
            "title": "EfficientNet-Lite0 for pedestrians",
            "licence": "research",
            "licence_notes": "EfficientNet-Lite0 (Apache-2.0), trained further by this project on PETA, which its "
            "authors issued for research only.",
            "training_data": f"PETA without VIPeR, GRID and {body_attributes.HELD_SET}, people of 8 groups of 10",
            "measured": {"unseen cameras, by networks of the same kind": measured},
            "preprocessing": {
                "width": published.preprocessing.width,
                "height": published.preprocessing.height,
                "channels": published.preprocessing.channels,
                "layout": published.preprocessing.layout,
                "mean": list(published.preprocessing.mean),
                "scale": list(published.preprocessing.scale),
                "crop": published.preprocessing.crop,
            },
            "check": {"input": "image", "shape": list(shape), "low": -1.0, "high": 1.0, "outputs": answers},
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=Path("data/models"))
    parser.add_argument("--trained", type=Path, default=Path("out/training/body_network"))
    options = parser.parse_args()
    published = ModelStore(options.models).network("body_features")
    weights = network_bytes(published.path, _arrays(options.trained / "backbone.npz"))
    heads, unseen = (_arrays(options.trained / name) for name in ("heads.npz", "unseen.npz"))
    data = peta.load(options.data)
    if not unseen["known"].all():
        raise SystemExit("unseen.npz does not know all crops: a fold is missing")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "body_pedestrians.onnx"
        file.write_bytes(weights)
        assert published.spec.preprocessing is not None
        network = BodyFeatureNetwork(open_session(file, concurrency=1), published.spec.preprocessing)
        needed = np.flatnonzero((data.groups < body_attributes.TEST_GROUPS) | (data.sets == body_attributes.HELD_SET))
        own = computed(lambda place: data.warps[needed[place]], len(needed), network)
        vectors = np.zeros((len(data.sets), own.shape[1]), np.float32)
        vectors[needed] = own
        answers = {task: unseen[task].astype(np.float32) for task in TASKS}
        points = body_descriptor.unit(unseen["points"].astype(np.float32))
        figures = body_figures.summary(
            answers,
            body_attributes.targets(data),
            points,
            body_descriptor.identities(data),
            data.sets,
            body_descriptor.UNKNOWN_PERSONS,
        )
        text = ", ".join(f"{task} {value:.3f}" for task, value in figures.items())
        keep_network(weights, file, published.spec, f"{SAID}: {text}")
        floats = {name: values.astype(np.float32) for name, values in heads.items()}
        body_attributes.keep(data, floats, answers, vectors)
        body_descriptor.keep(data, network, floats, points, vectors)


def _arrays(file: Path) -> dict[str, NDArray[Any]]:
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


if __name__ == "__main__":
    main()
