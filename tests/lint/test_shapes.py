"""Policies of every shape are looked at in a time that grows as they do: one long service, many short ones, long lists
of cases, an assertion called by all. A rule that compares everything with everything is found here."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator

import pytest

from policylang.check import check_files
from policylang.lint import Policy, lint
from policylang.lint.examples import Anything, catalog, check
from policylang.lint.known import all_rules

LINES = 2_000
MOST = 1.0
"""Seconds of CPU for one rule. What grows with the square takes several, the others hundredths."""
WHOLE = 4.0
"""Seconds of CPU for all of them."""

HEAD = """\
gateway {
    listen "0.0.0.0:8443", cert: "api.pem", key: "api.key"
}

upstream orders {
    server "https://orders.internal:8443"
}

map clients, file: "clients.json"
map sessions, ttl: 30m, private: true

"""
KNOWN = """\
    api_key request.header["X-API-Key"], in: map("clients") -> caller
    remove request.header["X-API-Key"]
    rate_limit 10/s, per: caller.id
"""
ANYBODY = "    rate_limit 10/s, per: network_of(client.ip)\n"


def one(*statements: str) -> str:
    """One service with all of these."""
    return HEAD + 'service one "/one/{id}" {\n' + KNOWN + "".join(statements) + "    route orders\n}\n"


def many(service: Callable[[int], str], count: int) -> str:
    return "".join(
        f'service s{i} "/s{i}/{{id}}" {{\n{ANYBODY}{service(i)}    route orders\n}}\n' for i in range(count)
    )  # fmt: skip


def each(count: int, statement: str) -> list[str]:
    """A statement so often, with its number in the place of `@`."""
    return [statement.replace("@", str(i)) for i in range(count)]


NAMED = ("@ + @", '"${@}-${@}"', 'if @ == "1" then @ else @', 'join([@, @], ",")', "(@ + @) ?? @", "sha256(@ + @)")
"""Each name stands in the next one twice: who follows all of them is never done."""
OF_NAMES = """\
    rate_limit 5/s, per: v24
    quota 5/day, per: [v24, v23]
    not_replayed v24, within: 1h
    require v24 matches "^[a-z]+$" and not (v23 in ["a", "b"])
    match v24 {
        "1"  -> rate_limit 4/s, per: v23
        else -> log v24
    }
    lookup v24, in: map("sessions"), optional: true -> found
    store v24, value: v23, in: map("sessions")
    set request.path = "/one/" + v24
    set request.body = html_escape(v24)
    set request.header["X-Name"] = v24
