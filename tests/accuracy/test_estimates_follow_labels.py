"""Each estimate follows its label better than chance: some labelled pictures beside the checkout for each.

Smaller and easier than the figures of docs/accuracy.md, and no figures themselves: the floors lie where an estimate that
is constant, mixed up or turned round cannot reach. Pictures on which something was trained are not left out.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from lunaria.evaluation.classification import area_under_curve
from lunaria.vision.analysis import Analyzer
from lunaria.vision.findings import BodyFinding, FaceFinding
from lunaria.vision.images import Decoder, Image
from lunaria.vision.plan import ImageType, MultifacePolicy, Plan
from tests.estimation.pictures import encode

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SIDE = 500
"""Longest side of the photographs, for speed."""
EMOTIONS = {"angry": "anger", "disgust": "disgust", "fear": "fear", "happy": "happiness", "sad": "sadness",
            "surprise": "surprise", "neutral": "neutral"}  # fmt: skip
RACES = ("caucasian", "african_american", "asian", "indian")
Pixels = NDArray[np.uint8]
Faces = list[FaceFinding]
LookAt = Callable[[Iterable[Pixels], Plan], Faces]

pytestmark = pytest.mark.skipif(
    not (DATA / "utkface.zip").is_file(), reason="the labelled pictures (../shared/data) are not here"
)


@pytest.fixture(scope="module")
def look_at(analyzer: Analyzer) -> LookAt:
    """The best face of each picture; pictures in which no face is found are left out, few of them."""

    def look(pictures: Iterable[Pixels], plan: Plan) -> Faces:
        every = list(pictures)
        found = [analyzer.analyze(_image(pixels), plan) for pixels in every]
        faces = [one[0] for one in found if one]
        assert len(faces) >= 0.7 * len(every), f"{len(faces)} of {len(every)} faces found"
        return faces

    return look


def _plan(**flags: bool) -> Plan:
    return Plan(multiface=MultifacePolicy.BEST, **flags)


def _image(pixels: Pixels) -> Image:
    return Decoder().decode(encode(pixels))


@cache
def _archive(name: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(DATA / name)


def _picture(archive: str, name: str) -> Pixels:
    with PillowImage.open(io.BytesIO(_archive(archive).read(name))) as picture:
        picture = picture.convert("RGB")
        picture.thumbnail((SIDE, SIDE))
        return np.array(picture)


def pictures(archive: str, prefix: str, count: int) -> list[Pixels]:
    """`count` pictures of a folder, evenly spread over their names."""
    names = sorted(name for name in _archive(archive).namelist() if name.startswith(prefix) and name.endswith(".jpg"))
    return [_picture(archive, name) for name in spread(names, count)]


def spread(items: Sequence[str], count: int) -> list[str]:
    return [items[index] for index in np.linspace(0, len(items) - 1, min(count, len(items))).astype(int)]


def above(positive: Sequence[float], negative: Sequence[float], floor: float) -> None:
    """Positives score higher than negatives, so often at least."""
    assert len(positive) >= 5
    assert len(negative) >= 5
    area = area_under_curve(np.array(positive), np.array(negative))
    assert area >= floor, f"area {area:.3f} of {len(positive)} and {len(negative)}"


@pytest.fixture(scope="module")
def expressions(look_at: LookAt) -> dict[str, Faces]:
    """Eight faces of FER2013's public test part for each emotion, set into grey surroundings."""
    with (DATA / "fer2013_public_test.csv").open() as file:
        labels = [row["emotion"] for row in csv.DictReader(file)]
    mosaic = cv2.imread(str(DATA / "fer2013_public_test.jpg"), cv2.IMREAD_GRAYSCALE)

    def tile(index: int) -> Pixels:
        top, left = index // 100 * 48, index % 100 * 48
        face = cv2.resize(mosaic[top : top + 48, left : left + 48], (240, 240), interpolation=cv2.INTER_CUBIC)
        wide = cv2.copyMakeBorder(face, 80, 80, 80, 80, cv2.BORDER_REPLICATE)
        return np.repeat(np.asarray(wide, np.uint8)[..., None], 3, axis=2)

    plan = _plan(emotions=True, mouth=True)
    found: dict[str, Faces] = {}
    for label, word in EMOTIONS.items():
        indices = [index for index, one in enumerate(labels) if one == label][:10]
        found[word] = look_at([tile(index) for index in indices], plan)
    return found


def test_emotions(expressions: dict[str, Faces]) -> None:
    right = total = 0
    for word, faces in expressions.items():
        rest = [face for other, found in expressions.items() if other != word for face in found]
        mine, others = ([(face.emotions or {})[word] for face in group] for group in (faces, rest))
        above(mine, others, 0.6)
        right += sum(max(face.emotions or {}, key=(face.emotions or {}).__getitem__) == word for face in faces)
        total += len(faces)
    assert right / total > 0.35  # chance: 0.14


