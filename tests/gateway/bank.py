"""A back end that works on transactions for as long as the test wants, and tells how many it has worked on at once."""

from __future__ import annotations

import http.client
import http.server
import threading
from collections import Counter
from typing import Any

from daemons import WAIT, eventually

LONGEST = 120.0
"""Seconds that a transaction may take."""


class Bank(http.server.ThreadingHTTPServer):
    """Works on a request until it may `go_on`. `inside`: how many it works on, by account; `most`: at once, ever."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Transaction)
        self.inside: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.arrived: list[tuple[str, int]] = []
        self.parts = False
        self.go_on = threading.Event()
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def end(self) -> None:
        self.go_on.set()
        self.shutdown()
        self.thread.join(WAIT)
        self.server_close()

    def handle_error(self, *_: Any) -> None:
        """Whoever has asked is gone; the work was done all the same."""


class Transaction(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        bank: Any = self.server
        account = self.path.rpartition("/")[2]
        with bank.lock:
            bank.inside[account] += 1
            bank.most[account] = max(bank.most[account], bank.inside[account])
            bank.arrived.append((account, self.client_address[1]))
        try:
            if bank.parts:
                self.begin()
            bank.go_on.wait(LONGEST)
        finally:
            with bank.lock:
                bank.inside[account] -= 1
        if not bank.parts:
            self.begin()
        self.wfile.write(b"e")

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"don")

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def begin(port: int, path: str, bank: Bank) -> http.client.HTTPConnection:
    """A request that has come to the bank."""
    before = len(bank.arrived)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    connection.request("GET", path)
    eventually(lambda: len(bank.arrived) > before, "the request has not come to the bank")
    return connection
