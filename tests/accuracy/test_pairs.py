"""Reading pairs in both formats, and photographs in folders and zips."""

import zipfile
from pathlib import Path

import pytest

from lunaria.evaluation.pairs import EvaluationDataError, Pair, Photographs, person_of, read_pairs

OFFICIAL = "2\t1\nAda\t1\t4\nAda\t2\tBea\t13\nCy\t1\t2\nCy\t3\tAda\t1\n"
AS_CSV = "fold,same,image1,image2\n1,1,Ada/Ada_0001.jpg,Ada/Ada_0004.jpg\n1,0,Ada/Ada_0002.jpg,Bea/Bea_0013.jpg\n"


def written(folder: Path, text: str) -> Path:
    file = folder / "pairs"
    file.write_text(text)
    return file


def test_the_official_format(tmp_path: Path) -> None:
    pairs = read_pairs(written(tmp_path, OFFICIAL))
    assert pairs[:2] == [
        Pair(1, True, "Ada/Ada_0001.jpg", "Ada/Ada_0004.jpg"),
        Pair(1, False, "Ada/Ada_0002.jpg", "Bea/Bea_0013.jpg"),
    ]
    assert [(pair.fold, pair.same) for pair in pairs] == [(1, True), (1, False), (2, True), (2, False)]


def test_the_official_format_of_one_fold(tmp_path: Path) -> None:
    pairs = read_pairs(written(tmp_path, "1\nAda\t1\t4\nAda\t2\tBea\t13\n"))
    assert [pair.fold for pair in pairs] == [1, 1]


def test_both_formats_say_the_same(tmp_path: Path) -> None:
    assert read_pairs(written(tmp_path, AS_CSV)) == read_pairs(written(tmp_path, OFFICIAL))[:2]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("pairs of people\n", "line 1"),
        ("2\t1\nAda\t1\t4\n", "announces 4 pairs, there are 1"),
        ("1\t1\nAda\t1\tx\nAda\t2\tBea\t13\n", "line 2"),
        ("1\t1\nAda\t1\nAda\t2\tBea\t13\n", "line 2"),
        ("fold,same,image1,image2\n", "no pairs"),
        ("1,maybe,a/1.jpg,b/1.jpg\n", "line 1"),
        ("1,1,a/1.jpg,a/2.jpg\n1,1,a/1.jpg\n", "line 2"),
    ],
)
def test_wrong_files_are_refused_with_the_place(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(EvaluationDataError, match=problem):
        read_pairs(written(tmp_path, text))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(EvaluationDataError, match="No such file"):
        read_pairs(tmp_path / "nothing")


def test_photographs_lie_at_any_depth_of_a_folder_or_zip(tmp_path: Path) -> None:
    folder = tmp_path / "lfw" / "images" / "Ada"
    folder.mkdir(parents=True)
    (folder / "Ada_0001.jpg").write_bytes(b"picture")
    archive = tmp_path / "lfw.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("lfw/images/Ada/Ada_0001.jpg", b"picture")
    for source in (tmp_path / "lfw", archive):
        assert Photographs(source, ["Ada/Ada_0001.jpg"]).read("Ada/Ada_0001.jpg") == b"picture"
        with pytest.raises(EvaluationDataError, match="1 photographs are not in"):
            Photographs(source, ["Ada/Ada_0001.jpg", "Ada/Ada_0002.jpg"])
        with pytest.raises(EvaluationDataError, match="there is no"):
            Photographs(source, ["Bea/Bea_0001.jpg"])
    with pytest.raises(EvaluationDataError, match="neither a folder nor a zip"):
        Photographs(folder / "Ada_0001.jpg", ["Ada/Ada_0001.jpg"])


def test_the_folder_names_the_person() -> None:
    assert person_of("Ada/Ada_0001.jpg") == "Ada"
