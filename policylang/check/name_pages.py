"""Pages: names that are unknown, or taken."""

PAGES = """\
already-bound
A name is bound once on every way through a block; `set` changes its value. A name of one branch is taken behind it,
too, since that branch may have been the way there.
    let limit = 5
    let limit = 10
==
    let limit = 5
    set limit = 10

assertion-in-expression
An assertion may wait or refuse, so it is a statement of its own, without parentheses. What it finds out is its output.
    let caller = api_key(request.header["X-API-Key"])
==
    api_key request.header["X-API-Key"], in: map("clients") -> caller

duplicate-key
A map, and the header fields of an answer, have each key once.
    respond 200, json: { state: "new", state: "old" }
==
    respond 200, json: { state: "new", before: "old" }

duplicate-name
Services, upstreams, maps, constants and assertions are declared once each, and so are parameters and outputs of one
assertion. An imported file shares its names with the one that imports it.
    let limit = 5
    let limit = 10
    service s "/" { respond 200, json: limit }
==
    let limit = 5
    let higher_limit = 10
    service s "/" { respond 200, json: [limit, higher_limit] }

duplicate-parameter
A parameter is given once, by its place or by its name. An answer has one body.
    rate_limit 10/s, limit: 20/s
==
    rate_limit 10/s

duplicate-setting
A setting stands once, unless it is one of those that may stand several times, such as `listen` and `server`.
    gateway {
        workers 1
        workers 2
    }
==
    gateway {
        workers 2
    }

function-as-statement
A function gives a value and refuses nothing: alone on a line it would do nothing.
    lower request.header["X-Account"]
==
    let account = lower(request.header["X-Account"])

misplaced-parameter
Only some parameters are given by their place; the page of each assertion and function says which. The others are named.
    rate_limit 10/s, client.ip
==
    rate_limit 10/s, per: client.ip

missing-parameter
A parameter without a default has to be given.
    rate_limit per: client.ip
==
    rate_limit 10/s, per: client.ip

not-a-value
`request` and `response` are whole messages, `client`, `path`, `service` and `gateway` are there for their members: none
of them can be kept in a name or stand in a string. Nor can a map that lives in the store, which is asked by `lookup`.
    let message = request
==
    let message = request.text

nothing-counted
`rate_limit_status` and `quota_status` ask for the counter of the same `name:`, or for that of a statement in their
service with the same text of the key. Where nothing counts there is always everything left.
    rate_limit 10/s, per: request.method
    rate_limit_status 10/s, per: client.ip -> limit, remaining
==
    rate_limit 10/s, per: client.ip
    rate_limit_status 10/s, per: client.ip -> limit, remaining

redefined-builtin
An assertion that is built in, or brought by a plug-in, cannot be declared anew.
    assertion rate_limit { require true }
==
    assertion my_limit { require true }

reserved-name
The context variables have their meaning everywhere: `request`, `response`, `path`, `client`, `user`, `service`,
`gateway` and `now`, and `failure` inside `on failure`.
    let user = "ann"
==
    let owner = "ann"

too-many-outputs
There are more names after `->` than the assertion has outputs.
    api_key request.header["X-API-Key"], in: map("clients") -> caller, contract
==
    api_key request.header["X-API-Key"], in: map("clients") -> caller
    let contract = caller.contract

unknown-assertion
Nothing of that name is built in, declared with `assertion`, or brought by an installed plug-in.
    rate_limt 10/s
==
    rate_limit 10/s

unknown-capture
`path` has what `{name}` captures in the service's path; with several paths, what each of them captures.
    service items "/items/{id}" { respond 200, body: path.item }
==
    service items "/items/{item}" { respond 200, body: path.item }

unknown-function
No function has that name.
    let account = lowercase(request.header["X-Account"])
==
    let account = lower(request.header["X-Account"])

unknown-map
Every map that is named is declared.
    api_key request.header["X-API-Key"], in: map("client")
==
    api_key request.header["X-API-Key"], in: map("clients")

unknown-member
The member is none of this value's. `pol explain` of the context variables lists theirs; header fields, query parameters
and cookies are named one by one.
    log request.methd
==
    log request.method

unknown-name
Nothing of that name is bound here. An assertion sees its parameters, constants and the context variables, but neither
`path` nor the names of who calls it.
    let account = "a"
    log acount
==
    let account = "a"
    log account

unknown-parameter
The assertion, function or statement has no parameter of that name.
    rate_limit 10/s, pre: client.ip
==
    rate_limit 10/s, per: client.ip

unknown-setting
`gateway` and `upstream` have no such setting.
    gateway {
        worker 2
    }
==
    gateway {
        workers 2
    }

unknown-symbol
The parameter takes one of a few words, without quotes.
    log "hello", level: information
==
    log "hello", level: info

unknown-type
A parameter has one of these types: `string`, `number`, `boolean`, `duration`, `size`, `rate`, `ip`, `time`, `json`,
`list`, `map`, `bytes`; a `?` behind it lets it be `none`.
    assertion greet(name: text) { log name }
==
    assertion greet(name: string) { log name }

unknown-upstream
Every upstream that is named is declared; it is named without quotes, and never by its address.
    route order
==
    route orders
"""
