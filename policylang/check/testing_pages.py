"""Pages: tests. The comment above an example says which file it is; `orders.pol` has an upstream and a map."""

PAGES = """\
imported-tests
A file of tests is no part of a policy: it imports the policy, which knows nothing of it.
    # orders.pol
    import "orders_test.pol"
==
    # orders_test.pol
    import "orders.pol"

misplaced-test
A `test` stands in a file whose name ends in `_test.pol`, so that a policy that serves holds nothing else than itself.
    # orders.pol
    test "the service answers" {
        stub orders, status: 200
        get "/"
        expect response.status == 200
    }
==
    # orders_test.pol
    import "orders.pol"

    test "the service answers" {
        stub orders, status: 200
        get "/"
        expect response.status == 200
    }

empty-test
A test has a title, by which it is known where results are read, and holds what is asked and what has to come of it. One
that holds nothing cannot fail.
    # orders_test.pol
    import "orders.pol"

    test "the service answers" {
    }
==
    # orders_test.pol
    import "orders.pol"

    test "the service answers" {
        stub orders, status: 200
        get "/"
        expect response.status == 200
    }

no-policy
A test asks the policy that its file imports. Without one there is no service, and every answer is 404.
    # orders_test.pol
    test "the service answers" {
        get "/"
        expect response.status == 200
    }
==
    # orders_test.pol
    import "orders.pol"

    test "the service answers" {
        stub orders, status: 200
        get "/"
        expect response.status == 200
    }

not-in-tests
A test stands outside of the policy, as a client and as the upstreams: it sends requests, and reads what came of them.
The policy's own messages, its assertions, and what decides a request cannot stand in it.
    # orders_test.pol
    import "orders.pol"

    test "the path goes on" {
        stub orders, status: 200
        get "/items/7"
        expect request.path == "/items/7"
    }
==
    # orders_test.pol
    import "orders.pol"

    test "the path goes on" {
        stub orders, status: 200
        get "/items/7"
        expect orders.calls[0].path == "/items/7"
    }

policy-in-tests
A file of tests declares tests, constants, and assertions that tests share. What serves stands in files that it imports,
so that what was tested is what is loaded.
    # orders_test.pol
    import "orders.pol"

    service extra "/extra" {
        respond 200
    }
==
    # orders_test.pol
    import "orders.pol"

    let key = "k1"

unknown-given
What follows `given` is one of the words that it knows, and names something that is there: a map, variable, secret or
file that the policy reads, a caller or certificate that some `given` has named.
    # orders_test.pol
    import "orders.pol"

    test "the service answers" {
        given caller("ann"), header: { "X-API-Key": "k1" }
        stub orders, status: 200
        get "/", as: "anne"
    }
==
    # orders_test.pol
    import "orders.pol"

    test "the service answers" {
        given caller("ann"), header: { "X-API-Key": "k1" }
        stub orders, status: 200
        get "/", as: "ann"
    }
"""
