"""Which map a space of the store is kept in.

Members drop an entry's own time to live at every change, so the map's name says how long its entries live, and
`packaging/hazelcast/member.xml` has a map by wildcard for each kind and class. The exact time stands in the entry.
"""

from __future__ import annotations

from policylang.sdk import Space

TTL_CLASSES = {
    "10s": 10, "2m": 120, "2h": 2 * 3600, "2d": 2 * 86_400, "40d": 40 * 86_400, "400d": 400 * 86_400,
}  # fmt: skip
"""Seconds that a map's entries live after their last change."""

SPARE = 2.0
"""Seconds that the clocks of gateways and members may differ: no member may drop what a gateway still believes in."""


def map_name(space: Space) -> str:
    """Raises ValueError for what would have to live longer than any class."""
    for name, seconds in TTL_CLASSES.items():
        if space.ttl + SPARE <= seconds:
            return f"polgate.{space.kind}.{name}.{space.name}"
    raise ValueError(f"nothing lives for {space.ttl} s in a cluster: at most {max(TTL_CLASSES.values()) - SPARE:.0f}")
