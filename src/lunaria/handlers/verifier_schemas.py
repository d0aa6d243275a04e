"""Wire objects of verifiers."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from lunaria.handlers.verifier_policies import VerifierPolicies
from lunaria.handlers.verifier_store import VerifierFilter
from lunaria.http.query import OfAccount, Page, PageSize, Text

Description = Annotated[str, Meta(max_length=128, pattern=r"^[^\x00]*$")]


class SaveVerifier(Struct, frozen=True, forbid_unknown_fields=True):
    """A verifier as its owner writes it; what is left out gets its default."""

    description: Description = ""
    policies: VerifierPolicies = VerifierPolicies()


class VerifierCreated(Struct, frozen=True):
    verifier_id: UUID
    url: str


class VerifierVersion(Struct, frozen=True):
    """How many times a verifier was written."""

    version: int


class Verifier(Struct, frozen=True):
    """A verifier; its policies are complete, with all defaults."""

    verifier_id: UUID
    account_id: UUID
    description: str
    policies: VerifierPolicies
    create_time: datetime
    last_update_time: datetime
    version: int


class VerifiersCount(Struct, frozen=True):
    verifiers_count: int


class VerifierFilterQuery(OfAccount, frozen=True, kw_only=True):
    """Conditions that verifiers fulfil all together."""

    description: Annotated[Text, Meta(description="Part of the description, in capitals or not.")] | None = None

    @property
    def filter(self) -> VerifierFilter:
        return VerifierFilter(description=self.description)


class VerifiersQuery(VerifierFilterQuery, frozen=True, kw_only=True):
    """The conditions, and a page of what fulfils them."""

    page: Page = 1
    page_size: PageSize = 10

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.page_size
