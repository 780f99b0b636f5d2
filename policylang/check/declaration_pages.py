"""Pages: declarations and files."""

PAGES = """\
expansion-too-large
A call of an assertion of the policy's own is put in its place, body and all. Calls inside each other can go 32 deep and
come to 50,000 statements.
CHAIN
    service s "/" {
        a0
        respond 200
    }
==
    assertion a0 { require true }
    service s "/" {
        a0
        respond 200
    }

import-cycle
A file is included once and in its place, so two files cannot import each other.
    import "policy.pol"
    service s "/" { respond 200 }
==
    service s "/" { respond 200 }

missing-block
The assertion works on the statements of a block, and has none.
    wrapping
==
    wrapping { require true }

missing-environment
`env` reads an environment variable when the policy is loaded. It is not set, and there is no default.
    let region = env("REGION_OF_THIS_GATEWAY")
    service s "/" { respond 200, body: region }
==
    let region = env("REGION_OF_THIS_GATEWAY", default: "eu")
    service s "/" { respond 200, body: region }

missing-file
The file is not there. Paths are relative to the file that names them.
    map accounts, file: "no-such-file.json"
==
    map accounts, file: "clients.json"

missing-secret
`secret` reads a file of that name in `$CREDENTIALS_DIRECTORY`, or an environment variable, when the policy is loaded.
There is neither.
    let key = secret("NO_SUCH_SECRET")
    service s "/" {
        require request.bearer == key
        respond 200
    }
==
    let key = secret("A_SECRET")
    service s "/" {
        require request.bearer == key
        respond 200
    }

missing-setting
An upstream has at least one server.
    upstream items { balance round_robin }
==
    upstream items { server "http://127.0.0.1:9000" }

not-in-this-version
The language has it, but this version does not.
    upstream items {
        server "http://127.0.0.1:9000"
        hedge 50ms
    }
==
    upstream items { server "http://127.0.0.1:9000" }

private-in-cache
Every service may read what a cache holds, and none would know that it was private.
    service s "/" {
        cache_store "tokens", key: client.ip, value: request.bearer, ttl: 5m
        respond 200
    }
==
    map tokens, ttl: 5m, private: true
    service s "/" {
        store client.ip, request.bearer ?? "", in: map("tokens")
        respond 200
    }

private-in-map
Other services read what a map holds, and do not know that it was private. A map that is declared `private: true` gives
it back as private.
    map tokens, ttl: 30m
    service s "/" {
        store client.ip, request.bearer ?? "", in: map("tokens")
        respond 200
    }
==
    map tokens, ttl: 30m, private: true
    service s "/" {
        store client.ip, request.bearer ?? "", in: map("tokens")
        respond 200
    }

recursive-assertion
An assertion of the policy's own cannot lead back to itself.
    assertion outer { inner }
    assertion inner { outer }
==
    assertion outer { inner }
    assertion inner { require true }

recursive-constant
A constant is made of others that are known without it.
    let low = high
    let high = low
    service s "/" { respond 200, json: [low, high] }
==
    let low = 1
    let high = low + 1
    service s "/" { respond 200, json: [low, high] }

same-path
Two services answer for one path, host and method: nothing would say which of them does.
    service items "/items/{id}" { respond 200 }
    service things "/items/{name}" { respond 200 }
==
    service items "/items/{id}", methods: ["GET"] { respond 200 }
    service things "/items/{name}", methods: ["POST"] { respond 201 }

unexpected-block
Only some assertions work on a block.
    log "hello" { require true }
==
    log "hello"
    require true

unreadable-file
The file is there but cannot be read, or is not UTF-8.
    let page = file("latin1.txt")
    service s "/" { respond 200, body: page }
==
    let page = file("page.html")
    service s "/" { respond 200, body: page }
"""
_CHAIN = [f"    assertion a{i} {{ a{i + 1} }}" for i in range(33)] + ["    assertion a33 { ignore }"]
PAGES = PAGES.replace("CHAIN", "\n".join(_CHAIN))
