"""Many clients at once at a policy with state, at one gateway or several: what each of them was answered."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

from daemons import WAIT

SERVICES = """
map sessions, ttl: 30m
map counts, ttl: 1h

service put "/put/{key}" {
    store path.key, { user: "ann" }, in: map("sessions")
    respond 204
}
service get "/get/{key}" {
    lookup path.key, in: map("sessions") -> session
    respond 200, json: session
}
service take "/take/{key}" {
    lookup path.key, in: map("sessions"), once: true -> session
    respond 200, json: session
}
service first "/first/{key}" {
    remember path.key, in: map("sessions")
    respond 204
}
service count "/count/{key}" {
    increment path.key, in: map("counts") -> sum
    respond 200, json: sum
}
service once "/once/{key}" {
    not_replayed path.key, within: 1h
    respond 204
}
service guess "/guess/{key}" {
    lockout path.key, after: 5, within: 1h, for: 30m {
        require request.query.pin == "right"
    }
    respond 204
}
"""
CLIENTS = 8


def rounds(ports: Sequence[int], paths: Sequence[str]) -> list[list[tuple[int, Any]]]:
    """Each client asks for each path, all at the same time; the answers by path. Clients are spread over the ports."""
    answers: list[list[tuple[int, Any]]] = [[] for _ in paths]
    together = threading.Barrier(CLIENTS)
    failed: list[BaseException] = []

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", ports[number % len(ports)], timeout=WAIT)
        with contextlib.closing(connection):
            try:
                for place, path in enumerate(paths):
                    together.wait(WAIT)
                    connection.request("GET", path)
                    answer = connection.getresponse()
                    body = answer.read()
                    answers[place].append((answer.status, json.loads(body) if body else None))
            except BaseException as error:
                failed.append(error)
                together.abort()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(3 * WAIT)
    assert not failed, failed
    return answers


def check_all(ports: Sequence[int], name: str, each: int) -> None:
    """Every promise that holds however many ask at once; `each`: how many keys of every kind."""
    for path, good, bad in (("first", 204, 409), ("once", 204, 403)):
        for place, found in enumerate(rounds(ports, [f"/{path}/{name}-{number}" for number in range(each)])):
            statuses = Counter(status for status, _ in found)
            assert statuses == {good: 1, bad: CLIENTS - 1}, (path, place, statuses)
    sums = sorted(body for found in rounds(ports, [f"/count/{name}"] * each) for _, body in found)
    assert sums == list(range(1, CLIENTS * each + 1))
    for number in range(each):
        assert rounds(ports[:1], [f"/put/{name}-code-{number}"])[0][0][0] == 204
    for found in rounds(ports, [f"/take/{name}-code-{number}" for number in range(each)]):
        assert Counter(status for status, _ in found) == {200: 1, 403: CLIENTS - 1}
    for key in range(3):
        guesses = Counter(
            status for found in rounds(ports, [f"/guess/{name}-{key}?pin=wrong"] * 4) for status, _ in found
        )
        assert guesses == {403: 5, 429: 4 * CLIENTS - 5}
