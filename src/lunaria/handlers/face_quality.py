"""The checks of a face's picture as a policy states them, made from the one table of all checks."""

from collections.abc import Mapping
from operator import getitem
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct
from msgspec.structs import force_setattr

from lunaria.estimation.queries import CODES_LIMIT
from lunaria.http.query import Flag
from lunaria.vision.checks import CHECKS, Bounds, Check, Threshold, threshold

Bound = Annotated[float, Meta(gt=-1e15, lt=1e15)]


class CheckBounds(Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of a value, both included. Null: none on this side; what is left out has its default."""

    min: Bound | UnsetType | None = UNSET
    max: Bound | UnsetType | None = UNSET


class CheckPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a check is made. Its subclasses have the `threshold` of their kind of check."""

    estimate: Annotated[Flag, Meta(description="Whether the check is made.")] = 1

    check: ClassVar[Check]
    standard: ClassVar[Any]
    """The default threshold as policies state it."""

    def __post_init__(self) -> None:
        # Policies are read with every request, and most of their 44 checks are as they are by default.
        if getattr(self, "threshold") != self.standard:  # noqa: B009 - only the subclasses have it
            force_setattr(self, "threshold", _policy_threshold(self.limit))

    @property
    def limit(self) -> Threshold:
        """The threshold as the checks take it. Raises ValueError telling what is wrong with it."""
        given = getattr(self, "threshold")  # noqa: B009 - only the subclasses have it
        if isinstance(given, CheckBounds):
            given = {name: bound for name in ("min", "max") if (bound := getattr(given, name)) is not UNSET}
        return threshold(self.check.name, given) if given != {} else self.check.default


class ChecksPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """Every check of a face's picture by its name; the one subclass has them as fields."""

    @property
    def limits(self) -> Mapping[str, Threshold]:
        """The thresholds of the checks that are made, in the order of the table."""
        policies = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: policy.limit for name, policy in policies.items() if policy.estimate}


def _policy_threshold(limit: Threshold) -> Any:
    if isinstance(limit, Bounds):
        return CheckBounds(*limit)
    return limit


def _threshold_type(check: Check) -> Any:
    if check.kind == "bounds":
        return CheckBounds
    if check.kind == "words":
        words: Any = getitem(Literal, check.words)
        return Annotated[tuple[words, ...], Meta(min_length=1, max_length=CODES_LIMIT, description="Words that pass.")]
    return Flag | Annotated[tuple[Flag, ...], Meta(min_length=1, max_length=1)]


def _check_policy(check: Check) -> Any:
    name = "".join(word.capitalize() for word in check.name.split("_"))
    default = _policy_threshold(check.default)
    return defstruct(
        f"{name}Check",
        [("threshold", _threshold_type(check), default)],
        bases=(CheckPolicy,),
        namespace={"check": check, "standard": default, "__doc__": f"The check {check.name}."},
        frozen=True,
        forbid_unknown_fields=True,
    )


if TYPE_CHECKING:
    FaceQualityChecks = ChecksPolicy
else:
    FaceQualityChecks = defstruct(
        "FaceQualityChecks",
        [(check.name, policy, policy()) for check in CHECKS for policy in [_check_policy(check)]],
        bases=(ChecksPolicy,),
        namespace={
            "__doc__": "The checks of a face's picture; one that is left out is made with its default threshold."
        },
        frozen=True,
        forbid_unknown_fields=True,
    )
