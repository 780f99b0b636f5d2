"""Tokens for `Polgate-Trace`: who shows one gets the journal of its request.

A token is `PAYLOAD.SIGNATURE`, both base64url: what it grants as JSON, and the HMAC-SHA256 of that under a key which
the supervisor draws when it starts and only its workers see. So a token is good for one running gateway, and there is
no secret to configure.
"""

from __future__ import annotations

import base64
import hmac
from typing import Final, NamedTuple

import orjson

KEY_BYTES: Final = 32
LONGEST_LIFE: Final = 3600
"""Seconds from a token's issue to its expiry, at most."""
USUAL_LIFE: Final = 600
"""Seconds."""
LONGEST_TOKEN: Final = 4096
"""Bytes; what is longer is not even looked at."""

_DOMAIN: Final = b"polgate-trace-1\0"  # a signature under this key is for nothing else


class Grant(NamedTuple):
    """Journals of one service, or of all where `service` is empty. `policy`: its hash; `until`: wall, seconds."""

    service: str
    policy: str
    until: float

    def void(self, policy: str, now: float) -> str:
        """Why it grants nothing under this policy at this time; empty where it does."""
        # One that is good for too long was issued before the clock was set back.
        if not now < self.until <= now + LONGEST_LIFE + 1:
            return "expired"
        return "" if self.policy == policy else "other-policy"


def issue(key: bytes, grant: Grant) -> str:
    payload = _encoded(orjson.dumps(list(grant)))
    return f"{payload.decode()}.{_signature(key, payload).decode()}"


def read(key: bytes, token: bytes) -> Grant | None:
    """What was signed with this key; None for everything else."""
    if len(token) > LONGEST_TOKEN:
        return None
    payload, dot, signature = token.partition(b".")
    if not dot or not hmac.compare_digest(signature, _signature(key, payload)):
        return None
    return Grant(*orjson.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))))


def _signature(key: bytes, payload: bytes) -> bytes:
    return _encoded(hmac.digest(key, _DOMAIN + payload, "sha256"))


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
