"""Policies as text, asked once, with all that is noted of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from tree_policies import UPSTREAMS, Policy

from policylang.check import check_text
from policylang.sdk.bench import run
from policylang.sdk.exchange import Exchange
from policylang.trace.document import document
from policylang.trace.offline import Offline
from policylang.trace.picture import picture
from policylang.trace.recorded import Recorded


class Traced:
    """One exchange of a policy. `text` is a service's body unless it declares one."""

    def __init__(self, text: str, method: str = "GET", path: str = "/", *, files: Mapping[str, bytes] | None = None,
                 **request: Any) -> None:  # fmt: skip
        self.policy = Policy(text, files=files)
        self.exchange: Exchange = self.policy.exchange(method, path, **request)
        self.journal = self.exchange.journal = Recorded(self.exchange)
        run(self.policy.tree.handle(self.exchange), self.policy.environment.clock)
        self.program = self.policy.tree.program
        self.document = document(self.exchange, self.program)

    @property
    def entries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.document["entries"]
        return found

    def entry(self, word: str) -> dict[str, Any]:
        """The one entry of that word."""
        (found,) = [entry for entry in self.entries if entry["word"] == word]
        return found

    def drawn(self, color: bool = False) -> str:
        """Without times, which are another each time, and the policy's hash."""
        text = picture(self.document, self.program.sources, color, times=False)
        return text.replace(f", policy {self.program.hash}", "")


def offline(text: str, files: Mapping[str, bytes] | None = None, environ: Mapping[str, str] | None = None) -> Offline:
    checked = check_text(text + UPSTREAMS, files=files, environ=environ)
    assert checked.program is not None, [(each.name, each.message) for each in checked.diagnostics]
    return Offline(checked.program)
