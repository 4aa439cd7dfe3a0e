"""Backends die and come back, clients vanish at any point: nothing is stuck, nothing leaks, nobody gets a wrong byte."""
import asyncio
import json
import os
import random
import signal

import aiohttp
import pytest
import websockets

from kit.frames import BINARY, frame, upgrade_request
from kit.kernel import free_port, open_connections
from kit.process import is_sanitized
from kit.raw import RawClient, Truncated, build_request, chunk, chunked
from kit.servers import ws_connect
from kit.wait import wait_until

END_CODES = {1001, 1006, 1011, 1012, 1013}
REFUSALS = {502, 503, 504}


class Load:
    """WebSocket and HTTP clients that take an end as it comes, begin again, and never take a wrong answer."""

    def __init__(self, hf, tls=None):
        self.hf, self.tls = hf, tls
        self.done = asyncio.Event()
        self.echoes, self.answers, self.ends = 0, {}, {}
        self.tasks = []

    def start(self, sockets, requesters):
        self.tasks = [asyncio.ensure_future(self.talk()) for _ in range(sockets)]
        self.tasks += [asyncio.ensure_future(self.ask()) for _ in range(requesters)]

    async def stop(self):
        self.done.set()
        await asyncio.wait_for(asyncio.gather(*self.tasks), 60)

    def note(self, table, key):
        table[key] = table.get(key, 0) + 1

    async def talk(self):
        url = f"{'wss' if self.tls else 'ws'}://localhost:{self.hf.port}/"
        while not self.done.is_set():
            try:
                async with ws_connect(url, tls=self.tls) as socket:
                    await self.echo_on(socket)
            except websockets.ConnectionClosed as e:
                code = e.rcvd.code if e.rcvd else 1006
                assert code in END_CODES, e
                self.note(self.ends, code)
            except websockets.InvalidStatusCode as e:
                assert e.status_code in REFUSALS, e
                self.note(self.answers, e.status_code)
                await asyncio.sleep(0.02)
            except (ConnectionError, websockets.InvalidMessage, asyncio.IncompleteReadError):
                self.note(self.ends, "cut")
                await asyncio.sleep(0.02)

    async def echo_on(self, socket):
        while not self.done.is_set():
            message = os.urandom(random.choice((1, 100, 1000, 20000)))
            await socket.send(message)
            assert await asyncio.wait_for(socket.recv(), 30) == message
            self.echoes += 1

    async def ask(self):
        scheme = "https" if self.tls else "http"
        async with aiohttp.ClientSession() as session:
            while not self.done.is_set():
                try:
                    async with session.get(f"{scheme}://localhost:{self.hf.port}/", ssl=self.tls) as response:
                        text = await response.text()
                        assert response.status in REFUSALS | {200}
                        assert response.status != 200 or text == "node", text
                        self.note(self.answers, response.status)
                except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                    self.note(self.ends, "cut")
                await asyncio.sleep(0.005)


async def settled(hf, fds_max):
    """All clients have left: nothing but pooled connections remains."""
    def is_empty():
        return open_connections(hf.port) == 0 and hf.fd_count() <= fds_max

    def what():
        return f"{open_connections(hf.port)} connections to be 0, {hf.fd_count()} descriptors to be {fds_max}"
    await asyncio.get_running_loop().run_in_executor(None, lambda: wait_until(is_empty, what, timeout=30))


@pytest.mark.limit(150)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_backends_that_are_killed_and_restarted(holdfast, make_node, certs, tls):
    """kill -9 under load, with reloads in between; afterwards all is as it was."""
    nodes = [make_node("echo_server.js", json.dumps({"port": free_port()})) for _ in range(3)]  # they come back there
    hf = holdfast(nodes, tls=tls, cluster={"balance": "least_connections", "pool": {"max_idle": 4},
                                           "timeouts": {"connect": "1s", "response": "5s"}})
    fds = hf.fd_count()
    load = Load(hf, certs.client_context() if tls else None)
    load.start(sockets=12, requesters=3)
    loop = asyncio.get_running_loop()
    while load.echoes < 200:
        await asyncio.sleep(0.02)
    memory = None
    for n in range(9):
        victims = random.sample(nodes, 1 + n % 3)
        for victim in victims:
            victim.kill()
        had = load.echoes
        if len(victims) < len(nodes):
            while load.echoes < had + 30:
                await asyncio.sleep(0.02)
        for victim in victims:
            await loop.run_in_executor(None, victim.start)
        if n % 4 == 3:
            hf.reload()
        had = load.echoes
        while load.echoes < had + 100:
            await asyncio.sleep(0.02)
        if n == 3:
            memory = hf.memory_kib()
    await load.stop()
    assert load.ends and load.answers.get(200), (load.ends, load.answers)
    await settled(hf, fds + 2 * 3 * 4)
    assert hf.memory_kib() - memory < (24 if is_sanitized() else 8) * 1024
    opens = [x["request_id"] for x in hf.access() if x.get("event") == "open"]
    wait_until(lambda: len([x for x in hf.access() if x.get("event") == "close"]) == len(opens),
               "every WebSocket that opened to be told as closed")


