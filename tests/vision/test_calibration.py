"""The calibration of similarities from labelled photographs."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from lunaria.vision.calibration import CalibrationError, central_face, impostor_cosines, photographs
from lunaria.vision.findings import FaceFinding
from lunaria.vision.images import Image
from lunaria.vision.plan import Box


def test_photographs_of_a_folder_and_a_zip(tmp_path: Path) -> None:
    folder = tmp_path / "people"
    for name in ("Ann/1.jpg", "Ann/2.jpg", "Bob/1.png", "Bob/notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    with zipfile.ZipFile(tmp_path / "people.zip", "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, file.relative_to(tmp_path).as_posix())
    for source in (folder, tmp_path / "people.zip"):
        assert [(one.person, one.data) for one in photographs(source)] == [
            ("Ann", b"Ann/1.jpg"),
            ("Ann", b"Ann/2.jpg"),
            ("Bob", b"Bob/1.png"),
        ]


def test_file_names_name_the_person_without_folders(tmp_path: Path) -> None:
    for name in ("Ann_Lee_0001.jpg", "Ann_Lee_0002.jpg", "Bob-1.jpg"):
        (tmp_path / name).touch()
    assert [one.person for one in photographs(tmp_path)] == ["Ann_Lee", "Ann_Lee", "Bob"]


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(b"no zip")
    for source in (tmp_path, tmp_path / "broken.zip", tmp_path / "absent"):
        with pytest.raises(CalibrationError):
            list(photographs(source))


def test_every_impostor_pair_counts_once() -> None:
    vectors = np.eye(4, dtype=np.float32)
    vectors[3] = vectors[0]
    cosines = impostor_cosines(vectors, ["a", "a", "b", "c"])
    assert sorted(cosines.tolist()) == [0.0, 0.0, 0.0, 0.0, 1.0]  # a-b, a-b, a-c, a-c, b-c


def test_bystanders_do_not_count() -> None:
    image = Image(np.zeros((100, 100, 3), np.uint8), "JPEG", {}, 0)
    bystander, person = FaceFinding(Box(0, 0, 20, 20), 0.99), FaceFinding(Box(40, 40, 20, 20), 0.7)
    assert central_face([bystander, person], image) is person
    assert central_face([], image) is None
