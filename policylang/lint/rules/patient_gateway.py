"""A gateway that waits for anybody, or holds whatever is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.sdk import Duration, Size

_WAITS = ("header", "handshake")
_HELD = ("body", "decoded", "xml_text")
_HEADS = ("header", "request_line", "chunk_extensions")


class PatientGateway(Rule):
    """On a public gateway a few clients can take all its connections or memory, as a wait or a limit is so large.

    Whoever sends a head letter by letter holds a connection for as long as `timeouts header:` lets him; whoever sends a
    compressed body has as much memory taken as `limits decoded:` lets him. What streams through `route` is not held,
    and needs neither. `seconds`, `held` (MiB of a body) and `head` (MiB) are the largest that pass.

        gateway {
            listen "0.0.0.0:8080"
            timeouts header: 10m
        }
    ==
        gateway {
            listen "0.0.0.0:8080"
            timeouts header: 20s
        }
    """

    name: ClassVar[str] = "patient-gateway"
    category: ClassVar[Category] = "security"
    options: ClassVar[dict[str, int]] = {"seconds": 60, "held": 256, "head": 1}

    def check(self, policy: Policy) -> Iterator[Finding]:
        for setting in policy.program.gateway if policy.public else ():
            values = setting.values
            if setting.name == "timeouts":
                wide = [name for name in _WAITS if _seconds(values[name]) > self.given["seconds"]]
                what = "a client holds a connection for"
            elif setting.name == "limits":
                wide = [name for name in _HELD if _mib(values[name]) > self.given["held"]]
                wide += [name for name in _HEADS if _mib(values[name]) > self.given["head"]]
                what = "a client has memory taken of"
            else:
                continue
            for name in wide:
                yield Finding(
                    setting.span, f"{what} {values[name]} (`{name}`)",
                    help=f"give `{name}` what honest clients need: `pol explain {setting.name}` has the usual value",
                )  # fmt: skip


def _seconds(value: Duration) -> float:
    return value.seconds


def _mib(value: Size) -> float:
    return value.bytes / (1 << 20)
