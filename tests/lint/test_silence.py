"""What looks like a mistake of performance or style, and is none; and what is one, in a form that no page shows."""

from __future__ import annotations

import pytest

from policylang.lint.examples import findings, policy
from policylang.lint.known import all_rules

RULES = {rule.name: rule for rule in all_rules()}
MAPS = "map s, ttl: 1h\nmap t, ttl: 1h\n\n"
SERVICE = 'service x "/x/{{id}}" {{\n    {}\n    route orders\n}}\n'

RIGHT = [
    ("body-before-check", 'let key = request.json.key\n    api_key key, in: map("clients")'),
    ("body-before-check", 'any {\n        require request.json.a == 1\n        allow_ip "10.0.0.0/8"\n    }'),
    ("body-thrown-away", "let a = request.json.a\n    require request.json.b == 1"),
    ("body-thrown-away", "let a = request.json.a\n    route orders"),
    ("body-thrown-away", "let _a = request.json.a"),
    ("unused-variable", "let _a = request.method"),
    ("unused-variable", 'for _x in request.json.a { require path.id != "1" }'),
    ("unused-variable", "let a = 1\n    if path.id == \"1\" { set a = 2 }\n    log \"${a}\""),
    ("store-in-loop", 'for x in ["a", "b"] { store x, 1, in: map("s") }'),
    ("store-in-loop", 'for x in slice(request.json.a, 0, 5) { store string(x) ?? "", 1, in: map("s") }'),
    ("log-in-loop", 'for x in request.json.a { require x != none }\n    log "seen"'),
    ("log-in-loop", 'let tags = ["a", "b"]\n    for x in tags { log x }'),
    ("log-in-loop", "require length(request.json.a) <= 10\n    for x in request.json.a { log json(x) }"),
    ("log-in-loop", "let a = request.json.a\n    if length(a) > 10 { fail 400 }\n    for x in a { log json(x) }"),
    ("log-in-loop", 'api_key request.header["X-API-Key"], in: map("clients") -> caller\n'
                    "    for x in caller.groups { log json(x) }"),
    ("repeated-extraction", 'match path.id {\n        "1"  -> log string(jsonpath("$.b", in: request)) ?? ""\n'
                            '        else -> log string(jsonpath("$.b", in: request)) ?? ""\n    }'),
    ("repeated-extraction", 'let c? = jsonpath("$.c", in: request)\n    set request.json = { a: c }\n'
                            '    let d? = jsonpath("$.c", in: request)\n    log json(d)'),
    ("repeated-extraction", 'let c? = regex(r"a(.)", in: request.header["X-A"] ?? "")\n'
                            '    set request.header["X-A"] = "ab"\n'
                            '    let d? = regex(r"a(.)", in: request.header["X-A"] ?? "")\n    log json([c, d])'),
    ("pattern-for-prefix", 'require path.id matches r"^a.b"'),
    ("pattern-for-prefix", 'require path.id matches r"^a\\.*"'),
    ("pattern-for-prefix", 'require path.id matches r"^a.*$"'),
    ("pattern-for-prefix", 'require path.id matches r"^a\\d"'),
    ("pattern-for-prefix", 'require path.id matches r"^$"'),
    ("parallel-of-nothing", 'parallel {\n        lookup "a", in: map("s") -> a\n        lookup "b", in: map("t") -> b\n'
                            '    }\n    log json([a, b])'),
    ("sequential-lookups", 'lookup "a", in: map("s") -> a\n    lookup "b", in: map("t") -> b\n    log json([a, b])'),
    ("size-compared", "require request.size > 0B"),
    ("size-compared", 'if request.size > 1MB { set request.header["X-Large"] = "yes" }'),
    ("size-compared", "any {\n        require request.size <= 1MB\n        allow_ip \"10.0.0.0/8\"\n    }"),
    ("size-compared", 'require request.size <= 1MB else set request.header["X-Large"] = "yes"'),
    ("size-compared", 'try { require request.size <= 1MB } catch { set request.header["X-Large"] = "yes" }'),
    ("response-held", "route orders\n    require response.json.a != none and response.size < 1MB"),
    ("held-without-limit", "require request.json.a == 1"),
    ("cache-too-short", "cache ttl: 100ms, collapse: true { route orders }"),
    ("wide-vary", 'cache ttl: 1m, key: lower(request.header["User-Agent"] ?? "") contains "mobile" { route orders }'),
    ("cache-keeps-nothing", "cache ttl: 1m, override: true {\n        route orders\n"
                            '        set response.header["Cache-Control"] = "private"\n    }'),
    ("cache-keeps-nothing", "cache ttl: 1m {\n        route orders\n"
                            '        set response.header["Cache-Control"] = "max-age=0, s-maxage=60"\n    }'),
    ("needless-else", 'if path.id == "1" { fail 404 } else { log "x" }'),
    ("needless-else", 'any {\n        if path.id == "1" { fail 404 } else {\n            log "a"\n            log "b"\n'
                      '        }\n        allow_ip "10.0.0.0/8"\n    }'),
    ("needless-group", 'none { allow_ip "10.0.0.0/8" }'),
    # what `else` does not follow stands in a group for it
    ("needless-group", 'all {\n        if path.id == "1" { allow_ip "10.0.0.0/8" }\n    } else fail 404'),
    ("needless-group", 'all {\n        for x in request.json.a { require x != none }\n    } else fail 404'),
    ("needless-group", 'all {\n        match path.id { "1" -> ignore }\n    } else fail 404'),
    ("needless-group", 'all {\n        none { allow_ip "10.0.0.0/8" }\n    } else fail 404'),
    ("needless-group", 'all {\n        allow_ip "10.0.0.0/8" else fail 404\n    } else fail 404'),
    ("needless-group", 'deny_ip "10.1.0.0/16" else all {\n'
                       '        if path.id == "1" { allow_ip "10.0.0.0/8" }\n    } else fail 404'),
    ("needless-ignore", 'try { allow_ip "10.0.0.0/8" } catch {\n        log "x"\n        ignore\n    }'),
    ("boolean-comparison", "require request.json.paid == true"),
    ("double-negation", 'require not (path.id == "1")'),
    ("odd-unit", "route orders, timeout: 90s"),
    ("odd-unit", "route orders, timeout: 1500ms"),
    ("odd-unit", "limit_size request, 1500KiB"),
    ("concatenation", 'let a = path.id\n    log a + path.id'),
    ("needless-interpolation", 'route orders, path: "${path.id}"'),
    ("needless-interpolation", 'log "${request.json.a}"'),
    ("presence-by-hand", 'let a = if request.query.a != none then "there" else "none"\n    log a'),
    ("ungrouped-digits", "require request.json.id != 12345678901234567890"),
    ("chain-of-ifs", 'if path.id == "1" { log "1" } else if path.id == "2" { log "2" }'),
    ("chain-of-ifs", 'if path.id == "1" { log "1" } else if path.id == "2" { log "2" }\n'
                     '    else if path.id > "3" { log "3" }'.replace("\n    else", " else")),
    ("chain-of-comparisons", 'require path.id == "1" or path.id == "2" or request.method == "GET"'),
    ("chain-of-comparisons", "let a? = int(path.id)\n    require a == 1 or a == 2 or a == 3"),
    ("chain-of-comparisons", "require request.json.a != none and request.json.b != none and path.id != none"),
    ("negated-if-else", 'if request.query.a != none { log "a" } else { log "b" }'),
    ("negated-if-else", 'if path.id != "1" { fail 404 } else { log "b" }'),
    ("deprecated-field", 'route orders\n    set response.header["X-XSS-Protection"] = "0"'),
    ("deprecated-field", 'route orders\n    remove response.header["Pragma"]'),
    ("redundant-default", 'route orders, timeout: 30s\n    log "x", level: debug'),
    ("method-by-hand", 'if path.id == "1" { require request.method == "GET" }'),
    ("method-by-hand", 'if request.method != "GET" { log "written" }'),
    ("method-by-hand", 'if request.method in ["GET"] { fail 405 }'),
    ("commented-out", '# Such as:\n    #\n    #     rate_limit 10/s, per: client.ip'),
    ("commented-out", "# all of them\n    # any\n    # none"),
    ("commented-out", "# Remove it when the old clients are gone."),
    ("commented-out", "# store value"),
    ("commented-out", "# limit_size is what the upstream asks for"),
    ("deep-nesting", 'if path.id == "1" {\n        all {\n            require path.id != "2"\n        }\n    }'),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "statements"), RIGHT, ids=[f"{rule}-{i}" for i, (rule, _) in enumerate(RIGHT)])