def test_smiles_and_open_mouths(expressions: dict[str, Faces]) -> None:
    mouths = {word: [face.mouth for face in faces if face.mouth is not None] for word, faces in expressions.items()}
    unsmiling = [mouth.smile for word in ("neutral", "anger", "sadness") for mouth in mouths[word]]
    above([mouth.smile for mouth in mouths["happiness"]], unsmiling, 0.8)
    shut = [mouth.opened for word in ("neutral", "sadness") for mouth in mouths[word]]
    above([mouth.opened for mouth in mouths["surprise"]], shut, 0.55)


@pytest.fixture(scope="module")
def people(look_at: LookAt) -> list[tuple[int, int, int, FaceFinding]]:
    """Age, male, race and face of grown-ups of UTKFace, 15 of each race."""
    names: dict[int, list[str]] = {race: [] for race in range(4)}
    for name in sorted(_archive("utkface.zip").namelist()):
        age, _, race, *_ = name.split("_")
        if race in "0123" and len(race) == 1 and int(age) > 12:
            names[int(race)].append(name)
    found = []
    for race, known in names.items():
        for name in spread(known, 15):
            age, female, *_ = name.split("_")
            wide = cv2.copyMakeBorder(_picture("utkface.zip", name), 60, 60, 60, 60, cv2.BORDER_REPLICATE)
            faces = look_at([np.asarray(wide, np.uint8)], _plan(basic_attributes=True))
            found += [(int(age), 1 - int(female), race, face) for face in faces]
    return found


def test_age_gender_and_ethnicity(people: list[tuple[int, int, int, FaceFinding]]) -> None:
    found = [(age, male, race, face.basic_attributes) for age, male, race, face in people if face.basic_attributes]
    ages = np.array([(age, one.age) for age, _, _, one in found])
    assert np.corrcoef(ages.T)[0, 1] > 0.7
    assert np.abs(ages[:, 0] - ages[:, 1]).mean() < 12
    above([one.male for _, male, _, one in found if male], [one.male for _, male, _, one in found if not male], 0.9)
    for number, word in enumerate(RACES):
        shares = [(race == number, (one.ethnicities or {})[word]) for _, _, race, one in found]
        above([share for mine, share in shares if mine], [share for mine, share in shares if not mine], 0.75)


def test_masks(look_at: LookAt) -> None:
    plan = _plan(mask=True, mouth=True)
    worn, bare = (look_at(pictures("masks.zip", f"{kind}_mask/", 22), plan) for kind in ("with", "without"))
    above(*([face.mask.states["medical_mask"] for face in faces if face.mask] for faces in (worn, bare)), floor=0.9)
    above(*([face.mouth.occluded for face in faces if face.mouth] for faces in (worn, bare)), floor=0.9)


def test_sunglasses_and_hidden_eyes(look_at: LookAt) -> None:
    """Not every selfie of the set shows sunglasses."""
    plan = _plan(glasses=True, eyes=True)
    worn, bare = look_at(pictures("sunglasses.zip", "", 24), plan), look_at(pictures("lfw.zip", "images/", 24), plan)
    above(*([face.glasses.sunglasses for face in faces if face.glasses] for faces in (worn, bare)), floor=0.85)
    hidden = [[face.eyes.left.state == "occluded" for face in faces if face.eyes] for faces in (worn, bare)]
    assert np.mean(hidden[0]) > 0.4 > 0.15 > np.mean(hidden[1])


def test_liveness_and_deepfake(look_at: LookAt) -> None:
    plan = _plan(liveness=True, deepfake=True)
    live, spoof = (look_at(pictures("liveness.zip", f"{kind}/", 24), plan) for kind in ("live", "spoof"))
    above(*([face.liveness.score for face in faces if face.liveness] for faces in (live, spoof)), floor=0.85)
    untouched = [face.deepfake for face in live if face.deepfake is not None]
    assert np.mean(np.array(untouched) >= 0.5) > 0.8


Bodies = list[tuple[frozenset[str], BodyFinding]]


