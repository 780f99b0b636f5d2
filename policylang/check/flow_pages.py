"""Pages: ways through a block."""

PAGES = """\
bad-split
A `split` has two arms or more, each with one share above 0; the shares come to 100, so that a slip in one is found.
There is no `else`: every request takes an arm.
    split by: client.ip {
        95 -> route orders
        10 -> route orders, path: "/next"
    }
==
    split by: client.ip {
        90 -> route orders
        10 -> route orders, path: "/next"
    }

misplaced-respond
`respond` leaves every block up to the service's root. In `none` and `parallel` that has no meaning, and `global after`
runs when the answer is there.
    none { respond 403 }
==
    if request.method == "TRACE" { respond 403 }

no-answer
Some way through the service's block succeeds without a `route` or a `respond`.
    service items "/items" {
        if request.method == "GET" { route orders }
    }
==
    service items "/items" {
        if request.method == "GET" { route orders } else { respond 405 }
    }

parallel-conflict
The branches of a `parallel` run side by side, each from the state at its entry. Two that write one thing would leave it
to chance which of them counts, and a `route` writes the response.
    parallel {
        set request.header["X-Account"] = "a"
        set request.header["X-Account"] = "b"
    }
==
    parallel {
        set request.header["X-Account"] = "a"
        set request.header["X-Tier"] = "b"
    }

skipped-check
An answer from a cache passes without the block, and with it whatever would have been asked of the caller in there.
    service items "/items" {
        cache ttl: 1m {
            allow_ip "10.0.0.0/8"
            route orders
        }
    }
==
    service items "/items" {
        allow_ip "10.0.0.0/8"
        cache ttl: 1m { route orders }
    }

swallowed-failure
An `else` or `catch` that is empty or only logs turns a failure into success, which would open the gate. `ignore` as its
last statement says that this is meant.
    require request.header["X-Account"] != none else log "no account"
==
    require request.header["X-Account"] != none else {
        log "no account"
        ignore
    }

unkeyed-input
What is kept of a block is given to all who ask with the same key: so whatever chooses the answer is a part of it.
    service items "/items" {
        cache ttl: 1m {
            match request.header["X-Region"] {
                "eu" -> route orders, path: "/eu"
                else -> route orders
            }
        }
    }
==
    service items "/items" {
        cache ttl: 1m, vary: ["X-Region"] {
            match request.header["X-Region"] {
                "eu" -> route orders, path: "/eu"
                else -> route orders
            }
        }
    }

unreachable
Every way to this line ends before it, in `respond` or `fail`; or the case stands behind `else`.
    service items "/items" {
        respond 200
        log "answered"
    }
==
    service items "/items" {
        log "answering"
        respond 200
    }

unset-output
An output is a name that the assertion's body binds on every way that succeeds.
    assertion tier_of(contract: string) -> tier {
        if contract == "gold" { let tier = 1 }
    }
==
    assertion tier_of(contract: string) -> tier {
        if contract == "gold" { let tier = 1 } else { let tier = 2 }
    }

unset-response
`response` is there after a `route` on every way to this line, in `global after`, and as `none` or a response in
`on failure`.
    service items "/items" {
        require response.status == 200
        route orders
    }
==
    service items "/items" {
        route orders
        require response.status == 200
    }

unset-variable
Some way leads here on which the name is not bound: another branch, a failed one, a loop without rounds. What is bound
inside of `none`, a loop, a call's block or `global before` ends with it.
    if request.method == "GET" { let tier = 1 }
    log "${tier}"
==
    if request.method == "GET" { let tier = 1 } else { let tier = 2 }
    log "${tier}"
"""