async def test_frozen_backend_is_waited_for_and_then_given_up(holdfast, make_node):
    """SIGSTOP: connections are accepted by its kernel and never answered."""
    frozen, alive = make_node(), make_node()
    hf = holdfast([frozen, alive], workers=1, cluster={"timeouts": {"connect": "500ms", "response": "500ms"},
                                                       "retries": {"attempts": 0}})
    frozen.process.send_signal(signal.SIGSTOP)
    try:
        statuses = sorted(hf.request().status for _ in range(4))
        assert statuses == [200, 200, 504, 504]
    finally:
        frozen.process.send_signal(signal.SIGCONT)
    assert [hf.request().status for _ in range(4)] == [200] * 4


SCRIPTS = [
    build_request(), build_request("/", "POST", [("Content-Length", "5000")], b"x" * 5000),
    build_request("/", "POST", [("Transfer-Encoding", "chunked")]) + chunked(b"x" * 3000, b"y" * 3000),
    upgrade_request() + b"".join(frame(BINARY, os.urandom(n)) for n in (10, 200, 3000)),
    build_request() * 20, b"NONSENSE\r\n\r\n",
    build_request("/", "POST", [("Expect", "100-continue"), ("Content-Length", "10")]) + b"x" * 10,
]


@pytest.mark.limit(120)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_clients_that_vanish_at_any_byte(holdfast, make_node, certs, tls):
    """Cut after any number of bytes, by an end, a half-close or a reset: nothing of them remains."""
    hf = holdfast(make_node(), tls=tls, cluster={"pool": {"max_idle": 4}},
                  listener={"timeouts": {"header": "2s", "body": "2s", "keep_alive": "2s", "handshake": "2s"}})
    context = certs.client_context() if tls else None
    chance = random.Random(3)

    def vanish():
        script = chance.choice(SCRIPTS)
        client = RawClient(hf.address, tls=context)
        try:
            client.send(script[:chance.randrange(len(script) + 1)])
            if chance.random() < 0.3:
                client.socket.settimeout(0.05)
                client.fill()
        except OSError:
            pass
        chance.choice([client.close, client.reset, client.reset])()
    for _ in range(60):
        vanish()
    wait_until(lambda: open_connections(hf.port) == 0, "all to be gone", timeout=30)
    fds, memory = hf.fd_count(), hf.memory_kib()
    for _ in range(150 if is_sanitized() else 500):
        vanish()
    assert hf.request(tls=context).status == 200
    wait_until(lambda: open_connections(hf.port) == 0, "all to be gone", timeout=30)
    wait_until(lambda: hf.fd_count() <= fds + 8, "descriptors to come back", timeout=30)
    assert hf.memory_kib() - memory < 8192


@pytest.mark.limit(120)
def test_backends_that_vanish_at_any_byte(holdfast, make_raw, make_origin):
    """The same from the other side, where the client must never take a cut answer for a whole one."""
    whole = [b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000,
             b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"x" * 1000, b"x" * 1000),
             b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000]
    chance = random.Random(5)

    async def play(conn):
        while True:
            await conn.read_until(b"\r\n\r\n")
            answer = chance.choice(whole)
            cut = chance.randrange(len(answer) + 1)
            await conn.send(answer[:cut])
            if cut < len(answer):
                return conn.reset() if chance.random() < 0.5 else conn.close()
    hf = holdfast(make_raw(play), workers=2)
    seen = {"whole": 0, "cut": 0, 502: 0}
    for _ in range(300):
        try:
            response = hf.request()
        except (ConnectionError, Truncated):
            seen["cut"] += 1
            continue
        assert response.status in (200, 502)
        assert response.status == 502 or response.body == b"x" * 2000
        seen["whole" if response.status == 200 else 502] += 1
    assert seen["cut"] and seen[502], seen
    wait_until(lambda: open_connections(hf.port) == 0, "all to be gone", timeout=30)


def test_endless_upload_to_a_backend_that_dies(holdfast, make_origin):
    async def die(request, conn):
        await conn.read(100000)
        conn.reset()
        return True
    hf = holdfast(make_origin(before_body=die), listener={"http": {"max_body_size": 0}})
    client = hf.connect().send(build_request("/", "POST", [("Transfer-Encoding", "chunked")]))
    try:
        for _ in range(2000):
            client.send(chunk(b"x" * 65536))
    except ConnectionError:
        pass
    client.close()
    wait_until(lambda: open_connections(hf.port) == 0, "the connection to be gone", timeout=30)


def test_port_that_refuses_costs_nothing_lasting(holdfast):
    hf = holdfast([f"127.0.0.1:{free_port()}" for _ in range(3)], workers=1)
    for _ in range(20):
        assert hf.request().status == 502
    fds = hf.fd_count()
    for _ in range(200):
        assert hf.request().status == 502
    assert hf.fd_count() <= fds + 2
