"""Recognition accuracy on photographs of your own: who is who, in bad conditions too, and where the faces are.

    python -m bench.accuracy --images lfw.zip --pairs pairs.txt [--groups groups.zip] [--url http://127.0.0.1:5000]

`--images`: folder or zip with one folder a person; `--pairs`: the official pairs file of LFW, or a CSV file
fold,same,image1,image2. By default the networks run in this process; with `--url` a running server computes the
descriptors. Nothing is kept between runs. 2,320 photographs take two minutes on two cores.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import robustness
from bench.faces import Face, InProcess, OverHttp, Source, faces_of, models_folder
from bench.groups import Groups, measure_groups
from bench.report import add_markdown_argument, conditions, progress, publish, table
from bench.roc import draw
from lunaria.evaluation.pairs import EvaluationDataError, Pair, Photographs, person_of, read_pairs
from lunaria.evaluation.verification import NO_MATCH, Roc, all_pairs, first_rank, fold_accuracy
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.similarity import Similarity

RATES = (1e-2, 1e-3, 1e-4, 1e-5)
FEWEST_PAIRS = 10
"""A rate is only told when at least so many impostor pairs are accepted at it."""
SPOILT_PHOTOGRAPHS = 100


def main() -> None:
    given = arguments()
    try:
        pairs = read_pairs(given.pairs)
        images = sorted({image for pair in pairs for image in (pair.first, pair.second)})
        photographs = Photographs(given.images, images)
    except EvaluationDataError as error:
        raise SystemExit(f"bench.accuracy: {error}") from None
    source = _source(given)
    progress(f"{len(images)} photographs, {source.name}")
    named = ((image, photographs.read(image)) for image in images)
    faces = faces_of(source, named, len(images), given.workers)
    verification = verification_report(given, source, pairs, faces)
    publish("verification", verification.text, given.markdown)
    if isinstance(source, InProcess) and not given.quick:
        originals = chosen_originals(source, photographs, faces, SPOILT_PHOTOGRAPHS)
        publish("robustness", robustness_report(given, source, originals, verification.threshold), given.markdown)
    if given.groups and not given.quick:
        publish(
            "detection",
            groups_report(measure_groups(given.groups, ModelStore(models_folder(given.models)))),
            given.markdown,
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="folder or zip of photographs, a folder a person")
    parser.add_argument("--pairs", type=Path, required=True, help="LFW's pairs.txt, or CSV fold,same,image1,image2")
    parser.add_argument("--groups", type=Path, help="zip of photographs with marked faces in the format of dlib")
    parser.add_argument("--url", help="a running server; default: the networks in this process")
    parser.add_argument("--login", default="root@lunaria.local", help="account on the server")
    parser.add_argument("--password", default=os.environ.get("LUNARIA_ACCESS_ADMIN_PASSWORD", ""))
    parser.add_argument("--models", type=Path, help="folder of the networks")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="photographs at a time")
    parser.add_argument("--roc", type=Path, default=Path("out/roc.svg"), help="file of the ROC curve (svg, png)")
    parser.add_argument("--quick", action="store_true", help="verification only")
    add_markdown_argument(parser)
    return parser.parse_args()


def _source(given: argparse.Namespace) -> Source:
    if given.url:
        return OverHttp(given.url, given.login, given.password)
    return InProcess(ModelStore(models_folder(given.models)))


class Verification:
    """The report, and the threshold at which 1 of 10,000 pairs of different persons is accepted."""

    def __init__(self, text: str, threshold: float) -> None:
        self.text = text
        self.threshold = threshold


def verification_report(
    given: argparse.Namespace, source: Source, pairs: list[Pair], faces: dict[str, Face | None]
) -> Verification:
    scores, same, folds = pair_scores(pairs, faces)
    enrolled = [image for image, face in sorted(faces.items()) if face is not None]
    failed = [image for image, face in sorted(faces.items()) if face is None]
    vectors = np.stack([face.vector for image in enrolled if (face := faces[image]) is not None])
    persons = [person_of(image) for image in enrolled]
    roc = Roc(*all_pairs(vectors, persons, [person_of(image) for image in failed]))
    similarity = Similarity(ModelStore(models_folder(given.models)).descriptor_spec().similarity.knots)
    rank, people, probes = first_rank(vectors, persons)
    lines = [
        conditions(
            f"Data: {given.images.name} with {given.pairs.name}, {source.name}.", "onnxruntime", "openvino", "numpy"
        ),
        "",
        f"- Photographs: {len(faces):,} of {len(set(map(person_of, faces))):,} persons; **no face was found in "
        f"{len(failed)}** (failures to enrol; their pairs count as never accepted)"
        + (f": {', '.join(failed[:5])}." if failed else "."),
    ]
    if len(np.unique(folds)) > 1:
        accuracy = fold_accuracy(scores, same, folds)
        thresholds = [fold.threshold for fold in accuracy.folds]
        lines.append(
            f"- Pairs of the protocol: {len(pairs):,} in {len(accuracy.folds)} folds. **Accuracy {accuracy.mean:.4f} ± "
            f"{accuracy.deviation:.4f}** (standard deviation over the folds; of each: "
            f"{', '.join(f'{fold.accuracy:.4f}' for fold in accuracy.folds)}). The threshold of a fold is chosen on "
            f"the other folds: cosine {min(thresholds):.3f} to {max(thresholds):.3f}."
        )
    else:
        lines.append(f"- Pairs of the protocol: {len(pairs):,} in one fold, so no threshold can be chosen on others.")
    default = float(similarity.to_cosine(0.9))
    decided = float(((scores > default) == same).mean())
    false_accept, true_accept = roc.at_threshold(default)
    lines += [
        f"- At the default threshold of verification (similarity 0.9, cosine {default:.3f}): {decided:.4f} of the "
        f"pairs of the protocol are decided right; over all pairs {true_accept:.4f} of the genuine and "
        f"{false_accept:.1e} of the impostor ones are accepted.",
        f"- Identification: {rank:.4f} of {probes:,} searches in a gallery of {people:,} persons (one photograph each) "
        "name the right person first.",
        "",
        f"All {roc.genuine_pairs:,} pairs of the same and {roc.impostor_pairs:,} of different persons among the "
        f"photographs; equal error rate {roc.equal_error():.4f}:",
        "",
        table(
            ["false acceptance rate", "true acceptance rate", "cosine", "similarity"],
            [
                (
                    f"{rate:g}",
                    f"{roc.true_acceptance(rate):.4f}",
                    f"{roc.threshold_at(rate):.3f}",
                    f"{float(similarity.from_cosine(roc.threshold_at(rate))):.3f}",
                )
                for rate in RATES
                if rate * roc.impostor_pairs >= FEWEST_PAIRS
            ],
        ),
    ]
    draw(roc, given.roc)
    progress(f"ROC curve: {given.roc}")
    return Verification("\n".join(lines), roc.threshold_at(1e-4) if roc.impostor_pairs >= 1e5 else default)


def pair_scores(
    pairs: list[Pair], faces: dict[str, Face | None]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Cosines, labels and folds of the pairs of a protocol."""

    def score(pair: Pair) -> float:
        first, second = faces[pair.first], faces[pair.second]
        return NO_MATCH if first is None or second is None else float(first.vector @ second.vector)

    return (
        np.array([score(pair) for pair in pairs]),
        np.array([pair.same for pair in pairs]),
        np.array([pair.fold for pair in pairs]),
    )


