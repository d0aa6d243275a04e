"""Descriptors between clients and the database."""

import numpy as np
import pytest

from lunaria.attributes.descriptors import (
    CodedDescriptor,
    DescriptorVersions,
    TooManyDescriptorsError,
    coded,
    refuse_repeated_versions,
    with_header,
)
from lunaria.http.errors import ApiError
from lunaria.storage.schema import CODING_CLIENT, CODING_FLOAT16
from lunaria.vision.descriptor_coding import DescriptorCoding
from lunaria.vision.descriptors import Descriptor

OWN, SIZE = 1001, 128
VERSIONS = DescriptorVersions(DescriptorCoding({OWN: SIZE}), OWN)


def test_clients_bytes_come_back_as_they_were() -> None:
    data = np.random.default_rng(1).integers(0, 256, SIZE, np.uint8).tobytes()
    read = VERSIONS.read(data, OWN)
    assert read == CodedDescriptor(OWN, CODING_CLIENT, data, None)
    assert VERSIONS.read(with_header(read), None) == read
    assert VERSIONS.read(with_header(read), OWN) == read


def test_body_that_begins_like_a_header_is_a_body_when_it_has_its_length() -> None:
    data = b"dp\0\0" + bytes([7]) * (SIZE - 4)
    assert VERSIONS.read(data, OWN).data == data


def test_own_descriptor_survives_storing_and_showing() -> None:
    vector = np.random.default_rng(2).standard_normal(SIZE).astype(np.float32)
    vector /= np.linalg.norm(vector)
    stored = coded(Descriptor(vector, OWN, 0.25))
    assert (stored.version, stored.coding, stored.score, len(stored.data)) == (OWN, CODING_FLOAT16, 0.25, 2 * SIZE)
    shown = with_header(stored)
    assert shown[:8] == b"dp\0\0\xe9\x03\0\0"
    expected = np.rint(128 + 128 * vector)
    assert np.abs(np.frombuffer(shown[8:], np.uint8) - expected).max() <= 1


def test_version_that_is_not_installed_any_more_can_still_be_shown() -> None:
    stored = CodedDescriptor(1999, CODING_FLOAT16, np.full(4, 0.5, "<f2").tobytes())
    assert with_header(stored) == b"dp\0\0\xcf\x07\0\0" + bytes([192] * 4)


def test_only_known_versions_may_be_asked_for() -> None:
    for version in (None, OWN, 46, 52, 54, 56, 57, 58, 59, 60):
        VERSIONS.require(version)
    for version in (1, 55, 1002):
        with pytest.raises(ApiError, match=f"12036.*{version}"):
            VERSIONS.require(version)


def test_repeated_version_is_named() -> None:
    one, other = CodedDescriptor(56, CODING_CLIENT, b""), CodedDescriptor(57, CODING_CLIENT, b"")
    refuse_repeated_versions([one, other])
    with pytest.raises(ApiError, match=r"22024.*56"):
        refuse_repeated_versions([one, other, one])


def test_a_stream_is_read_up_to_a_limit() -> None:
    data = np.random.default_rng(3).integers(0, 256, (3, SIZE), np.uint8)
    stream = b"".join(b"dp\0\0\xe9\x03\0\0" + one.tobytes() for one in data)
    assert [one.data for one in VERSIONS.read_stream(stream, 3)] == [one.tobytes() for one in data]
    with pytest.raises(TooManyDescriptorsError):
        VERSIONS.read_stream(stream, 2)
    for broken, code in (
        (b"", 100007),
        (stream[:-1], 100007),
        (stream + b"d", 100007),
        (stream[:136] * 2 + b"x", 100007),
    ):
        with pytest.raises(ApiError) as refused:
            VERSIONS.read_stream(broken, 9)
        assert refused.value.code == code
    with pytest.raises(ApiError, match=r"12036.*1002"):
        VERSIONS.read_stream(stream + b"dp\0\0\xea\x03\0\0" + bytes(SIZE), 9)


def test_versions_tell_faces_from_bodies() -> None:
    versions = DescriptorVersions(DescriptorCoding({OWN: SIZE, 2001: 256}), OWN, {2001})
    assert [versions.kind(version) for version in (OWN, 2001, 59)] == ["face", "body", "face"]
