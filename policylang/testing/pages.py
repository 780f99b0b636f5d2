"""Pages: what is said of a test that did not pass. As those of the checker, with examples that are run."""

PAGES = """\
not-as-expected
What an `expect` wants is not so; or another statement of the test has failed. The message has both sides, the help what
became of the last request.
    # orders_test.pol
    import "orders.pol"

    test "nobody waits" {
        stub orders, status: 503
        get "/"
        expect response.status == 200
    }
==
    # orders_test.pol
    import "orders.pol"

    test "who is refused hears so" {
        stub orders, status: 503
        get "/"
        expect response.status == 503
    }

broken-test
The test cannot be asked: an upstream is called that no `stub` answers for, a name is not given, time would have to run
back, a request waits for what never comes. So it says nothing of the policy, and does not pass.
    # orders_test.pol
    import "orders.pol"

    test "the service answers" {
        get "/"
        expect response.status == 502
    }
==
    # orders_test.pol
    import "orders.pol"

    test "the service answers" {
        stub orders, fails: unreachable
        get "/"
        expect response.status == 502
    }
"""
