"""Sessions over HTTP: stream, poll, EventSource and `up`, before an ordinary WebSocket server that knows nothing of it."""
import asyncio
import http.client
import json

import pytest
import websockets

from kit.fallback import TYPE, Session, Stream, record
from kit.wait import wait_until

FALLBACK = {"fallback": {"keep": "5s", "beat": "1s", "hold": "2s"}}


class Backend:
    """What the handlers below have seen."""

    def __init__(self):
        self.opened, self.closed, self.paths = 0, [], []


async def behave(ws):
    """An application: echoes; some words make it do other things."""
    async for message in ws:
        if message == "close":
            await ws.close(4001, "as asked")
        elif message == "vanish":
            ws.transport.abort()
        elif isinstance(message, str) and message.startswith("burst "):
            for i in range(int(message[6:])):
                await ws.send(f"m{i}")
        else:
            await ws.send(message)


@pytest.fixture
def backend(make_websocket):
    seen = Backend()

    async def handler(ws):
        seen.opened += 1
        seen.paths.append(ws.path)
        try:
            await behave(ws)
        finally:
            await ws.wait_closed()
            seen.closed.append((ws.close_code, ws.close_reason))
    seen.server = make_websocket(handler, subprotocols=["chat", "v2"], max_size=None)
    return seen


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def proxy(request, holdfast, backend):
    return holdfast(backend.server, workers=request.param, route={**FALLBACK, "websocket": {"max_message_size": "4MiB"}})


def status_of(proxy, body, accept="text/plain", content_type=TYPE, method="POST", headers=None):
    c = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=20)
    c.request(method, "/", body, {"Content-Type": content_type, "Accept": accept, **(headers or {})})
    r = c.getresponse()
    r.read()
    return r


def test_poll(proxy, backend):
    s = Session(proxy.port, protocols=["v2"])
    answer = s.poll()
    assert answer.status == 200 and answer.headers["Cache-Control"] == "no-store, no-transform"
    assert answer.first("open")["protocol"] == "v2" and answer.first("open")["got"] == 0
    assert s.up("hello", b"\0\xff\x01", "\0NUL \u20ac \U0001f600").first("ack") == 3
    while len(s.received) < 3:
        assert s.poll(hold=2000).status == 200
    assert s.received == ["hello", b"\0\xff\x01", "\0NUL \u20ac \U0001f600"]
    assert backend.opened == 1


def test_large_messages(proxy):
    s = Session(proxy.port)
    s.poll()
    large = "x" * (3 << 20)
    assert s.up(large).status == 200
    while not s.received:
        s.poll(hold=1000)
    assert s.received == [large]


def test_stream(proxy, backend):
    s = Session(proxy.port)
    stream = s.stream()
    assert stream.status == 200 and stream.headers["Content-Type"] == "text/event-stream"
    assert stream.headers["X-Accel-Buffering"] == "no"
    s.wait(lambda: s.opens, "open")
    for i in range(20):
        assert s.up(f"a{i}", f"b{i}".encode()).status == 200
    s.wait_received(40)
    assert s.received == [x for i in range(20) for x in (f"a{i}", f"b{i}".encode())]
    s.wait(lambda: s.count("beat") >= 3, "beats")
    s.close()


def test_a_held_poll_answers_when_there_is_something(proxy):
    s = Session(proxy.port)
    s.poll()
    other = Session(proxy.port)
    import threading
    done = []
    t = threading.Thread(target=lambda: done.append(s.poll(hold=2000)))
    t.start()
    s2 = Session(proxy.port)
    s2.token, s2.sent = s.token, 0
    wait_until(lambda: s.turn == 2, "the poll")
    assert s2.up("ping").status == 200
    t.join(20)
    assert s.received == ["ping"]


def test_a_session_moves_between_carriers(proxy, backend):
    s = Session(proxy.port)
    s.poll()
    assert s.up("1").status == 200
    stream = s.stream()
    s.wait_received(1)
    s.up("2")
    s.wait_received(2)
    stream.cut()
    s.up("3", "4")
    while len(s.received) < 4:
        s.poll(hold=1000)
    stream = s.stream()
    s.up("5")
    s.wait_received(5)
    again = s.stream()  # the newest wins
    wait_until(lambda: stream.ended, "the old stream to end")
    assert s.count("gone") == 1
    s.up("6")
    s.wait_received(6)
    assert s.received == list("123456") and backend.opened == 1
    again.cut()


