"""Luna-Request-Id: taken from the client or made as "unix seconds, UUID"."""

import re
import time
from contextvars import ContextVar
from uuid import uuid4

HEADER = "Luna-Request-Id"
PATTERN = r"^[0-9]{10},[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}$"
_VALID = re.compile(PATTERN)

current_request_id: ContextVar[str] = ContextVar("request_id", default="")


def request_id(given: str | None) -> str:
    """The client's id when it has the documented form, else a fresh one."""
    if given is not None and _VALID.match(given) and len(given) == 47:
        return given
    return f"{int(time.time()):010d},{uuid4()}"
