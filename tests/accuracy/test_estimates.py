"""The readers of labelled data, the reports and the arguments of bench.estimates, without networks."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from bench.estimates import attributes, coverings, genuineness
from bench.estimates.__main__ import main
from bench.estimates.bodies import face_links
from bench.estimates.catalogue import ESTIMATES
from bench.estimates.eyes import turned
from bench.estimates.run import Picture, Run, Target
from bench.estimates.sources import (
    TILE,
    MarkedPerson,
    by_folder,
    by_table,
    coco_persons,
    head_counts,
    head_points,
    mosaic,
    photograph,
)

from lunaria.evaluation.pairs import EvaluationDataError
from lunaria.vision.estimators.basic_attributes import BasicAttributes
from lunaria.vision.estimators.glasses import Glasses
from lunaria.vision.estimators.liveness import Liveness
from lunaria.vision.findings import BodyFinding, FaceFinding, Findings
from lunaria.vision.packs.store import ModelStore
from lunaria.vision.plan import Box, Plan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an empty picture in each of two folders, and labels for them."""
    for name in ("happiness/1.jpg", "happiness/2.jpg", "anger/3.jpg", "notes/4.jpg"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(name.encode())
    (tmp_path / "labels.csv").write_text("file,label\nhappiness/1.jpg,hat\nanger/3.jpg,none\nnotes/4.jpg,unclear\n")
    return tmp_path


def zipped(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w") as opened:
        for file in folder.rglob("*.*"):
            if file.is_file() and file != archive:
                opened.write(file, file.relative_to(folder).as_posix())
    return archive


def test_words_by_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    archive = zipped(folder, tmp_path_factory.mktemp("zip") / "photographs.zip")
    for source in (folder, archive):
        found = by_folder(source, ("anger", "happiness"))
        assert {name: word for name, (word, _) in found.items()} == {
            "anger/3.jpg": "anger",
            "happiness/1.jpg": "happiness",
            "happiness/2.jpg": "happiness",
        }
        assert found["anger/3.jpg"][1] == b"anger/3.jpg"
        assert by_table(source, ("none", "hat")) == {
            "happiness/1.jpg": ("hat", b"happiness/1.jpg"),
            "anger/3.jpg": ("none", b"anger/3.jpg"),
        }
    with pytest.raises(EvaluationDataError, match="folders named live, spoof"):
        by_folder(folder, ("live", "spoof"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("file,label\nnobody.jpg,hat\n", "1 photographs are not in"),
        ("picture,label\nanger/3.jpg,hat\n", "no column 'file'"),
        ("file,label\nanger/3.jpg,unclear\n", "names no hat"),
    ],
)
def test_wrong_labels_are_refused(folder: Path, text: str, problem: str) -> None:
    (folder / "labels.csv").write_text(text)
    with pytest.raises(EvaluationDataError, match=problem):
        by_table(folder, ("hat",))


def test_labels_must_be_there(folder: Path) -> None:
    (folder / "labels.csv").unlink()
    with pytest.raises(EvaluationDataError, match=r"no labels\.csv"):
        by_table(folder, ("hat",))


def test_a_mosaic_is_read_row_by_row(tmp_path: Path) -> None:
    tiles = np.zeros((2 * TILE, 100 * TILE), np.uint8)
    tiles[:TILE, TILE : 2 * TILE] = 80
    tiles[TILE:, :TILE] = 160
    picture = tmp_path / "faces.png"
    cv2.imwrite(str(picture), tiles)
    with pytest.raises(EvaluationDataError, match=r"no faces\.csv"):
        mosaic(picture)
    words = ["angry", "happy"] + ["sad"] * 98 + ["fear"]
    picture.with_suffix(".csv").write_text("emotion\n" + "\n".join(words))
    found = mosaic(picture)
    assert [word for word, _ in found] == words
    assert [int(tile.mean()) for _, tile in (found[0], found[1], found[100])] == [0, 80, 160]
    picture.with_suffix(".csv").write_text("emotion\n" + "sad\n" * 201)
    with pytest.raises(EvaluationDataError, match="201 tiles"):
        mosaic(picture)


def test_a_tile_becomes_a_photograph_with_its_edge_drawn_out() -> None:
    tile = np.full((TILE, TILE), 90, np.uint8)
    tile[:, -1] = 200
    found = photograph(tile)
    assert found.shape == (384, 384, 3)
    assert (found[:, :200] == 90).all()
    assert (found[:, 300:] == 200).all()


def test_persons_of_coco(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"a")
    (tmp_path / "annotations").mkdir()
    person = {"image_id": 7, "category_id": 1, "bbox": [10, 20, 30, 40], "area": 900, "iscrowd": 0}
    known = {
        "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "missing.jpg"}],
        "annotations": [
            person | {"keypoints": [15, 25, 2] + [0] * 48},
            person | {"iscrowd": 1},
            person | {"category_id": 3},
            person | {"image_id": 8},
        ],
    }
    (tmp_path / "annotations" / "person_keypoints_some.json").write_text(json.dumps(known))
    found = coco_persons(tmp_path)
    assert list(found) == ["a.jpg"]
    data, (one, other) = found["a.jpg"]
    assert data == b"a"
    assert (one.box.tolist(), one.area, one.crowd, one.keypoints[0].tolist()) == (
        [10, 20, 40, 60],
        900,
        False,
        [15, 25, 2],
    )
    assert other.crowd
    assert not other.keypoints.any()


def matlab(points: np.ndarray, *, compressed: bool) -> bytes:
    """A file of level 5 with one matrix of doubles in a field of a struct."""

    def element(kind: int, content: bytes) -> bytes:
        return np.array([kind, len(content)], "<u4").tobytes() + content + b"\0" * (-len(content) % 8)

    def matrix(holds: int, shape: tuple[int, ...], rest: bytes) -> bytes:
        head = element(6, np.array([holds, 0], "<u4").tobytes()) + element(5, np.array(shape, "<i4").tobytes())
        return element(14, head + element(1, b"name") + rest)

    numbers = matrix(6, points.shape, element(9, points.astype("<f8").T.tobytes()))
    name_length = np.array([4 << 16 | 5, 32], "<u4").tobytes()
    whole = matrix(2, (1, 1), name_length + element(1, b"location".ljust(32, b"\0")) + numbers)
    if compressed:
        packed = zlib.compress(whole)
        whole = np.array([15, len(packed)], "<u4").tobytes() + packed
    return b"MATLAB 5.0 MAT-file".ljust(128) + whole


@pytest.mark.parametrize("compressed", [False, True])
def test_heads_of_a_matlab_file(tmp_path: Path, compressed: bool) -> None:
    points = np.array([[1.5, 2], [3, 4], [5, 6.25]])
    assert head_points(matlab(points, compressed=compressed)).tolist() == points.tolist()
    (tmp_path / "IMG_1.jpg").write_bytes(b"picture")
    (tmp_path / "IMG_2.jpg").write_bytes(b"not marked")
    (tmp_path / "GT_IMG_1.mat").write_bytes(matlab(points, compressed=compressed))
    assert head_counts(tmp_path) == {"IMG_1": (b"picture", 3)}


def test_a_matlab_file_without_points_is_refused() -> None:
    with pytest.raises(EvaluationDataError, match="no points"):
        head_points(b"MATLAB 5.0 MAT-file".ljust(128))


def test_labels_of_file_names() -> None:
    assert attributes.label_of("crops/26_1_2_20170116.jpg") == (26, False, "asian")
    for name in ("26_2_2_x.jpg", "26_1.jpg", "photo.jpg", "26_1_7_x.jpg"):
        with pytest.raises(EvaluationDataError, match="age_gender_race"):
            attributes.label_of(name)


def test_a_photograph_is_turned_clockwise() -> None:
    pixels = np.zeros((101, 101, 3), np.uint8)
    pixels[48:53, 90:95] = 255  # right of the middle
    bright = np.argwhere(turned(pixels, 90)[..., 0] > 128).mean(axis=0)
    assert bright.tolist() == pytest.approx([92, 50], abs=1.5)  # below it


class Made(Run):
    """A run in which each photograph has the face that a test made for it."""

    made: dict[str, FaceFinding | None]

    def faces(self, pictures: Iterable[tuple[str, Picture]], count: int, plan: Plan) -> dict[str, FaceFinding | None]:
        names = [name for name, _ in pictures]
        assert len(names) == count
        return {name: self.made[name] for name in names}


@pytest.fixture
def run(tmp_path: Path) -> Made:
    return Made(tmp_path / "data", ModelStore(tmp_path / "models"))


def written(run: Run, names: Iterable[str], labels: str = "") -> None:
    for name in names:
        file = run.data / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"picture")
    if labels:
        (run.data / "labels.csv").write_text(labels)


def face(**estimates: object) -> FaceFinding:
    found = FaceFinding(Box(0, 0, 10, 10), 0.9)
    for name, value in estimates.items():
        setattr(found, name, value)
    return found


def test_age_gender_and_ethnicity_of_own_photographs(run: Made) -> None:
    def one(age: float, male: float, ethnicity: str) -> FaceFinding:
        shares = {name: float(name == ethnicity) for name in ("asian", "indian", "caucasian", "african_american")}
        return face(basic_attributes=BasicAttributes(age, male, shares))

    run.made = {
        "20_0_0_a.jpg": one(24, 0.9, "caucasian"),
        "40_1_1_b.jpg": one(34, 0.6, "african_american"),
        "10_1_2_c.jpg": one(12, 0.1, "indian"),
        "50_0_4_d.jpg": one(50, 0.5, "asian"),
        "60_0_3_e.jpg": None,
    }
    written(run, run.made)
    (report,) = attributes.measure(run)
    text = "\n".join(report.lines)
    assert "**mean absolute error 3.00 years** (n=4)" in text
    assert "from 18 to 65 years 3.33 (n=3)" in text
    assert "**75.0% right** of all, 66.7% from 13 years on (n=3)" in text
    assert "Ethnicity: n=4, accuracy 0.500, **mean recall 0.500**" in text  # the other one has no word
    assert "no face was found in 1 of 5" in text
    assert not report.targets


def test_glasses_of_own_photographs(run: Made) -> None:
    run.made = {
        "a.jpg": face(glasses=Glasses(0.1, 0.8, 0.1)),
        "b.jpg": face(glasses=Glasses(0.9, 0.1, 0)),
        "c.jpg": None,
    }
    written(run, run.made, "file,label\na.jpg,eyeglasses\nb.jpg,eyeglasses\nc.jpg,no_glasses\n")
    (report,) = coverings.measure_glasses(run)
    assert report.lines[0].startswith("- data: n=3, **accuracy 0.333**, mean recall 0.250; no face was found in **1**")
    assert "| no_glasses | 0 | 0 | 1 | 0.000 |" in "\n".join(report.lines)


def test_liveness_of_own_photographs(run: Made) -> None:
    run.made = {
        "live/1.jpg": face(liveness=Liveness(0.9, 0.9)),
        "live/2.jpg": face(liveness=Liveness(0.3, 0.9)),
        "live/3.jpg": face(liveness=Liveness(0.1, 0.2)),
        "spoof/4.jpg": face(liveness=Liveness(0.6, 0.9)),
        "spoof/5.jpg": face(liveness=Liveness(0.2, 0.9)),
        "spoof/6.jpg": None,
    }
    written(run, run.made)
    (report,) = genuineness.measure_liveness(run)
    text = "\n".join(report.lines)
    assert "all faces found: **APCER 50.0%** (forgeries taken for live, n=2), **BPCER 66.7%**" in text
    assert "quality of at least 0.5: **APCER 50.0%** (forgeries taken for live, n=2), **BPCER 50.0%**" in text
    assert "| live | 3 | 1 | 1 | 1 | 0 |" in text
    assert "| spoof | 3 | 1 | 1 | 0 | 1 |" in text


def test_links_of_faces_to_bodies() -> None:
    def person(x: float, keypoints: list[list[float]]) -> MarkedPerson:
        points = np.zeros((17, 3))
        points[: len(keypoints)] = keypoints
        return MarkedPerson(np.array([x, 0, x + 50, 100]), 5000.0, False, points)

    persons = [person(0, [[25, 10, 2]]), person(200, [[225, 10, 2]]), person(400, [[425, 10, 2]])]
    faces = [FaceFinding(Box(x + 15, 0, 20, 20), 0.9) for x in (0, 200, 400, 600)]
    bodies = [BodyFinding(Box(0, 0, 50, 100), 0.9), BodyFinding(Box(200, 0, 50, 90), 0.8)]
    found = Findings(faces, bodies, [(0, 0), (1, None), (2, None), (3, 1)])
    # The second face was not linked to its body; that of the third was not found; the fourth is nobody's.
    assert face_links(found, persons) == [(True, True, True), (True, False, True), (False, True, True)]


def test_pictures_are_chosen_evenly(run: Made) -> None:
    names = [str(number) for number in range(10)]
    assert run.chosen(names) == names
    run.most = 4
    assert run.chosen(names) == ["0", "3", "6", "9"]


def test_targets() -> None:
    assert Target("a", 0.9, 0.91).row() == ("a", "≥ 90.0%", "91.0%", "yes")
    assert Target("b", 5.3, 5.44, least=False, percent=False).row() == ("b", "≤ 5.3", "5.44", "**no**")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["smell", "--data", "."], "invalid choice"),
        (["mask"], "--data"),
        (["mask", "--data", "nowhere"], "there is nothing at nowhere"),
        (["mask", "--data", ".", "--most", "0"], "--most must be 1 at least"),
        (["all", "--data", __file__], "`all` wants a folder"),
    ],
)
def test_wrong_arguments(arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert problem in capsys.readouterr().err


def test_a_missing_network_is_told(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="lunaria models pull"):
        main(["glasses", "--data", str(tmp_path), "--models", str(tmp_path)])


def test_all_says_what_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["all", "--data", str(tmp_path), "--models", str(tmp_path)])
    said = capsys.readouterr().err
    for name, estimate in ESTIMATES.items():
        assert f"left out: {name}: {tmp_path} holds no {estimate.data[0]}" in said
