"""Pages: values of a type that does not fit."""

PAGES = """\
bad-pattern
A case is chosen by patterns that are known when the policy is loaded: literals, ranges, constants and `none`.
    match request.method {
        request.header["X-Method"] -> log "as the field says"
    }
==
    if request.method == request.header["X-Method"] { log "as the field says" }

cannot-interpolate
Text, numbers, booleans, durations and the like stand in a string. Lists and maps are written as JSON, of records a part
is taken.
    log "roles ${user.roles}"
==
    log "roles ${json(user.roles)}"

cannot-remove
One can remove names of one's own, header fields, query parameters, cookies and bodies. A message cannot be without a
method, path or status.
    remove request.method
==
    remove request.header["X-Debug"]

cannot-set
One can set names of one's own; of the request its method, path, query, header fields, cookies and body; of the response
its status, header fields and body. Parameters, loop names, constants and all else stay as they are.
    set client.ip = "192.0.2.7"
==
    set request.header["X-Client"] = client.ip

different-types
Values of two types are never equal and have no order; nothing is converted by itself. Only `none` can be compared with
everything.
    service s "/" {
        route orders
        require response.status == "200"
    }
==
    service s "/" {
        route orders
        require response.status == 200
    }

division-by-zero
The right side is zero, so there is no result for any message.
    let share = 10 / 0
==
    let share = 10 / 2

empty-range
A range goes from its lower end to its upper one, both included.
    require 5 in 10..1
==
    require 5 in 1..10

may-be-none
A name bound with `?` may be `none`, and so may `response` in `on failure`; here a value is needed. `require x != none`
and `if x != none` make it present, `x ?? "…"` gives another value.
    let note? = request.header["X-Note"]
    log "note ${note}"
==
    let note? = request.header["X-Note"]
    log "note ${note ?? "none"}"

missing-unit
Durations, sizes and rates are types of their own: a bare number leaves open what it counts.
    rate_limit 10/s, burst: 2
==
    rate_limit 10/s, burst: 2s

mixed-types
A name that several branches bind has one type, and so have the two sides of `??` and the branches of an `if` that gives
a value.
    let size = request.header["X-Size"] ?? 0
==
    let size = int(request.header["X-Size"]) ?? 0

not-boolean
A condition is true or false. No other value counts as one of them.
    require request.header["X-Account"]
==
    require request.header["X-Account"] != none

not-constant
This must be known when the policy is loaded: written as a literal, or made of literals, constants, `env`, `secret`,
`file` and `map`.
    rate_limit 10/s, burst: duration(request.query.save ?? "2s") ?? 2s
==
    match user.claims.tier {
        "gold" -> rate_limit 100/s, burst: 10s
        else   -> rate_limit 10/s, burst: 2s
    }

wrong-type
A parameter, an operator or a place takes other types than this one; nothing is converted by itself.
    log 5
==
    log "${5}"
"""