def chosen_originals(
    source: InProcess, photographs: Photographs, faces: dict[str, Face | None], count: int
) -> list[robustness.Original]:
    """Photographs of different persons who have a second one, spread evenly over the alphabet."""
    of_person: dict[str, list[tuple[str, Face]]] = {}
    for image, face in sorted(faces.items()):
        if face is not None:
            of_person.setdefault(person_of(image), []).append((image, face))
    several = [found for found in of_person.values() if len(found) > 1]
    chosen = [several[place] for place in np.unique(np.linspace(0, len(several) - 1, count).astype(int))]
    return [
        robustness.Original(
            source.decoder.decode(photographs.read(found[0][0])).pixels, found[0][1], found[1][1].vector
        )
        for found in chosen
    ]


def robustness_report(
    given: argparse.Namespace, source: InProcess, originals: list[robustness.Original], threshold: float
) -> str:
    def rows(measured: list[robustness.Agreement]) -> list[tuple[Any, ...]]:
        return [
            (
                one.name,
                f"{one.mean:.3f}",
                f"{one.fifth_percentile:.3f}",
                f"{one.lost / one.photographs:.2f}",
                f"{one.accepted:.2f}",
            )
            for one in measured
        ]

    measured = [robustness.unspoilt(originals, threshold), robustness.warp_agreement(source, originals, threshold)]
    for group in (robustness.SMALL, robustness.TURNED, robustness.SPOILT):
        measured += robustness.agreements(source, originals, group, threshold, given.workers)
    header = ["photograph", "mean cosine", "5th percentile", "no face found", "accepted as the person"]
    return "\n".join(
        [
            conditions(
                f"Data: {len(originals)} photographs of {given.images.name}, one a person.", "onnxruntime", "openvino"
            ),
            "",
            "The cosine is that of the descriptors of a photograph before and after it was spoilt. *Accepted*: the "
            "share of spoilt photographs that are still taken for the person of another, unspoilt photograph at the "
            f"the threshold that accepts 1 of 10,000 pairs of different persons (cosine {threshold:.3f}).",
            "",
            table(header, rows(measured)),
        ]
    )


def groups_report(groups: Groups) -> str:
    errors = groups.landmark_errors
    rows = [(f"{score:g}", f"{recall:.3f}", f"{precision:.3f}") for score, (recall, precision) in groups.at.items()]
    return "\n".join(
        [
            conditions(f"Data: {groups.images} group photographs with {groups.faces} marked faces.", "onnxruntime"),
            "",
            f"Average precision **{groups.average_precision:.3f}** (overlap with the marked box at least 0.4). Faces "
            "that nobody marked count as false detections, so precision is a lower bound.",
            "",
            table(["score", "recall", "precision"], rows),
            "",
            f"68 landmarks on the {len(errors)} detected faces: mean error **{errors.mean():.2%}** of the distance of "
            f"the outer eye corners, median {np.median(errors):.2%}, 95th percentile {np.percentile(errors, 95):.2%}.",
        ]
    )


if __name__ == "__main__":
    main()
