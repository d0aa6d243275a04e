"""The rules of verifiers."""

from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import RowMapping

from lunaria.estimation.catalogue import Catalogue, asked
from lunaria.handlers.orders import order_of
from lunaria.handlers.verifier_policies import VerifierPolicies
from lunaria.handlers.verifier_schemas import SaveVerifier, Verifier, VerifierFilterQuery, VerifiersQuery
from lunaria.handlers.verifier_store import VerifierFilter, VerifiersStore
from lunaria.http.errors import ApiError
from lunaria.kit.times import Clock
from lunaria.storage.scope import Scope

FIRST_VERSION = 1


class VerifiersService:
    """The verifiers of all accounts."""

    def __init__(self, store: VerifiersStore, catalogue: Catalogue, clock: Clock) -> None:
        self._store = store
        self._catalogue = catalogue
        self._clock = clock

    async def create(self, owner: UUID, wanted: SaveVerifier) -> UUID:
        """Raises 403/11044 for policies that ask for an estimate which is turned off."""
        verifier_id, now = uuid4(), self._clock.now()
        row = {
            "verifier_id": verifier_id,
            "account_id": owner,
            "version": FIRST_VERSION,
            "create_time": now,
            "last_update_time": now,
            **self._values(wanted),
        }
        await self._store.add(owner, row)
        return verifier_id

    async def get(self, scope: Scope, verifier_id: UUID) -> Verifier:
        """Raises 404/34004."""
        found = await self._store.find(scope, VerifierFilter(verifier_id=verifier_id), 1, 0)
        if not found:
            raise ApiError(34004, verifier_id)
        return _verifier(found[0])

    async def get_many(self, scope: Scope, query: VerifiersQuery) -> list[Verifier]:
        return [_verifier(row) for row in await self._store.find(scope, query.filter, query.page_size, query.offset)]

    async def count(self, scope: Scope, query: VerifierFilterQuery) -> int:
        return await self._store.count(scope, query.filter)

    async def replace(self, scope: Scope, verifier_id: UUID, wanted: SaveVerifier) -> int:
        """Replace a verifier as a whole: its new version. Raises 404/34004, 403/11044."""
        version = await self._store.replace(scope, verifier_id, self._values(wanted), self._clock.now())
        if version is None:
            raise ApiError(34004, verifier_id)
        return version

    async def delete(self, scope: Scope, verifier_id: UUID) -> None:
        """Raises 404/34004."""
        if not await self._store.delete(scope, verifier_id):
            raise ApiError(34004, verifier_id)

    def _values(self, wanted: SaveVerifier) -> dict[str, Any]:
        policies = wanted.policies
        self._catalogue.refuse_missing(asked(order_of(policies.detection, policies.extraction)))
        return {"description": wanted.description, "policies": msgspec.to_builtins(policies)}


def _verifier(row: RowMapping) -> Verifier:
    """Policies that came into being after the verifier was saved get their defaults."""
    return Verifier(
        verifier_id=row["verifier_id"],
        account_id=row["account_id"],
        description=row["description"],
        policies=msgspec.convert(row["policies"], VerifierPolicies),
        create_time=row["create_time"],
        last_update_time=row["last_update_time"],
        version=row["version"],
    )
