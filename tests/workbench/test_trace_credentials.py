"""Policies made of chances: wherever a credential comes in, however the policy shows that it is one, and wherever it
goes from there, it is in nothing that the tools say. What is no credential is shown.

`POLGATE_PAIRS` is how many there are, `POLGATE_SEED` where to begin.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from urllib.parse import quote, quote_plus

sys.path.insert(0, str(Path(__file__).parent))

from traced import offline

from policylang.sdk.bench import make_fields
from policylang.testing.stubs import Planned
from policylang.trace.incoming import Incoming
from policylang.trace.masking import HEADERS, PARAMETERS, SHORTEST
from policylang.trace.offline import Offline
from policylang.trace.picture import picture

CASES = int(os.environ.get("POLGATE_PAIRS", "250"))
SEED = int(os.environ.get("POLGATE_SEED", "0"))
LONG, SHORT = "sécret +9c1e7b&4=", "q7Zé"
"""The short one would be hidden where it stands alone, and may be a part of any text."""
PLAIN = "plain-as-day-12"

Put = Callable[[Incoming, str], None]


def in_header(name: str) -> Put:
    return lambda asked, text: asked.add_field(name, text)


def in_query(name: str) -> Put:
    return lambda asked, text: asked.ask_for(f"{asked.target}&{name}={quote_plus(text)}")


def in_path(asked: Incoming, text: str) -> None:
    asked.ask_for(f"/keys/{quote(text, safe='')}?{asked.target.partition('?')[2]}")


def in_body(made: Callable[[str], object]) -> Put:
    def put(asked: Incoming, text: str) -> None:
        asked.method, asked.body = "POST", json.dumps(made(text)).encode()

    return put


def as_body(asked: Incoming, text: str) -> None:
    asked.method, asked.body = "POST", text.encode()


# How it comes in, and what reads it. Of the first kind the policy must say that they are credentials.
TAKEN: list[tuple[Put, str]] = [
    (in_header("X-Pass"), 'request.header["X-Pass"]'),
    (in_query("other"), "request.query.other"),
    (in_query("myKey"), "request.query.myKey"),
    (in_path, "path.key"),
    (in_body(lambda text: {"key": text}), "request.json.key"),
    (in_body(lambda text: {"in": [text]}), "request.json.in[0]"),
    (as_body, "request.text"),
]
KNOWN: list[tuple[Put, str]] = [
    *((in_header(name), f'request.header["{name}"]') for name in sorted(HEADERS)),
    *((in_query(name), f'request.query["{name}"]') for name in sorted(PARAMETERS)),
    *[(in_header("Authorization"), 'request.header["Authorization"]')] * 5,
    *[(lambda asked, text: asked.add_field("Authorization", f"Bearer {text}"), "request.bearer")] * 5,
    *[(lambda asked, text: asked.add_field("Cookie", f'a=b; session="{text}"'), "request.cookie.session")] * 5,
]  # fmt: skip

SAID = ['api_key {}, in: map("clients") else ignore', 'require {} == secret("KEY") else ignore',
        'require secret("KEY") != {}', 'require same_secret({}, secret("KEY")) else ignore',
        'require same_secret(secret("KEY"), {}) else ignore', 'require {} in [secret("KEY"), "x"] else ignore',
        'known {} else ignore', 'require [secret("KEY")] contains {} else ignore']  # fmt: skip
BY_WAY = ["{}", "let mine? = {}\n@mine", "let mine? = {}\nlet again? = mine\nlet third? = again\n@third",
          'let mine? = "x"\nset mine = {}\n@mine', 'let mine? = "${{{} ?? ""}}"\n@mine',
          "let mine? = if request.method == \"PUT\" then \"a\" else {}\n@mine"]  # fmt: skip
AROUND = ["{}", 'if request.method == "PUT" {{\n{}\n}}', "try {{\n{}\n}} catch e {{\nignore\n}}", "all {{\n{}\n}}",
          "for each in [1] {{\n{}\n}}", 'match request.method {{\n"PUT" -> {{\n{}\n}}\nelse -> ignore\n}}',
          "any {{\nfail 400\nall {{\n{}\n}}\n}}"]  # fmt: skip

GOES = ['let shown? = {}', 'log "to ${{{} ?? "-"}}"', 'set request.header["X-Out"] = "<${{{} ?? "-"}}>"',
        'set request.query.out = {} ?? "-"', 'set request.path = "/x/${{{} ?? "-"}}/y"',
        "set request.json = {{ a: {} }}",
        'set request.body = "body ${{{} ?? "-"}}"', 'require "${{{} ?? "-"}}!" != ""', 'rate_limit 9/s, per: {} ?? "-"',
        'match {} {{\n"a" -> ignore\nelse -> ignore\n}}', 'for one in [{}] {{\nlog "${{one ?? "-"}}"\n}}',
        'let many = [{{ a: [{}] }}, request.method]', 'tells {} ?? "-" -> told',
        'set request.query.other = "gone"', 'remove request.header["X-Pass"]', 'set request.text = "gone"',
        'remove request.query.other']
ENDS = ["route one", 'route one, path: "/up/${{{} ?? "-"}}"', 'route one, query: {{ up: {} ?? "-" }}',
        'respond 200, body: "hello ${{{} ?? "-"}}"', "respond 200, json: {{ a: [{}] }}",
        'respond 200, header: {{ "X-Back": "${{{} ?? "-"}}" }}', 'fail 403, "not ${{{} ?? "-"}}"',
        'fail 403, {} ?? "-"']  # fmt: skip
DECLARED = """
map clients, file: "clients.json"
assertion known(given: string) { api_key given, in: map("clients") }
assertion tells(given: string) -> out { let out = given }
"""


class Case:
    """`text`: the policy. `secret`: what must not be seen."""

    def __init__(self, seed: int) -> None:
        dice = Random(seed)
        self.secret = LONG if dice.random() < 0.8 else SHORT
        taken = dice.random() < 0.7
        self.put, self.read = dice.choice(TAKEN if taken else KNOWN)
        said = ""
        if taken:
            *before, last = dice.choice(BY_WAY).format(self.read).split("\n")
            given = last.removeprefix("@") if before else last
            said = "\n".join([*before, dice.choice(SAID).format(f'({given} ?? "")')])
            said = dice.choice(AROUND).format(said)
        alone = [GOES, ENDS]
        if self.secret is SHORT:
            alone = [[way for way in each if "${{{}" not in way] for each in alone]
        goes = [each.format(self.read) for each in dice.sample(alone[0], 2)]
        place = dice.choice(("before", "after", "handler", "first", "last"))
        shown = 'log "${request.header["X-Plain"] ?? "-"}"'
        end = dice.choice(alone[1]).format(self.read)
        body = {
            "before": [said, *goes, shown, end], "after": [*goes, said, shown, end],
            "handler": [*goes, shown, end, "on failure {\n" + said + "\n}"], "first": [*goes, shown, end],
            "last": [*goes, shown, end],
        }[place]  # fmt: skip
        lines = "\n".join(line for line in body if line)
        around = {"first": "global before", "last": "global after"}.get(place, "")
        if around and "path." in said:  # which are a service's own
            around, lines = "", f"{said}\n{lines}"
        other = f"{around} {{\n{said}\n}}\n" if around else ""
        self.text = f'{DECLARED}{other}service s "/keys/{{key}}" {{\n{lines}\n}}\n'

    def said(self) -> str:
        """All that the tools say of one exchange."""
        secret = self.secret
        files = {"clients.json": json.dumps({secret: {"id": "zoe"}}).encode()}
        program = offline(self.text, files, {"KEY": "config-secret-1"}).program
        back = Planned(200, tuple(make_fields({"X-Echo": secret, "Content-Type": "text/plain"})),
                       f"you sent {secret if len(secret) >= SHORTEST else 'it'}".encode())  # fmt: skip
        asked = Incoming()
        asked.ask_for("/keys/x?a=1")
        asked.add_field("X-Plain", PLAIN)
        self.put(asked, secret)
        document = Offline(program, {"one": [back]}).send(asked).document
        assert document["status"] != 500, document
        return "\n".join([
            json.dumps(document, ensure_ascii=False), picture(document, ()), picture(document, program.sources, True)
        ])  # fmt: skip

    def seen(self, said: str) -> list[str]:
        """The forms of the secret that are in it."""
        forms = {self.secret, quote(self.secret), quote(self.secret, safe=""), quote_plus(self.secret),
                 json.dumps(self.secret)[1:-1], base64.b64encode(self.secret.encode()).decode()}  # fmt: skip
        return [form for form in forms if form in said]


def test_no_credential_is_seen_and_what_is_none_is() -> None:
    asked = refused = 0
    for seed in range(SEED, SEED + CASES):
        case = Case(seed)
        where = f"seed {seed}\n{case.text}"
        try:
            said = case.said()
        except AssertionError as wrong:
            if not isinstance(wrong.args[0], list):
                raise
            refused += 1
            continue
        asked += 1
        assert not case.seen(said), where
        read = 'request.header["X-Plain"] = '
        assert read + f'"{PLAIN}"' in said or read not in said, where
    assert asked >= CASES * 0.7, (asked, refused)
