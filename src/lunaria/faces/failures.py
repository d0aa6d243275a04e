"""Why a change of faces or lists was not made; nothing of it is stored then."""

from uuid import UUID


class _MissingError(Exception):
    """`id`: the first of the asked-for objects that there is not."""

    def __init__(self, missing: UUID) -> None:
        super().__init__(str(missing))
        self.id = missing


class MissingFaceError(_MissingError):
    """A face does not exist, or belongs to another account."""


class MissingListError(_MissingError):
    """A list does not exist, or belongs to another account."""


class MissingAttributeError(_MissingError):
    """A temporary attribute does not exist, is expired, or belongs to another account."""


class TakenAttributeError(Exception):
    """A temporary attribute already serves another face."""
