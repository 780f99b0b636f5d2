"""The shape of what stands in `gateway` and `upstream` blocks: declared with the same `param` as an assertion's
parameters, and checked against its Card likewise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from policylang.sdk import Assertion, Duration


class Setting(Assertion):
    """`several`: it may stand more than once; `needed`: it must stand; `left_out`: what not writing it means: its
    defaults, or (False) that there is no such thing."""

    several: ClassVar[bool] = False
    needed: ClassVar[bool] = False
    left_out: ClassVar[bool] = True


def whole(name: str, constants: Mapping[str, Any], least: int, most: int) -> str | None:
    value = constants.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or not least <= value <= most:
        return f"`{name}` is a whole number from {least} to {most}"
    return None


def share(name: str, constants: Mapping[str, Any], above: float = 0.0) -> str | None:
    """A number up to 1, and more than `above`."""
    value = constants.get(name)
    if value is None or above < value <= 1:
        return None
    return f"`{name}` is a share above {above:g}, and at most 1"


def positive(constants: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        value = constants.get(name)
        if isinstance(value, Duration) and value.seconds <= 0:
            return f"`{name}` must be longer than `0s`"
    return None
