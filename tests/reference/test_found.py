"""Policies on which the two interpreters once differed, and what the tree did wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference.compare import Pair
from reference.generate_messages import Exchange
from reference.message import Request, Response

UPSTREAM = 'upstream one {\n    server "http://127.0.0.1:9001"\n}\n'

FOUND = {
    "two branches read one body, and it comes but once": """
        parallel {
            set request.header["X-A"] = request.json.a
            set request.header["X-B"] = request.json.a
        }
        route one
    """,
    "a body read in a branch that was given up is still there": """
        parallel {
            all {
                set request.header["X-A"] = request.json.a
                require request.host == "nowhere"
            }
            probe.pause 10ms
        } else ignore
        route one
    """,
    "a limit is taken back with the branch that set it": """
        limit_size request, 10B else ignore
        require request.text != ""
        route one
    """,
    "an error under `any` is not turned into a refusal by the branch after it": """
        none {
            any {
                require request.json.b
                require request.host == "nowhere"
            }
        }
        route one
    """,
    "what is masked in a log is worked out all the same": """
        let private key = "k"
        log "${key} ${request.query.q}"
        route one
    """,
}


@pytest.mark.parametrize("body", FOUND.values(), ids=FOUND)
def test_it_is_right_now(body: str) -> None:
    pair = Pair(f'{UPSTREAM}service found "/found" {{\n{body}\n}}\n')
    request = Request(
        method="POST", path="/found", query_string="q=%FF", host="api.example", body=b'{"a": "text", "b": 7}',
        streams=True,
    )  # fmt: skip
    answers: list[Response | str] = [Response(status=200, body=b"ok")]
    found, plain, real = pair.differences(Exchange(request, ("192.0.2.1", 40000), answers, 0, False, 0.0))
    assert pair.goes_on
    assert not found, f"{found}\n{plain.journal}\n{real.journal}"