def test_what_came_while_nobody_listened_is_replayed_and_what_was_lost_too(proxy):
    s = Session(proxy.port)
    s.poll()
    s.up("burst 50")
    s.poll(hold=2000)
    got, s.got, s.received = s.got, 0, []  # the answer was lost on its way
    assert got > 0
    while len(s.received) < 50:
        s.poll(hold=1000)
    assert s.received == [f"m{i}" for i in range(50)]


def test_numbers(proxy):
    s = Session(proxy.port)
    s.poll()
    assert s.up("1", "2").first("ack") == 2
    again = s.up("1", "2", "3", first=1)  # a request that was thought lost
    assert again.status == 200 and again.first("ack") == 3
    gap = s.up("5", first=5)
    assert gap.status == 409 and gap.first("ack") == 3
    s.sent = 3
    while len(s.received) < 3:
        s.poll(hold=1000)
    assert s.received == ["1", "2", "3"]


def test_close_by_the_client(proxy, backend):
    s = Session(proxy.port)
    s.poll()
    s.up("last")
    while not s.received:
        s.poll(hold=1000)
    s.up((4444, "bye"))  # not at once: a server that has read a close answers nothing before it
    while len(s.received) < 2:
        assert s.poll(hold=1000).status == 200
    assert s.received[0] == "last" and s.received[1][0] == 4444
    wait_until(lambda: backend.closed == [(4444, "bye")], "the backend's close")
    assert s.up().status in (200, 410)
    wait_until(lambda: s.poll().status == 410, "the session to be forgotten")


def test_close_by_the_backend(proxy, backend):
    s = Session(proxy.port)
    stream = s.stream()
    s.wait(lambda: s.opens, "open")
    s.up("one", "close")
    s.wait_received(2)
    assert s.received == ["one", (4001, "as asked")]
    wait_until(lambda: stream.ended and stream.error is None, "the stream to end in order")


def test_the_backend_vanishes(proxy):
    s = Session(proxy.port)
    s.stream()
    s.wait(lambda: s.opens, "open")
    s.up("vanish")
    s.wait_received(1)
    assert s.received == [(1006,)]


def test_nobody_comes_back(holdfast, backend):
    proxy = holdfast(backend.server, route={"fallback": {"keep": "1s"}})
    s = Session(proxy.port)
    s.poll()
    wait_until(lambda: backend.closed, "the backend's close")
    assert backend.closed[0][0] == 1001
    assert s.poll().status == 410


def test_one_nonce_is_one_session(proxy, backend):
    s, again = Session(proxy.port), Session(proxy.port)
    again.nonce = s.nonce
    s.poll()
    again.turn = 5
    again.poll()
    assert again.token == s.token and backend.opened == 1
    assert s.poll().records == [("gone", None, None)]  # its turn is too low now
    s.turn = 6
    assert s.poll().first("open") is not None


def test_eventsource(proxy, backend):
    s = Session(proxy.port)
    stream = Stream(s, {}, "GET")
    assert stream.status == 200 and stream.headers["Content-Type"] == "text/event-stream"
    s.wait(lambda: s.opens, "open")
    s.up("a", b"b")
    s.wait_received(2)
    stream.cut()
    s.up("c")
    stream = Stream(s, {"Last-Event-ID": f"{s.token}.{s.got}"}, "GET")
    assert stream.status == 200
    s.wait_received(3)
    assert s.received == ["a", b"b", "c"] and backend.opened == 1
    s.up("burst 3000")  # more than the window, without an acknowledgement
    s.wait_received(3003)
    assert s.received[3:] == [f"m{i}" for i in range(3000)]
    stream.cut()


