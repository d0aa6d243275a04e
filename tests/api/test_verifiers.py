"""Verifiers through HTTP: written, read, listed, counted, replaced, deleted."""

from typing import Any
from uuid import uuid4

import pytest

from tests.api import checks
from tests.api.conftest import Account, AccountFactory

POLICIES: dict[str, Any] = {
    "verification_threshold": 0.5,
    "detect_policy": {"estimate_mask": 1},
    "extract_policy": {"extract_basic_attributes": 1},
    "storage_policy": {"attribute_policy": {"store_attribute": 1}, "face_sample_policy": {"store_sample": 1}},
}
DEFAULTS: dict[str, Any] = {
    "verification_threshold": 0.9,
    "detect_policy": {
        "multiface_policy": 1,
        "estimate_head_pose": 0,
        "estimate_emotions": 0,
        "estimate_mask": 0,
        "estimate_glasses": 0,
        "estimate_quality": 0,
        "estimate_gaze": 0,
        "estimate_eyes_attributes": 0,
        "estimate_mouth_attributes": 0,
        "detect_landmarks68": 0,
        "extract_exif": 0,
        "estimate_liveness": {"estimate": 0, "liveness_threshold": 0.5, "quality_threshold": 0.5},
        "estimate_deepfake": {"estimate": 0, "real_threshold": 0.5, "mode": 2},
        "face_quality": {"estimate": 0, "filter": 0},
    },
    "extract_policy": {"extract_basic_attributes": 0, "fd_score_threshold": 0.0},
    "storage_policy": {
        "face_sample_policy": {"store_sample": 1},
        "attribute_policy": {"store_attribute": 0, "ttl": 300},
    },
}
"""But for the table of checks of the face quality, whose defaults `checks.DEFAULTS` holds."""


async def create(account: Account, **body: Any) -> str:
    reply = await account.client.post("/6/verifiers", json=body)
    assert reply.status_code == 201, reply.text
    verifier_id = str(reply.json()["verifier_id"])
    assert reply.json() == {"verifier_id": verifier_id, "url": f"/6/verifiers/{verifier_id}"}
    assert reply.headers["Location"] == f"/6/verifiers/{verifier_id}"
    return verifier_id


async def get(account: Account, verifier_id: str) -> Any:
    reply = await account.client.get(f"/6/verifiers/{verifier_id}")
    assert reply.status_code == 200, reply.text
    return reply.json()


def take_checks(policies: Any) -> dict[str, Any]:
    """Take the table of checks out of policies: the thresholds by name, bounds that are off left out."""
    taken = policies["detect_policy"]["face_quality"].pop("checks")
    assert all(check["estimate"] == 1 for check in taken.values())
    return {name: without_null(check["threshold"]) for name, check in taken.items()}


def without_null(threshold: Any) -> Any:
    return (
        {name: bound for name, bound in threshold.items() if bound is not None}
        if isinstance(threshold, dict)
        else threshold
    )


async def refused(account: Account, body: Any) -> tuple[int, str]:
    """Status and code are those of a body that does not fit: the detail."""
    replies = [
        await account.client.post("/6/verifiers", json=body),
        await account.client.put(f"/6/verifiers/{uuid4()}", json=body),
    ]
    details = {(reply.status_code, reply.json()["error_code"], reply.json()["detail"]) for reply in replies}
    ((status, code, detail),) = details
    assert (status, code) == (400, 12022)
    return detail


async def test_all_defaults(account: Account) -> None:
    found = await get(account, await create(account))
    assert found.pop("verifier_id")
    assert found.pop("create_time") == found.pop("last_update_time")
    policies = found.pop("policies")
    assert found == {"account_id": str(account.id), "description": "", "version": 1}
    assert take_checks(policies) == checks.DEFAULTS
    assert policies == DEFAULTS


async def test_what_was_given_stays_and_the_rest_is_filled_in(account: Account) -> None:
    found = await get(account, await create(account, description="strict", policies=POLICIES))
    policies = found["policies"]
    assert take_checks(policies) == checks.DEFAULTS
    assert found["description"] == "strict"
    assert policies["verification_threshold"] == 0.5
    assert policies["detect_policy"] == {**DEFAULTS["detect_policy"], "estimate_mask": 1}
    assert policies["extract_policy"] == {"extract_basic_attributes": 1, "fd_score_threshold": 0.0}
    assert policies["storage_policy"] == {
        "face_sample_policy": {"store_sample": 1},
        "attribute_policy": {"store_attribute": 1, "ttl": 300},
    }


async def test_filters_and_checks_are_kept(account: Account) -> None:
    quality = {"head_yaw": {"threshold": {"min": -3, "max": 3}}, "red_eyes": {"estimate": 0}}
    detect = {
        "yaw_threshold": 20,
        "mask_states": [1],
        "liveness_states": [1, 2],
        "deepfake_states": [1],
        "estimate_liveness": {"estimate": 1, "liveness_threshold": 0.7},
        "face_quality": {"estimate": 1, "filter": 1, "checks": quality},
    }
    found = (await get(account, await create(account, policies={"detect_policy": detect})))["policies"]["detect_policy"]
    assert [found[name] for name in ("yaw_threshold", "mask_states", "liveness_states", "deepfake_states")] == [
        20,
        [1],
        [1, 2],
        [1],
    ]
    assert found["estimate_liveness"] == {"estimate": 1, "liveness_threshold": 0.7, "quality_threshold": 0.5}
    assert found["face_quality"]["checks"]["head_yaw"] == {"estimate": 1, "threshold": {"min": -3, "max": 3}}
    assert found["face_quality"]["checks"]["red_eyes"] == {"estimate": 0, "threshold": ["non_red"]}
    # what was read can be written again
    assert await get(account, await create(account, policies={"detect_policy": found}))