"""


SHAPES: dict[str, Callable[[int], str]] = {
    "checks": lambda n: one(*each(n, '    require request.header["X-@"] != "a@"\n')),
    "values": lambda n: one(*each(n // 2, '    let v@ = request.header["X-@"]\n    require v@ != none\n')),
    "unused values": lambda n: one(*each(n // 2, "    # The one of @.\n    let v@ = path.id\n")),
    "fields set": lambda n: one(*each(n, '    set request.header["X-@"] = "v@"\n')),
    "branches": lambda n: one(
        *each(n // 3, '    if request.header["X-@"] == "a" {\n        set request.header["Y-@"] = caller.id\n    }\n')
    ),
    "a chain": lambda n: one(
        '    if path.id == "x" {\n        log "x"\n',
        *each(n // 2, '    } else if request.header["X-@"] == "a" {\n        log "@"\n'), "    }\n",
    ),
    "a chain about one thing": lambda n: one(
        '    if path.id == "x" {\n        log "x"\n',
        *each(n // 2, '    } else if path.id starts_with "@" and caller.id == "b@" {\n        log "@"\n'), "    }\n",
    ),
    "cases": lambda n: one(
        "    match path.id {\n", *each(n, '        "c@" -> log "@"\n'), '        else -> log "another"\n    }\n'
    ),
    "a list": lambda n: one("    require path.id in [\n", ",\n".join(each(n, '        "c@"')), "\n    ]\n"),
    "limits": lambda n: one(*each(n, '    rate_limit 1@/s, per: [caller.id, path.id], name: "n@"\n')),
    "entries": lambda n: one(
        *each(n // 2, '    lookup "k@-${caller.id}", in: map("sessions"), optional: true -> e@\n'
                      '    store "k@", { id: e@ }, in: map("sessions")\n')
    ),
    "lines logged": lambda n: one(*each(n, '    log "${request.header["X-@"] ?? "no @"}"\n')),
    "alternatives": lambda n: one(
        *each(n // 4, '    any {\n        require path.id == "@"\n        allow_ip "192.0.2.7"\n    }\n')
    ),
    "of a body": lambda n: one(
        "    limit_size request, 1MiB\n", *each(n, '    log "${string(request.json.a@) ?? "no @"}"\n')
    ),
    "callers": lambda n: HEAD + 'service one "/one" {\n' + "".join(
        each(n // 3, '    api_key request.header["X-@"], in: map("clients") -> c@\n    remove request.header["X-@"]\n'
                     "    rate_limit 10/s, per: c@.id\n")
    ) + "    route orders\n}\n",
    "upstreams": lambda n: HEAD + many(lambda i: f"    mirror u{i}\n", n // 8) + "".join(
        each(n // 8, 'upstream u@ {\n    server "https://u@.internal:8443"\n    retries 1\n}\n')
    ),
    "assertions": lambda n: HEAD + "".join(each(n // 5, 'assertion a@(x: string) {\n    require x != "b@"\n}\n'))
    + many(lambda i: f"    a{i} path.id\n", n // 5),
    "one assertion": lambda n: HEAD + "assertion a(x: string) {\n"
    + "".join(each(60, '    require x != "b@"\n')) + "}\n" + many(lambda i: "    a path.id\n", n // 10),
    "names of names": lambda n: one(
        '    let v0 = request.query.q ?? ""\n',
        *(f"    let v{i + 1} = {NAMED[i % len(NAMED)].replace(chr(64), f'v{i}')}\n" for i in range(24)), OF_NAMES,
    ),
    "constants": lambda n: HEAD + "".join(each(n, 'let c@ = "v@"\n')) + many(lambda i: "", 1),
    "maps": lambda n: HEAD + "".join(each(n, "map m@, ttl: 1h\n")) + many(lambda i: "", 1),
    "globals": lambda n: HEAD + "".join(each(n // 8, 'global before {\n    deny_ip "192.0.2.7"\n}\n'))
    + many(lambda i: "", n // 8),
}  # fmt: skip


@pytest.fixture
def _uncollected() -> Iterator[None]:
    """What other tests have left is looked at each time, and can take longer than the rules."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_uncollected")
@pytest.mark.parametrize("shape", SHAPES)
def test_no_rule_takes_long(shape: str) -> None:
    checked = check(SHAPES[shape](LINES))
    assert checked.program is not None, [each.message for each in checked.diagnostics[:3]]
    policy = Policy(checked.program, checked.files, catalog())
    took = {}
    for rule in all_rules():
        started = time.process_time()
        list(rule().check(policy))
        took[rule.name] = time.process_time() - started
    slow = {name: round(seconds, 2) for name, seconds in took.items() if seconds > MOST}
    assert not slow, slow
    assert sum(took.values()) < WHOLE


@pytest.mark.usefixtures("_uncollected")
def test_many_imports_take_no_long() -> None:
    files = {f"l{i}.pol": f'assertion a{i} {{ require request.query.a != "{i}" }}\n' for i in range(600)}
    upstreams = 'upstream orders {\n    server "https://orders.internal:8443"\n}\n'
    files["policy.pol"] = "".join(f'import "{name}"\n' for name in files) + upstreams + many("    a{}\n".format, 600)
    checked = check_files(["policy.pol"], lambda path: files[path].encode(), Anything(), catalog=catalog())
    assert checked.program is not None, [each.message for each in checked.diagnostics[:3]]
    started = time.process_time()
    found = lint(checked, catalog(), rules=[rule for rule in all_rules() if rule.name.startswith("unused-")])
    assert time.process_time() - started < MOST
    assert not found
