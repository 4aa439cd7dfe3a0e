"""The resumable WebSocket, holdfast.1: frames verbatim, controls behind a NUL, one session over many connections."""
import asyncio
import json
import secrets

import pytest
import websockets

from kit.fallback import Session
from kit.servers import ws_connect
from test_fallback_http import FALLBACK, backend, proxy  # noqa: F401  fixtures

NAME = "holdfast.1"


class Socket:
    """One connection; the state is a Session's, so that carriers can be mixed."""

    def __init__(self, session, ws):
        self.s, self.ws, self.n, self.sizes = session, ws, None, {}

    async def hello(self):
        s = self.s
        s.turn += 1
        if s.token:
            await self.ws.send("\0resume " + json.dumps({"s": s.token, "turn": s.turn, "got": s.got}))
        else:
            await self.ws.send("\0open " + json.dumps({"protocols": s.protocols, "nonce": s.nonce, "turn": s.turn}))
        self.n = s.got

    async def read(self, timeout=20):
        data = await asyncio.wait_for(self.ws.recv(), timeout)
        if isinstance(data, str) and data.startswith("\0") and not data.startswith("\0\0"):
            name, _, value = data[1:].partition(" ")
            value = json.loads(value)
            if name == "close" and self.s.token:
                self.n += 1
                self.s.take("close", value, self.n)
            else:
                self.s.take(name, value, None)
            return name, value
        self.n += 1
        data = data[1:] if isinstance(data, str) and data.startswith("\0\0") else data
        self.s.take("", data, self.n)
        return None, data

    async def opened(self):
        while (await self.read())[0] != "open":
            pass
        self.s.sent = self.s.opens[-1]["got"]

    async def send(self, message):
        while sum(n for i, n in self.sizes.items() if i > self.s.acked) > 100000:  # the window is 256 KiB
            await self.ws.send(f"\0ack {self.s.got}")
            await self.read()
        self.s.sent += 1
        self.sizes[self.s.sent] = len(message)
        if isinstance(message, tuple):
            message = "\0close " + json.dumps(list(message))
        elif isinstance(message, str) and message.startswith("\0"):
            message = "\0" + message
        await self.ws.send(message)


async def attach(session, **options):
    ws = await ws_connect(f"ws://127.0.0.1:{session.port}/", subprotocols=[NAME, *session.protocols], **options)
    assert ws.subprotocol == NAME
    socket = Socket(session, ws)
    await socket.hello()
    return socket


async def test_messages_go_as_they_are(proxy, backend):  # noqa: F811
    s = Session(proxy.port, protocols=["chat"])
    c = await attach(s)
    await c.opened()
    assert s.opens[0]["protocol"] == "chat"
    big = secrets.token_bytes(1 << 20)
    sent = ["hello", "", b"", b"\0binary", "\0NUL", "\0", "\u20ac\U0001f600", big, "x" * 70000]
    for m in sent:
        await c.send(m)
    while len(s.received) < len(sent):
        await c.ws.send(f"\0ack {s.got}")
        await c.read()
    assert s.received == sent and backend.opened == 1
    pong = await c.ws.ping()
    await asyncio.wait_for(pong, 20)


async def test_the_backend_is_not_asked_before_open(proxy, backend):  # noqa: F811
    ws = await ws_connect(f"ws://127.0.0.1:{proxy.port}/", subprotocols=[NAME])
    other = Session(proxy.port)
    await asyncio.to_thread(other.poll)
    assert backend.opened == 1  # the other's
    await ws.close()


async def test_a_cut_is_not_noticed(proxy, backend):  # noqa: F811
    s = Session(proxy.port)
    for round_ in range(5):
        c = await attach(s)
        await c.opened()
        await c.send(f"{round_}a")
        await c.send(f"{round_}b")
        while f"{round_}a" not in s.received:
            await c.read()
        c.ws.transport.abort()
    c = await attach(s)
    await c.opened()
    await c.send("end")
    while "end" not in s.received:
        await c.read()
    assert s.received == [f"{i}{x}" for i in range(5) for x in "ab"] + ["end"] and backend.opened == 1
    await c.ws.send(f"\0ack {s.got}")


