"""A supervisor whose workers are a few lines: what it must do to any worker can be seen without a gateway.

`standin.py POLICY` supervises; the policy is JSON: hash, listen, workers, and `report` when it is to be refused.
`standin.py worker N` is a worker: /slow answers after a while, /die ends it, /hang stops its loop.
On the Unix socket `asked` each connection asks one question: a line [what, arguments, timeout], answered with a line.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import faulthandler
import json
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

from policylang.sdk import Unavailable, Waiter
from runtime.admin.messages import Refused
from runtime.observe.events import EventLog
from runtime.workers.answers import Answers
from runtime.workers.control import Channel
from runtime.workers.operation import Operation
from runtime.workers.settings import GatewaySettings, ListenerSettings, Loaded, PolicyRefused
from runtime.workers.sockets import CannotListen
from runtime.workers.supervisor import Supervisor


def load(path: str) -> Loaded:
    with open(path, "rb") as file:
        data = file.read()
    policy = json.loads(data)
    if "report" in policy:
        raise PolicyRefused(policy["report"])
    settings = GatewaySettings(
        listen=tuple(map(ListenerSettings, policy["listen"])), workers=policy["workers"], drain=policy.get("drain", 5.0)
    )
    return Loaded((path,), {path: data}, policy["hash"], settings)


class StandIn:
    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()
        self.policy: dict[str, Any] = {}
        self.prepared: dict[str, Any] = {}
        self.servers: dict[str, asyncio.AbstractServer] = {}
        self.open = 0
        self.answers = Answers(lambda error: f"defect-{error}")
        for one in (self.echo, self.late, self.gone, self.refuse, self.away, self.wrong, self.huge, self.odd):
            self.answers.give(one.__name__, one)
        self.loop.add_reader(channel, self.read)
        self.loop.add_signal_handler(signal.SIGTERM, self.leave)
        self.tick()

    def tick(self) -> None:
        self.channel.send({"did": "tick"})
        self.loop.call_later(0.2, self.tick)

    def leave(self) -> None:
        self.channel.send({"did": "leaving"})
        self.loop.create_task(self.drain(5.0))

    def read(self) -> None:
        frames = self.channel.receive()
        for message, sockets in frames:
            self.loop.create_task(self.obey(message, sockets))
        if self.channel.closed:
            self.ended.set()

    @staticmethod
    def unpack(message: dict[str, Any]) -> dict[str, Any]:
        policy: dict[str, Any] = json.loads(base64.b64decode(next(iter(message["policy"]["files"].values()))))
        return policy

    async def obey(self, message: dict[str, Any], sockets: list[socket.socket]) -> None:
        do = message["do"]
        if do == "start":
            self.policy = self.unpack(message)
            if self.policy.get("fatal"):
                self.channel.send({"did": "failed", "text": "no such thing"})
                self.ended.set()
                return
            await self.serve(message["listen"], sockets)
            self.channel.send({"did": "ready"})
        elif do == "prepare":
            self.prepared = self.unpack(message)
            if self.prepared.get("poison") == message["generation"] or self.prepared.get("kills"):
                os._exit(9)
            verdict = "refused" if self.prepared.get("unfit") else "prepared"
            self.channel.send({"did": verdict, "generation": message["generation"], "text": "unfit"})
        elif do == "commit":
            self.policy = self.prepared
            await self.serve(message["opened"], sockets)
            for address in [address for address in self.servers if address not in message["listen"]]:
                self.servers.pop(address).close()
            self.channel.send({"did": "committed", "generation": message["generation"]})
        elif do == "drain":
            await self.drain(message["timeout"])
        elif do == "stop":
            self.ended.set()
        elif do == "ask":
            self.answers.take(message, self.channel.send)

    async def echo(self, arguments: dict[str, Any]) -> Any:
        return {**arguments, "pid": os.getpid()}

    async def late(self, arguments: dict[str, Any]) -> Any:
        waiter: Waiter[str] = Waiter()
        self.loop.call_later(arguments["seconds"], waiter.fire, "at last")
        return await waiter

    async def gone(self, arguments: dict[str, Any]) -> Any:
        os._exit(9)

    async def refuse(self, arguments: dict[str, Any]) -> Any:
        raise Refused(422, "not-so", "it cannot be done", ("Allow", "GET"))

    async def away(self, arguments: dict[str, Any]) -> Any:
        raise Unavailable("store", "it is down", retry_after=3)

    async def wrong(self, arguments: dict[str, Any]) -> Any:
        return 1 // 0

    async def huge(self, arguments: dict[str, Any]) -> Any:
        return "x" * 5_000_000

    async def odd(self, arguments: dict[str, Any]) -> Any:
        return object()

    async def serve(self, names: list[str], sockets: list[socket.socket]) -> None:
        for name, one in zip(names, sockets, strict=True):
            self.servers[name] = await asyncio.start_server(self.answer, sock=one)

    async def drain(self, timeout: float) -> None:
        for server in self.servers.values():
            for one in server.sockets:  # type: ignore[attr-defined]
                self.loop.remove_reader(one.fileno())
        await asyncio.sleep(0.1)  # asyncio drops a connection that it accepts in the turn in which a server closes
        for server in self.servers.values():
            server.close()
        deadline = self.loop.time() + timeout
        while self.open and self.loop.time() < deadline:
            await asyncio.sleep(0.01)
        self.ended.set()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            path = head.split(b" ")[1]
            if path == b"/die":
                os._exit(7)
            if path == b"/hang":
                time.sleep(60)  # a loop that does not turn is the fault under test
            if path == b"/slow":
                await asyncio.sleep(1.0)
            body = json.dumps({"hash": self.policy["hash"], "pid": os.getpid(), "open": self.open}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
            writer.close()
        finally:
            self.open -= 1


class Asked:
    """Asks what its socket's clients want to know, each in a thread of its own, as the admin listener does."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.listening = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(FileNotFoundError):
            os.unlink("asked")
        self.listening.bind("asked")
        self.listening.listen(20)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                one, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.ask, args=(one,), daemon=True).start()

    def ask(self, one: socket.socket) -> None:
        with one, one.makefile("rw") as lines:
            try:
                answer = self.operation.ask(*json.loads(lines.readline()))
            except Refused as refused:
                answer = {"refused": [refused.status, refused.name, refused.detail, refused.fields]}
            lines.write(json.dumps(answer) + "\n")

    def close(self) -> None:
        self.listening.close()


async def work(number: int) -> None:
    channel = Channel(socket.socket(fileno=number))
    await StandIn(channel).ended.wait()
    channel.flush()


def main() -> int:
    if sys.argv[1] == "worker":
        faulthandler.enable()
        asyncio.run(work(int(sys.argv[2])))
        return 0
    path = sys.argv[1]
    command = [sys.executable, __file__, "worker"]
    supervisor = Supervisor(
        load(path), lambda: load(path), command, EventLog("supervisor"), say,
        open_admin=lambda settings, operation: Asked(operation),
    )  # fmt: skip
    return supervisor.run()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CannotListen as error:
        sys.exit(str(error))
