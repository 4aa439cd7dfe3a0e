"""WebSocket through the proxy: handshakes, bytes, closes, violations, and other people's implementations on both sides."""
import asyncio
import hashlib
import json
import os
import random
import re
import subprocess

import pytest
import websockets

from kit.backends import ok
from kit.frames import (BINARY, CLOSE, CONT, KEY, PING, PONG, TEXT, accept_of, close_body, echo_frames, frame,
                        open_websocket, read_frame, read_frame_from, upgrade_headers, upgrade_request,
                        upgrade_response, websocket_play)
from kit.process import is_sanitized
from kit.raw import RawClient, Truncated, build_request
from kit.servers import node_args, ws_connect
from kit.wait import wait_still, wait_until

MIB = 1 << 20
NO_LIMIT = {"websocket": {"max_message_size": 0}}


@pytest.fixture
def echo(make_raw):
    """A backend that echoes frames one by one as they are."""
    return make_raw(websocket_play(echo_frames))


def node_client(node_home, **spec):
    done = subprocess.run(node_args("client.js", json.dumps(spec)), capture_output=True, timeout=60,
                          env={**os.environ, "NODE_PATH": str(node_home / "node_modules")})
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


# ---- handshakes ----

def test_handshake_and_echo(holdfast, echo):
    client = holdfast(echo).connect()
    response = open_websocket(client)
    assert response.get("upgrade").lower() == "websocket" and response.get("connection").lower() == "upgrade"
    client.send(frame(TEXT, "hello"))
    got = read_frame(client)
    assert (got.opcode, got.payload, got.masked) == (TEXT, b"hello", False)


def test_backend_sees_a_whole_handshake_and_who_asks(holdfast, echo):
    client = holdfast(echo).connect()
    open_websocket(client, "/chat?room=1", protocol=None)
    head = echo.conns[0].head.lower()
    assert head.startswith("get /chat?room=1 http/1.1\r\n")
    for want in ("upgrade: websocket", "connection: upgrade", f"sec-websocket-key: {KEY.lower()}",
                 "sec-websocket-version: 13", "host: localhost", "x-forwarded-for: 127.0.0.1", "x-request-id: "):
        assert f"\r\n{want}" in head, f"{want} in {head}"


@pytest.mark.parametrize("connection", ["Upgrade", "upgrade", "keep-alive, Upgrade", "UPGRADE,keep-alive", " foo ,\tupgrade "])
@pytest.mark.parametrize("upgrade", ["websocket", "WebSocket"])
def test_token_lists_of_a_handshake(holdfast, echo, connection, upgrade):
    open_websocket(holdfast(echo).connect(), connection=connection, upgrade=upgrade)


BAD_HANDSHAKES = [
    ("version 8", {"version": "8"}, (), 426),
    ("version 12", {"version": "12"}, (), 426),
    ("version 14", {"version": "14"}, (), 426),
    ("version 013", {"version": "013"}, (), (400, 426)),
    ("no version", {"version": None}, (), (400, 426)),
    ("no key", {"key": None}, (), 400),
    ("short key", {"key": "c2hvcnQ="}, (), 400),
    ("long key", {"key": "dGhlIHNhbXBsZSBub25jZSBsb25n"}, (), 400),
    ("key that is no base64", {"key": "!!!!!!!!!!!!!!!!!!!!!!=="}, (), 400),
    ("two keys", {}, (("Sec-WebSocket-Key", KEY),), 400),
    ("empty key", {"key": ""}, (), 400),
    ("broken subprotocols", {"protocol": "a b"}, (), 400),
    ("broken extensions", {"extensions": "permessage-deflate; ="}, (), 400),
    ("a body", {}, (("Content-Length", "3"),), 400),
]


@pytest.mark.parametrize("changes, extra, status", [b[1:] for b in BAD_HANDSHAKES], ids=[b[0] for b in BAD_HANDSHAKES])
def test_bad_handshake_is_refused_and_not_forwarded(holdfast, echo, changes, extra, status):
    hf = holdfast(echo)
    client = hf.connect().send(upgrade_request(extra=extra, **changes))
    response = client.read_response()
    assert response.status in (status if isinstance(status, tuple) else (status,))
    if response.status == 426:
        assert response.get("sec-websocket-version") == "13"
    assert not echo.conns
    assert hf.wait_access(lambda x: x["status"] == response.status)[0]["reason"].startswith("upgrade")