BAD = [
    ("nothing", "", 400),
    ("no record", "hello\n\n", 400),
    ("no end", record("open", '{"nonce":"12345678","turn":1}')[:-1], 400),
    ("a message first", record("", '"x"'), 400),
    ("broken JSON", record("open", '{"nonce":"12345678","turn":1'), 400),
    ("no nonce", record("open", '{"turn":1}'), 400),
    ("a short nonce", record("open", '{"nonce":"1","turn":1}'), 400),
    ("no turn", record("open", '{"nonce":"12345678"}'), 400),
    ("turn 0", record("open", '{"nonce":"12345678","turn":0}'), 400),
    ("a protocol that is none", record("open", '{"nonce":"12345678","turn":1,"protocols":["a b"]}'), 400),
    ("a protocol that breaks the head", record("open", '{"nonce":"12345678","turn":1,"protocols":["a\\r\\nx"]}'), 400),
    ("something behind open", record("open", '{"nonce":"12345678","turn":1}') + record("", '"x"'), 400),
    ("a forged session", record("resume", '{"s":"0000000000-0.AAAAAAAAAAAAAAAAAAAAAA","turn":1,"got":0}'), 410),
    ("no token", record("resume", '{"s":"x","turn":1,"got":0}'), 410),
    ("an endless token", record("resume", json.dumps({"s": "x" * 500, "turn": 1, "got": 0})), 400),
    ("a long token in up", record("up", json.dumps({"s": "x" * 47, "got": 0, "from": 1})), 410),
    ("a negative turn", record("resume", '{"s":"x","turn":-1,"got":0}'), 400),
]


def test_bad_requests(holdfast, backend):
    proxy = holdfast(backend.server, route=FALLBACK)
    good = Session(proxy.port)
    good.poll()
    for name, body, want in BAD:
        assert status_of(proxy, body).status == want, name
    token = good.token
    for name, tail, want in [
            ("broken text", record("", '"x'), 400), ("no text", record("", "12"), 400),
            ("broken UTF-8", "data: \"\udcff\"\n\n", 400), ("broken base64", record("b", "AAA"), 400),
            ("an unknown record", record("what", "1"), 400), ("a close of nothing", record("close", "{}"), 400),
            ("a code that may not be sent", record("close", "[1006]"), 400), ("an ack of the future", record("ack", "99"), 400),
            ("half a record", "data: 1", 400)]:
        head = record("up", json.dumps({"s": token, "got": 0, "from": 1}))
        r = status_of(proxy, (head + tail).encode(errors="surrogateescape"))
        assert r.status == want, name
    assert status_of(proxy, record("up", json.dumps({"s": token, "got": 50, "from": 1}))).status == 400
    assert status_of(proxy, record("resume", json.dumps({"s": token, "got": 50, "turn": 9}))).status == 400
    assert good.up("still here").status == 200
    while not good.received:
        good.poll(hold=1000)
    assert good.received == ["still here"]


def test_a_session_belongs_to_its_origin(holdfast, backend):
    proxy = holdfast(backend.server, route={**FALLBACK, "access": {"origins": ["https://a.example", "https://b.example"]}})
    s = Session(proxy.port, headers={"Origin": "https://a.example"})
    first = s.poll()
    assert first.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert first.headers["Access-Control-Allow-Credentials"] == "true" and first.headers["Vary"] == "Origin"
    thief = Session(proxy.port, headers={"Origin": "https://b.example"})
    thief.token, thief.turn = s.token, 10
    stolen = thief.poll()
    assert stolen.status == 410 and stolen.headers["Access-Control-Allow-Origin"] == "https://b.example"
    evil = Session(proxy.port, headers={"Origin": "https://evil.example"}).poll()
    assert evil.status == 403 and evil.headers["Access-Control-Allow-Origin"] is None
    assert s.poll().status == 200


def test_refusals_of_the_backend(holdfast, make_origin, hole):
    from kit.backends import ok
    origin = make_origin(lambda request, conn: ok(b"no", status="403 Forbidden"))
    assert Session(holdfast(origin, route=FALLBACK).port).poll().status == 403
    plain = make_origin(lambda request, conn: ok(b"a page"))
    assert Session(holdfast(plain, route=FALLBACK).port).poll().status == 502
    assert Session(holdfast("127.0.0.1:1", route=FALLBACK).port).poll().status == 502


def test_only_routes_that_say_so(holdfast, make_origin):
    from kit.backends import ok
    origin = make_origin(lambda request, conn: ok(b"plain"))
    proxy = holdfast(origin)
    assert status_of(proxy, record("open", '{"nonce":"12345678","turn":1}')).status == 200
    assert origin.last.method == "POST"
    proxy = holdfast(origin, route={"fallback": {"carriers": ["poll"]}})
    assert status_of(proxy, record("open", '{"nonce":"12345678","turn":1}'), accept="text/event-stream").status == 404
    assert status_of(proxy, b"x", content_type="text/plain").status == 200  # a request like any other