def test_it_is_left_alone(rule: str, statements: str) -> None:
    found = findings(policy(MAPS + SERVICE.format(statements)), [RULES[rule]])
    assert not found, [(str(each.span), each.message) for each in found]


WRONG = [
    ("chain-of-comparisons", 'require "1" == path.id or "2" == path.id or "3" == path.id'),
    ("chain-of-comparisons", 'require path.id != "1" and path.id != "2" and path.id != "3"'),
    ("commented-out", '# if path.id == "1" {\n    #     fail 404\n    # }'),
    ("commented-out", "# rate_limit 10/s, per: client.ip,\n    #            burst: 2s"),
    ("log-in-loop", "let a = request.json.a\n    for x in a { log json(x) }"),
    ("log-in-loop", 'for x in ["a", "b"] {\n        for y in request.json.a { log "${x} ${json(y)}" }\n    }'),
    ("method-by-hand", 'if request.method != "GET" { fail 405 }'),
    ("method-by-hand", 'if not (request.method in ["GET", "POST"]) { fail 405 }'),
    ("needless-group", 'all {\n        require path.id != "1"\n    } else fail 404'),
    ("pattern-for-prefix", 'require path.id matches r".*a$"'),
    ("pattern-for-prefix", 'require path.id matches r"^a.*"'),
    ("size-compared", "require request.json.a != none and request.size <= 1MB"),
    ("size-compared", "require not (request.size > 1MB)"),
    ("size-compared", "require request.size <= 1MB else fail 413"),
    ("size-compared", 'if request.size > 1MB or path.id == "1" { fail 413 }'),
    ("cache-keeps-nothing", "cache ttl: 1m {\n        route orders\n"
                            '        set response.header["Cache-Control"] = "max-age=0"\n    }'),
    ("unused-variable", 'for x in request.json.a { require path.id != "1" }'),
    ("wide-vary", 'let agent = lower(request.header["User-Agent"] ?? "")\n'
                  "    cache ttl: 1m, key: agent { route orders }"),
    ("wide-vary", 'cache ttl: 1m, key: "a-${request.header["Cookie"] ?? ""}" { route orders }'),
    ("wide-vary", 'if path.id == "1" { respond 200, header: { Vary: "*" } }'),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "statements"), WRONG, ids=[f"{rule}-{i}" for i, (rule, _) in enumerate(WRONG)])