def test_upgrade_by_post_is_no_handshake(holdfast, echo):
    client = holdfast(echo).connect()
    client.send(build_request("/ws", "POST", upgrade_headers()))
    assert client.read_response().status == 400
    assert not echo.conns


def test_upgrade_in_http_1_0_is_no_handshake(holdfast, origin):
    client = holdfast(origin).connect()
    client.send(upgrade_request().replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert client.read_response().status in (200, 400)
    assert all(not r.get("upgrade") for r in origin.requests)


def test_upgrade_without_the_connection_token_is_no_handshake(holdfast, origin):
    client = holdfast(origin).connect()
    client.send(upgrade_request(connection="keep-alive"))
    response = client.read_response()
    assert response.status in (200, 400)
    assert all(not r.get("upgrade") for r in origin.requests)


@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "403 Forbidden", "404 Not Found", "426 Upgrade Required",
                                    "503 Service Unavailable"])
def test_refused_handshake_passes_and_the_connection_stays_http(holdfast, make_origin, status):
    origin = make_origin(lambda request, conn: ok("no", [("X-Why", "because")], status))
    client = holdfast(origin).connect()
    for _ in range(2):
        client.send(upgrade_request())
        response = client.read_response()
        assert (response.start[1], response.text, response.get("x-why")) == (status[:3], "no", "because")
        assert client.request("/plain").status == int(status[:3])
    assert not origin.violations


def test_what_was_pipelined_behind_a_refused_handshake_is_not_smuggled(holdfast, make_origin):
    """A backend that answers 200 would read what follows the Upgrade as a request of the proxy's: it never gets it as such."""
    origin = make_origin(lambda request, conn: ok(request.target))
    client = holdfast(origin, routes=[{"path": "/secret", "respond": {"status": 403}}, {"path": "/", "cluster": "c"}],
                      clusters={"c": [origin]}).connect()
    client.send(upgrade_request("/ws") + build_request("/secret"))
    assert client.read_response().text == "/ws"
    try:
        assert client.read_response().status == 403, "read by the proxy's rules, or not at all"
    except (Truncated, ConnectionError):
        pass
    assert [r.target for r in origin.requests] == ["/ws"] and not origin.violations


