"""What the checker makes of a policy: slots, constants, calls in their place, counters, settings."""

from __future__ import annotations

from typing import Any

import pytest

from policylang.check import Checked, check_files, check_text
from policylang.check import program as p
from policylang.sdk.networks import Networks
from policylang.sdk.values import Duration, Ip, Rate, Size, UpstreamName

FILES = {"clients.json": b'{ "k1": { "id": "ann", "limit": 5 } }', "page.html": b"<p>"}
END = """
map clients, file: "clients.json"
upstream orders { server "http://127.0.0.1:9000" }
"""


def program(text: str, **environ: str) -> p.Program:
    checked = check_text(text + END, files=FILES, environ=environ)
    assert checked.program is not None, [(str(d.span), d.message) for d in checked.diagnostics]
    return checked.program


def statements(body: str, before: str = "") -> tuple[p.Statement, ...]:
    return program(f'{before}\nservice s "/{{id}}" {{\n{body}\n    respond 200\n}}\n').services[0].body.statements


def value(expression: str, before: str = "") -> p.Expr:
    """An expression as it is checked."""
    found = statements(f"    let x? = {expression}", before)[0]
    assert isinstance(found, p.Let)
    return found.value


def constant(expression: str, before: str = "") -> Any:
    found = value(expression, before)
    assert isinstance(found, p.Const), found
    return found.value


# --- constants -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3", 7), ("7 / 2", 3.5), ("7 % 4", 3), ("-5", -5), ('"a" + "b"', "ab"), ("[1] + [2]", [1, 2]),
        ("5s + 1m", Duration(65)), ("2 * 5s", Duration(10)), ("1KiB + 24B", Size(1048)), ("1m / 2s", 30.0),
        ('"${1}-${true}-${5s}-${1MB}-${10/s}"', "1-true-5s-1MB-10/s"), ("1 < 2", True), ("5s > 1m", False),
        ("1 == 1.0", True), ("true and false", False), ("false or true", True), ("not true", False),
        ("none ?? 5", 5), ("4 ?? 5", 4), ("if true then 1 else 2", 1), ("[1, 2][1]", 2), ("[1, 2][5]", None),
        ("{ a: { b: 5 } }.a.b", 5), ('{ a: 5 }["b"]', None), ('upper("a")', "A"), ('int("x")', None),
        ('map("clients").k1.id', "ann"), ('map("clients")["k2"]', None), ('file("page.html")', "<p>"),
        ("10/hour", Rate(10, "hour")), ("0.5s", Duration(0.5)), ("250ms", Duration(0.25)), ("1.5KB", Size(1500)),
        ("200..299", range(200, 300)), ("0.5..2", (0.5, 2.0)), ('duration("5s")', Duration(5)),
        ('"${"a"}${"b"}"', "ab"), ("none == none", True), ("1 == none", False), ("[1, [2]] == [1, [2]]", True),
        ('ip("10.0.0.1")', Ip("10.0.0.1")), ("country", "de"), ("nested.a", [1, "x"]), ("later", 6),
    ],
)  # fmt: skip
def test_constants_are_worked_out(expression: str, expected: Any) -> None:
    before = 'let country = "de"\nlet nested = { a: [1, "x"] }\nlet later = other + 1\nlet other = 5'
    found = constant(expression, before)
    assert found == expected
    assert type(found) is type(expected) or isinstance(expected, float)


@pytest.mark.parametrize("expression", ["uuid()", "now", "1 / request.json.a", "request.method", "user.id ?? 5 == 5"])
def test_what_only_a_message_knows_is_left_to_it(expression: str) -> None:
    assert not isinstance(value(expression if "??" not in expression else "user.id"), p.Const)


def test_the_environment_is_read_when_the_policy_is() -> None:
    found = program('let a = env("REGION")\nservice s "/" { respond 200, body: a }', REGION="eu")
    answer = found.services[0].body.statements[0]
    assert isinstance(answer, p.Respond)
    assert isinstance(answer.body, p.Const)
    assert answer.body.value == "eu"


