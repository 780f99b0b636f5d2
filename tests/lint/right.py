"""Policies of good practice, made of varied parts, in which no rule may find anything. One seed, one policy."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from textwrap import indent

FILES = {
    "clients.json": b'{ "k1": { "id": "ann", "contract": "gold", "roles": ["buyer"], "rate": 20 } }',
    "plans.json": b'{ "k1": { "id": "ann", "calls": 1000, "period": "month" } }',
    "users.json": b'{ "ann": { "pin": "1234" } }',
}
NOUNS = (
    "orders", "invoices", "tickets", "payments", "catalogue", "reports", "parcels", "prices", "stock", "events",
    "documents", "accounts",
)  # fmt: skip
KEY = 'api_key request.header["X-API-Key"], in: map("clients")'


class Author:
    """Writes one policy: services ask for what they need, and only that is declared."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.public = self.random.random() < 0.7
        self.kinds = self.random.sample(SERVICES, self.random.choice([1, 1, 2, 3, 4, 5]))
        self.certificates = self.public and Author.partners in self.kinds
        self.declared: dict[str, str] = {}
        self.nouns = self.random.sample(NOUNS, len(NOUNS))

    def policy(self) -> str:
        services = [kind(self) for kind in self.kinds]
        around = [self.before()] * self.chance(0.3) + [self.after()] * self.chance(0.4)
        parts = [self.gateway(), *self.declared.values(), *around, *services]
        return "\n".join(parts)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def one(self, *texts: str) -> str:
        return self.random.choice(texts)

    # --- declarations ---

    def gateway(self) -> str:
        lines = []
        if self.public:
            lines.append('listen "0.0.0.0:8443", cert: "api.pem", key: "api.key"')
            if self.certificates:
                lines[0] = (
                    'listen "0.0.0.0:8443", cert: "api.pem", key: "api.key", client_ca: "partners.pem",\n'
                    "       client_cert: optional"
                )
            if self.chance(0.3):
                lines.append('trusted_proxies ["10.0.0.0/8"]')
        else:
            lines.append('listen "127.0.0.1:8080"')
        more = ("workers 2", 'name "edge"', "limits body: 2MiB, connections: 5_000", "timeouts header: 5s, idle: 30s",
                'admin "127.0.0.1:9901", token: secret("ADMIN_TOKEN")')  # fmt: skip
        lines += [each for each in more if self.chance(0.3)]
        return "gateway {\n" + indent("\n".join(lines), "    ") + "\n}\n"

    def noun(self) -> str:
        """A name for a service, not taken."""
        return self.nouns.pop()

    def upstream(self, name: str) -> str:
        lines = [f'server "https://{name}-1.internal:8443"']
        if self.chance(0.5):
            lines.append(f'server "https://{name}-2.internal:8443"')
            lines.append(self.one("balance least_connections", "balance round_robin", "slow_start 30s"))
        lines += [each for each in ('health "/healthz", every: 5s', "retries 1", 'tls ca: "internal.pem"',
                                    "connections 200, queue: 50", "circuit_breaker errors: 0.5, requests: 50")
                  if self.chance(0.35)]  # fmt: skip
        self.declared[f"upstream {name}"] = f"upstream {name} {{\n" + indent("\n".join(lines), "    ") + "\n}\n"
        return name

    def table(self, name: str) -> str:
        self.declared.setdefault(f"map {name}", f'map {name}, file: "{name}.json"\n')
        return name

    def kept(self, name: str, settings: str) -> str:
        self.declared.setdefault(f"map {name}", f"map {name}, {settings}\n")
        return name

    def office(self) -> str:
        self.declared.setdefault("office", 'let office = ["192.0.2.0/26", "2001:db8:7::/48"]\n')
        return "office"

    def caller(self) -> str:
        """Statements after which `caller` is who calls, and the key goes no further."""
        self.table("clients")
        if self.chance(0.5):
            return KEY + ' -> caller\nremove request.header["X-API-Key"]'
        self.declared.setdefault(
            "assertion known",
            "# Who calls. The upstreams never learn the key.\nassertion known() -> caller {\n"
            f"    {KEY} -> caller\n"
            '    remove request.header["X-API-Key"]\n}\n',
        )
        return "known -> caller"

    def fair(self, key: str) -> str:
        """A limit by a key."""
        if self.chance(0.3):
            self.declared.setdefault(
                "assertion fair",
                "# What everybody may ask for, if nothing else was agreed.\n"
                "assertion fair(key: string, limit: rate = 20/s) {\n    rate_limit limit, per: key\n}\n",
            )
            return self.one(f"fair {key}", f"fair {key}, limit: 5/s")
        return self.one(
            f"rate_limit 10/s, per: {key}", f"rate_limit [20/s, 300/min], per: {key}",
            f"rate_limit 10/s, per: {key}, burst: 2s", f"rate_limit 5/s, per: {key}, over: shape, queue: 20, wait: 2s",
        )  # fmt: skip

    def before(self) -> str:
        return "global before {\n" + indent(self.one(
            "limit_size request, 1MiB\n",
            'deny_ip "198.51.100.0/24" else {\n    log "refused ${client.ip}", level: warning\n    fail 403\n}\n',
        ), "    ") + "}\n"  # fmt: skip

    def after(self) -> str:
        return "global after {\n" + indent(self.one(
            'set response.header["Strict-Transport-Security"] = "max-age=31536000"\n',
            'remove response.header["Server"]\nset response.header["X-Content-Type-Options"] = "nosniff"\n',
            "compress response\n",
        ), "    ") + "}\n"  # fmt: skip

    # --- services ---

    def service(self, head: str, *statements: str) -> str:
        return f"service {head} {{\n" + indent("\n".join(each for each in statements if each), "    ") + "\n}\n"

    def send(self, name: str) -> str:
        return f"route {self.upstream(name)}" + self.one("", ", timeout: 5s", ", timeout: 2s")

    def contracts(self) -> str:
        """Every client gets what its contract promises."""
        name = self.noun()
        tiers = (
            "match caller.contract {\n"
            '    "platinum" -> rate_limit 1000/s, per: caller.id, burst: 2s, name: "platinum"\n'
            '    "gold"     -> rate_limit 500/s, per: caller.id, name: "gold"\n'
            '    else       -> rate_limit 100/s, per: caller.id, name: "standard"\n}'
        )
        tell = 'set request.header["X-Client"] = caller.id' if self.chance(0.5) else ""
        watch = 'on failure {\n    log "refused by ${failure.assertion}"\n}' if self.chance(0.3) else ""
        return self.service(f'{name} "/{name}/**"', self.caller(), tiers, tell, self.send(name), watch)

    def catalogue(self) -> str:
        """For everybody, and cached."""
        name = self.noun()
        vary = self.one("", ', vary: ["Accept-Language"]')
        kept = f"cache ttl: {self.one('60s', '5m', '1h')}{vary}, collapse: true {{\n    {self.send(name)}\n}}"
        more = self.one("", "compress response", 'set response.header["X-Served-By"] = gateway.name')
        return self.service(f'{name} "/{name}/**", methods: ["GET"]', self.fair("network_of(client.ip)"), kept, more)

    def webhook(self) -> str:
        """Signed, and taken once."""
        name = self.noun()
        signed = (
            f'let signature = hmac_sha256(request.body, key: secret("{name.upper()}_KEY"))\n'
            'require same_secret(signature, request.header["X-Signature"])'
        )
        once = self.one("not_replayed request.json.id, within: 1d", "not_replayed signature, within: 1d")
        head = f'{name} "/hooks/{name}", methods: ["POST"]'
        size = f"limit_size request, {self.one('64KiB', '256KiB', '1MiB')}"
        return self.service(head, self.fair("network_of(client.ip)"), size, signed, once, self.send(name))

    def login(self) -> str:
        """Nobody can guess at it."""
        self.table("users")
        self.kept("sessions", "ttl: 30m, private: true")
        return self.service(
            'login "/login", methods: ["POST"]', "limit_size request, 4KiB", "let name = request.json.user",
            "lockout [name, client.ip], after: 3, within: 10m, for: 1m, growing: 2, max: 1h {\n"
            "    lockout network_of(client.ip), after: 50, within: 1h, for: 10m, resets: false {\n"
            '        require name in map("users")\n'
            '        require same_secret(map("users")[name].pin, request.json.pin)\n    }\n}',
            'let private sid = random_hex(16)\nstore sid, { user: name }, in: map("sessions")\n'
            'respond 204, header: { "Set-Cookie": "sid=${sid}; Path=/; Secure; HttpOnly; SameSite=Strict" }',
        )  # fmt: skip

    def session(self) -> str:
        """Whoever has logged in, by a cookie; it may be ended."""
        name = self.noun()
        login = self.login()
        found = 'lookup request.cookie.sid, in: map("sessions") -> session else fail 401, "log in first"'
        own = self.service(
            f'{name} "/{name}/{{owner}}", methods: ["GET"]', found, "require session.user == path.owner",
            self.fair("path.owner"), self.send(name),
        )  # fmt: skip
        end = self.service(
            'logout "/logout", methods: ["POST"]', self.fair("network_of(client.ip)"),
            'forget request.cookie.sid, in: map("sessions")',
            'respond 204, header: { "Set-Cookie": "sid=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict" }',
        )  # fmt: skip
        return "\n".join([login, own, end])

    def plans(self) -> str:
        """So much a month, and what is left of it."""
        name = self.noun()
        self.table("plans")
        key = 'api_key request.header["X-Plan-Key"], in: map("plans") -> plan'
        zone = self.one("Europe/Istanbul", "UTC", "America/New_York")
        limit = f'rate(plan.calls, plan.period), per: plan.id, zone: "{zone}", name: "plan"'
        use = self.service(
            f'{name} "/{name}/**"', key, self.fair("plan.id"), f"quota {limit}",
            'remove request.header["X-Plan-Key"]', self.send(name),
        )  # fmt: skip
        look = self.service(
            'usage "/usage", methods: ["GET"]', key, f"quota_status {limit} -> calls, left, reset",
            'respond 200, json: { calls: calls, left: left, resets_in: "${reset}" }',
        )  # fmt: skip
        return f"{use}\n{look}"

    def upload(self) -> str:
        """What is taken in is counted by its bytes."""
        name = self.noun()
        return self.service(
            f'{name} "/uploads/{name}", methods: ["POST"]', self.caller(), "limit_size request, 1MiB",
            'quota 500_000_000/day, per: caller.id, by: request.size, count: success, zone: "UTC", name: "bytes"'
            " -> remaining",
            self.send(name), 'set response.header["X-Bytes-Left"] = "${remaining}"',
        )  # fmt: skip

    def by_country(self) -> str:
        """Where it goes stands in its body."""
        name = self.noun()
        return self.service(
            f'{name} "/{name}", methods: ["POST"]', self.caller(), "rate_limit 20/s, per: caller.id",
            "limit_size request, 256KiB", 'let country = jsonpath("$.shipping.country", in: request)',
            "match country {\n"
            f'    "DE", "FR", "NL" -> route {self.upstream(name + "_europe")}\n'
            f'    "US", "CA"       -> route {self.upstream(name + "_america")}\n'
            '    else             -> fail 422, "we do not ship there"\n}',
        )  # fmt: skip

    def canary(self) -> str:
        """Some get the new version."""
        name = self.noun()
        share = self.random.choice([1, 5, 10])
        old, new = self.upstream(name), self.upstream(f"{name}_next")
        arms = f"    {100 - share} -> route {old}\n    {share} -> route {new}\n"
        return self.service(
            f'{name} "/{name}/**"', self.caller(), self.fair("caller.id"), f"split by: caller.id {{\n{arms}}}"
        )  # fmt: skip

    def status(self) -> str:
        """For the operators."""
        return self.service(
            'status "/status", methods: ["GET"]', f"require client.ip in {self.office()}",
            self.one("respond 200, json: { gateway: gateway.name, ok: true }", 'respond 200, body: "up\\n"'),
        )  # fmt: skip

    def good_to_have(self) -> str:
        """Once its upstream fails, nobody waits for it."""
        name = self.noun()
        return self.service(
            f'{name} "/{name}/{{item}}", methods: ["GET"]', self.fair("network_of(client.ip)"),
            "circuit_breaker errors: 0.5, requests: 20, window: 10s, pause: 5s {\n"
            f"    route {self.upstream(name)}, timeout: 500ms, fail_on: 500..599\n}} else {{\n"
            f'    log "nothing for ${{path.item}}", level: warning\n'
            "    respond 200, json: { item: path.item, known: false }\n}",
        )  # fmt: skip

    def one_at_a_time(self) -> str:
        """An account is never in two transactions at once."""
        name = self.noun()
        waits = self.one("", ", over: wait, wait: 2s, queue: 20")
        account = self.one(
            'xpath(r"//pay:account/text()", in: request, ns: { pay: "urn:acme:payments" })',
            'string(jsonpath("$.payment.account", in: request))',
        )
        return self.service(
            f'{name} "/{name}", methods: ["POST"]', self.caller(), "rate_limit 20/s, per: caller.id",
            "limit_size request, 64KiB", f"let account = trim({account})", 'require account != ""',
            f'concurrency_limit 1, per: account, name: "account"{waits}',
            f"route {self.upstream(name)}, timeout: 10s",
        )  # fmt: skip

    def partners(self) -> str:
        """Known by a certificate, where clients show some; else by their network or a key."""
        name = self.noun()
        if self.certificates:
            known = 'require client.cert != none else fail 403, "show a certificate"'
        else:
            self.table("clients")
            known = f"any {{\n    require client.ip in {self.office()}\n    {KEY}\n}}"
            known += '\nremove request.header["X-API-Key"]'
        return self.service(f'{name} "/partners/{name}/**"', known, self.fair("network_of(client.ip)"), self.send(name))

    def buyers(self) -> str:
        """Only who has a role."""
        name = self.noun()
        check = self.one(
            'require caller.roles contains "buyer"',
            'require caller.roles contains "buyer" else fail 403, "for buyers only"',
            'require "buyer" in caller.roles or caller.contract == "gold"',
        )
        log = self.one("", 'log "bought by ${caller.id}"')
        return self.service(f'{name} "/{name}"', self.caller(), check, self.fair("caller.id"), log, self.send(name))

    def items(self) -> str:
        """Every item is looked at."""
        name = self.noun()
        return self.service(
            f'{name} "/{name}/batch", methods: ["POST"]', self.caller(), "rate_limit 5/s, per: caller.id",
            "limit_size request, 256KiB", 'let items = jsonpath("$.items[*]", in: request, all: true)',
            "require length(items) in 1..100", "for item in items {\n    require item.count > 0\n}", self.send(name),
        )  # fmt: skip

    def remembered(self) -> str:
        """A value of its own, asked for by one service and forgotten by another."""
        name = self.noun()
        upstream = self.upstream(name)
        read = self.service(
            f'{name} "/{name}/{{id}}", methods: ["GET"]', self.fair("network_of(client.ip)"),
            f'cache_lookup "{name}", key: path.id -> found', "if found != none {\n    respond 200, json: found\n}",
            f"route {upstream}, query: {{}}, fail_on: 400..599",
            f'cache_store "{name}", key: path.id, value: response.json, ttl: 5m',
        )  # fmt: skip
        write = self.service(
            f'{name}_change "/{name}/{{id}}", methods: ["PUT"]', self.caller(), "rate_limit 5/s, per: caller.id",
            "limit_size request, 64KiB", f"route {upstream}", f'cache_remove "{name}", key: path.id',
        )  # fmt: skip
        return f"{read}\n{write}"

    def moved(self) -> str:
        """It is elsewhere now."""
        name = self.noun()
        return self.service(
            f'{name} "/old/{name}/{{id}}", methods: ["GET"]', self.fair("network_of(client.ip)"),
            f'respond 308, header: {{ "Location": "/{name}/${{url_encode(path.id)}}" }}',
        )  # fmt: skip

    def vouchers(self) -> str:
        """Good for one request, whoever is first."""
        self.kept("vouchers", "ttl: 30d, private: true")
        make = self.service(
            'voucher_new "/vouchers", methods: ["POST"]', self.caller(), "rate_limit 5/s, per: caller.id",
            "limit_size request, 4KiB", "let private code = random_hex(16)",
            'remember code, in: map("vouchers"), value: { worth: request.json.worth, of: caller.id }',
            "respond 201, json: { code: reveal(code) }",
        )  # fmt: skip
        take = self.service(
            'voucher "/vouchers/{code}", methods: ["POST"]', self.fair("network_of(client.ip)"),
            'lookup path.code, in: map("vouchers"), once: true -> voucher',
            "respond 200, json: { worth: reveal(voucher.worth), of: reveal(voucher.of) }",
        )  # fmt: skip
        return f"{make}\n{take}"

    def counted(self) -> str:
        """The upstream is told how often each caller has come today."""
        name = self.noun()
        self.kept("visits", "ttl: 1d")
        return self.service(
            f'{name} "/{name}/{{id}}", methods: ["GET"]', self.caller(), "rate_limit 20/s, per: caller.id",
            'increment caller.id, in: map("visits") -> count', 'set request.header["X-Visits"] = "${count}"',
            self.send(name),
        )  # fmt: skip

    def shadowed(self) -> str:
        """A new version may look at some of the changes, before anybody depends on what it says."""
        name = self.noun()
        return self.service(
            f'{name} "/{name}/changes", methods: ["POST"]', self.caller(), "rate_limit 20/s, per: caller.id",
            "limit_size request, 256KiB", f'mirror {self.upstream(f"{name}_next")}, share: 0.1', self.send(name),
        )  # fmt: skip

    def spared(self) -> str:
        """What may be asked twice is asked elsewhere once the first has failed."""
        name = self.noun()
        first, second = self.upstream(name), self.upstream(f"{name}_spare")
        other = self.one(
            f"route {first}, timeout: 2s, fail_on: 500..599 else route {second}, timeout: 5s",
            f"try {{\n    route {first}, timeout: 2s, fail_on: 500..599\n}} catch problem {{\n"
            f'    log "elsewhere after ${{problem.name}}", level: warning\n    route {second}, timeout: 5s\n}}',
        )
        return self.service(f'{name} "/{name}/**", methods: ["GET"]', self.fair("network_of(client.ip)"), other)

    def versions(self) -> str:
        """The version that a caller asks for, the newest for who asks for none."""
        name = self.noun()
        return self.service(
            f'{name} "/{name}/**"', self.caller(), self.fair("caller.id"),
            'match request.header["X-Api-Version"] ?? "2" {\n'
            f'    "1"  -> route {self.upstream(f"{name}_old")}, path: "/v1${{request.path}}"\n'
            f'    "2"  -> route {self.upstream(name)}\n'
            '    else -> respond 400, json: { error: "versions 1 and 2 are served" }\n}',
        )  # fmt: skip

    def at_night(self) -> str:
        """Closed for an hour, when nobody is to write."""
        name = self.noun()
        return self.service(
            f'{name} "/{name}", methods: ["PUT", "POST"]', self.caller(), "rate_limit 5/s, per: caller.id",
            'if hour(now, zone: "Europe/Istanbul") == 3 {\n    fail 503, "closed until four"\n}',
            "limit_size request, 1MiB", self.send(name),
        )  # fmt: skip

    def looked_up(self) -> str:
        """Two entries, asked for side by side."""
        name = self.noun()
        self.kept("profiles", "ttl: 1h")
        self.kept("baskets", "ttl: 1h")
        read = self.service(
            f'{name} "/{name}", methods: ["GET"]', self.caller(), "rate_limit 20/s, per: caller.id",
            'parallel {\n    lookup caller.id, in: map("profiles"), optional: true -> profile\n'
            '    lookup caller.id, in: map("baskets"), optional: true -> basket\n}',
            "respond 200, json: { profile: profile, basket: basket }",
        )  # fmt: skip
        write = self.service(
            f'{name}_change "/{name}/{{kind}}", methods: ["PUT"]', self.caller(), "rate_limit 5/s, per: caller.id",
            "limit_size request, 16KiB",
            'match path.kind {\n    "profile" -> store caller.id, request.json, in: map("profiles")\n'
            '    "basket"  -> store caller.id, request.json, in: map("baskets")\n'
            '    else      -> fail 404, "there are profiles and baskets"\n}',
            "respond 204",
        )  # fmt: skip
        return f"{read}\n{write}"


SERVICES: tuple[Callable[[Author], str], ...] = (
    Author.contracts, Author.catalogue, Author.webhook, Author.session, Author.plans, Author.upload, Author.by_country,
    Author.canary, Author.status, Author.good_to_have, Author.one_at_a_time, Author.partners, Author.buyers,
    Author.items, Author.remembered, Author.moved, Author.vouchers, Author.counted, Author.shadowed, Author.spared,
    Author.versions, Author.at_night, Author.looked_up,
)  # fmt: skip


def right(seed: int) -> str:
    return Author(seed).policy()