@pytest.fixture(scope="module")
def pedestrians(analyzer: Analyzer) -> Bodies:
    """Labels and attributes of crops of PETA, as warps: every hundredth, and some of each rare label."""
    archive = _archive("peta.zip")
    tables = {
        name.split("/")[0]: {
            line.split()[0]: frozenset(line.split()[1:])
            for line in archive.read(name).decode(errors="replace").splitlines()
            if line.strip()
        }
        for name in archive.namelist()
        if name.endswith("/Label.txt")
    }
    labelled = []
    for name in sorted(archive.namelist()):
        folder, _, file = name.partition("/")
        stem = file.rpartition(".")[0]
        keys = [key for key in (file, stem, f"{stem}.png", stem.split("_")[0]) if key in tables.get(folder, {})]
        if name.endswith(".jpg") and keys:
            labelled.append((name, tables[folder][keys[0]]))
    wanted = {name for name, _ in labelled[::130]}
    rare = (
        "carryingBackpack",
        "upperBodyShortSleeve",
        "lowerBodyShorts",
        "lowerBodyShortSkirt",
        "upperBodyRed",
        "upperBodyWhite",
    )
    for label in rare:
        wanted.update(spread([name for name, labels in labelled if label in labels], 12))
    plan = Plan(body_basic_attributes=True, upper_body=True, lower_body=True, accessories=True)
    found = []
    for name, labels in labelled:
        if name in wanted:
            with PillowImage.open(io.BytesIO(archive.read(name))) as picture:
                warp = np.array(picture.convert("RGB").resize((128, 256), PillowImage.Resampling.BILINEAR))
            (body,) = analyzer.find(_image(warp), plan, image_type=ImageType.BODY_WARP).bodies
            found.append((labels, body))
    return found


@pytest.mark.parametrize(
    ("attribute", "words", "floor"),
    [
        ("gender", {"male": "personalMale", "female": "personalFemale"}, 0.65),
        ("sleeve", {"short": "upperBodyShortSleeve", "long": "upperBodyLongSleeve"}, 0.7),
        ("lower_garment", {"trousers": "lowerBodyTrousers", "shorts": "lowerBodyShorts"}, 0.7),
        ("backpack", {"present": "carryingBackpack", "absent": "carryingNothing"}, 0.65),
    ],
)
def test_bodies(pedestrians: Bodies, attribute: str, words: dict[str, str], floor: float) -> None:
    """Mean recall of the words where one of them is said; chance is a half."""
    recalls = []
    for word, label in words.items():
        said = [getattr(body.attributes, attribute) for labels, body in pedestrians if label in labels]
        decided = [one for one in said if one in words]
        assert len(decided) >= 5, (word, said)
        recalls.append(np.mean([one == word for one in decided]))
    assert np.mean(recalls) >= floor, recalls


@pytest.mark.parametrize("color", ["black", "red", "white"])
def test_colours_of_clothes(pedestrians: Bodies, color: str) -> None:
    label = f"upperBody{color.capitalize()}"
    named = [
        (label in labels, color in body.attributes.upper_colors) for labels, body in pedestrians if body.attributes
    ]
    recall = np.mean([told for true, told in named if true])
    false_alarms = np.mean([told for true, told in named if not true])
    assert recall > false_alarms + 0.25, (recall, false_alarms)


def test_ages_of_bodies(pedestrians: Bodies) -> None:
    ages = {}
    for label in ("personalLess30", "personalLarger60"):
        ages[label] = [body.attributes.age for labels, body in pedestrians if label in labels and body.attributes]
    if min(map(len, ages.values())) < 5:
        ages["personalLarger60"] = [
            body.attributes.age
            for labels, body in pedestrians
            if {"personalLess60", "personalLarger60"} & labels and body.attributes
        ]
    above(ages["personalLarger60"], ages["personalLess30"], 0.6)


def test_counting_people(analyzer: Analyzer) -> None:
    """In pictures of COCO with one to fifteen persons."""
    archive = _archive("coco_persons.zip")
    marks = json.loads(archive.read("annotations/instances_val2017.json"))
    files = {image["id"]: image["file_name"] for image in marks["images"]}
    persons = next(one["id"] for one in marks["categories"] if one["name"] == "person")
    counts = {image: 0 for image, name in files.items() if f"images/{name}" in archive.namelist()}
    crowded = set()
    for mark in marks["annotations"]:
        if mark["image_id"] in counts and mark["category_id"] == persons:
            counts[mark["image_id"]] += 1
            if mark["iscrowd"]:
                crowded.add(mark["image_id"])
    ordered = sorted((count, image) for image, count in counts.items() if image not in crowded and 1 <= count <= 15)
    chosen = [ordered[index] for index in np.linspace(0, len(ordered) - 1, 14).astype(int)]
    told = []
    for _, image in chosen:
        found = analyzer.find(
            _image(_picture("coco_persons.zip", f"images/{files[image]}")), Plan(detect_faces=False, people_count=True)
        )
        assert found.people is not None
        told.append(len(found.people))
    assert np.corrcoef([count for count, _ in chosen], told)[0, 1] > 0.6
