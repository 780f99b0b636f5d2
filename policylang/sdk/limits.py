"""How much of a body is taken in to be read. An operator sets it with `limits` in `gateway { … }`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """`body`: bytes of a body as received, where it is held. `decoded`: bytes of it without its content codings.

    `json_depth`, `xml_depth`: levels. `xml_text`: bytes, in UTF-8, of one run of XML text or one attribute's value.
    """

    body: int = 10 << 20
    decoded: int = 10 << 20
    json_depth: int = 128
    xml_depth: int = 128
    xml_text: int = 10 << 20


USUAL_LIMITS = BodyLimits()
