"""The Cards of all settings, by the block they stand in."""

from __future__ import annotations

from collections.abc import Sequence

from policylang.check.gateway_cards import GATEWAY_SETTINGS
from policylang.check.setting import Setting
from policylang.check.upstream_cards import UPSTREAM_SETTINGS
from policylang.sdk import card_of
from policylang.sdk.card import Card


def _cards(settings: Sequence[type[Setting]]) -> dict[str, Card]:
    return {setting.name: card_of(setting) for setting in settings}


GATEWAY = _cards(GATEWAY_SETTINGS)
UPSTREAM = _cards(UPSTREAM_SETTINGS)