def test_a_session_counts_and_is_shown_and_killed(holdfast, backend, short_directory):
    from kit.admin import Admin
    socket = short_directory / "admin.sock"
    proxy = holdfast(backend.server, route=FALLBACK, admin={"socket": str(socket)},
                     limits={"per_ip": {"connections": 6}})
    admin = Admin(str(socket))
    s = Session(proxy.port)
    s.poll()
    shown = [c for c in admin.connections() if c["kind"] == "websocket"]
    assert len(shown) == 1 and shown[0]["transport"] == "detached" and shown[0]["cluster"] == "c"
    others = [Session(proxy.port) for _ in range(6)]
    statuses = []
    for other in others:
        try:
            statuses.append(other.poll().status)
        except ConnectionError:  # its connection is one too many: reset before anything is read
            statuses.append(429)
    assert statuses.count(429) >= 1 and statuses[0] == 200
    admin.ask("DELETE", f"/connections/{shown[0]['id']}")
    while not s.received:
        assert s.poll(hold=1000).status == 200
    assert s.received[0][0] == 1008
    assert "holdfast_fallback_sessions_total" in admin.metrics()


def test_backpressure(holdfast, make_websocket):
    """What was sent and not yet taken is bounded by the window and by what sockets hold, however much there is."""
    size, count, sent = 65536, 600, []

    async def flood(ws):
        for i in range(count):
            await ws.send(bytes(size))
            sent.append(i)
    proxy = holdfast(make_websocket(flood), route={"fallback": {"window": "64KiB", "keep": "20s"}})
    s = Session(proxy.port)
    while len(s.received) < count:
        assert s.poll(hold=1000).status == 200
        assert (len(sent) - len(s.received)) * size < 16 << 20, "the backend was not held back"
    assert s.received == [bytes(size)] * count


def test_overflow_close(holdfast, make_websocket):
    async def flood(ws):
        for _ in range(100):
            await ws.send("x" * 1000)
        await ws.wait_closed()
    proxy = holdfast(make_websocket(flood), route={"fallback": {"window": "4KiB", "overflow": "close"}})
    s = Session(proxy.port)
    while not s.received or isinstance(s.received[-1], str):
        assert s.poll(hold=1000).status == 200
    assert s.received[-1][0] == 1013


def test_over_tls_and_after_a_reload(holdfast, backend):
    from kit.fallback import trusting
    proxy = holdfast(backend.server, tls=True, route=FALLBACK)
    s = Session(proxy.port, tls=trusting())
    s.stream()
    s.wait(lambda: s.opens, "open")
    s.up("before")
    proxy.reload()
    s.up("after")
    s.wait_received(2)
    assert s.received == ["before", "after"]
    s.close()


def test_a_shutdown_says_close(holdfast, backend):
    proxy = holdfast(backend.server, route=FALLBACK)
    s = Session(proxy.port)
    stream = s.stream()
    s.wait(lambda: s.opens, "open")
    import signal
    proxy.send_signal(signal.SIGTERM)
    s.wait_received(1)
    assert s.received == [(1001, s.received[0][1])]
    wait_until(lambda: stream.ended, "the stream's end")


def test_the_client_is_served(holdfast, backend):
    from kit.process import TREE
    script = TREE / "contrib" / "client" / "holdfast.min.js"
    proxy = holdfast(backend.server, route={"path": "/ws", **FALLBACK})
    r = proxy.request("/.holdfast/client.js?as=WebSocket")
    assert r.status == 200 and r.body == script.read_bytes()
    assert r.get("content-type") == "text/javascript; charset=utf-8" and r.get("access-control-allow-origin") == "*"
    again = proxy.request("/.holdfast/client.js", headers=[("If-None-Match", r.get("etag"))])
    assert again.status == 304
    assert proxy.request("/.holdfast/client.js", method="HEAD").get("content-length") == str(len(r.body))
    assert proxy.request("/.holdfast/client.js", method="POST").status == 404
    assert holdfast(backend.server, route={"path": "/ws"}).request("/.holdfast/client.js").status == 404
