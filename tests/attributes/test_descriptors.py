"""Descriptors between clients and the database."""

import numpy as np
import pytest

from lunaria.attributes.descriptors import (
    CodedDescriptor,
    DescriptorVersions,
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
