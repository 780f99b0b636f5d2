"""More that looks like a mistake of correctness and is none, beside what `test_other_forms` has."""

from __future__ import annotations

import pytest
from test_nearly_wrong import KNOWN, RULES, SPARE, whole

from policylang.lint.examples import findings

NEARLY: dict[str, tuple[str, ...]] = {
    "body-of-empty-status": ('respond 204, body: ""\n',),
    "body-of-get": (
        'service a "/a", methods: ["GET"] {\n    set request.method = "POST"\n'
        '    set request.text = "<soap/>"\n    route orders\n}\n',
        'service a "/a", methods: ["GET"] {\n    set request.text = "<soap/>"\n'
        '    route orders, method: "POST"\n}\n',
        'service a "/a", methods: ["GET"] {\n    require request.text == ""\n    route orders\n}\n',
        'service a "/a", methods: ["GET"] {\n    if request.text != "" { fail 400, "no body" }\n'
        '    route orders\n}\n',
        'service a "/a", methods: ["GET"] {\n'
        '    let s = hmac_sha256("${request.method}\\n${request.path}\\n${sha256(request.body)}", key: '
        'secret("K"))\n    require same_secret(s, request.header["X-S"])\n    route orders\n}\n',
        'assertion a { log request.text }\nglobal after { a }\nservice b "/b", methods: ["GET"] {\n'
        '    a\n    route orders\n}\nservice c "/c" { route orders }\n',
    ),
    "cache-key-incomplete": (
        'lookup path.id, in: map("m") -> t\nset request.header["X-T"] = string(t.plan) ?? ""\n'
        'cache ttl: 1m { route orders }\nmap m, ttl: 1m\n',
        'lookup path.id, in: map("m") -> t\ncache ttl: 1m { route orders, path: "/${t.x}" }\n'
        'map m, ttl: 1m\n',
        'lookup request.cookie.sid, in: map("m") -> s\n'
        'set request.header["X-User"] = string(s.user) ?? ""\ncache ttl: 1m, key: s.user { route orders }\n'
        'map m, ttl: 1m\n',
        'lookup request.cookie.sid, in: map("m") -> s\n'
        'set request.header["X-User"] = string(s.user) ?? ""\n'
        'cache ttl: 1m, shared: true { route orders }\nmap m, ttl: 1m\n',
        'lookup request.cookie.sid, in: map("m") -> s\nrequire s.user == path.id\n'
        'set request.header["X-User"] = path.id\ncache ttl: 1m { route orders }\nmap m, ttl: 1m\n',
        'let where = "/p?id=1"\nservice a "/a/{id}" {\n    cache_lookup "p", key: path.id -> known\n'
        '    if known != none { respond 200, json: known }\n    route orders, path: where\n'
        '    cache_store "p", key: path.id, value: response.json, ttl: 1m\n}\n',
    ),
    "cache-never-used": (
        'service a "/a", methods: ["POST"] {\n    set request.method = "GET"\n'
        '    cache ttl: 1m { route orders }\n}\n',
    ),
    "calendar-without-zone": (
        'let tz = "UTC"\nservice a "/a" {\n    require hour(now, zone: tz) > 3\n    quota 10/day\n'
        '    route orders\n}\n',
        'let each = 100/hour\nquota each, per: client.ip, name: "a"\n'
        'quota 100/day, per: client.ip, zone: "Europe/Berlin", name: "b"\nroute orders\n',
    ),
    "check-after-route": (
        'lockout path.id {\n    route orders\n    require response.status != 401 }\n',
        'route orders\nlockout path.id {\n    require response.status != 401 }\n',
        'route orders\nif request.header["Accept"] == "text/csv" { set response.header["X"] = "y" }\n',
        'route orders\n'
        'if request.method == "GET" { set response.header["X"] = "1" } else { fail 403 }\n',
        'route orders\nlet n = response.json.n\nif n == request.query.n { fail 409 }\n',
        'lookup path.id, in: map("m") -> s\nroute orders\n'
        'if s.etag == response.header["ETag"] { fail 412 }\nmap m, ttl: 1m\n',
        'route orders\nif request.header["If-Match"] != response.header["ETag"] { fail 412 }\n',
    ),
    "constant-condition": (
        'global after { if user != none { log "u" } }\nservice a "/a" { route orders }\n',
        'if client.cert != none { log "u" }\nroute orders\n',
    ),
    "cost-above-limit": ('rate_limit 5/s, by: 10, burst: 10s\nroute orders\n',),
    "counted-apart": (
        'assertion fair(key: string) { quota 100/month, per: key, zone: "UTC" }\nservice a "/a/{x}" {\n'
        '    fair path.x\n    route orders\n}\nservice b "/b" {\n    fair request.header["X-T"]\n'
        '    route orders\n}\n',
        'service a "/orders/{id}" {\n    concurrency_limit 1, per: path.id\n    route orders\n}\n'
        'service b "/users/{id}" {\n    concurrency_limit 1, per: path.id\n    route orders\n}\n',
        'service a "/orders" {\n    let id = request.header["X-Order"]\n'
        '    concurrency_limit 1, per: id\n    route orders\n}\nservice b "/users" {\n'
        '    let id = request.header["X-User"]\n    concurrency_limit 1, per: id\n    route orders\n}\n',
        'service a "/a/{id}" {\n    quota 10/month, per: path.id\n    route orders\n}\n'
        'service b "/b/{id}" {\n    quota 10/month, per: path.id\n    route orders\n}\n',
    ),
    "default-never-used": ('let x? = client.cert\nlog x.subject ?? ""\n',),
    "failover-without-status": (
        'any {\n    all {\n        require request.header["X-B"] == "1"\n        route spare\n    }\n'
        '    route orders\n}\n' + SPARE,
        'try {\n    route orders\n    require response.status < 500\n} catch { route spare }\n' + SPARE,
        'any {\n    route orders\n    respond 503\n}\n',
        'try {\n    require request.header["X-B"] == "1"\n    route orders\n} catch { route spare }\n' + SPARE,
        'all {\n    require request.header["X-B"] == "1"\n    route orders\n} else route spare\n' + SPARE,
        'assertion beta { require request.header["X-B"] == "1" }\nservice a "/a" {\n    try {\n'
        '        beta\n        route orders\n    } catch { route spare }\n}\n' + SPARE,
    ),
    "failure-as-success": (
        'service a "/introspect", methods: ["POST"] {\n    let t? = string(request.json.token)\n'
        '    api_key t ?? "", in: map("clients") -> c else respond 200, json: { active: false }\n'
        '    respond 200, json: { active: true, id: c.id }\n}\n',
        'any {\n    route orders\n    respond 200, json: []\n}\n',
        'any {\n    require request.method == "GET"\n    respond 204\n}\n',
    ),
    "guard-of-nothing": (
        'lockout path.id {\n    api_key request.header["A"], in: map("clients") else respond 401\n}\n',
        'lockout path.id {\n    api_key request.header["A"], in: map("clients") else fail 401\n}\n',
        'lockout path.id {\n    try { route orders } catch { respond 200 }\n}\n',
        'lockout path.id, answers: [200] {\n    respond 200\n}\n',
        'lockout path.id {\n    if path.id == "1" { require request.query.pin == "2" }\n}\n',
        'lockout path.id {\n    let pin = request.header["X-Pin"]\n    log "a"\n}\nroute orders\n',
    ),
    "key-never-repeats": (
        'split by: request.id {\n    90 -> route orders\n    10 -> route spare\n}\n' + SPARE,
        'rate_limit 1/s, per: request.header["X-Request-Id"] ?? request.id\n',
        'cache ttl: 1m, key: date(now) { route orders }\n',
        'rate_limit 1/s, per: string(floor(epoch(now) / 60)) ?? ""\n',
    ),
    "late-request-edit": (
        'service a "/a" {\n    route orders\n    set request.header["X-A"] = "1"\n'
        '    on failure { route spare }\n}\n' + SPARE,
        'route orders\nset request.cookie.a = "1"\nlog request.header["Cookie"] ?? ""\n',
        'route orders\nset request.header["Authorization"] = "x"\n'
        'log if request.bearer == none then "n" else "y"\n',
        'route orders\nset request.query.a = "1"\nlog request.query.a ?? ""\n',
    ),
    "limit-after-route": (
        'route orders\nlet cost = int(response.header["X-Cost"]) ?? 1\nrate_limit 100/min, by: cost\n',
        'route orders\nlet who? = response.header["X-User"]\nrate_limit 100/min, per: who ?? "none"\n',
    ),
    "limit-in-loop": (
        'for item in request.json.items {\n'
        '    if item.kind == "sms" { rate_limit 10/min, per: client.ip }\n}\nroute orders\n',
        'for item in request.json.items {\n'
        '    require item.kind != "sms" else rate_limit 10/min, per: client.ip\n}\nroute orders\n',
        'for item in request.json.items {\n    any {\n        require item.kind != "sms"\n'
        '        rate_limit 10/min, per: client.ip\n    }\n}\nroute orders\n',
        'for item in request.json.items {\n    let n = string(item.account) ?? ""\n'
        '    rate_limit 10/s, per: n\n}\nroute orders\n',
    ),
    "missing-shared-key": (
        'rate_limit 1000/s, per: if request.header["X"] != none then request.header["X"] else "${client.ip}"\n',
        'rate_limit 1/s, per: if request.header["X"] != none then request.header["X"] else string(client.ip)\n',
        'rate_limit 1/s, per: if path.id == "1" then "x" else "y"\n',
        'rate_limit 1/s, per: if path.id == "1" then request.header["X"] else "y"\n',
    ),
    "never-true": (
        'require request.content_type contains "json"\n',
        'require request.path ends_with ".json"\n',
        'require request.path contains "/a"\n',
        'require request.host == "api.example:8080"\n',
        'service a "/a", methods: ["POST"] {\n    if request.method in ["POST", "PUT"] { log "a" }\n'
        '    route orders\n}\n',
        'require request.method in ["GET", "PURGE"]\n',
        'require lower(request.header["User-Agent"]) contains "mobile"\n',
        'require upper(path.id) starts_with "DE1"\n',
        'require sha256(path.id) starts_with "ab"\n',
        'let day = weekday(now, zone: "UTC")\nrequire day in ["saturday", "sunday"]\n',
        'require request.host in ["api.example", "api.example:8080"]\n',
    ),
    "option-without-effect": (
        'assertion g(slow: duration) { circuit_breaker slower_than: slow, slow: 0.5 { route orders } }\n'
        'service a "/a" { g 1s }\n',
    ),
    "overwritten-set": (
        'let x = "a"\nset x = "b"\nset x = "${x}c"\nlog x\n',
        'route orders\nset response.header["X"] = "1"\nrespond 200, body: response.header["X"] ?? ""\n',
        'route orders\nset response.header["X"] = "1"\nif path.id == "1" { respond 200 }\n',
        'set request.header["X"] = "1"\nroute orders\nremove request.header["X"]\nroute spare\n' + SPARE,
        'remove request.header["X"]\nset request.header["X"] = "1"\nroute orders\n',
        'set request.header["X"] = "1"\nrespond 200\n',
        'route orders\nset response.status = 201\nset response.header["X"] = "1"\n',
        'set request.cookie.a = "1"\nlog request.header["Cookie"] ?? ""\nset request.cookie.a = "2"\n'
        'route orders\n',
        'set request.header["Cookie"] = "a=1"\nlog request.cookie.a ?? ""\n'
        'set request.header["Cookie"] = "a=2"\nroute orders\n',
    ),
    "quota-before-check": (
        'quota 10/day, per: client.ip -> left\nif left < 0 { fail 429 }\nroute orders\n',
        'quota 10/day, per: client.ip\nif request.method == "POST" { log "x" }\nroute orders\n',
        'quota 10/day, per: client.ip -> left\nroute orders\nif request.method == "POST" { fail 403 }\n',
    ),
    "redundant-check": (
        'require client.ip in ["10.0.0.0/8"]\nlimit_size request, 1MB\n'
        'require client.ip in ["10.0.0.0/16"]\n',
        'if request.header["A"] == "1" { fail 403 }\nrequire request.header["A"] == "2"\n',
        'if request.header["A"] == "1" and request.header["B"] == "2" { fail 403 }\nlog "x"\n'
        'require request.header["A"] != "1"\n',
        'if request.header["A"] != "1" { fail 403 } else if path.id == "2" { log "x" }\n'
        'require request.header["B"] == "1"\n',
        'if request.header["A"] != "1" { set request.header["A"] = "1" }\n'
        'require request.header["A"] == "1"\n',
        'any {\n    require path.id == "1"\n    require path.id == "2"\n}\nrequire path.id == "1"\n',
        'if request.header["A"] == "1" { fail 403 }\nlog "x"\n'
        'if request.header["A"] == "2" { fail 403 }\nroute orders\n',
        'require request.header["A"] == "1"\nset request.header["A"] = "2"\n'
        'if request.header["A"] != "1" { fail 403 }\nroute orders\n',
    ),
    "repeated-condition": (
        'if path.id == "1" { log "a" } else {\n    log "x"\n    if path.id == "1" { log "b" }\n}\n',
        'any {\n    require path.id == "1"\n    require path.id == "2"\n}\n',
    ),
    "routed-to-itself": (
        'gateway { listen "127.0.0.1:8080" }\nupstream orders { server "http://[::1]:8080" }\n'
        'service a "/a" { route orders }\n',
    ),
    "shadowed-case": (
        'if client.ip in ["10.1.0.0/16"] { log "a" } else if client.ip in ["10.0.0.0/8"] { log "b" }\n',
        'if request.json.tags contains "a" { log "a" } else if request.json.tags contains "ab" { log "b" }\n',
        'if request.path contains "ab" { log "a" } else if request.path contains "a" { log "b" }\n',
        'route orders\n'
        'if response.status >= 500 and request.method == "GET" { log "a" } else if response.status >= '
        '500 { log "b" }\n',
        'route orders\n'
        'if response.status in 400..499 { log "a" } else if response.status >= 400 { log "b" }\n',
        'if request.method != "GET" { log "a" } else if request.method == "GET" { log "b" }\n',
        'if request.method in ["GET"] { log "a" } else if request.method in ["GET", "HEAD"] { log "b" }\n',
        'if request.path starts_with "/a" { log "a" } else if request.path ends_with "/a" { log "b" }\n',
        'if request.path == "/a" { log "a" } else if request.path starts_with "/a" { log "b" }\n',
        'if request.json.n > 5 { log "a" } else if request.json.n < 10 { log "b" }\n',
        'if request.json.n > 5 { log "a" } else if request.json.n == 5 { log "b" }\n',
        'if request.json.n >= 5.5 { log "a" } else if request.json.n in 5..9 { log "b" }\n',
        'if request.json.n == 1 { log "a" } else if request.json.n == true { log "b" }\n',
        'assertion a(x: number, y: number) { if request.json.n >= x { log "a" } else if request.json.n '
        '>= y { log "b" } }\nservice a "/a" {\n    a 1, 2\n    a 2, 1\n    route orders\n}\n',
        'if request.path starts_with "/a" { log "a" } else {\n    log "x"\n'
        '    if request.path == "/a" { log "b" }\n}\n',
        'let a = if request.method == "GET" then "x" else if request.method == "POST" then "y" else "z"\n'
        'log a\n',
    ),
    "short-quota": (
        'quota rate(10, "month")\nroute orders\n',
        KNOWN + 'quota rate(int(caller.n) ?? 1, string(caller.unit) ?? "day")\nroute orders\n',
    ),
    "tiers-in-any": (
        'try {\n    require path.id == "1"\n    rate_limit 5/s\n} catch e {\n    log e.title\n'
        '    fail 403\n}\nroute orders\n',
        'try {\n    require path.id == "1"\n    rate_limit 5/s\n} catch e {\n'
        '    if e.status != 429 { rate_limit 1/s } else { fail 429 }\n}\nroute orders\n',
        'any {\n    match path.id {\n        "1" -> log "a"\n    }\n    rate_limit 1/s\n}\n'
        'route orders\n',
    ),
    "unknown-entry-member": (
        'let plans = { gold: { n: 1 }, free: { n: 2, extra: 3 } }\nservice a "/a/{id}" {\n'
        '    let p = plans[path.id]\n    log "${p.extra ?? 0}"\n    route orders\n}\n',
    ),
    "unmatched-contract": (
        'let plans = { gold: { n: "a" }, free: { n: "b" } }\nservice a "/a/{id}" {\n'
        '    let p = plans[path.id]\n    match p.n { "a" -> log "x"\n        "b" -> log "y" }\n'
        '    route orders\n}\n',
    ),
}  # fmt: skip
TEXTS = [(name, text) for name, texts in NEARLY.items() for text in texts]


@pytest.mark.parametrize(("name", "text"), TEXTS, ids=[f"{name}-{place}" for place, (name, _) in enumerate(TEXTS)])
def test_nothing_is_found(name: str, text: str) -> None:
    found = findings(whole(text), [RULES[name]])
    assert not found, [(str(each.span), each.message) for each in found] + [whole(text)]
