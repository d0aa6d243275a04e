"""Body boxes, keypoints and links of faces to bodies on COCO's persons; counts of people; faces and landmarks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.accuracy import groups_report
from bench.estimates.run import Report, Run, Target
from bench.estimates.sources import MarkedPerson, coco_persons, head_counts
from bench.groups import measure_groups
from bench.report import progress, table
from lunaria.evaluation.bodies import BodyImage, average_precision, count_errors, judge, keypoint_similarity
from lunaria.vision.bodies import BODY_THRESHOLD, BodyDetector
from lunaria.vision.body_networks import CenterNet, NanoDet
from lunaria.vision.findings import Findings
from lunaria.vision.geometry import Points, overlap
from lunaria.vision.keypoints import COCO_KEYPOINTS, KeypointNetwork
from lunaria.vision.networks import NetworkLoader
from lunaria.vision.plan import Plan

AREAS = (0.0, 32.0**2, 96.0**2)
LEAST_KEYPOINTS = 5
HEAD = [COCO_KEYPOINTS.index(name) for name in ("nose", "left_eye", "right_eye")]
SAME_BODY = 0.5
DETECTORS = ("body_detector_nanodet", "body_detector_centernet")


def measure_bodies(run: Run) -> list[Report]:
    source = run.part("coco_persons") or run.data
    images = coco_persons(source)
    load = NetworkLoader(run.store, "auto", "cpu")
    detector = BodyDetector([NanoDet(load.session(DETECTORS[0])), CenterNet(load.session(DETECTORS[1]))])
    keypoints = KeypointNetwork(load.session("body_keypoints"))
    judged: list[BodyImage] = []
    similarities: list[tuple[float, float]] = []
    links: list[tuple[bool, bool, bool]] = []
    names = run.chosen(list(images))
    for number, name in enumerate(names, 1):
        data, persons = images[name]
        pixels = run.pixels(data)
        found = detector.candidates(pixels)
        judged.append(body_image(found.boxes, found.scores, persons))
        marked = [one for one in persons if not one.crowd and (one.keypoints[:, 2] > 0).sum() >= LEAST_KEYPOINTS]
        if marked:
            located = keypoints.locate(pixels, np.stack([one.box for one in marked]))
            similarities += [
                (one.area, keypoint_similarity(points, one.keypoints, one.area))
                for one, points in zip(marked, located, strict=True)
            ]
        links += face_links(run.find(pixels, Plan(detect_bodies=True)), persons)
        if number % 20 == 0:
            progress(f"{number} images with persons")
    rows, precisions = [], {}
    for area in AREAS:
        result = judge(judged, area)
        precisions[area] = average_precision(result)
        precision, recall = result.at(BODY_THRESHOLD)
        of = "all" if not area else f"over {area**0.5:.0f} x {area**0.5:.0f} pixels"
        rows.append((of, result.truths, f"{precisions[area]:.3f}", f"{precision:.3f}", f"{recall:.3f}"))
    oks = np.array([value for _, value in similarities])
    there = [right for possible, right, _ in links if possible]
    several = [right for possible, right, company in links if possible and company]
    alone = [right for possible, right, _ in links if not possible]
    lines = [
        table(["persons", "marked", "average precision, IoU 0.5", f"precision at {BODY_THRESHOLD:g}", "recall"], rows),
        "",
        f"- Keypoints in the marked boxes of {len(oks)} persons with at least {LEAST_KEYPOINTS} points: object "
        f"keypoint similarity **{oks.mean():.3f}**; {(oks > 0.5).mean():.1%} above 0.5 and {(oks > 0.75).mean():.1%} "
        "above 0.75.",
        f"- Faces and bodies as found: of {len(there)} faces whose body was found **{sum(there)}** are linked to it "
        f"({sum(several)} of {len(several)} among several bodies); of {len(alone)} whose body was missed {sum(alone)} "
        "stay alone.",
    ]
    targets = [
        Target("average precision, all", 0.735, precisions[0.0], percent=False),
        Target("over 32 x 32", 0.825, precisions[AREAS[1]], percent=False),
        Target("over 96 x 96", 0.896, precisions[AREAS[2]], percent=False),
        Target("keypoints, mean similarity (57 persons)", 0.709, float(oks.mean()), percent=False),
    ]
    if there:
        targets.append(Target("faces linked to their body", 35 / 36, sum(there) / len(there)))
    total = sum(len(images[name][1]) for name in names)
    text = f"{source.name}: {len(judged)} images with {total} marked persons" + (
        " of COCO val2017 (annotations CC BY 4.0, photographs by the terms of Flickr); how the networks are joined, "
        "the threshold of boxes and the margin of keypoints were chosen on these images too"
        if run.part("coco_persons")
        else ""
    )
    return [Report("bodies", text, (*DETECTORS, "body_keypoints", "face_detector"), lines, targets)]


def body_image(boxes: Points, scores: Points, persons: Sequence[MarkedPerson]) -> BodyImage:
    return BodyImage(
        boxes,
        np.asarray(scores, np.float64),
        np.array([one.box for one in persons], np.float64).reshape(-1, 4),
        np.array([one.area for one in persons], np.float64),
        np.array([one.crowd for one in persons], bool),
    )


def face_links(found: Findings, persons: Sequence[MarkedPerson]) -> list[tuple[bool, bool, bool]]:
    """Of each found face that holds nose or eyes of one marked person alone: whether the body of that person was found,
    whether the face was linked to it (or else stayed alone), and whether there were other bodies."""
    bodies = np.array([body.rect.corners for body in found.bodies], np.float64).reshape(-1, 4)
    linked = dict(person for person in found.persons if person[0] is not None)
    links = []
    for index, face in enumerate(found.faces):
        x1, y1, x2, y2 = face.rect.corners
        owners = [
            one
            for one in persons
            if any(x1 <= x <= x2 and y1 <= y <= y2 for x, y, seen in one.keypoints[HEAD] if seen > 0)
        ]
        if len(owners) != 1:
            continue
        overlaps = overlap(bodies, owners[0].box)
        own = int(np.argmax(overlaps)) if len(overlaps) and overlaps.max() >= SAME_BODY else None
        links.append((own is not None, linked.get(index) == own, len(bodies) > 1))
    return links


def measure_people(run: Run) -> list[Report]:
    source = run.part("street_counting") or run.data
    images = head_counts(source)
    names = run.chosen(sorted(images))
    counts = []
    for name in names:
        people = run.find(images[name][0], Plan(detect_faces=False, people_count=True)).people
        counts.append(0 if people is None else len(people))
    truth = [images[name][1] for name in names]
    apart, bias = count_errors(counts, truth)
    within = float(np.mean([abs(one - other) <= max(2, 0.2 * other) for one, other in zip(counts, truth, strict=True)]))
    lines = [
        f"- **Mean absolute error {apart:.2f}** heads, mean difference {bias:+.2f}; {np.mean(truth):.1f} heads a "
        f"photograph ({min(truth)} to {max(truth)}), {np.mean(counts):.1f} counted; within 2 heads or a fifth: "
        f"{within:.0%}.",
    ]
    data = (
        f"{len(names)} street photographs with heads marked by hand (no licence stated); the threshold was chosen on "
        "half of them"
        if run.part("street_counting")
        else f"{source.name}, {len(names)} photographs"
    )
    targets = [Target("mean absolute error (12 photographs)", 3.3, apart, least=False, percent=False)]
    return [Report("people count", data, DETECTORS, lines, targets if run.part("street_counting") else ())]


def measure_landmarks(run: Run) -> list[Report]:
    """Those of bench.accuracy, whose place in the document this fills."""
    groups = measure_groups(run.part("groups") or run.data, run.store)
    errors = groups.landmark_errors
    target = Target("68 landmarks, mean error", 0.0402, float(errors.mean()), least=False)
    data = f"{groups.images} group photographs with {groups.faces} marked faces (examples of dlib)"
    lines = groups_report(groups).split("\n")[2:]
    return [Report("detection", data, ("face_detector", "face_landmarks68"), lines, [target])]