def test_secrets_come_from_files_first_and_are_not_in_the_hash() -> None:
    text = 'service s "/" {\n    require request.bearer == secret("KEY")\n    respond 200\n}\n'
    hashes = set()
    for secret in (b"one\n", b"two"):
        files = {"/run/credentials/KEY": secret}
        checked = check_text(text, files=files, environ={"CREDENTIALS_DIRECTORY": "/run/credentials", "KEY": "env"})
        assert checked.program is not None
        condition = checked.program.services[0].body.statements[0]
        assert isinstance(condition, p.Require)
        assert isinstance(condition.condition, p.BinaryOp)
        right = condition.condition.right
        assert isinstance(right, p.Const)
        assert right.value == secret.decode().strip()
        assert right.private
        assert "/run/credentials/KEY" in checked.program.files
        hashes.add(checked.program.hash)
    assert len(hashes) == 1


# --- addresses -----------------------------------------------------------------------------------


def test_networks_beside_an_ip_are_read_at_once() -> None:
    found = value('client.ip in ["10.0.0.0/8", "2001:db8::/32"]')
    assert isinstance(found, p.BinaryOp)
    assert isinstance(found.right, p.Const)
    assert isinstance(found.right.value, Networks)
    assert Ip("10.1.2.3") in found.right.value
    assert Ip("192.0.2.1") not in found.right.value


def test_an_address_beside_an_ip_is_one() -> None:
    found = value('client.ip == "2001:DB8:0::1"')
    assert isinstance(found, p.BinaryOp)
    assert isinstance(found.right, p.Const)
    assert found.right.value == Ip("2001:db8::1")
    assert isinstance(found.right.value, Ip)


def test_networks_are_patterns_of_an_ip() -> None:
    match = statements('    match client.ip { "10.0.0.0/8" -> ignore }')[0]
    assert isinstance(match, p.Match)
    assert isinstance(match.cases[0].patterns[0].value, Networks)


# --- operators -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "dynamic"),
    [
        ('request.method == "GET"', False), ('request.json.a == "x"', True), ('request.header["X"] == "x"', False),
        ('request.json.a == none', False), ("request.json.a < 5", True), ('request.method < "x"', False),
        ('request.header["X"] < "x"', True), ("request.json.a in [1]", True), ('request.method in ["GET"]', False),
        ('request.text contains "a"', False), ('request.json.a contains "a"', True),
        ('user.roles contains "a"', True), ('request.path starts_with "/"', False),
        ('request.json.a starts_with "/"', True), ('request.path matches "^/"', False),
    ],
)  # fmt: skip
def test_comparisons_say_what_is_left_to_the_message(expression: str, dynamic: bool) -> None:
    found = value(expression)
    assert isinstance(found, p.BinaryOp)
    assert found.dynamic is dynamic


def test_types_are_known_through_calls() -> None:
    assert value('jsonpath("$.a", in: request)').type.name == "json"
    assert value('jsonpath("$.a", in: request, all: true)').type.name == "list"
    assert str(value("split(request.path, \"/\")[0]").type) == "string?"
    assert value("first(user.roles ?? [])").type.name == "json"
    assert str(value("request.header[\"X\"]").type) == "string?"
    assert value("request.size").type.name == "size"


# --- calls ---------------------------------------------------------------------------------------


def invoke(body: str, before: str = "") -> p.Invoke:
    found = statements(body, before)[0]
    assert isinstance(found, p.Invoke)
    return found


