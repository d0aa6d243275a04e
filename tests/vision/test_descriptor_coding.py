"""Descriptors as bytes."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunaria.vision.descriptor_coding import FOREIGN_DIMENSIONS, DescriptorCoding, DescriptorError

CODING = DescriptorCoding({1001: 128})


def unit(dimension: int, seed: int = 0) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def code_of(data: bytes, version: int | None = None) -> int:
    with pytest.raises(DescriptorError) as caught:
        CODING.decode(data, version)
    assert caught.value.detail
    return caught.value.code


def test_the_layout_is_magic_version_components() -> None:
    vector = np.zeros(512, np.float32)
    vector[:2] = [0.6, -0.8]
    data = CODING.encode(vector, 59)
    assert data[:8] == b"dp\x00\x00" + bytes([59, 0, 0, 0])
    assert list(data[8:11]) == [128 + 77, 128 - 102, 128]
    assert len(data) == 520


def test_a_full_component_is_clipped() -> None:
    vector = np.zeros(128, np.float32)
    vector[5] = 1
    assert CODING.encode(vector, 1001)[8 + 5] == 255


@pytest.mark.parametrize(("version", "dimension"), [*FOREIGN_DIMENSIONS.items(), (1001, 128)])
def test_what_was_written_is_read(version: int, dimension: int) -> None:
    vector = unit(dimension)
    for data, given_version in (
        (CODING.encode(vector, version), None),
        (CODING.encode(vector, version), version),
        (CODING.encode(vector, version, header=False), version),
    ):
        decoded, found = CODING.decode(data, given_version)
        assert found == version
        assert decoded.dtype == np.float32
        assert np.linalg.norm(decoded) == pytest.approx(1, abs=1e-6)
        assert float(decoded @ vector) > 0.995


def test_coding_changes_a_cosine_by_less_than_a_hundredth() -> None:
    changes = []
    for seed in range(200):
        first, second = unit(128, seed), unit(128, seed + 1000)
        coded = [CODING.decode(CODING.encode(vector, 1001))[0] for vector in (first, second)]
        changes.append(abs(float(coded[0] @ coded[1] - first @ second)))
    assert np.mean(changes) < 0.003
    assert np.max(changes) < 0.01


def test_reading_and_writing_again_changes_nothing() -> None:
    data = CODING.encode(unit(512), 59)
    decoded = CODING.decode(data)[0]
    assert float(CODING.decode(CODING.encode(decoded, 59))[0] @ decoded) > 0.9999


def test_a_stream_holds_several_descriptors() -> None:
    parts = [(unit(512, 1), 59), (unit(128, 2), 1001), (unit(256, 3), 52)]
    stream = b"".join(CODING.encode(vector, version) for vector, version in parts)
    found = CODING.decode_stream(stream)
    assert [version for _, version in found] == [59, 1001, 52]
    assert all(float(first @ second) > 0.99 for (first, _), (second, _) in zip(found, parts, strict=True))
    assert code_of(stream) == 26302


def test_bare_bytes_that_begin_like_a_header_are_bare() -> None:
    data = b"dp\x00\x00" + bytes(range(100, 224))
    assert CODING.decode(data, 1001)[1] == 1001
    assert code_of(data) == 200003


def test_wrong_bytes_are_refused_with_their_code() -> None:
    good = CODING.encode(unit(512), 59)
    assert code_of(b"") == 26302
    assert code_of(good[:4]) == 26302
    assert code_of(good[:-1]) == 26302
    assert code_of(good + b"x") == 26302
    assert code_of(good[8:]) == 26302
    assert code_of(good[8:], 1001) == 26302
    assert code_of(good[8:], 77) == 200003
    assert code_of(good, 60) == 26302
    assert code_of(b"dp\x00\x00" + struct.pack("<I", 4_000_000_000) + good[8:]) == 200003
    assert code_of(bytes([128] * 512), 59) == 100007
    with pytest.raises(DescriptorError, match="512"):
        CODING.encode(unit(128), 59)
    with pytest.raises(DescriptorError):
        CODING.decode_stream(b"")


@given(st.binary(max_size=300), st.one_of(st.none(), st.sampled_from([46, 59, 1001, 7])))
def test_any_bytes_give_a_unit_vector_or_an_error(data: bytes, version: int | None) -> None:
    try:
        vector, found = CODING.decode(data, version)
    except DescriptorError as error:
        assert error.code in (26302, 100007, 200003)
        return
    assert found in CODING.dimensions
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
