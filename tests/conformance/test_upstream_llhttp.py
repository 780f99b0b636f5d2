"""llhttp's answers, given by an upstream to a running gateway: no malformed one is passed on as if it were good."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "gateway"))
sys.path.insert(0, str(Path(__file__).parent))
from attack import Gate, bad_side, gate
from strict_http import Answer, Unfinished, Wrong, answer_of
from test_wire_llhttp import BEHIND_THE_END, DIFFERENT_ANSWERS, DIFFERENT_BODIES, VECTORS, body, needs_suites, octets

POLICY = """
upstream bad {
    server "http://127.0.0.1:BAD"
    timeouts head: 1s, between: 1s
}
service bad "/bad/**" { route bad }
"""


async def ask(made: Gate, path: str) -> Answer | None:
    """None where the connection was cut before there was a head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        said = b""
        try:
            while data := await asyncio.wait_for(reader.read(1 << 16), 15):
                said += data
        except ConnectionResetError:
            pass
        try:
            answer, end = answer_of(said)
        except Unfinished:
            return None
        assert end == len(said), said
        return answer
    finally:
        writer.close()


@needs_suites
@pytest.mark.parametrize("how", ["raw", "open"])
def test_no_malformed_answer_is_passed_on(tmp_path: Path, how: str) -> None:
    """`raw`: the upstream closes behind its answer, `open`: it does not."""
    vectors = [one for one in json.loads(VECTORS.read_text())["cases"] if one["type"].startswith("response")]
    raw = {str(number): octets(vector).decode("latin-1") for number, vector in enumerate(vectors)}
    (tmp_path / "raw.json").write_text(json.dumps(raw))
    wrong: list[str] = []

    async def one(made: Gate, number: int) -> str:
        vector = vectors[number]
        name, expected = vector["id"], vector["gateway_expect"]
        try:
            answer = await ask(made, f"/bad/{how}/{number}")
        except Wrong as malformed:
            wrong.append(f"{name}: the gateway itself says {malformed}")
            return "wrong"
        if answer is None or not answer.complete:
            kind = "cut"
        elif answer.status in (502, 504) and b"urn:polgate:" in answer.body:
            kind = "refused"
        else:
            kind = "passed"
        if kind != "passed":
            good = expected == "accept" and vector["type"] == "response" and name not in DIFFERENT_ANSWERS
            if good and how == "raw":
                wrong.append(f"{name}: {kind}, though it is good")
        elif expected == "reject" and name not in BEHIND_THE_END:
            wrong.append(f"{name}: passed on, though it is malformed")
        elif expected == "accept" and answer is not None and answer.status not in (204, 304):
            meant = DIFFERENT_BODIES.get(name, (body(vector), ""))[0]
            if answer.body != meant:
                wrong.append(f"{name}: passed on with another body")
        return kind

    async def all_of(made: Gate) -> list[str]:
        return list(await asyncio.gather(*(one(made, number) for number in range(len(vectors)))))

    with bad_side(tmp_path / "raw.json") as bad, gate(tmp_path, more=POLICY.replace("BAD", str(bad))) as made:
        # A connection that stays open may have the next request out when bytes come that belong to none: that request
        # is refused, whichever it was. So a good answer need not pass each time.
        rounds = [asyncio.run(all_of(made)) for _ in range(3 if how == "open" else 1)]
        assert not wrong, "\n".join(wrong)
        assert len(vectors) >= 74 and all(kinds.count("refused") >= 20 for kinds in rounds)
        assert sum("passed" in kinds for kinds in zip(*rounds, strict=True)) >= 30
        made.check()
