"""What statements make of refusals, errors, absences and defects."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tree_policies import UNREACHABLE, Policy

OK = "respond 200, body: \"ok\""


def outcome(statements: str) -> tuple[int, str]:
    answer = Policy(f"{statements}\n{OK}").handle()
    return answer.status, answer.name


@pytest.mark.parametrize(
    ("inner", "status", "name"),
    [
        ("tell.refuse", 200, ""),
        ("tell.error", 400, "broken"),
        ("tell.away", 503, "key-set-away"),
        ("tell.defect", 500, "defect"),
        ("ignore", 403, "not-refused"),
        ("tell.refuse\ntell.error", 400, "broken"),
        ("tell.refuse\ntell.refuse", 200, ""),
        ("require request.json.a", 400, "unreadable-body"),
        ("none { tell.refuse }", 403, "not-refused"),
        ("tell.pause 1s", 403, "not-refused"),
        ("all {\ntell.pause 1s\ntell.refuse\n}", 200, ""),
        # nobody knows what the first would have said: that is no refusal of both
        ("any {\ntell.error\ntell.refuse\n}", 401, "refused"),
        ("any {\ntell.refuse\ntell.refuse\n}", 200, ""),
        ("tell.error else tell.refuse", 401, "refused"),
    ],
)  # fmt: skip
def test_none_passes_on_refusals_only(inner: str, status: int, name: str) -> None:
    assert outcome(f"none {{\n{inner}\n}}") == (status, name)


@pytest.mark.parametrize(
    ("inner", "status", "name"),
    [
        ("tell.refuse\nignore", 200, ""),
        ("tell.error\nignore", 200, ""),
        ("tell.away\nignore", 503, "key-set-away"),
        ("tell.defect\nignore", 500, "defect"),
        ("require request.json.a\nignore", 200, ""),
        ("route one\nignore", 200, ""),
        ("tell.refuse\ntell.error", 400, "broken"),
        ("tell.error\ntell.refuse", 401, "refused"),
        ("ignore\ntell.defect", 200, ""),
        ("all {\ntell.pause 1s\ntell.refuse\n}\ntell.pause 1s", 200, ""),
    ],
)  # fmt: skip
def test_any_goes_on_after_refusals_and_errors(inner: str, status: int, name: str) -> None:
    policy = Policy(f"any {{\n{inner}\n}}\n{OK}")
    policy.one.answers = [UNREACHABLE]
    answer = policy.handle()
    assert (answer.status, answer.name) == (status, name)


def test_any_fails_as_its_last_statement_with_every_challenge() -> None:
    answer = Policy(f'any {{\ntell.refuse "A"\ntell.refuse "B"\nfail 403, "no"\n}}\n{OK}').handle()
    assert (answer.status, answer.name, answer.json["detail"]) == (403, "failed", "no")
    assert answer.headers("WWW-Authenticate") == ["A", "B"]


@pytest.mark.parametrize(
    ("left", "status", "name"),
    [
        ("ignore", 200, ""),
        ("tell.refuse", 422, "failed"),
        ("tell.error", 422, "failed"),
        ("tell.away", 503, "key-set-away"),
        ("tell.defect", 500, "defect"),
        ("tell.pause 1s", 200, ""),
    ],
)  # fmt: skip
def test_else_takes_what_any_takes(left: str, status: int, name: str) -> None:
    assert outcome(f"{left} else fail 422") == (status, name)


@pytest.mark.parametrize("body", ["tell.refuse", "tell.error", "tell.away", "tell.defect", "require request.json.a"])
def test_catch_takes_every_failure(body: str) -> None:
    answer = Policy(f"try {{\n{body}\n}} catch e {{\nrespond 299, json: [e.name, e.status, e.kind, e.line]\n}}\n{OK}")
    found = answer.handle()
    assert found.status == 299
    assert found.json[3] == 3
    assert found.json[:3] in (
        ["refused", 401, "refusal"], ["broken", 400, "error"], ["key-set-away", 503, "away"],
        ["defect", 500, "defect"], ["unreadable-body", 400, "error"],
    )  # fmt: skip


def test_the_handlers_failure_is_the_failure_of_try() -> None:
    assert outcome("try { tell.error } catch { tell.refuse }") == (401, "refused")
    assert outcome("try { tell.away } catch { ignore }") == (200, "")


def test_if_commits() -> None:
    assert outcome("if true { tell.refuse } else { ignore }") == (401, "refused")
    assert outcome("if false { tell.refuse }") == (200, "")
    assert outcome("if false { ignore } else if true { tell.error }") == (400, "broken")
    assert outcome("if request.json.a { ignore }") == (400, "unreadable-body")


@pytest.mark.parametrize(
    ("header", "status", "name"),
    [("gold", 201, ""), ("silver", 202, ""), ("bronze", 202, ""), (None, 203, ""), ("tin", 403, "no-match")],
)
def test_match_on_texts(header: str | None, status: int, name: str) -> None:
    policy = Policy("""
        match request.header["X-Tier"] {
            "gold" -> respond 201
            "silver", "bronze" -> respond 202
            none -> respond 203
        }
    """)
    answer = policy.handle(headers={} if header is None else {"X-Tier": header})
    assert (answer.status, answer.name) == (status, name)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"200", 201), (b"200.0", 201), (b"250", 202), (b"299", 202), (b"299.5", 210), (b"true", 203), (b"1", 210),
     (b'"200"', 210), (b"[1]", 210), (b"null", 204), (b"{}", 210)],
)  # fmt: skip
def test_match_on_other_patterns_and_other_types(body: bytes, status: int) -> None:
    policy = Policy("""
        match request.json {
            200 -> respond 201
            200..299 -> respond 202
            true -> respond 203
            none -> respond 204
            else -> respond 210
        }
    """)
    assert policy.handle("POST", body=body).status == status


def test_the_first_pattern_in_the_text_counts() -> None:
    policy = Policy("match request.json {\n1..9 -> respond 201\n5 -> respond 202\nelse -> respond 203\n}")
    assert policy.handle("POST", body=b"5").status == 201


def test_for() -> None:
    policy = Policy("""
        for each in request.json {
            require each != 3
            tell.say "${each}"
        }
        respond 200
    """)
    assert policy.handle("POST", body=b"[1, 2]").status == 200
    assert policy.handle("POST", body=b"[1, 3, 4]").name == "requirement-not-met"
    assert policy.environment.logs == [("info", "1"), ("info", "2"), ("info", "1")]
    assert policy.handle("POST", body=b"{}").name == "wrong-type"
    assert policy.handle("POST", body=b"null").status == 400
    rounds = [b"[" + b",".join([b"0"] * count) + b"]" for count in (1000, 1001)]
    assert [policy.handle("POST", body=body).name for body in rounds] == ["", "too-many-rounds"]


def test_for_that_waits() -> None:
    policy = Policy("for each in [1, 2, 3] {\ntell.pause 1s\n}\nrespond 200, json: 1")
    policy.handle()
    assert policy.environment.clock.monotonic() == 3_000_000_000


def test_let_and_require() -> None:
    assert outcome("let a = request.header[\"X-A\"]") == (400, "missing-value")
    assert outcome("let a? = request.header[\"X-A\"]") == (200, "")
    assert outcome("require request.method == \"GET\"") == (200, "")
    assert outcome("require request.method == \"PUT\"") == (403, "requirement-not-met")


def test_what_reads_the_response_is_the_upstreams_fault() -> None:
    assert outcome("route one\nlet a = response.header[\"X-A\"]") == (502, "missing-value")
    assert outcome("route one\nrequire response.json.a") == (502, "unreadable-body")
    assert outcome("route one\nrequire request.json.a") == (400, "unreadable-body")


def test_a_user_defined_assertion() -> None:
    policy = Policy("""
        assertion greet(who: string, times: number = 2) -> text {
            let text = "${who} ${times}"
            require who != "nobody"
        }
        service s "/{name}" {
            greet path.name -> hello
            greet "x", times: 5 -> other
            respond 200, json: [hello, other]
        }
    """)
    assert policy.handle(path="/ann").json == ["ann 2", "x 5"]
    answer = policy.handle(path="/nobody")
    assert answer.status == 403
    assert answer.journal == [("let", "passed"), ("require", "requirement-not-met"), ("greet", "requirement-not-met")]


def test_outputs() -> None:
    policy = Policy("tell.both request.header[\"X-A\"] ?? \"\" -> a, b\nrespond 200, json: [a, b]")
    assert policy.handle(headers={"X-A": "abc"}).json == ["abc", 3]
    assert policy.handle(headers={"X-A": "wrong"}).name == "defect"
    assert len(policy.environment.defects) == 1


def test_an_assertion_around_a_block() -> None:
    for inner, status, name, logs in (
        ("ignore", 200, "", ["before", "passed"]), ("tell.pause 1s", 200, "", ["before", "passed"]),
        ("tell.refuse", 401, "refused", ["before", "not"]), ("respond 299", 299, "", ["before", "not"]),
        ("route one", 200, "", ["before", "passed"]),
    ):  # fmt: skip
        policy = Policy(f"if request.path == \"/\" {{\ntell.around {{\n{inner}\n}}\n}}\n{OK}")
        answer = policy.handle()
        assert (answer.status, answer.name, [text for _, text in policy.environment.logs]) == (status, name, logs)
        words = {"refused": "refused", "": "responded" if status == 299 else "passed"}
        assert ("tell.around", words[name]) in answer.journal
    assert outcome("tell.around hides: true {\ntell.refuse\n}") == (409, "around-refused")
    policy = Policy(f"tell.around {{\ntell.pause 5s\n}}\n{OK}")
    exchange = policy.exchange()
    coroutine = policy.tree.handle(exchange)
    coroutine.send(None)
    coroutine.close()
    assert [place.name for place, _ in exchange.journal or ()] == ["tell.pause", "tell.around"]


def test_what_an_assertion_has_not_declared_is_a_defect() -> None:
    policy = Policy(f"tell.careless\n{OK}")
    assert policy.handle().status == 500


def test_a_defect_is_logged_once_and_tells_nothing() -> None:
    policy = Policy(f"tell.defect\n{OK}")
    answer = policy.handle()
    assert answer.status == 500
    assert [type(error) for error in policy.environment.defects] == [ZeroDivisionError]
    assert b"mistake" not in (answer.body or b"")
    assert "defect-1" in answer.json["detail"]


def test_surroundings_that_are_away() -> None:
    answer = Policy(f"tell.away\n{OK}").handle()
    assert (answer.status, answer.header("Retry-After")) == (503, "3")
    assert b"10.0.0.7" not in (answer.body or b"")


# --- taking back ---


def test_a_failed_branch_takes_back_what_it_did() -> None:
    policy = Policy("""
        let changed = "before"
        any {
            all {
                set request.header["X-A"] = "1"
                set request.path = "/changed"
                set request.query.q = "1"
                set request.method = "PUT"
                set request.text = "changed"
                set changed = "in the branch"
                tell.login "ann"
                tell.refuse
            }
            ignore
        }
        respond 200, json: [
            request.header["X-A"], request.path, request.query.q, request.method, request.text, changed, user == none
        ]
    """)
    answer = policy.handle("POST", "/p?q=0", headers={"X-A": "0"}, body=b"text")
    assert answer.json == ["0", "/p", "0", "POST", "text", "before", True]


@pytest.mark.parametrize("form", ["try {{\n{}\n}} catch {{ ignore }}", "all {{\n{}\n}} else ignore"])
def test_so_do_try_and_else(form: str) -> None:
    body = "set request.header[\"X-A\"] = \"1\"\nroute one\nset response.header[\"X-From\"] = \"changed\"\ntell.refuse"
    policy = Policy(
        "route two\n" + form.format(body)
        + "\nrespond 200, json: [request.header[\"X-A\"], response.status, response.header[\"X-From\"]]"
    )
    assert policy.handle().json == [None, 200, "two"]


def test_what_none_is_refused_is_taken_back() -> None:
    policy = Policy("""
        none {
            all {
                set request.header["X-A"] = "1"
                tell.refuse
            }
        }
        respond 200, json: request.header["X-A"]
    """)
    assert policy.handle().json is None


def test_a_body_read_in_a_failed_branch_stays_held() -> None:
    policy = Policy("any {\nrequire request.json.a\nignore\n}\nrespond 200, json: request.text")
    answer = policy.handle("POST", body=b'{"a": false}', streams=True)
    assert answer.json == '{"a": false}'
    assert answer.exchange.request.source.collected == 1  # type: ignore[union-attr]


def test_a_limit_set_in_a_failed_branch_is_taken_back() -> None:
    policy = Policy("any {\nlimit_size request, 1B\nignore\n}\nrespond 200, json: request.text")
    assert policy.handle("POST", body=b"12").json == "12"


# --- leaving ---


def test_respond_leaves_every_block() -> None:
    policy = Policy("""
        assertion done() {
            any {
                try {
                    respond 299, body: "early"
                } catch { ignore }
                ignore
            }
        }
        global after { set response.header["X-After"] = "1" }
        service s "/**" {
            for each in [1, 2] {
                match each {
                    1 -> done
                    else -> tell.defect
                }
            }
            respond 200
        }
    """)
    answer = policy.handle()
    assert (answer.status, answer.body, answer.header("X-After"), answer.name) == (299, b"early", "1", "")
    assert answer.journal[:3] == [("respond", "responded"), ("try", "responded"), ("any", "responded")]


GLOBALS = """
    global before {
        if request.path == "/skip" { respond 298 }
        require request.path != "/refused"
    }
    global after {
        set response.header["X-After"] = "${response.status}"
        require request.path != "/late"
    }
    service s "/**" {
        tell.say "service"
        if request.path == "/fails" { tell.refuse "C" }
        route one
        on failure {
            if response != none { respond 297 }
            if failure.status == 401 { set request.header["X-Seen"] = failure.name }
        }
    }
