"""Mistakes of correctness in other forms than those of the pages and of `wrong`: their rules find them."""

from __future__ import annotations

import pytest
from test_nearly_wrong import KNOWN, RULES, SPARE, whole

from policylang.lint.examples import findings

FORMS: dict[str, tuple[str, ...]] = {
    "body-of-empty-status": ('respond 205, body: "x"\n',),
    "body-of-get": (
        'service a "/a", methods: ["GET"] {\n    require xpath(r"//a/text()", in: request) == "1"\n'
        '    route orders\n}\n',
        'service a "/a", methods: ["GET"] {\n    let s = hmac_sha256(request.body, key: secret("K"))\n'
        '    require same_secret(s, request.header["X-S"])\n    route orders\n}\n',
    ),
    "cache-key-incomplete": (
        'lookup request.cookie.sid, in: map("m") -> s\n'
        'set request.header["X-User"] = string(s.user) ?? ""\ncache ttl: 1m { route orders }\n'
        'map m, ttl: 1m\n',
    ),
    "cache-never-used": (
        'any {\n    api_key request.header["A"], in: map("clients")\n'
        '    api_key request.header["B"], in: map("clients")\n}\ncache ttl: 1m { route orders }\n',
    ),
    "calendar-without-zone": (
        'service a "/a" {\n    quota 10/day, zone: "Europe/Berlin", name: "a"\n    route orders\n}\n'
        'service b "/b" {\n    quota rate(5, "month"), name: "b"\n    route orders\n}\n',
    ),
    "check-after-route": (
        'route orders\nif request.header["X-T"] != "acme" { fail 403 }\n',
        'route orders\nif not (client.ip in ["10.0.0.0/8"]) { fail 403 }\n',
        'route orders\nlet who = request.header["X-T"]\nrequire who == "acme"\n',
        KNOWN + 'route orders\nrequire caller.contract == "gold"\n',
        'route orders\nif request.query.key != "a" { log "x"\n    fail 403 }\n',
    ),
    "constant-condition": (
        'require 5 in 1..10\n',
        'match 1 { 1 -> log "a"\n    else -> log "b" }\n',
    ),
    "cost-above-limit": (
        'let cost = 10\nrate_limit 5/s, by: cost\nroute orders\n',
        'rate_limit [100/s, 5/min], by: 10\nroute orders\n',
        'quota 5/day, by: 10\nroute orders\n',
        'let slow = 5/s\nrate_limit slow, by: 10\nroute orders\n',
    ),
    "counted-apart": (
        'assertion fair(key: string, l: rate) { quota l, per: key, zone: "UTC" }\n'
        'service a "/a/{x}" {\n    fair string(client.ip), 10/day\n    route orders\n}\nservice b "/b" {\n'
        '    fair string(client.ip), 10/day\n    route orders\n}\n',
        'service a "/accounts/{id}/pay" {\n    concurrency_limit 1, per: path.id\n    route orders\n}\n'
        'service b "/accounts/{id}/close" {\n    concurrency_limit 1, per: path.id\n    route orders\n}\n',
        'service a "/a" {\n    let acc = request.header["X-A"]\n    concurrency_limit 1, per: acc\n'
        '    route orders\n}\nservice b "/b" {\n    concurrency_limit 1, per: request.header["X-a"]\n'
        '    route orders\n}\n',
    ),
    "counter-name-clash": (
        'rate_limit 1/s, name: "x"\nrate_limit 1/s, per: [client.ip, path.id], name: "x"\n'
        'route orders\n',
    ),
    "failover-without-status": (
        'any {\n    route orders\n    route spare\n}\n' + SPARE,
        'try {\n    log "x"\n    route orders\n} catch { route spare }\n' + SPARE,
        'all {\n    set request.header["X-B"] = "1"\n    route orders\n} else route spare\n' + SPARE,
    ),
    "failure-as-success": (
        'any {\n    rate_limit 1/s\n    respond 200, body: "x"\n}\n',
        'try { allow_ip "10.0.0.0/8" } catch e {\n    log "x"\n'
        '    respond 200, json: { error: e.title }\n}\nroute orders\n',
        'try {\n    allow_ip "10.0.0.0/8"\n    route orders\n} catch { respond 200, body: "ok" }\n',
    ),
    "guard-of-nothing": (
        'lockout path.id {\n    api_key request.header["A"], in: map("clients") else respond 200\n}\n',
        'lockout path.id {\n    api_key request.header["A"], in: map("clients") else ignore\n}\n'
        'route orders\n',
        'lockout path.id {\n    let text = "log-in of ${path.id}"\n    log text\n}\nroute orders\n',
    ),
    "key-never-repeats": (
        'rate_limit 1/s, per: string(now) ?? ""\n',
        'rate_limit 1/s, per: "${client.ip}" + request.id\n',
    ),
    "late-request-edit": (
        'route orders\nremove request.header["X"]\n',
        'try { route orders } catch { fail 502 }\nset request.path = "/x"\n',
        'route orders\nset request.cookie.a = "1"\nlog request.header["X"] ?? ""\n',
        'log request.header["X-A"] ?? ""\nroute orders\nset request.header["X-A"] = "1"\n',
        'service a "/a" {\n    route orders\n    on failure {\n        set request.header["X"] = "1"\n'
        '        respond 500\n    }\n}\n',
    ),
    "limit-in-loop": (
        'for item in request.json.items {\n'
        '    if request.method == "POST" { rate_limit 10/min, per: client.ip }\n}\nroute orders\n',
        'for item in request.json.items {\n    let who = client.ip\n    rate_limit 10/s, per: who\n}\n'
        'route orders\n',
    ),
    "lookup-never-stored": (
        'lookup path.id, in: map("m") -> a\nforget path.id, in: map("m")\nlog json(a)\nmap m, ttl: 1m\n',
    ),
    "methods-cut-off": (
        'service a "/{tenant}/orders" { route orders }\n'
        'service b "/acme/orders", methods: ["GET"] { route orders }\n',
    ),
    "mirrored-to-itself": ('route orders\nmirror orders\n',),
    "missing-shared-key": (
        'concurrency_limit 1, per: if request.header["X-A"] != none then request.header["X-A"] else "none"\n'
        'route orders\n',
        'concurrency_limit 1, per: lower(request.header["X-A"] ?? "none")\nroute orders\n',
        'concurrency_limit 1, per: request.header["X-A"] ?? gateway.name\nroute orders\n',
        'let a? = request.header["X-A"]\nconcurrency_limit 1, per: "acc-${a ?? "x"}"\nroute orders\n',
    ),
    "never-true": (
        'require request.method in ["GET", "post"]\n',
        'require upper(request.query.x ?? "") == "gold"\n',
        'require request.content_type starts_with "Application/"\n',
        'require request.method != "get"\n',
        'require lower(request.header["User-Agent"]) contains "Mobile"\n',
        'require request.content_type contains "charset=UTF-8"\n',
        'require request.content_type ends_with "; charset=utf-8"\n',
        'if request.host == "API.example" { log "a" }\n',
        'require request.path ends_with "/a?b=1"\n',
        'let day = weekday(now, zone: "UTC")\nif day == "Saturday" or day == "Sunday" { fail 503 }\n'
        'route orders\n',
    ),
    "overwritten-set": (
        'set request.header["X-A"] = "1"\nremove request.header["X-A"]\nroute orders\n',
        'route orders\nset response.header["X-A"] = "1"\nrespond 200, body: "x"\n',
        'set request.cookie.a = "1"\nlog request.header["X"] ?? ""\nset request.cookie.a = "2"\n'
        'route orders\n',
    ),
    "quota-before-check": (
        'quota 10/day, per: client.ip\nif request.content_type != "application/json" { fail 415 }\n'
        'route orders\n',
        'quota 10/day, per: client.ip\nlet kind? = request.content_type\n'
        'require kind == "application/json"\nroute orders\n',
    ),
    "redundant-check": (
        'require request.header["A"] == "1" and request.header["B"] == "2"\nlimit_size request, 1MB\n'
        'require request.header["A"] == "1"\nroute orders\n',
        'if request.header["A"] != "1" { fail 403 }\nlimit_size request, 1MB\n'
        'require request.header["A"] == "1"\nroute orders\n',
        'require client.ip in ["10.0.0.0/8"]\nlimit_size request, 1MB\n'
        'require client.ip in ["10.0.0.0/8"]\n',
        'let office = ["10.0.0.0/8"]\nservice a "/a" {\n    require client.ip in office\n'
        '    limit_size request, 1MB\n    if client.ip in office { log "x" }\n    route orders\n}\n',
        'require request.header["A"] == "1"\nlimit_size request, 1MB\n'
        'if request.header["A"] != "1" { fail 403 }\nroute orders\n',
        'require request.header["A"] == "1"\nlimit_size request, 1MB\n'
        'if request.header["A"] == "1" { fail 403 }\nroute orders\n',
    ),
    "repeated-condition": (
        'if path.id == "1" { log "a" } else { if path.id == "1" { log "b" } }\n',
        'if path.id == "1" { log "a" } else if "1" == path.id { log "b" }\n',
        'any {\n    require path.id == "1"\n    require path.id == "2"\n    require path.id == "1"\n}\n',
    ),
    "retries-not-idempotent": ('any {\n    route orders\n    route spare\n}\n' + SPARE,),
    "self-comparison": ('require request.json.a == request.json.a\n',),
    "shadowed-case": (
        'route orders\n'
        'if 400 <= response.status { log "a" } else if 500 <= response.status { log "b" }\n',
        'route orders\n'
        'if response.status in 400..599 { log "a" } else if response.status in 500..599 { log "b" }\n',
        'route orders\n'
        'if response.status in 400..599 { log "a" } else if response.status == 503 { log "b" }\n',
        'route orders\n'
        'if response.status >= 400 { log "a" } else if response.status in 500..599 { log "b" }\n',
        'if request.method != "GET" { log "a" } else if request.method == "POST" { log "b" }\n',
        'route orders\n'
        'if response.status >= 400 { log "a" } else if response.status >= 500 and request.method == '
        '"GET" { log "b" }\n',
        'if request.path starts_with "/a" or request.path starts_with "/b" { log "a" } else if '
        'request.path == "/b/1" { log "b" }\n',
        'route orders\n'
        'log if response.status >= 400 then "a" else if response.status >= 500 then "b" else "c"\n',
        'if client.ip in ["10.0.0.0/8"] { log "a" } else if client.ip in ["10.1.0.0/16", "10.2.3.4"] { '
        'log "b" }\n',
        'if request.path contains "a" { log "a" } else if request.path starts_with "/ab" { log "b" }\n',
        'if request.json.n in 5..9.5 { log "a" } else if request.json.n in 6..7 { log "b" }\n',
        'route orders\nmatch response.status {\n    400..499 -> log "a"\n    404 -> log "b"\n'
        '    else -> log "c"\n}\n',
        'if request.path starts_with "/a" { log "a" } else { if request.path == "/a" { log "b" } }\n',
    ),
    "short-quota": (
        KNOWN + 'quota rate(int(caller.n) ?? 5, "min")\nroute orders\n',
        'assertion q(l: rate) { quota l }\nservice a "/a" {\n    q 10/min\n    route orders\n}\n',
    ),
    "stored-never-read": ('store path.id, 1, in: map("m")\nforget path.id, in: map("m")\nmap m, ttl: 1m\n',),
    "tiers-in-any": (
        KNOWN + 'try {\n    require caller.contract == "gold"\n    rate_limit 500/s, per: caller.id\n'
        '} catch {\n    rate_limit 100/s, per: caller.id\n}\nroute orders\n',
        KNOWN + 'any {\n    match caller.contract {\n        "gold" -> rate_limit 500/s, per: caller.id\n'
        '    }\n    rate_limit 100/s, per: caller.id\n}\nroute orders\n',
        KNOWN + 'any {\n'
        '    if caller.contract == "gold" { rate_limit 500/s, per: caller.id } else { rate_limit 5/s, '
        'per: caller.id }\n    rate_limit 100/s, per: caller.id\n}\nroute orders\n',
    ),
    "timeout-beyond-caller": (
        'upstream orders {\n    server "http://10.0.0.1:9000"\n    timeouts head: 3m\n}\n'
        'service a "/a" { route orders }\n',
    ),
    "unknown-entry-member": (
        'let c = map("clients")[request.header["K"]]\nrequire c.contrat == "gold"\nroute orders\n',
        'require map("clients")[request.header["K"]].contrat == "gold"\nroute orders\n',
        'assertion a() -> caller { api_key request.header["K"], in: map("clients") -> caller }\n'
        'assertion b() -> caller { a -> caller }\nservice s "/s" {\n    b -> caller\n'
        '    require caller.contrat == "gold"\n    route orders\n}\n',
    ),
    "unmatched-contract": (
        'let c = map("clients")[request.header["K"]]\nmatch c.contract { "silver" -> rate_limit 1/s }\n'
        'route orders\n',
        KNOWN + 'let t = caller.contract\nmatch t { "silver" -> rate_limit 1/s }\nroute orders\n',
        KNOWN + 'match caller.plan { "gold" -> log "x" }\nroute orders\n',
    ),
}  # fmt: skip
TEXTS = [(name, text) for name, texts in FORMS.items() for text in texts]


@pytest.mark.parametrize(("name", "text"), TEXTS, ids=[f"{name}-{place}" for place, (name, _) in enumerate(TEXTS)])
def test_it_is_found(name: str, text: str) -> None:
    assert findings(whole(text), [RULES[name]]), whole(text)


@pytest.mark.parametrize(("name", "text"), TEXTS, ids=[f"{name}-{place}" for place, (name, _) in enumerate(TEXTS)])
def test_what_mends_it_leaves_a_policy(name: str, text: str) -> None:
    policy = whole(text)
    found = findings(policy, [RULES[name]])
    for fix in (each.fix for each in found if each.fix is not None):
        fresh = policy
        for edit in sorted(fix.edits, key=lambda edit: edit.span.start, reverse=True):
            fresh = fresh[: edit.span.start] + edit.replacement + fresh[edit.span.end :]
        assert len(findings(fresh, [RULES[name]])) < len(found), fresh