async def test_replacing_counts_versions(new_account: AccountFactory) -> None:
    account = await new_account()
    verifier_id = await create(account, description="first", policies=POLICIES)
    before = await get(account, verifier_id)
    for version in (2, 3):
        reply = await account.client.put(f"/6/verifiers/{verifier_id}", json={"policies": {}})
        assert (reply.status_code, reply.json()) == (200, {"version": version})
    after = await get(account, verifier_id)
    assert take_checks(after["policies"]) == checks.DEFAULTS
    assert (after["version"], after["description"], after["policies"]) == (3, "", DEFAULTS)
    assert after["create_time"] == before["create_time"]
    assert after["last_update_time"] > before["last_update_time"]


async def test_listing_and_counting(new_account: AccountFactory) -> None:
    account = await new_account()
    ids = [await create(account, description=text) for text in ("Door", "back door", "100%_gate")]
    listed = (await account.client.get("/6/verifiers")).json()
    assert [one["verifier_id"] for one in listed] == ids[::-1]
    assert listed[0] == await get(account, ids[2])

    async def found(**query: Any) -> list[str]:
        reply = await account.client.get("/6/verifiers", params=query)
        return [one["verifier_id"] for one in reply.json()]

    assert await found(description="door") == [ids[1], ids[0]]
    assert await found(description="%_") == [ids[2]]
    assert await found(description="window") == []
    assert await found(page_size=2) == [ids[2], ids[1]]
    assert await found(page=2, page_size=2) == [ids[0]]
    assert await found(page=3, page_size=2) == []
    assert await found(account_id=str(uuid4())) == []
    for query, number in (({}, 3), ({"description": "DOOR"}, 2), ({"account_id": str(uuid4())}, 0)):
        reply = await account.client.get("/6/verifiers/count", params=query)
        assert (reply.status_code, reply.json()) == (200, {"verifiers_count": number})
    for wrong in ({"page": 0}, {"page_size": 1001}, {"account_id": "x"}):
        reply = await account.client.get("/6/verifiers", params=wrong)
        assert (reply.status_code, reply.json()["error_code"]) == (400, 12012)


async def test_existence_and_deletion(account: Account) -> None:
    verifier_id = await create(account)
    path = f"/6/verifiers/{verifier_id}"
    assert (await account.client.head(path)).status_code == 200
    reply = await account.client.delete(path)
    assert (reply.status_code, reply.content) == (204, b"")
    assert (await account.client.head(path)).status_code == 404
    for reply in (
        await account.client.get(path),
        await account.client.delete(path),
        await account.client.put(path, json={}),
    ):
        assert (reply.status_code, reply.json()["error_code"]) == (404, 34004)
        assert verifier_id in reply.json()["detail"]
    assert (await account.client.get("/6/verifiers/x")).json()["error_code"] == 12013


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"description": "x" * 129}, "description"),
        ({"description": None}, "description"),
        ({"description": "a\0b"}, "description"),
        ({"name": "x"}, "name"),
        ({"policies": []}, "policies"),
        ({"policies": {"match_policy": []}}, "policies.match_policy"),
        ({"policies": {"verification_threshold": 1.1}}, "policies.verification_threshold"),
        ({"policies": {"verification_threshold": "0.5"}}, "policies.verification_threshold"),
        ({"policies": {"detect_policy": {"detect_body": 1}}}, "policies.detect_policy.detect_body"),
        ({"policies": {"detect_policy": {"detect_face": 1}}}, "policies.detect_policy.detect_face"),
        ({"policies": {"detect_policy": {"estimate_mask": True}}}, "policies.detect_policy.estimate_mask"),
        ({"policies": {"detect_policy": {"estimate_mask": 2}}}, "policies.detect_policy.estimate_mask"),
        ({"policies": {"detect_policy": {"multiface_policy": 3}}}, "policies.detect_policy.multiface_policy"),
        ({"policies": {"detect_policy": {"yaw_threshold": 181}}}, "policies.detect_policy.yaw_threshold"),
        ({"policies": {"detect_policy": {"mask_states": []}}}, "policies.detect_policy.mask_states"),
        ({"policies": {"extract_policy": {"fd_score_threshold": -1}}}, "policies.extract_policy.fd_score_threshold"),
        (
            {"policies": {"extract_policy": {"extract_face_descriptor": 0}}},
            "policies.extract_policy.extract_face_descriptor",
        ),
        (
            {"policies": {"storage_policy": {"attribute_policy": {"ttl": 0}}}},
            "policies.storage_policy.attribute_policy.ttl",
        ),
        (
            {"policies": {"storage_policy": {"face_policy": {"store_face": 1}}}},
            "policies.storage_policy.face_policy",
        ),
        (
            {"policies": {"storage_policy": {"face_sample_policy": {"filters": {}}}}},
            "policies.storage_policy.face_sample_policy.filters",
        ),
    ],
)
async def test_what_does_not_fit_is_named(account: Account, body: Any, path: str) -> None:
    assert f"Path: '{path}'" in await refused(account, body)


async def test_strangers_see_nothing(account: Account, stranger: Account) -> None:
    verifier_id = await create(account)
    path = f"/6/verifiers/{verifier_id}"
    for method in ("GET", "HEAD", "DELETE"):
        assert (await stranger.client.request(method, path)).status_code == 404
    assert (await stranger.client.put(path, json={})).status_code == 404
    listed = await stranger.client.get("/6/verifiers", params={"page_size": 1000, "account_id": str(account.id)})
    assert listed.json() == []
    assert await get(account, verifier_id)