def test_every_parameter_has_a_value() -> None:
    call = invoke("    rate_limit 10/s, burst: 2s")
    assert [bound.param.name for bound in call.args] == [param.name for param in call.card.params]
    values = {bound.param.name: bound for bound in call.args}
    assert isinstance(values["per"].value, p.ContextValue)
    assert values["per"].text == "client.ip"
    assert values["burst"].value.value == Duration(2)  # type: ignore[attr-defined]
    assert values["over"].value.value == "reject"  # type: ignore[attr-defined]
    assert values["name"].value.value is None  # type: ignore[attr-defined]
    assert values["name"].text == ""
    assert values["log_only"].value.value is False  # type: ignore[attr-defined]


def test_upstreams_and_symbols_are_constants() -> None:
    call = invoke("    route orders")
    assert call.args[0].value.value == UpstreamName("orders")  # type: ignore[attr-defined]


def test_values_of_one_that_takes_many_are_laid_out() -> None:
    call = invoke('    allow_ip "192.0.2.7", office, ["10.0.0.1"]', 'let office = ["10.0.0.0/8"]')
    assert call.args[0].value.value == ("192.0.2.7", "10.0.0.0/8", "10.0.0.1")  # type: ignore[attr-defined]


def test_outputs_are_slots() -> None:
    body = '    api_key path.id, in: map("clients")\n    api_key path.id, in: map("clients") -> caller'
    first, second = statements(body)[:2]
    assert isinstance(first, p.Invoke)
    assert isinstance(second, p.Invoke)
    assert first.outputs == (None,)
    assert second.outputs == (0,)


# --- slots ---------------------------------------------------------------------------------------


def test_branches_share_a_slot_and_globals_come_first() -> None:
    found = program("""
global after { let z = "z" }
global before { let a = request.method }
service s "/" {
    if request.method == "GET" { let x = 1 } else { let x = 2 }
    let y = x
    for each in [1] { let inner = each }
    for each in [2] { let inner = each }
    respond 200, json: y
}
""")
    assert found.global_slots == ("a", "z")
    assert found.services[0].slot_names == ("a", "z", "x", "y", "each", "inner")
    branches = found.services[0].body.statements[0]
    assert isinstance(branches, p.If)
    assert branches.orelse is not None
    slots = [block.statements[0].slot for block in (branches.arms[0][1], branches.orelse)]  # type: ignore[attr-defined]
    assert slots == [2, 2]


def test_globals_stand_in_text_order_imports_in_place() -> None:
    text = 'global before { log "1" }\nimport "a.pol"\nglobal before { log "3" }\nservice s "/" { respond 200 }\n'
    checked = check_text(text, files={"a.pol": b'global before { log "2" }'})
    assert checked.program is not None
    texts = [block.statements[0].args[0].value.value for block in checked.program.before]  # type: ignore[attr-defined]
    assert texts == ["1", "2", "3"]


# --- users' assertions ---------------------------------------------------------------------------


def test_a_call_is_put_in_its_place() -> None:
    before = """
assertion tier(limit: rate, who: string, note: string = "n") -> tag {
    rate_limit limit, per: who
    let tag = "${who}-${note}"
}
"""
    body = "    tier 10/s, path.id -> a\n    tier 20/s, \"x\", note: \"y\" -> b"
    first, second = statements(body, before)[:2]
    assert isinstance(first, p.Expand)
    assert isinstance(second, p.Expand)
    limit, made = first.body.statements
    assert isinstance(limit, p.Invoke)
    assert limit.args[0].value.value == Rate(10, "s")  # type: ignore[attr-defined]
    (slot, argument) = first.arguments[0]
    assert isinstance(argument, p.ContextValue)
    assert isinstance(limit.args[1].value, p.SlotRef)
    assert limit.args[1].value.slot == slot
    assert isinstance(made, p.Let)
    assert first.outputs[0][0] == made.slot
    # all that the second call is given is known, so its output is, too
    assert second.arguments == ()
    assert second.body.statements[1].value.value == "x-y"  # type: ignore[attr-defined]
    assert not {first.outputs[0][0], slot} & {second.outputs[0][0]}


