"""What has come of a test."""

from __future__ import annotations

from typing import Literal

from policylang.diagnostics import Diagnostic
from policylang.record import record


@record
class Result:
    """`failed`: something was not as the test expects; `broken`: it could not be asked at all, such as an upstream
    that no `stub` answers for, or a defect of ours.

    `findings` say why it did not pass, the first one first. `picture`: the exchange that went wrong on the policy's
    source, as text in several lines; empty where there is none. `requests`: how many were sent. `seconds`: of real
    time.
    """

    name: str
    file: str
    line: int
    outcome: Literal["passed", "failed", "broken"]
    findings: tuple[Diagnostic, ...] = ()
    picture: str = ""
    requests: int = 0
    seconds: float = 0.0
