"""Pack PETA for training the network of bodies on another machine: crops, persons and what is known of them.

    python -m training.body_crops --data FOLDER --out FILE     the folder with peta.zip

The file holds all that `training.body_network` needs, so that only numpy, OpenCV, ONNX and torch must be there.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import peta
from training.body_attributes import EVENNESS, OTHER_EVENNESS, targets
from training.body_descriptor import identities


def packed(folder: Path) -> dict[str, NDArray[Any]]:
    """The arrays of the file: the JPEG files end to end, and for each crop its set, person, group and targets."""
    data = peta.load(folder)
    streams = [np.frombuffer(crop.jpeg, np.uint8) for crop in peta.crops(folder)]
    wanted = targets(data)
    return {
        "jpeg": np.concatenate(streams),
        "lengths": np.array([len(stream) for stream in streams]),
        "sets": data.sets,
        "persons": identities(data),
        "groups": data.groups,
        **{f"target_{task}": values.astype(np.float16) for task, values in wanted.items()},
        **{f"evenness_{task}": np.array(EVENNESS.get(task, OTHER_EVENNESS)) for task in wanted},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("out/training/body_crops.npz"))
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(options.out, **packed(options.data))


if __name__ == "__main__":
    main()