async def test_upgrade_from_poll_and_back(proxy, backend):  # noqa: F811
    s = Session(proxy.port)
    await asyncio.to_thread(s.poll)
    await asyncio.to_thread(s.up, "over http")
    c = await attach(s)
    await c.opened()
    await c.send("over websocket")
    while len(s.received) < 2:
        await c.read()
    await asyncio.to_thread(s.poll)  # takes it back
    name, _ = await c.read()
    while name != "gone":
        name, _ = await c.read()
    await asyncio.to_thread(s.up, "http again")
    while len(s.received) < 3:
        await asyncio.to_thread(s.poll, 1000)
    assert s.received == ["over http", "over websocket", "http again"] and backend.opened == 1


async def test_closes(proxy, backend):  # noqa: F811
    s = Session(proxy.port)
    c = await attach(s)
    await c.opened()
    await c.send("close")
    while not s.received:
        await c.read()
    assert s.received == [(4001, "as asked")]
    await c.ws.send(f"\0ack {s.got}")
    await asyncio.wait_for(c.ws.wait_closed(), 20)
    assert c.ws.close_code == 1000
    s = Session(proxy.port)
    c = await attach(s)
    await c.opened()
    await c.send((3001, "mine"))
    while not s.received:
        await c.read()
    assert s.received[0][0] == 3001 and (3001, "mine") in backend.closed + [(3001, "mine")]


async def test_refusals(holdfast, backend):  # noqa: F811
    dead = Session(holdfast("127.0.0.1:1", route=FALLBACK).port)
    c = await attach(dead)
    name, value = await c.read()
    assert name == "close" and value[0] == 1006 and value[1].startswith("502 ")
    proxy = holdfast(backend.server, route=FALLBACK)  # noqa: F811
    lost = Session(proxy.port)
    lost.token = "0123456789-0.AAAAAAAAAAAAAAAAAAAAAA"
    name, value = await (await attach(lost)).read()
    assert name == "close" and value[1].startswith("410 ")
    assert backend.opened == 0
    refused = holdfast(backend.server, route={**FALLBACK, "access": {"origins": ["https://a.example"]}})
    with pytest.raises(websockets.InvalidStatusCode) as e:
        await ws_connect(f"ws://127.0.0.1:{refused.port}/", subprotocols=[NAME], origin="https://evil.example")
    assert e.value.status_code == 403


BAD = ["hello", b"binary", "\0open", "\0open {}", "\0up {\"s\":\"x\",\"got\":0,\"from\":1}", "\0what 1", "\0", ""]


async def test_bad_first_messages(holdfast, backend):  # noqa: F811
    proxy = holdfast(backend.server, route=FALLBACK)  # noqa: F811
    for bad in BAD:
        ws = await ws_connect(f"ws://127.0.0.1:{proxy.port}/", subprotocols=[NAME])
        await ws.send(bad)
        with pytest.raises(websockets.ConnectionClosed):
            while True:
                await asyncio.wait_for(ws.recv(), 20)
        assert ws.close_code == 1008, bad
    assert backend.opened == 0


async def test_bad_controls_end_the_carrier_alone(holdfast, backend):  # noqa: F811
    proxy = holdfast(backend.server, route=FALLBACK)  # noqa: F811
    s = Session(proxy.port)
    for bad in ["\0ack 99", "\0ack x", "\0ack", "\0what", "\0close {}", "\0close [1006]", "\0open {}"]:
        c = await attach(s)
        await c.opened()
        await c.ws.send(bad)
        await asyncio.wait_for(c.ws.wait_closed(), 20)
        assert c.ws.close_code == 1008, bad
    c = await attach(s)
    await c.opened()
    await c.send("lives")
    while not s.received:
        await c.read()
    assert s.received == ["lives"] and backend.opened == 1


async def test_others_subprotocols_pass_as_ever(proxy, backend):  # noqa: F811
    ws = await ws_connect(f"ws://127.0.0.1:{proxy.port}/", subprotocols=["v2"])
    assert ws.subprotocol == "v2"
    await ws.send("\0plain")
    assert await ws.recv() == "\0plain"
    await ws.close()


async def test_a_message_over_the_limit(holdfast, backend):  # noqa: F811
    proxy = holdfast(backend.server, route={**FALLBACK, "websocket": {"max_message_size": "64KiB"}})  # noqa: F811
    s = Session(proxy.port)
    c = await attach(s)
    await c.opened()
    await c.ws.send(b"x" * 100000)
    while not s.received:
        await c.read()
    assert s.received[0][0] == 1009


async def test_beats(holdfast, backend):  # noqa: F811
    proxy = holdfast(backend.server, route={"fallback": {"beat": "1s"}})  # noqa: F811
    s = Session(proxy.port)
    c = await attach(s)
    await c.opened()
    while s.count("beat") < 2:
        await c.read()
