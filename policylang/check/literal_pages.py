"""Pages: literals that cannot be right."""

PAGES = """\
bad-address
Beside an ip stand addresses and networks: IPv4 or IPv6, with a prefix that the address has bits for and nothing beyond.
    require client.ip in ["10.0.0.0/33"]
==
    require client.ip in ["10.0.0.0/8"]

bad-balance
`balance hash` needs to know what to hash, and nothing else does. It is worked out before a server is chosen: of the
request's head, its client and user, and constants; not of a body, of `path` and names of one service, or an answer.
    upstream items { server "http://10.0.0.1:80"
        balance hash, on: request.json.account }
    service items "/items" { route items }
==
    upstream items { server "http://10.0.0.1:80"
        balance hash, on: request.header["X-Account"] ?? "none" }
    service items "/items" { route items }

bad-header-name
A header's name has letters, digits and `-` and a few other signs (RFC 9110, 5.6.2). Fields that say where a message
ends or belong to one connection are written by the gateway itself.
    set request.header["X Account"] = "a"
==
    set request.header["X-Account"] = "a"

bad-header-value
A line break or a NUL would end the field and begin something else.
    set request.header["X-Account"] = "a\\nX-Admin: yes"
==
    set request.header["X-Account"] = "a"

bad-host
A service's host is a name without scheme, port or path; a `*` stands for its first label only.
    service items "/items", host: "http://api.example" { respond 200 }
==
    service items "/items", host: "api.example" { respond 200 }

bad-literal
What is written here can never be right for this assertion, function or setting: its page says what it takes.
    let id = jsonpath("$.order[", in: request)
==
    let id = jsonpath("$.order.id", in: request)

bad-map
A map's file holds one JSON object, without a key that stands twice.
    map page, file: "page.html"
==
    map clients, file: "clients.json"

bad-method
Methods are told apart by case, and all the usual ones are in capitals.
    service items "/items", methods: ["get"] { respond 200 }
==
    service items "/items", methods: ["GET"] { respond 200 }

bad-path
A path begins with `/`. In a service's path a segment is text, `{name}`, or `**` at its end; a path that no request can
have after it was made normal is none.
    service items "/items/*/price" { respond 200 }
==
    service items "/items/{id}/price" { respond 200 }

bad-query
A query given as text stands as it is: without its `?`, without blanks and `#`. A map is encoded.
    route orders, query: "name=Ann Lee"
==
    route orders, query: { name: "Ann Lee" }

bad-size
A size is a whole number of bytes.
    limit_size request, 1.0001KB
==
    limit_size request, 1KB

bad-status
An answer's status is from 200 to 599, a failure's from 400 to 599.
    service items "/items" { respond 99 }
==
    service items "/items" { respond 200 }

too-many-rounds
A `for` makes at most 1,000 rounds.
    let ten = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    let hundred = ten + ten + ten + ten + ten + ten + ten + ten + ten + ten
    let five_hundred = hundred + hundred + hundred + hundred + hundred
    let many = five_hundred + five_hundred + ten
    service items "/items" {
        for x in many { require x == 0 }
        respond 200
    }
==
    let ten = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    service items "/items" {
        for x in ten { require x == 0 }
        respond 200
    }
"""