"""


@pytest.mark.parametrize(
    ("path", "status", "after", "logs"),
    [
        ("/", 200, "200", 1),
        ("/skip", 298, "298", 0),
        ("/refused", 403, "403", 0),
        ("/fails", 401, "401", 1),
        ("/late", 403, None, 1),
    ],
)
def test_globals(path: str, status: int, after: str | None, logs: int) -> None:
    policy = Policy(GLOBALS)
    answer = policy.handle(path=path)
    assert (answer.status, answer.header("X-After")) == (status, after)
    assert len(policy.environment.logs) == logs
    if path == "/fails":
        assert answer.header("WWW-Authenticate") == "C"
        assert answer.exchange.request.header(b"x-seen") == "refused"


def test_global_after_runs_for_404_and_405() -> None:
    policy = Policy("""
        global after { set response.header["X-After"] = "1" }
        service s "/known", methods: ["GET"] { respond 200 }
    """)
    for method, path, status, name in (("GET", "/", 404, "no-service"), ("PUT", "/known", 405, "method-not-allowed")):
        answer = policy.handle(method, path)
        assert (answer.status, answer.name, answer.header("X-After")) == (status, name, "1")
    assert policy.handle("PUT", "/known").header("Allow") == "GET, HEAD"


def test_on_failure_answers() -> None:
    policy = Policy("""
        service s "/**" {
            tell.refuse
            respond 200
            on failure {
                respond 299, json: [failure.name, failure.assertion, failure.line]
            }
        }
    """)
    answer = policy.handle()
    assert (answer.status, answer.json, answer.name) == (299, ["refused", "tell.refuse", 3], "refused")


def test_what_fails_in_on_failure_is_the_answer() -> None:
    policy = Policy("""
        service s "/**" {
            tell.refuse
            respond 200
            on failure { tell.away }
        }
    """)
    assert policy.handle().name == "key-set-away"


def test_fail() -> None:
    answer = Policy('fail 418, "a ${request.method}", name: "tea-pot", title: "Tea"').handle(path="/x")
    assert (answer.status, answer.name) == (418, "tea-pot")
    assert (answer.json["detail"], answer.json["title"]) == ("a GET", "Tea")


def test_private_details_are_masked() -> None:
    policy = Policy("""
        let private key = request.header["X-Key"]
        tell.say "key ${key}"
        fail 403, "not ${key}"
    """)
    answer = policy.handle(headers={"X-Key": "s3cr3t"})
    assert policy.environment.logs == [("info", "[private]")]
    assert answer.json["detail"] == "[private]"
    wrong = Policy("let a = jsonpath(request.bearer, in: request)\nrespond 200")
    answer = wrong.handle(headers={"Authorization": "Bearer s3cr3t"}, body=b"{}")
    assert (answer.name, answer.json["detail"]) == ("bad-jsonpath", "[private]")


def test_respond() -> None:
    policy = Policy("""
        match request.path {
            "/text" -> respond 201, body: "t", header: { "X-A": request.header["X-A"] ?? "none" }
            "/json" -> respond 202, json: { a: 1s, b: [1KB] }
            "/none" -> respond 204
            "/type" -> respond 200, body: "<a/>", content_type: "application/xml"
            else -> respond int(request.query.status) ?? 200
        }
    """)
    text = policy.handle(path="/text")
    assert (text.status, text.body, text.header("Content-Type")) == (201, b"t", "text/plain; charset=utf-8")
    assert text.header("X-A") == "none"
    assert policy.handle(path="/text", headers={"X-A": "a\nb"}).name == "bad-header"
    assert policy.handle(path="/json").json == {"a": "1s", "b": ["1KB"]}
    assert policy.handle(path="/none").header("Content-Type") is None
    assert policy.handle(path="/type").header("Content-Type") == "application/xml"
    assert policy.handle(path="/x?status=299").status == 299
    assert policy.handle(path="/x?status=99").name == "wrong-type"
    assert policy.handle(path="/x?status=600").name == "wrong-type"