def test_frames_behind_a_refused_handshake_reach_nobody(holdfast, make_origin):
    origin = make_origin(lambda request, conn: ok("no", status="403 Forbidden"))
    client = holdfast(origin).connect()
    client.send(upgrade_request() + frame(TEXT, b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", mask=True))
    assert client.read_response().status == 403
    try:
        assert client.read_response().status == 400
    except (Truncated, ConnectionError):
        pass
    assert [r.target for r in origin.requests] == ["/ws"] and not origin.violations


WRONG_101 = [
    ("wrong accept", upgrade_response(accept=accept_of("x" * 24))),
    ("no accept", upgrade_response(accept=None)),
    ("accept in lower case", upgrade_response(accept=accept_of(KEY).lower())),
    ("two accepts", upgrade_response(extra=[("Sec-WebSocket-Accept", accept_of(KEY))])),
    ("no Upgrade", upgrade_response(upgrade=None)),
    ("no Connection", upgrade_response(connection=None)),
    ("Upgrade to something else", upgrade_response(upgrade="h2c")),
    ("Connection without the token", upgrade_response(connection="close")),
    ("a subprotocol that was not offered", upgrade_response(extra=[("Sec-WebSocket-Protocol", "secret")])),
    ("an extension that was not offered", upgrade_response(extra=[("Sec-WebSocket-Extensions", "permessage-deflate")])),
]


@pytest.mark.parametrize("answer", [w[1] for w in WRONG_101], ids=[w[0] for w in WRONG_101])
def test_wrong_101_is_502_and_closes_the_backend(holdfast, make_raw, answer):
    async def play(conn):
        await conn.read_until(b"\r\n\r\n")
        await conn.send(answer + frame(TEXT, "evil", mask=False))
        await conn.read_to_end()
    backend = make_raw(play)
    hf = holdfast(backend)
    client = hf.connect().send(upgrade_request())
    response = client.read_response()
    assert response.status == 502 and b"evil" not in response.body
    backend.wait(lambda b: b.conns[0].ended, "the end of the backend's connection")
    assert hf.wait_access(lambda x: x["status"] == 502)[0]["reason"] in ("backend_upgrade", "backend_bad_response")


def test_101_with_a_body_length_is_no_body(holdfast, make_raw):
    async def play(conn):
        await conn.read_until(b"\r\n\r\n")
        await conn.send(upgrade_response(extra=[("Content-Length", "5")]) + frame(TEXT, "hello", mask=False))
        await conn.read_to_end()
    client = holdfast(make_raw(play)).connect().send(upgrade_request())
    response = client.read_response()
    if response.status == 101:
        assert response.get("content-length") is None and read_frame(client).payload == b"hello"
    else:
        assert response.status == 502


def test_interim_responses_before_101_pass(holdfast, make_raw):
    async def play(conn):
        await conn.read_until(b"\r\n\r\n")
        await conn.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" + upgrade_response())
        await echo_frames(conn)
    client = holdfast(make_raw(play)).connect().send(upgrade_request())
    assert client.read_response().status == 101
    client.send(frame(TEXT, "x"))
    assert read_frame(client).payload == b"x"


def test_websocket_after_plain_requests_on_one_connection(holdfast, websocket_server, origin):
    hf = holdfast(routes=[{"path": "/ws", "cluster": "ws"}, {"cluster": "http"}],
                  clusters={"ws": [websocket_server], "http": [origin]})
    client = hf.connect()
    for _ in range(3):
        assert client.request("/plain").status == 200
    open_websocket(client)
    client.send(frame(TEXT, "x"))
    assert read_frame(client).payload == b"x"


# ---- subprotocols, extensions ----

@pytest.mark.parametrize("offered, chosen", [(["a", "b"], "b"), (["b"], "b"), (["a"], None), (None, None)])
def test_subprotocol_is_the_backends_choice(holdfast, make_websocket, offered, chosen):
    hf = holdfast(make_websocket(subprotocols=["b"]))

    async def main():
        async with ws_connect(hf.url("/", "ws"), subprotocols=offered) as socket:
            assert socket.subprotocol == chosen
    asyncio.run(main())


@pytest.mark.parametrize("compression", ["pass", "strip"])
async def test_permessage_deflate_passes_or_is_stripped(holdfast, make_websocket, compression):
    server = make_websocket(compression="deflate")
    hf = holdfast(server, route={"websocket": {"compression": compression, "max_message_size": 0}})
    async with ws_connect(hf.url("/", "ws"), compression="deflate") as socket:
        assert [e.name for e in socket.extensions] == (["permessage-deflate"] if compression == "pass" else [])
        for message in ("a" * 100000, os.urandom(70000), "", b""):
            await socket.send(message)
            assert await socket.recv() == message


async def test_unknown_extension_is_not_offered_to_the_backend(holdfast, echo):
    hf = holdfast(echo)
    client = hf.connect()
    open_websocket(client, extensions="x-secret, permessage-deflate; client_max_window_bits")
    offers = re.findall(r"(?i)sec-websocket-extensions: *(.*)\r\n", echo.conns[0].head)
    assert "x-secret" not in ",".join(offers)


def test_rsv1_passes_only_where_deflate_was_agreed(holdfast, make_raw):
    answer = [("Sec-WebSocket-Extensions", "permessage-deflate")]
    hf = holdfast(make_raw(websocket_play(echo_frames, extra=answer)))
    client = hf.connect()
    open_websocket(client, extensions="permessage-deflate")
    client.send(frame(TEXT, b"\x00\x01\x02", rsv=4))
    got = read_frame(client)
    assert (got.rsv, got.payload) == (4, b"\x00\x01\x02")
    client.send(frame(TEXT, b"x", rsv=2))
    assert read_frame(client).code == 1002


# ---- early bytes ----

def test_bytes_sent_with_the_handshake_are_not_lost(holdfast, echo):
    client = holdfast(echo).connect()
    early = b"".join(frame(BINARY, b"%d" % i * 50) for i in range(100))
    open_websocket(client, early=early)
    assert [read_frame(client).payload for _ in range(100)] == [b"%d" % i * 50 for i in range(100)]


@pytest.mark.parametrize("size", [1, 5, 100])
def test_bytes_sent_with_the_101_are_not_lost(holdfast, make_raw, size):
    frames = [frame(BINARY, b"%d" % i * 50, mask=False) for i in range(100)]

    async def play(conn):
        await conn.read_until(b"\r\n\r\n")
        await conn.send_in_pieces(upgrade_response() + b"".join(frames), size)
        await echo_frames(conn)
    client = holdfast(make_raw(play)).connect()
    open_websocket(client)
    assert [read_frame(client).payload for _ in range(100)] == [b"%d" % i * 50 for i in range(100)]


def test_early_bytes_wait_until_the_backend_has_said_101(holdfast, make_raw):
    """Frames sent early must not reach a backend that still may answer with plain HTTP."""
    async def play(conn):
        conn.head = await conn.read_until(b"\r\n\r\n")
        try:
            conn.early = await asyncio.wait_for(conn.read(), 0.3)
        except asyncio.TimeoutError:
            conn.early = b""
        await conn.send(upgrade_response())
        await echo_frames(conn)
    backend = make_raw(play)
    client = holdfast(backend).connect()
    open_websocket(client, early=frame(TEXT, "early"))
    assert read_frame(client).payload == b"early"
    assert backend.conns[0].early == b""


# ---- frames ----

def test_frames_of_every_kind_pass_unchanged(holdfast, echo):
    client = holdfast(echo).connect()
    open_websocket(client)
    parts = [(TEXT, b"one", False), (CONT, b"two", False), (PING, b"between", True), (CONT, b"", False),
             (CONT, b"three", True), (BINARY, b"", True), (PONG, b"unasked", True), (PING, b"", True),
             (PING, b"p" * 125, True), (BINARY, b"b" * 125, True), (BINARY, b"c" * 126, True),
             (BINARY, b"d" * 65535, True), (BINARY, b"e" * 65536, True)]
    for opcode, payload, fin in parts:
        client.send(frame(opcode, payload, fin))
        got = read_frame(client)
        want = PONG if opcode == PING else opcode
        assert (got.opcode, got.payload, got.fin) == (want, payload, fin)
    sent = [(f.opcode, f.payload, f.fin) for f in echo.conns[0].frames]
    assert sent == parts


@pytest.mark.parametrize("size", [1, 2, 3, 13])
def test_frames_may_be_cut_anywhere(holdfast, echo, size):
    client = holdfast(echo).connect()
    open_websocket(client)
    for n in (0, 1, 125, 126, 300):
        client.send_in_pieces(frame(BINARY, b"x" * n), size)
        assert read_frame(client).payload == b"x" * n


def test_many_frames_in_one_segment(holdfast, echo):
    client = holdfast(echo).connect()
    open_websocket(client)
    client.send(b"".join(frame(TEXT, b"%d" % i) for i in range(2000)))
    assert [read_frame(client).payload for _ in range(2000)] == [b"%d" % i for i in range(2000)]


SIZES = [*range(0, 260), *range(1020, 1030), *range(4090, 4100), *range(16370, 16400), *range(65530, 65545),
         100_001, MIB - 1, MIB, MIB + 1, 3 * MIB + 7]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("backend_tls", [False, True], ids=["to plain", "to tls"])
async def test_every_byte_both_ways(holdfast, make_websocket, certs, tls, backend_tls):
    """Random messages of every size, one by one and then all under way at once."""
    server = make_websocket(leaf_context=certs.server_context() if backend_tls else None)
    hf = holdfast(server, tls=tls, route=NO_LIMIT,
                  cluster={"tls": {"ca": str(certs.ca.cert), "sni": "localhost"}} if backend_tls else {})
    order = random.Random(7).sample(SIZES, len(SIZES))
    async with ws_connect(f"ws{'s' if tls else ''}://localhost:{hf.port}/", tls=certs.client_context()) as socket:
        for size in order[:150]:
            message = os.urandom(size)
            await socket.send(message)
            assert await socket.recv() == message
        messages = [os.urandom(size) for size in order]

        async def send_all():
            for message in messages:
                await socket.send(message)
        sending = asyncio.ensure_future(send_all())
        for message in messages:
            got = await socket.recv()
            assert hashlib.sha256(got).digest() == hashlib.sha256(message).digest(), len(message)
        await sending


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_bulk_both_ways_at_once(holdfast, make_websocket, certs, tls):
    count = 24 if is_sanitized() else 96
    piece = os.urandom(MIB)
    down = hashlib.sha256(piece * count).hexdigest()
    got = {}

    async def handler(socket):
        async def send():
            for _ in range(count):
                await socket.send(piece)
        sending, digest = asyncio.ensure_future(send()), hashlib.sha256()
        for _ in range(count):
            digest.update(await socket.recv())
        got["up"] = digest.hexdigest()
        await sending
        await socket.wait_closed()
    server = make_websocket(handler)
    hf = holdfast(server, tls=tls, route=NO_LIMIT, workers=1)
    async with ws_connect(f"ws{'s' if tls else ''}://localhost:{hf.port}/", tls=certs.client_context()) as socket:
        async def send():
            for _ in range(count):
                await socket.send(piece)
        sending, digest = asyncio.ensure_future(send()), hashlib.sha256()
        for _ in range(count):
            digest.update(await socket.recv())
        assert digest.hexdigest() == down
        await sending
        wait_until(lambda: "up" in got, "the server to have all")
    assert got["up"] == down


def test_slow_client_holds_the_backend_back_and_loses_nothing(holdfast, make_raw):
    count = 1000

    async def script(conn):
        for i in range(count):
            await conn.send(frame(BINARY, b"%08d" % i * 8192, mask=False))
        await conn.send(frame(CLOSE, close_body(1000), mask=False))
        await conn.read_to_end()
    backend = make_raw(websocket_play(script))
    hf = holdfast(backend, workers=1)
    before = hf.memory_kib()
    client = hf.connect(receive_buffer=65536)
    open_websocket(client)
    wait_still(lambda: backend.conns[0].sent, "the backend to be held back")
    assert backend.conns[0].sent < 32 * MIB
    assert hf.memory_kib() - before < 16 * 1024
    for i in range(count):
        assert read_frame(client).payload == b"%08d" % i * 8192
    assert read_frame(client).code == 1000


# ---- ends ----

CODES = [(1000, ""), (1001, "going"), (1003, ""), (1011, "caf\u00e9"), (1012, ""), (3000, "x" * 123), (4999, "custom")]


@pytest.mark.parametrize("code, reason", CODES)
def test_close_from_the_client_reaches_the_backend(holdfast, websocket_server, code, reason):
    hf = holdfast(websocket_server)

    async def main():
        socket = await ws_connect(hf.url("/", "ws"))
        await socket.close(code, reason)
        assert (socket.close_code, socket.close_reason) == (code, reason)
    asyncio.run(main())
    wait_until(lambda: websocket_server.closes, "the close at the server")
    assert websocket_server.closes == [(code, reason)]


@pytest.mark.parametrize("code, reason", CODES)
def test_close_from_the_backend_reaches_the_client(holdfast, make_websocket, code, reason):
    async def handler(socket):
        await socket.close(code, reason)
    hf = holdfast(make_websocket(handler))

    async def main():
        socket = await ws_connect(hf.url("/", "ws"))
        await socket.wait_closed()
        assert (socket.close_code, socket.close_reason) == (code, reason)
    asyncio.run(main())


def test_close_without_a_code_passes_without_a_code(holdfast, echo):
    client = holdfast(echo).connect()
    open_websocket(client)
    client.send(frame(CLOSE))
    got = read_frame(client)
    assert (got.opcode, got.payload) == (CLOSE, b"")
    client.ends()


def test_data_after_close_is_dropped(holdfast, echo):
    client = holdfast(echo).connect()
    open_websocket(client)
    client.send(frame(CLOSE, close_body(1000)) + frame(TEXT, "late"))
    assert read_frame(client).code == 1000
    client.ends(("end", "reset"))
    assert [f.opcode for f in echo.conns[0].frames] == [CLOSE]


def test_backend_may_still_send_after_the_clients_close(holdfast, make_raw):
    """The closing handshake takes its time: what the backend sends before its own Close still arrives."""
    async def script(conn):
        assert (await read_frame_from(conn)).opcode == CLOSE
        for i in range(50):
            await conn.send(frame(BINARY, b"last words", mask=False))
        await conn.send(frame(CLOSE, close_body(1000), mask=False))
        await conn.read_to_end()
    client = holdfast(make_raw(websocket_play(script))).connect()
    open_websocket(client)
    client.send(frame(CLOSE, close_body(1000)))
    assert [read_frame(client).opcode for _ in range(51)] == [BINARY] * 50 + [CLOSE]
    client.ends()


@pytest.mark.parametrize("how", ["half_close", "close", "reset"])
def test_client_that_vanishes_ends_the_backend(holdfast, make_raw, how):
    async def script(conn):
        await conn.read_to_end()
    backend = make_raw(websocket_play(script))
    hf = holdfast(backend)
    client = hf.connect()
    open_websocket(client)
    getattr(client, how)()
    backend.wait(lambda b: b.conns[0].ended, "the end at the backend", timeout=20)


@pytest.mark.parametrize("how", ["half_close", "close", "reset"])
def test_backend_that_vanishes_ends_the_client(holdfast, make_raw, how):
    async def script(conn):
        await read_frame_from(conn)
        getattr(conn, how)()
        if how == "half_close":
            await conn.read_to_end()
    hf = holdfast(make_raw(websocket_play(script)))
    client = hf.connect()
    open_websocket(client)
    client.send(frame(TEXT, "now"))
    try:
        got = read_frame(client)
        assert got.opcode == CLOSE and got.code in (1001, 1011, 1012), got
    except (Truncated, ConnectionError):
        pass
    client.seconds_until_end()


@pytest.mark.parametrize("place", ["in a header", "in a payload"])
def test_backend_that_vanishes_within_a_frame_ends_the_client(holdfast, make_raw, place):
    """Nothing may be put into the midst of a frame: the connection just ends."""
    whole = frame(BINARY, b"x" * 1000, mask=False)

    async def script(conn):
        await conn.send(whole[:2 if place == "in a header" else 500])
        conn.reset()
    client = holdfast(make_raw(websocket_play(script))).connect()
    open_websocket(client)
    client.seconds_until_end()
    rest = client.last_words
    assert whole.startswith(rest) or rest[0] == 0x88


@pytest.mark.parametrize("side", ["client", "backend"])
def test_side_that_does_not_finish_closing_is_ended(holdfast, make_raw, side):
    """One end closes, the other never answers: the lingering is bounded."""
    async def script(conn):
        if side == "client":
            await conn.send(frame(CLOSE, close_body(1000), mask=False))
        await conn.read_to_end()
    backend = make_raw(websocket_play(script))
    hf = holdfast(backend)
    client = hf.connect(timeout=60)
    open_websocket(client)
    if side == "client":
        assert read_frame(client).code == 1000
    else:
        client.send(frame(CLOSE, close_body(1000)))
    client.seconds_until_end()
    backend.wait(lambda b: b.conns[0].ended, "the end at the backend", timeout=60)


# ---- violations ----

VIOLATIONS = [  # name, a frame from the client
    ("not masked", lambda m: frame(TEXT, "x", mask=not m)),
    ("reserved opcode 3", lambda m: frame(3, "x", mask=m)),
    ("reserved opcode 7", lambda m: frame(7, "", mask=m)),
    ("reserved opcode 11", lambda m: frame(11, "", mask=m)),
    ("reserved opcode 15", lambda m: frame(15, "", mask=m)),
    ("RSV1", lambda m: frame(TEXT, "x", rsv=4, mask=m)),
    ("RSV2", lambda m: frame(TEXT, "x", rsv=2, mask=m)),
    ("RSV3", lambda m: frame(BINARY, "x", rsv=1, mask=m)),
    ("RSV1 on a ping", lambda m: frame(PING, "x", rsv=4, mask=m)),
    ("fragmented ping", lambda m: frame(PING, "x", fin=False, mask=m)),
    ("fragmented close", lambda m: frame(CLOSE, close_body(1000), fin=False, mask=m)),
    ("ping of 126 bytes", lambda m: frame(PING, b"x" * 126, mask=m)),
    ("close of 126 bytes", lambda m: frame(CLOSE, close_body(1000, "x" * 124), mask=m)),
    ("ping in the long form", lambda m: frame(PING, b"x", width=2, mask=m)),
    ("continuation of nothing", lambda m: frame(CONT, "x", mask=m)),
    ("text within a message", lambda m: frame(TEXT, "x", fin=False, mask=m) + frame(TEXT, "y", mask=m)),
    ("length 125 in two bytes", lambda m: frame(BINARY, b"x" * 125, width=2, mask=m)),
    ("length 65535 in eight bytes", lambda m: frame(BINARY, b"x" * 65535, width=8, mask=m)),
    ("length beyond 63 bits", lambda m: frame(BINARY, b"x", length=1 << 63, width=8, mask=m)),
    ("close of one byte", lambda m: frame(CLOSE, b"\x03", mask=m)),
    ("close code 999", lambda m: frame(CLOSE, close_body(999), mask=m)),
    ("close code 1004", lambda m: frame(CLOSE, close_body(1004), mask=m)),
    ("close code 1005", lambda m: frame(CLOSE, close_body(1005), mask=m)),
    ("close code 1006", lambda m: frame(CLOSE, close_body(1006), mask=m)),
    ("close code 2000", lambda m: frame(CLOSE, close_body(2000), mask=m)),
    ("close code 5000", lambda m: frame(CLOSE, close_body(5000), mask=m)),
]


def last_close(frames):
    closes = [f for f in frames if f.opcode == CLOSE]
    return closes[0].code if closes else None


def frames_until_end(client):
    got = []
    try:
        while True:
            got.append(read_frame(client))
    except (Truncated, ConnectionError):
        return got


@pytest.fixture(scope="module")
def strict(home, shared_holdfast, shared_factory):
    """Two backends behind one proxy: /sends breaks the rule that /N names, /gets records what it gets."""
    from kit.backends import RawBackend

    async def play(conn):
        head = (await conn.read_until(b"\r\n\r\n")).decode()
        conn.frames = []
        await conn.send(upgrade_response())
        await conn.send(frame(TEXT, "before", mask=False))
        number = head.split(" ")[1].rpartition("/")[2]
        if number.isdigit():
            await conn.send(VIOLATIONS[int(number)][1](False))
        while True:
            conn.frames.append(await read_frame_from(conn))
    backend = RawBackend(home, play)
    shared_factory.keep(backend, backend.stop)
    return shared_holdfast(backend), backend


@pytest.mark.parametrize("number", range(len(VIOLATIONS)), ids=[v[0] for v in VIOLATIONS])
def test_violation_by_the_client_closes_both_ends_with_1002(strict, number):
    hf, backend = strict
    client = RawClient(hf.address)
    open_websocket(client, "/gets")
    conn = backend.conns[-1]
    assert read_frame(client).payload == b"before"
    client.send(frame(TEXT, "fine") + VIOLATIONS[number][1](True))
    got = frames_until_end(client)
    client.close()
    assert last_close(got) == 1002, got
    wait_until(lambda: conn.ended, "the end at the backend")
    assert conn.frames[0].payload == b"fine" and last_close(conn.frames) == 1002, conn.frames
    data = [f.payload for f in conn.frames if f.opcode in (TEXT, BINARY)]
    assert data in ([b"fine"], [b"fine", b"x"]), "nothing of the bad frame"
    assert all(f.masked for f in conn.frames), "what the proxy adds is masked as a client's frames are"


@pytest.mark.parametrize("number", range(len(VIOLATIONS)), ids=[v[0] for v in VIOLATIONS])
def test_violation_by_the_backend_closes_both_ends_with_1002(strict, number):
    hf, backend = strict
    client = RawClient(hf.address)
    open_websocket(client, f"/sends/{number}")
    conn = backend.conns[-1]
    got = frames_until_end(client)
    client.close()
    assert got[0].payload == b"before" and last_close(got) == 1002, got
    assert not any(f.masked for f in got)
    wait_until(lambda: conn.ended, "the end at the backend")
    assert last_close(conn.frames) == 1002


def test_violation_is_in_the_access_log(holdfast, echo):
    hf = holdfast(echo)
    client = hf.connect()
    open_websocket(client)
    client.send(frame(3, "x"))
    assert last_close(frames_until_end(client)) == 1002
    (line,) = hf.wait_access(lambda x: x.get("reason") == "websocket_protocol")
    assert line["close_code"] == 1002


@pytest.mark.parametrize("policy, sent", [
    ({"max_message_size": "1KiB"}, frame(BINARY, b"x" * 1025)),
    ({"max_message_size": "1KiB"}, frame(BINARY, b"x" * 600, fin=False) + frame(CONT, b"x" * 600)),
    ({"max_message_size": 0, "max_frame_size": "1KiB"}, frame(BINARY, b"x" * 1025))],
    ids=["message", "fragments", "frame"])
def test_message_above_the_limit_is_1009(holdfast, echo, policy, sent):
    hf = holdfast(echo, route={"websocket": policy})
    client = hf.connect()
    open_websocket(client)
    client.send(frame(BINARY, b"y" * 1024))
    assert read_frame(client).payload == b"y" * 1024
    client.send(sent)
    got = frames_until_end(client)
    assert last_close(got) == 1009
    close = next(f for f in got if f.opcode == CLOSE)
    assert "websocket.max_" in close.reason, "names the key"


# ---- other people's implementations ----

@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_node_ws_on_both_sides(holdfast, make_node, node_home, certs, tls):
    server = make_node("echo_server.js", json.dumps({"deflate": True, "protocols": ["b"]}))
    hf = holdfast(server, tls=tls, route=NO_LIMIT)
    url = f"ws{'s' if tls else ''}://localhost:{hf.port}/ws"
    got = node_client(node_home, url=url, ca=str(certs.ca.cert), sizes=[0, 1, 125, 126, 127, 65535, 65536, MIB, 5 * MIB],
                      protocols=["a", "b"], close=[4002, "bye"])
    assert (got["echoed"], got["mismatches"], got["protocol"], got["close"]) == (9, 0, "b", [4002, "bye"])
    got = node_client(node_home, url=url, ca=str(certs.ca.cert), deflate=True, sizes=[0, 1, 65536, MIB])
    assert (got["echoed"], got["mismatches"], got["extensions"]) == (4, 0, "permessage-deflate")
    got = node_client(node_home, url=url, ca=str(certs.ca.cert), say="close 4003 server")
    assert got["close"] == [4003, "server"]
    got = node_client(node_home, url=url, ca=str(certs.ca.cert), say="terminate")
    assert got["close"][0] in (1001, 1006, 1011, 1012)


def test_node_client_hears_a_refusal(holdfast, make_origin, node_home):
    origin = make_origin(lambda request, conn: ok("no", status="403 Forbidden"))
    got = node_client(node_home, url=f"ws://localhost:{holdfast(origin).port}/")
    assert got["status"] == 403 and got["close"][0] == 1006


async def test_python_client_with_node_server(holdfast, make_node):
    hf = holdfast(make_node())
    async with ws_connect(hf.url("/", "ws"), ping_interval=0.05, ping_timeout=20) as socket:
        await socket.send("fragments 5")
        assert await socket.recv() == "part 1 part 2 part 3 part 4 part 5 "
        for _ in range(5):
            await (await socket.ping())
        await socket.send("close 4010 enough")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
        assert (closed.value.code, closed.value.reason) == (4010, "enough")


@pytest.mark.parametrize("transports", ["websocket", "polling", "polling,websocket"])
def test_socket_io_chat(holdfast, make_node, node_home, transports):
    hf = holdfast(make_node("socketio_server.js"))
    done = subprocess.run(node_args("socketio_client.js", hf.url(""), transports), capture_output=True, timeout=60,
                          env={**os.environ, "NODE_PATH": str(node_home / "node_modules")})
    got = json.loads(done.stdout)
    assert "error" not in got, got
    assert got["transports"] == [transports.split(",")[-1]] * 2
    assert sorted(map(tuple, got["heard"])) == sorted((i, f"hello from {j}") for i in (0, 1) for j in (0, 1))


async def test_many_connections_chat_in_one_room(holdfast, make_websocket):
    """A room: what one says, all hear, in one order."""
    members = set()

    async def room(socket):
        members.add(socket)
        try:
            async for message in socket:
                for member in list(members):
                    await member.send(message)
        finally:
            members.discard(socket)
    hf = holdfast(make_websocket(room))
    sockets = [await ws_connect(hf.url("/", "ws")) for _ in range(40)]
    wait_until(lambda: len(members) == 40, "all to be in the room")
    for i, socket in enumerate(sockets):
        await socket.send(f"I am {i}")
    heard = [[await s.recv() for _ in range(40)] for s in sockets]
    assert all(h == heard[0] for h in heard) and sorted(heard[0]) == sorted(f"I am {i}" for i in range(40))
    for socket in sockets:
        await socket.close()
    wait_until(lambda: not members, "the room to be empty")