def test_it_is_found(rule: str, statements: str) -> None:
    assert findings(policy(MAPS + SERVICE.format(statements)), [RULES[rule]])


@pytest.mark.parametrize("text", [
    'log if request.query.a == none then ("b" + "c") else request.query.a',
    'log "a" + "${if true then path.id else request.method}"',
])  # fmt: skip
def test_what_was_folded_of_several_pieces_is_not_torn_apart(text: str) -> None:
    found = findings(policy(SERVICE.format(text)), [RULES["presence-by-hand"], RULES["needless-interpolation"]])
    assert [each.fix for each in found] == [None]


@pytest.mark.parametrize("text", [
    'all {\n        # why so\n        allow_ip "10.0.0.0/8"\n    }',
    'all {\n        allow_ip "10.0.0.0/8"\n        # so far\n    }',
])  # fmt: skip
def test_a_comment_swallows_no_text_of_its_line(text: str) -> None:
    alone, before_else, behind_else = (
        findings(policy(SERVICE.format(each)), [RULES["needless-group"]])
        for each in (text, f"{text} else fail 404", f'deny_ip "10.1.0.0/16" else {text}')
    )
    assert alone[0].fix is not None
    assert (before_else[0].fix is None) == text.endswith("# so far\n    }")
    assert (behind_else[0].fix is None) == ("# why so" in text)


def test_what_may_be_missing_is_looked_for_as_text() -> None:
    text = 'require path.id != "9"\n    require {0} == "1" or {0} == "2" or {0} == "3"'.format('request.header["X-A"]')
    (found,) = findings(policy(SERVICE.format(text)), [RULES["chain-of-comparisons"]])
    assert found.fix is not None and found.fix.safe
    assert found.fix.edits[0].replacement == '(request.header["X-A"] ?? "") in ["1", "2", "3"]'


def test_a_block_without_a_statement_is_one_in_an_assertion_too() -> None:
    found = findings(policy('assertion a {}\nservice x "/x" {\n    a\n    respond 204\n}\n'), [RULES["empty-block"]])
    assert [each.span.text for each in found] == ["{}"]
