"""What looks like a mistake of correctness and is none: the rule that is about it says nothing.

Each text is put into a service, as examples of pages are, unless it has declarations.
"""

from __future__ import annotations

import pytest

from policylang.lint.examples import findings, policy
from policylang.lint.known import all_rules

KNOWN = """\
api_key request.header["X-API-Key"], in: map("clients") -> caller
remove request.header["X-API-Key"]
"""
SPARE = """
upstream spare { server "http://127.0.0.1:9001" }
"""

NEARLY: dict[str, tuple[str, ...]] = {
    "body-of-empty-status": ("respond 204, header: { \"X-Id\": path.id }",),
    "body-of-get": (
        'service a "/a", methods: ["GET", "POST"] {\n    require request.json.id != ""\n    route orders\n}\n',
        'service a "/a", methods: ["GET"] {\n    route orders\n    set response.json = { ok: response.json.ok }\n}\n',
        # one assertion for both: what it reads is there where it is called by the other one
        "assertion a { require request.json.id != \"\" }\n"
        'service b "/b", methods: ["GET"] {\n    a\n    route orders\n}\n'
        'service c "/c", methods: ["POST"] {\n    a\n    route orders\n}\n',
    ),
    "cache-key-incomplete": (
        KNOWN + 'cache ttl: 1m, key: user.id { route orders, path: "/of/${caller.id}" }\n',
        KNOWN + 'cache ttl: 1m, key: [user.id, caller.id] { route orders, path: "/of/${caller.id}" }\n',
        'cache ttl: 1m { route orders, path: "/items/${path.id}", query: { lang: request.query.lang } }\n',
        'let lang = request.header["Accept-Language"] ?? "en"\n'
        'cache ttl: 1m, vary: ["Accept-Language"] { route orders, path: "/${lang}" }\n',
        'cache_lookup "p", key: [path.id, request.query.unit ?? ""] -> known\n'
        "if known != none { respond 200, json: known }\nroute orders\n"
        'cache_store "p", key: [path.id, request.query.unit ?? ""], value: response.json, ttl: 1m\n',
        'cache_lookup "p", key: path.id -> known\nif known != none { respond 200, json: known }\n'
        'route orders, path: "/p?id=1"\ncache_store "p", key: path.id, value: response.json, ttl: 1m\n',
    ),
    "cache-never-used": (
        KNOWN + "cache ttl: 1m, shared: true { route orders }\n",
        "if request.header[\"X-API-Key\"] != none {\n"
        "    api_key request.header[\"X-API-Key\"], in: map(\"clients\")\n}\n"
        "cache ttl: 1m { route orders }\n",
    ),
    "calendar-without-zone": (
        'require hour(now, zone: "UTC") < 18\n',
        "quota 100/day, per: client.ip\n",
        'quota 100/hour, per: client.ip, name: "a"\nquota 100/day, per: client.ip, zone: "Europe/Berlin", name: "b"\n',
    ),
    "check-after-route": (
        # a first upstream says whether the second may be asked
        "route spare\nrequire request.header[\"X-A\"] != none\nroute orders\n" + SPARE,
        "route orders\nrequire response.status != 500\n",
        "route orders\nlet kind = response.content_type\nrequire kind == \"text/plain\"\n",
        "if request.method == \"GET\" { route orders } else {\n    allow_ip \"10.0.0.0/8\"\n    route orders\n}\n",
    ),
    "constant-condition": (
        'let debug = false\nservice a "/a" {\n    if debug { log "a" }\n    route orders\n}\n',
        'if env("STAGE") == "test" { log "a" }\n',
        'let name? = request.header["X-Name"]\nif name != none { log name }\n',
        # `none` for one caller of it only
        'assertion a(name: string?) {\n    if name != none { log "named" }\n}\n'
        'service b "/b" {\n    a request.header["X-Name"]\n    a request.path\n    route orders\n}\n',
        "for each in request.json.items { require each != none }\n",
        "require request.json.items != none\n",
    ),
    "cost-above-limit": ("rate_limit 10/s, per: client.ip, by: 10\n", "rate_limit 1/s, by: length(request.path)\n"),
    "counted-apart": (
        'service a "/a" {\n    quota 10/day, per: client.ip, name: "a"\n    route orders\n}\n'
        'service b "/b" {\n    quota 10/day, per: client.ip, name: "a"\n    route orders\n}\n',
        'service a "/a" {\n    quota 10/day, per: client.ip\n    route orders\n}\n'
        'service b "/b" {\n    quota 20/day, per: client.ip\n    route orders\n}\n',
        'service a "/a" {\n    rate_limit 10/s, per: client.ip\n    route orders\n}\n'
        'service b "/b" {\n    rate_limit 10/s, per: client.ip\n    route orders\n}\n',
        'service a "/a" {\n    concurrency_limit 1\n    route orders\n}\n'
        'service b "/b" {\n    concurrency_limit 1\n    route orders\n}\n',
        "quota 10/day, per: client.ip\nquota 10/day, per: client.ip\n",
    ),
    "counter-name-clash": (
        'service a "/a" {\n    rate_limit 10/s, per: client.ip, name: "a"\n    route orders\n}\n'
        'service b "/b" {\n    rate_limit 5/s, per: network_of(client.ip), name: "a"\n    route orders\n}\n',
        # one account, which stands in different places
        'service a "/a/{id}" {\n    concurrency_limit 1, per: path.id, name: "account"\n    route orders\n}\n'
        'service b "/b" {\n    concurrency_limit 1, per: request.header["X-Id"], name: "account"\n'
        '    route orders\n}\n',
        'rate_limit 10/s, per: client.ip, name: "a"\nquota 10/day, per: path.id, name: "a"\n',
    ),
    "default-never-used": (
        'for item in request.json.items { require (item ?? "none") != "" }\n',
        'let kind? = request.content_type\nlog kind ?? "none"\n',
        'assertion a(name: string?) { log name ?? "none" }\n'
        'service b "/b" {\n    a request.header["X-Name"]\n    a request.path\n    route orders\n}\n',
    ),
    "error-cached": (
        "cache ttl: 1m, statuses: 200..399 { route orders }\n", "cache ttl: 1m, statuses: 404..404 { route orders }\n",
        "route orders, query: {}\nif response.status == 404 {\n"
        '    cache_store "a", key: path.id, value: { missing: true }, ttl: 5s, errors: true\n}\n',
    ),
    "failover-without-status": (
        "route orders else respond 503\n", "route orders, fail_on: 503 else route spare\n" + SPARE,
    ),
    "failure-as-success": (
        'route orders else respond 200, json: []\n', 'not_replayed path.id, within: 1m else respond 200\n',
        "rate_limit 1/s else respond 429\n", 'lookup path.id, in: map("m") else respond 200\nmap m, ttl: 1m\n',
        'service a "/a" {\n    allow_ip "10.0.0.0/8"\n    route orders\n    on failure {\n'
        "        if failure.status >= 500 { respond 200, json: [] }\n    }\n}\n",
        'service a "/a" {\n    route orders\n    on failure { respond 200, json: [] }\n}\n',
    ),
    "guard-of-nothing": (
        "lockout path.id { route orders }\n", 'lockout path.id { let pin = request.header["X-Pin"] }\n',
        'circuit_breaker errors: 0.3 { lookup path.id, in: map("m") }\nmap m, ttl: 1m\n',
    ),
    "key-never-repeats": (
        "rate_limit 1/s, per: [client.ip, date(now)]\n",
        'store random_hex(16), path.id, in: map("m")\nmap m, ttl: 1m\n',
        'rate_limit 1/s, per: sha256("${client.ip}")\n',
    ),
    "late-request-edit": (
        "route orders\nset request.header[\"X-A\"] = \"1\"\nroute spare\n" + SPARE,
        "route orders\nset request.header[\"X-A\"] = \"1\"\nlog request.header[\"x-a\"] ?? \"none\"\n",
        "route orders\nset request.header[\"X-A\"] = \"1\"\nmirror spare\n" + SPARE,
        'global after { log request.header["X-A"] ?? "none" }\n'
        'service a "/a" {\n    route orders\n    set request.header["X-A"] = "1"\n}\n',
        'if request.method == "GET" { route orders } else {\n    set request.header["X-A"] = "1"\n'
        '    route orders\n}\n',
    ),
    "limit-after-route": (
        "route orders\nquota 1_000_000/day, by: response.size\n",
        "route spare\nrate_limit 10/s\nroute orders\n" + SPARE,
        "if request.method == \"GET\" { route orders } else {\n    rate_limit 1/s\n    route orders\n}\n",
        "route orders else {\n    rate_limit 1/s\n    route spare\n}\n" + SPARE,
    ),
    "limit-in-loop": (
        "for item in request.json.items { rate_limit 10/s, per: item.account }\n",
        'for item in request.json.items {\n    let account = string(item.account) ?? "none"\n'
        "    quota 10/day, per: account\n}\n",
    ),
    "lookup-never-stored": (
        'remember path.id, in: map("m")\nlookup path.id, in: map("m") -> a\nrespond 200, json: a\nmap m, ttl: 1m\n',
    ),
    "methods-cut-off": (
        'service a "/a/**", methods: ["GET"] { route orders }\nservice b "/a/{id}" { route orders }\n',
        'service a "/a/{id}" { route orders }\nservice b "/a/{id}/b", methods: ["GET"] { route orders }\n',
        'service a "/a/**" { route orders }\nservice b "/a/b", host: "b.example", methods: ["GET"] { route orders }\n',
        'service a "/a/**" { route orders }\nservice b "/a/b", methods: ["GET"] { route orders }\n'
        'service c "/a/b", methods: ["POST", "PUT", "PATCH", "DELETE"] { route orders }\n',
        'service a "/a/{id}/c" { route orders }\nservice b "/a/b/{x}", methods: ["GET"] { route orders }\n',
        'service a "/a/**", methods: ["GET"] { route orders }\n'
        'service b "/a/b", methods: ["POST", "GET"] { route orders }\n',
    ),
    "mirrored-to-itself": (
        'mirror orders, path: "/shadow"\nroute orders\n', "mirror spare\nroute orders\n" + SPARE,
    ),
    "missing-shared-key": (
        'rate_limit 1/s, per: request.header["X-A"] ?? "${client.ip}"\n',
        'lockout [request.query.user ?? "", client.ip] { require path.id == "7" }\n',
        'increment request.header["X-A"] ?? "none", in: map("m")\nmap m, ttl: 1m\n',
        'cache ttl: 1m, key: request.header["X-Region"] ?? "eu" { route orders }\n',
    ),
    "never-true": (
        'require request.method == "PURGE"\n', 'require lower(request.host) == "api.example"\n',
        'require request.path starts_with "/orders"\n', 'require weekday(now, zone: "UTC") in ["saturday", "sunday"]\n',
        'require request.content_type == "application/json"\n', 'require sha256(request.path) != "ab12"\n',
        'service a "/a", methods: ["GET"] {\n    if request.method == "HEAD" { log "head" }\n    route orders\n}\n',
        # an assertion is for all methods, whoever calls it
        'assertion a { if request.method == "POST" { limit_size request, 1MB } }\n'
        'service b "/b", methods: ["GET"] {\n    a\n    route orders\n}\n'
        'service c "/c", methods: ["POST"] {\n    a\n    route orders\n}\n',
        'match request.method {\n    "GET", "post" -> route orders\n    else -> fail 405\n}\n'.replace("post", "POST"),
    ),
    "one-sided-cache": (
        'cache_lookup "a", key: path.id -> known\nif known != none { respond 200, json: known }\n'
        'cache_store "a", key: path.id, value: 1, ttl: 1m\n',
    ),
    "option-without-effect": (
        "rate_limit 1/s, over: shape, queue: 5, wait: 1s\n", "concurrency_limit 1, over: wait, wait: 1s\n",
        "cache ttl: 1m, collapse: true, wait: 1s { route orders }\n",
        "circuit_breaker slower_than: 1s, slow: 0.2 { route orders }\n",
    ),
    "overwritten-set": (
        'set request.header["X-A"] = "1"\nroute orders\nset request.header["X-A"] = "2"\nroute spare\n' + SPARE,
        'set request.header["X-A"] = "1"\nif path.id == "a" { log request.header["X-A"] ?? "" }\n'
        'set request.header["X-A"] = "2"\n',
        'set request.header["X-A"] = "1"\nset request.header["X-A"] = "${request.header["X-A"] ?? ""}, 2"\n',
        'set request.header["X-A"] = "1"\nif path.id == "a" { set request.header["X-A"] = "2" }\n',
        'any {\n    set request.header["X-A"] = "1"\n    set request.header["X-A"] = "2"\n}\n',
        'let n = 1\nset n = 2\nlog "${n}"\nset n = 3\nlog "${n}"\n',
    ),
    "quota-before-check": (
        "limit_size request, 1MB\nquota 10/day, per: client.ip\n", "quota 10/day, per: client.ip, count: success\n"
        "limit_size request, 1MB\n", "quota 10/day, per: client.ip -> left\nrequire left > 0\n",
        "quota 10/day, per: client.ip\nroute orders\nrequire request.header[\"X-A\"] != none\n",
        'quota 10/day, per: client.ip\nlet name? = request.header["X-Name"]\nlog name ?? "none"\n',
    ),
    "redundant-check": (
        'require request.header["X-A"] == "1"\nset request.header["X-A"] = "2"\nrequire request.header["X-A"] == "1"\n',
        "route orders\nrequire response.status == 200\nroute spare\nrequire response.status == 200\n" + SPARE,
        'if path.id == "1" { log "one" }\nlog "between"\nif path.id == "1" { log "again" }\n',
        'any {\n    require path.id == "1"\n    all {\n        log "two"\n        require path.id == "1"\n    }\n}\n',
        # a round may find what an earlier one has left
        'let state = "a"\nrequire state == "a"\nfor each in request.json.items {\n    require state == "a"\n'
        "    set state = string(each) ?? \"b\"\n}\n",
        # each assertion stands for itself
        'assertion a { require request.method == "GET" }\nservice b "/b" {\n'
        '    require request.method == "GET"\n    a\n'
        "    route orders\n}\n",
    ),
    "refused-counted": (
        "rate_limit 1/s\nquota 10/day, per: client.ip\n",
        "quota 10/day, per: client.ip, count: success\nrate_limit 1/s\n",
        "quota 10/day, per: client.ip\nquota 100/month, per: client.ip\n",
        'increment path.id, in: map("m") -> n\nset request.header["X-N"] = "${n}"\nmap m, ttl: 1m\n',
        "quota 10/day, per: client.ip else {\n    rate_limit 1/min\n}\n",
    ),
    "repeated-condition": (
        'if path.id == "1" { log "a" } else if path.id == "2" { log "b" }\n',
        'require path.id == "1" or path.id == "2"\n',
    ),
    "retries-not-idempotent": (
        'service a "/a", methods: ["GET", "PUT"] { route orders else route spare }\n' + SPARE,
        'require request.header["Idempotency-Key"] != none\nroute orders else route spare\n' + SPARE,
        'match request.method {\n    "GET" -> route orders else route spare\n    else -> route orders\n}\n' + SPARE,
        "route orders else respond 503\n",
    ),
    "routed-to-itself": ('upstream orders { server "http://10.0.0.1:8080" }\nservice a "/a" { route orders }\n',),
    "same-branches": (
        'if path.id == "1" { log "a" } else if path.id == "2" { log "a" }\n',
        'match path.id {\n    "1" -> log "a"\n    "2" -> log "a"\n    else -> log "b"\n}\n',
    ),
    "self-comparison": (
        "require uuid() != uuid()\n", 'require request.header["X-A"] == request.header["X-B"]\n',
        'require request.header["X-A"] == response.header["X-A"]\n'.replace("require", "route orders\nrequire"),
    ),
    "shadowed-case": (
        "route orders\nmatch response.status {\n    404      -> log \"a\"\n    400..499 -> log \"b\"\n"
        "    else -> log \"c\"\n}\n",
        'if request.path starts_with "/orders/a/" { log "a" } '
        'else if request.path starts_with "/orders/" { log "b" }\n',
        "route orders\nif response.status > 500 { log \"a\" } else if response.status >= 500 { log \"b\" }\n",
        'match path.id {\n    "1" -> log "a"\n    "01" -> log "b"\n    else -> log "c"\n}\n',
    ),
    "short-quota": ("quota 600/hour, per: client.ip\n",),
    "stored-never-read": (
        'store path.id, 1, in: map("m")\nlookup path.id, in: map("m") -> a\nlog "${string(a) ?? ""}"\nmap m, ttl: 1m\n',
        'increment path.id, in: map("m")\nmap m, ttl: 1m\n',
    ),
    "subsumed-limit": (
        "rate_limit 10/s, per: client.ip\nrate_limit 500/min, per: client.ip\n",
        "rate_limit 10/s, per: client.ip, burst: 1m\nrate_limit 1_000/min, per: client.ip\n",
        "rate_limit 10/s, per: client.ip\nrate_limit 50_000/hour, per: path.id\n",
        'rate_limit 10/s, per: client.ip\nquota 1_000_000/day, per: client.ip, name: "all"\n',
        "if path.id == \"1\" { rate_limit 10/s, per: client.ip }\nrate_limit 20/s, per: client.ip\n",
        "rate_limit 10/s, per: client.ip, scope: node\nrate_limit 50_000/hour, per: client.ip\n",
        "rate_limit 10/s, per: client.ip, log_only: true\nrate_limit 20/s, per: client.ip\n",
        "limit_size request, 2MB\nlimit_size request, 1MB\n",
        "limit_size request, 1MB\nroute orders\nlimit_size response, 2MB\n",
    ),
    "text-as-number": (
        'require int(request.query.n) ?? 0 > 10\n', 'require date(now) > "2026-01-01"\n',
        'require request.query.n == "10"\n',
    ),
    "tiers-in-any": (
        "quota 100/day, per: client.ip else rate_limit 1/min\n",
        'any {\n    allow_ip "10.0.0.0/8"\n    rate_limit 1/s\n}\n',
        'all {\n    require path.id == "1"\n    rate_limit 1/s\n} else fail 403\n',
        'any {\n    rate_limit 10/s, name: "a"\n    rate_limit 1/s, name: "b"\n}\n',
    ),
    "timeout-beyond-caller": (
        "route orders, timeout: 60s\n", "rate_limit 1/s, over: shape\nroute orders, timeout: 30s\n",
    ),
    "unknown-entry-member": (KNOWN + "require caller.enabled == true\n", KNOWN + 'require caller.id == "ann"\n'),
    "unmatched-contract": (
        KNOWN + 'match caller.contract {\n    "gold" -> rate_limit 1/s\n}\n',
        'match request.query.kind {\n    "a" -> rate_limit 1/s\n}\n',
    ),
    "wait-beyond-deadline": (
        'upstream orders {\n    server "http://10.0.0.1:9000"\n    timeouts head: 2s\n    retries 1, per_try: 1s\n}\n'
        'service a "/a" { route orders }\n',
        'upstream orders {\n    server "http://10.0.0.1:9000"\n    retries 1, per_try: 5s\n}\n'
        'service a "/a" { route orders, timeout: 3s, retries: 0 }\n',
        "circuit_breaker slower_than: 1s { route orders, timeout: 2s }\n",
    ),
}  # fmt: skip
RULES = {rule.name: rule for rule in all_rules()}
TEXTS = [(name, text) for name, texts in NEARLY.items() for text in texts]


@pytest.mark.parametrize(("name", "text"), TEXTS, ids=[f"{name}-{place}" for place, (name, _) in enumerate(TEXTS)])
def test_nothing_is_found(name: str, text: str) -> None:
    found = findings(whole(text), [RULES[name]])
    assert not found, [(str(each.span), each.message) for each in found] + [whole(text)]


def whole(text: str) -> str:
    """A policy of it; what it declares at its end stays outside of the service."""
    inside, sign, declared = text.partition("\nmap ") if "\nmap " in text else text.partition(SPARE)
    return policy(inside + "\n" * bool(sign)) + sign + declared


def test_nearly_every_rule_has_one() -> None:
    rules = {rule.name for rule in all_rules() if rule.category == "correctness"}
    assert rules - set(NEARLY) == {"not-enforced", "unknown-rule"}
