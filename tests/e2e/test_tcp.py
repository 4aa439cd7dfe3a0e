"""Listeners of protocol tcp: bytes, and nothing but bytes."""
import asyncio
import hashlib
import os
import select
import ssl

import pytest

from kit.kernel import free_port
from kit.process import is_sanitized
from kit.raw import RawClient, build_request
from kit.servers import ws_connect
from kit.wait import wait_still

TCP = {"protocol": "tcp"}
MIB = 1 << 20


async def echo(conn):
    while data := await conn.read():
        await conn.send(data)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_bytes_pass_both_ways(holdfast, make_raw, certs, tls):
    hf = holdfast(make_raw(echo), listener=TCP, tls=tls)
    client = hf.connect(tls=certs.client_context(alpn=()) if tls else None)
    for size in (1, 2, 100, 4096, 65537, 300000):
        data = os.urandom(size)
        client.send(data)
        assert client.read_exactly(size) == data


def test_backend_may_speak_first(holdfast, make_raw):
    async def play(conn):
        await conn.send(b"220 ready\r\n")
        await echo(conn)
    client = holdfast(make_raw(play), listener=TCP).connect()
    assert client.read_until(b"\r\n") == b"220 ready"


def test_what_looks_like_http_is_only_bytes(holdfast, make_raw):
    backend = make_raw(echo)
    client = holdfast(backend, listener=TCP).connect()
    data = build_request(headers=[("Connection", "close")]) + b"\x00\xff" + b"GET / HTTP/9.9\n\n"
    client.send(data)
    assert client.read_exactly(len(data)) == data


def test_half_close_of_the_client_is_carried_through(holdfast, make_raw):
    async def play(conn):
        await conn.read_to_end()
        await conn.send(b"%d bytes" % conn.count)
    client = holdfast(make_raw(play), listener=TCP).connect()
    client.send(b"x" * 100000).half_close()
    assert client.read_to_end() == b"100000 bytes"


def test_half_close_of_the_backend_is_carried_through(holdfast, make_raw):
    async def play(conn):
        await conn.send(b"that was all")
        conn.half_close()
        await conn.read_to_end()
    backend = make_raw(play)
    client = holdfast(backend, listener=TCP).connect()
    assert client.read_to_end() == b"that was all"
    client.send(b"y" * 50000).half_close()
    backend.wait(lambda b: b.conns[0].ended == "end" and b.conns[0].count == 50000, "the rest")


@pytest.mark.parametrize("side", ["client", "backend"])
def test_reset_is_carried_through_as_an_end(holdfast, make_raw, side):
    async def play(conn):
        await conn.read(5)
        if side == "backend":
            conn.reset()
        else:
            await conn.read_to_end()
    backend = make_raw(play)
    client = holdfast(backend, listener=TCP).connect().send(b"hello")
    backend.wait(lambda b: b.conns and b.conns[0].count == 5, "the bytes")
    if side == "client":
        client.reset()
        backend.wait(lambda b: b.conns[0].ended, "the end")
    else:
        client.seconds_until_end()


def test_refused_backend_ends_the_client(holdfast):
    client = holdfast(f"127.0.0.1:{free_port()}", listener=TCP).connect()
    client.seconds_until_end()
    assert client.last_words == b""


def test_next_endpoint_is_tried(holdfast, make_raw):
    hf = holdfast([f"127.0.0.1:{free_port()}", make_raw(echo)], listener=TCP, workers=1)
    for _ in range(6):
        client = hf.connect().send(b"hello")
        assert client.read_exactly(5) == b"hello"


WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.limit(180)
def test_bulk_both_ways_at_once_is_exact_at_a_constant_size(holdfast, make_raw, certs, tls):
    hf = holdfast(make_raw(echo), listener=TCP, tls=tls, workers=1)
    client = hf.connect(tls=certs.client_context(alpn=()) if tls else None, timeout=60)
    count = 48 if is_sanitized() else 128
    piece, sent, got = os.urandom(MIB), hashlib.sha256(), hashlib.sha256()
    client.send(piece)
    client.read_exactly(MIB)
    before = hf.memory_kib()

    # One thread: Python's TLS sockets are not for two at once (before 3.13).
    client.socket.setblocking(False)
    left, out = count * MIB, count * MIB
    while left:
        has_moved = False
        try:
            if out:
                at = -out % MIB
                out -= client.socket.send(piece[at:at + 65536])
                has_moved = True
        except WAITS:
            pass
        try:
            data = client.socket.recv(min(left, MIB))
            assert data, "cut short"
            got.update(data)
            left -= len(data)
        except WAITS:
            if not has_moved:
                assert any(select.select([client.socket], [client.socket] if out else [], [], 60)), "it stands still"
    for _ in range(count):
        sent.update(piece)
    assert got.hexdigest() == sent.hexdigest()
    assert hf.memory_kib() - before < 16 * 1024


def test_side_that_does_not_read_holds_the_other_back(holdfast, make_raw):
    async def flood(conn):
        while True:
            await conn.send(b"f" * 65536)
    backend = make_raw(flood)
    hf = holdfast(backend, listener=TCP, workers=1)
    before = hf.memory_kib()
    client = hf.connect(receive_buffer=65536)
    client.fill()
    wait_still(lambda: backend.conns[0].sent, "the flood to stop")
    assert backend.conns[0].sent < 32 * MIB and hf.memory_kib() - before < 8192


def test_websockets_pass_through_a_tcp_listener(holdfast, websocket_server):
    hf = holdfast(websocket_server, listener=TCP)

    async def main():
        async with ws_connect(hf.url("/", "ws")) as socket:
            await socket.send("x")
            assert await socket.recv() == "x"
    asyncio.run(main())


def test_connections_are_balanced_and_counted_off(holdfast, make_raw):
    backends = [make_raw(echo) for _ in range(3)]
    hf = holdfast(backends, listener=TCP, workers=1, cluster={"balance": "least_connections"})
    clients = [hf.connect().send(b"x") for _ in range(9)]
    for client in clients:
        assert client.read_exactly(1) == b"x"
    assert [len(b.conns) for b in backends] == [3, 3, 3]


def test_unix_sockets_on_both_sides(holdfast, make_raw, directory):
    path = str(directory / "in.sock")
    hf = holdfast(make_raw(echo, path=str(directory / "out.sock")), listener={**TCP, "bind": [f"unix:{path}"]})
    client = RawClient(path)
    hf.clients.append(client)
    client.send(b"hello")
    assert client.read_exactly(5) == b"hello"


def test_connection_has_a_line_in_the_access_log(holdfast, make_raw):
    hf = holdfast(make_raw(echo), listener=TCP)
    client = hf.connect().send(b"hello")
    client.read_exactly(5)
    client.close()
    line = hf.wait_access(lambda x: x.get("event") == "close")[-1]
    assert (line["bytes_in"], line["bytes_out"]) == (5, 5) and line["listener"] == "web"
