"""Simple models of the built-in assertions: what each does to the plain state, and how it refuses."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from reference import amounts, caching, limiting, sending, state
from reference import values as v
from reference.message import Message, Response
from reference.values import Failing, Known

from policylang.sdk.values import Principal, Size
from policylang.syntax import nodes as n

if TYPE_CHECKING:
    from reference.interpreter import Evaluation

PARAMETERS = {
    "api_key": ("key", "in", "realm"),
    "allow_ip": (),
    "deny_ip": (),
    "limit_size": ("message", "limit"),
    "log": ("text", "level"),
    "route": ("upstream",),
    "mirror": ("upstream",),
    "circuit_breaker": (),
    "compress": ("message",),
    **state.PARAMETERS,
    **limiting.PARAMETERS,
    **amounts.PARAMETERS,
    **caching.PARAMETERS,
    "probe.refuse": ("name",),
    "probe.error": (),
    "probe.away": (),
    "probe.defect": (),
    "probe.pause": ("time",),
    "probe.give": ("value",),
}
"""Names of the parameters in order, as far as they may be given by position."""


def by_name(call: n.Call) -> dict[str, n.Expr]:
    names = PARAMETERS[call.name]
    return {argument.name or names[i]: argument.value for i, argument in enumerate(call.args)}


def run(call: n.Call, at: Evaluation) -> tuple[Known, ...]:
    """Its outputs. Raises Failing."""
    if call.name in ("allow_ip", "deny_ip"):
        return _addresses(call, at)
    given = by_name(call)
    model: Callable[[dict[str, n.Expr], Evaluation], tuple[Known, ...]] = _MODELS[call.name]
    return model(given, at)


def _addresses(call: n.Call, at: Evaluation) -> tuple[Known, ...]:
    ip = at.client_ip
    networks = []
    for argument in call.args:
        value = at.value(argument.value).value
        if argument.name == "ip":
            ip = v.check_fit(value, ("ip",), False, "ip")
        else:
            networks.append(value)
    inside = any(ipaddress.ip_address(ip) in ipaddress.ip_network(text) for text in networks)
    if call.name == "allow_ip" and not inside:
        raise Failing("ip-not-allowed", 403)
    if call.name == "deny_ip" and inside:
        raise Failing("ip-denied", 403)
    return ()


def _api_key(given: dict[str, n.Expr], at: Evaluation) -> tuple[Known, ...]:
    key = at.argument(given["key"], ("string",), optional=True, what="key")
    table = at.value(given["in"]).value
    realm = at.value(given["realm"]).value if "realm" in given else "api"
    challenge = (("WWW-Authenticate", f'ApiKey realm="{realm}"'),)
    if not key.value:
        raise Failing("no-api-key", 401, headers=challenge)
    entry = table.get(key.value)
    if entry is None:
        raise Failing("unknown-api-key", 401, headers=challenge)
    facts = entry if isinstance(entry, dict) else {}
    name = facts.get("id")
    if not isinstance(name, str):
        name = "key-" + hashlib.sha256(key.value.encode()).hexdigest()[:16]
    roles = facts.get("roles")
    roles = tuple(role for role in roles if isinstance(role, str)) if isinstance(roles, list) else ()
    at.state.user = Principal(name, roles, entry)
    return (Known(entry),)


def _limit_size(given: dict[str, n.Expr], at: Evaluation) -> tuple[Known, ...]:
    message: Message = at.value(given["message"]).value
    limit: Size = at.value(given["limit"]).value
    message.limit = limit.bytes if message.limit is None else min(limit.bytes, message.limit)
    if message.streams and not message.sent:
        declared = message.header("content-length")
        too_long = declared is not None and declared.isdigit() and int(declared) > limit.bytes
    else:
        too_long = len(message.body) > limit.bytes
    if too_long:
        if isinstance(message, Response):
            raise Failing("response-too-large", 502)
        raise Failing("request-too-large", 413)
    return ()


def _log(given: dict[str, n.Expr], at: Evaluation) -> tuple[Known, ...]:
    text = at.argument(given["text"], ("string",), what="text")
    level = given["level"].name if "level" in given and isinstance(given["level"], n.Name) else "info"
    at.logs.append((level, "[private]" if text.private else text.value, text.private))
    return ()


def _compress(given: dict[str, n.Expr], at: Evaluation) -> tuple[Known, ...]:
    """No generated message says that it would take a coding."""
    return ()


def _probe_refuse(given: dict[str, n.Expr], at: Evaluation) -> tuple[Known, ...]:
    raise Failing("probe-refused", 418, headers=(("WWW-Authenticate", f"Probe {at.value(given['name']).value}"),))


def _probe_error(given: dict[str, n.Expr], at: Evaluation) -> tuple[Known, ...]:
    raise Failing("probe-broken", 421, kind="error")


def _probe_away(given: dict[str, n.Expr], at: Evaluation) -> tuple[Known, ...]:
    raise Failing("store-away", 503, kind="away", headers=(("Retry-After", "1"),))


def _probe_defect(given: dict[str, n.Expr], at: Evaluation) -> tuple[Known, ...]:
    raise Failing("defect", 500, kind="defect")


def _probe_pause(given: dict[str, n.Expr], at: Evaluation) -> tuple[Known, ...]:
    at.world.pass_time(at.value(given["time"]).value.seconds)
    return ()


def _probe_give(given: dict[str, n.Expr], at: Evaluation) -> tuple[Known, ...]:
    value = at.argument(given["value"], ("string",), what="value")
    return (Known(value.value.upper(), value.private),)


_MODELS: dict[str, Any] = {
    "api_key": _api_key, "compress": _compress, "limit_size": _limit_size, "log": _log,
    "lookup": state.lookup, "store": state.store, "remember": state.remember, "forget": state.forget,
    "increment": state.increment, "cache_lookup": caching.cache_lookup, "cache_store": caching.cache_store,
    "cache_remove": caching.cache_remove, "route": sending.route, "mirror": sending.mirror,
    "probe.refuse": _probe_refuse, "probe.error": _probe_error, "probe.away": _probe_away,
    "probe.defect": _probe_defect, "probe.pause": _probe_pause, "probe.give": _probe_give,
}  # fmt: skip
