"""Password hashes: PBKDF2-HMAC-SHA256 with a random salt (OWASP's iteration count of 2023)."""

import hashlib
import hmac
import os
import secrets
import time

ITERATIONS = 600_000
_SALT_BYTES = 16


def hash_password(password: str) -> str:
    """`pbkdf2-sha256$iterations$salt$digest`, hexadecimal. Takes about 0.2 s by design: call it on a thread."""
    salt = os.urandom(_SALT_BYTES)
    return _stored(salt, _digest(password, salt, ITERATIONS))


def decoy_hash() -> str:
    """What looks like the hash of a password that nobody knows; to verify one against it takes as long."""
    return _stored(os.urandom(_SALT_BYTES), os.urandom(hashlib.sha256().digest_size))


def verify_password(password: str, stored: str) -> bool:
    """Whether `password` has the stored hash; as slow as hashing."""
    _, iterations, salt, digest = stored.split("$")
    return hmac.compare_digest(_digest(password, bytes.fromhex(salt), int(iterations)), bytes.fromhex(digest))


def _stored(salt: bytes, digest: bytes) -> str:
    return f"pbkdf2-sha256${ITERATIONS}${salt.hex()}${digest.hex()}"


def _digest(password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)


class VerifiedPasswords:
    """Remembers for a while which password fits which stored hash.

    The key covers the stored hash, so a changed password is never accepted from memory. Only keyed digests are
    kept, never a password. At most `size` entries.
    """

    def __init__(self, seconds: float, size: int = 4096) -> None:
        self._seconds = seconds
        self._size = size
        self._key = secrets.token_bytes(32)
        self._until: dict[bytes, float] = {}

    def knows(self, password: str, stored: str) -> bool:
        return self._until.get(self._digest(password, stored), 0.0) > time.monotonic()

    def remember(self, password: str, stored: str) -> None:
        if len(self._until) >= self._size:
            self._until.pop(next(iter(self._until)))
        self._until[self._digest(password, stored)] = time.monotonic() + self._seconds

    def _digest(self, password: str, stored: str) -> bytes:
        return hmac.digest(self._key, stored.encode() + b"\0" + password.encode(), "sha256")