def test_an_argument_is_held_to_the_parameters_type() -> None:
    before = "assertion takes(text: string, any: json?) { log text }"
    (call,) = [s for s in statements("    takes request.json.a, request.json.b", before) if isinstance(s, p.Expand)]
    (_, text), (_, any_) = call.arguments
    assert isinstance(text, p.FunctionCall)
    assert text.type.name == "string"
    assert not isinstance(any_, p.FunctionCall)
    check = text.card.call
    assert check("x") == "x"
    with pytest.raises(Exception, match="wrong-type"):
        check(5)
    with pytest.raises(Exception, match="missing-value"):
        check(None)


def test_a_call_sees_the_response_of_its_caller() -> None:
    before = 'assertion stamp { set response.header["X"] = "a" }'
    assert program(before + '\nservice s "/" {\n    route orders\n    stamp\n}\n')
    found = check_text(before + '\nservice s "/" {\n    stamp\n    route orders\n}\n' + END, files=FILES)
    assert [d.name for d in found.diagnostics] == ["unset-response"]


# --- counters ------------------------------------------------------------------------------------


def counters(body: str, before: str = "") -> list[str]:
    found: list[str] = []

    def look(node: Any) -> None:
        if isinstance(node, p.Invoke) and node.card.name == "rate_limit":
            found.append(node.counter)
        elif isinstance(node, p.Match):
            for case in node.cases:
                look(case.body)
            look(node.orelse)
        elif isinstance(node, p.Block):
            for each in node.statements:
                look(each)
        elif isinstance(node, (p.Group, p.Expand, p.For)):
            look(node.body)

    look(p.Block(None, statements(body, before)))  # type: ignore[arg-type]
    return found


def test_counters_are_told_apart_by_key_and_ordinal() -> None:
    body = """
    rate_limit 10/s, per: path.id
    rate_limit 99/min, per: path.id
    rate_limit 10/s
    rate_limit 10/s, per: [path.id,   client.ip]
    """
    assert counters(body) == [
        "s|rate_limit|path.id|0", "s|rate_limit|path.id|1", "s|rate_limit|client.ip|0",
        "s|rate_limit|[path.id, client.ip]|0",
    ]  # fmt: skip


def test_the_arms_of_one_match_share_a_counter() -> None:
    body = """
    rate_limit 10/s
    match path.id {
        "a" -> rate_limit 100/s
        "b" -> {
            rate_limit 200/s
            rate_limit 1000/min
        }
        else -> rate_limit 300/s
    }
    rate_limit 10/s
    """
    ordinals = [counter.rsplit("|", 1)[1] for counter in counters(body)]
    assert ordinals == ["0", "1", "1", "2", "1", "3"]


def test_a_name_is_one_counter() -> None:
    assert counters('    rate_limit 10/s, name: "a"\n    rate_limit 5/s, per: path.id, name: "a"') == ["name|a"] * 2


def test_each_call_of_a_users_assertion_counts_by_itself() -> None:
    before = "assertion limited(who: string) { rate_limit 10/s, per: who }"
    found = counters("    limited path.id\n    limited client.ip", before)
    assert found == ["s|rate_limit|who|0", "s|rate_limit|who|1"]


# --- services, settings, files -------------------------------------------------------------------


def test_paths_are_segments() -> None:
    found = program("""
service a "/", "/a/{id}/%41b/**", methods: ["GET", "GET"], host: "API.Example" { respond 200 }
service b "/a/", "/ä/x y" { respond 200 }
""".replace("x y", "x%20y"))
    first, second = found.services
    assert [path.segments for path in first.paths] == [("",), ("a", ("id",), "Ab", ())]
    assert (first.methods, first.host) == (("GET",), "api.example")
    assert [path.segments for path in second.paths] == [("a", ""), ("ä", "x y")]
    assert (second.methods, second.host) == ((), "")


