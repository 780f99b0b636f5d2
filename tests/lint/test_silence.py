"""What looks like a mistake of performance or style, and is none."""

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
    ("unused-variable", "let a = 1\n    if path.id == \"1\" { set a = 2 }\n    log \"${a}\""),
    ("store-in-loop", 'for x in ["a", "b"] { store x, 1, in: map("s") }'),
    ("store-in-loop", 'for x in slice(request.json.a, 0, 5) { store string(x) ?? "", 1, in: map("s") }'),
    ("log-in-loop", 'for x in request.json.a { require x != none }\n    log "seen"'),
    ("repeated-extraction", 'match path.id {\n        "1"  -> log string(jsonpath("$.b", in: request)) ?? ""\n'
                            '        else -> log string(jsonpath("$.b", in: request)) ?? ""\n    }'),
    ("repeated-extraction", 'let c? = jsonpath("$.c", in: request)\n    set request.json = { a: c }\n'
                            '    let d? = jsonpath("$.c", in: request)\n    log json(d)'),
    ("pattern-for-prefix", 'require path.id matches r"^a.b"'),
    ("pattern-for-prefix", 'require path.id matches r"^a\\d"'),
    ("pattern-for-prefix", 'require path.id matches r"^$"'),
    ("parallel-of-nothing", 'parallel {\n        lookup "a", in: map("s") -> a\n        lookup "b", in: map("t") -> b\n'
                            '    }\n    log json([a, b])'),
    ("sequential-lookups", 'lookup "a", in: map("s") -> a\n    lookup "b", in: map("t") -> b\n    log json([a, b])'),
    ("size-compared", "require request.size > 0B"),
    ("size-compared", 'if request.size > 1MB { set request.header["X-Large"] = "yes" }'),
    ("response-held", "route orders\n    require response.json.a != none and response.size < 1MB"),
    ("held-without-limit", "require request.json.a == 1"),
    ("cache-too-short", "cache ttl: 100ms, collapse: true { route orders }"),
    ("wide-vary", 'cache ttl: 1m, key: lower(request.header["User-Agent"] ?? "") contains "mobile" { route orders }'),
    ("cache-keeps-nothing", "cache ttl: 1m, override: true {\n        route orders\n"
                            '        set response.header["Cache-Control"] = "private"\n    }'),
    ("needless-else", 'if path.id == "1" { fail 404 } else { log "x" }'),
    ("needless-else", 'any {\n        if path.id == "1" { fail 404 } else {\n            log "a"\n            log "b"\n'
                      '        }\n        allow_ip "10.0.0.0/8"\n    }'),
    ("needless-group", 'none { allow_ip "10.0.0.0/8" }'),
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
    ("negated-if-else", 'if request.query.a != none { log "a" } else { log "b" }'),
    ("negated-if-else", 'if path.id != "1" { fail 404 } else { log "b" }'),
    ("deprecated-field", 'route orders\n    set response.header["X-XSS-Protection"] = "0"'),
    ("deprecated-field", 'route orders\n    remove response.header["Pragma"]'),
    ("redundant-default", 'route orders, timeout: 30s\n    log "x", level: debug'),
    ("method-by-hand", 'if path.id == "1" { require request.method == "GET" }'),
    ("commented-out", "# Remove it when the old clients are gone."),
    ("commented-out", "# store value"),
    ("commented-out", "# limit_size is what the upstream asks for"),
    ("deep-nesting", 'if path.id == "1" {\n        all {\n            require path.id != "2"\n        }\n    }'),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "statements"), RIGHT, ids=[f"{rule}-{i}" for i, (rule, _) in enumerate(RIGHT)])
def test_it_is_left_alone(rule: str, statements: str) -> None:
    found = findings(policy(MAPS + SERVICE.format(statements)), [RULES[rule]])
    assert not found, [(str(each.span), each.message) for each in found]