def test_settings_have_every_parameter() -> None:
    found = program('gateway {\n    listen "0.0.0.0:80"\n    listen "[::1]:8080"\n    limits body: 1MiB\n}')
    settings = {setting.name: setting.values for setting in found.gateway}
    assert [s.values["address"] for s in found.gateway if s.name == "listen"] == ["0.0.0.0:80", "[::1]:8080"]
    assert settings["workers"] == {"count": 1}
    assert settings["store"]["kind"] == "embedded"
    assert settings["store"]["path"] is None
    assert settings["access_log"] == {"to": "stdout", "sample": 1}
    assert settings["limits"] == {
        "body": Size(1048576), "decoded": Size(10485760), "header": Size(32768), "request_line": Size(8192),
        "fields": 100, "chunk_extensions": Size(16384), "pipelined": 16, "connections": 10_000,
        "body_rate": Size(500), "json_depth": 128, "xml_depth": 128, "xml_text": Size(10485760),
    }  # fmt: skip
    assert settings["timeouts"]["drain"] == Duration(30)
    upstream = {setting.name: setting.values for setting in found.upstreams[0].settings}
    assert set(upstream) == {"server", "balance", "outliers", "retries", "timeouts", "connections"}
    assert upstream["server"] == {"url": "http://127.0.0.1:9000", "weight": 1, "backup": False}
    assert upstream["balance"] == {"how": "round_robin", "on": None}
    assert upstream["timeouts"] == {
        "connect": Duration(5), "head": Duration(30), "between": Duration(30), "idle": Duration(4),
    }  # fmt: skip


def test_without_a_gateway_the_defaults_hold() -> None:
    settings = {setting.name: setting.values for setting in program('service s "/" { respond 200 }').gateway}
    assert settings["listen"]["address"] == "127.0.0.1:8080"
    assert settings["listen"]["cert"] is None
    assert settings["name"] == {"text": "polgate"}


def test_what_was_read_makes_the_same_program_elsewhere() -> None:
    texts = {
        "etc/policy.pol": b'import "../lib/a.pol"\nservice s "/" { respond 200, body: file("page.html") }\n',
        "lib/a.pol": b'map clients, file: "../data/c.json"\n', "data/c.json": b"{}", "etc/page.html": b"<p>",
    }  # fmt: skip

    def load(path: str) -> bytes:
        if path not in texts:
            raise FileNotFoundError(path)
        return texts[path]

    first = check_files(["etc/policy.pol"], load, {})
    assert first.program is not None
    assert set(first.program.files) == set(texts)
    again = check_files(["etc/policy.pol"], first.program.files.__getitem__, {})
    assert again.program == first.program
    assert len(first.program.hash) == 12
    texts["data/c.json"] = b'{ "a": 1 }'
    changed: Checked = check_files(["etc/policy.pol"], load, {})
    assert changed.program is not None
    assert changed.program.hash != first.program.hash


def test_a_file_that_cannot_be_read_is_for_the_caller_to_say() -> None:
    def load(path: str) -> bytes:
        raise PermissionError(13, "Permission denied", path)

    with pytest.raises(PermissionError):
        check_files(["policy.pol"], load, {})


def test_an_import_that_cannot_be_read_is_a_finding() -> None:
    def load(path: str) -> bytes:
        if path == "policy.pol":
            return b'import "a.pol"\nservice s "/" { respond 200 }\n'
        raise PermissionError(13, "Permission denied", path)

    found = check_files(["policy.pol"], load, {}).diagnostics
    assert [(d.name, d.span.text) for d in found] == [("unreadable-file", '"a.pol"')]


def test_the_order_of_findings_is_that_of_the_text() -> None:
    found = check_text('service s "/" {\n    log a\n    log 5\n    log "${b}"\n}\nlet x = y\nlet z = = 1\n').diagnostics
    assert [d.span.line for d in found] == sorted(d.span.line for d in found)
    assert len(found) >= 5
