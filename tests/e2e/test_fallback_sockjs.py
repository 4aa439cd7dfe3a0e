"""SockJS before an ordinary WebSocket server: what sockjs-client and the protocol's public suite rely on, row by row."""
import asyncio
import http.client
import json
import re
import secrets
import threading

import pytest
import websockets

from kit.raw import RawClient
from kit.servers import ws_connect
from kit.wait import wait_until
from test_fallback_http import backend  # noqa: F401  a fixture

NOT_CACHED = "no-store, no-cache, no-transform, must-revalidate, max-age=0"
JS = "application/javascript; charset=UTF-8"
TEXT = "text/plain; charset=UTF-8"


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def proxy(request, holdfast, backend):  # noqa: F811
    return sockjs_proxy(holdfast, backend, request.param)


def sockjs_proxy(holdfast, backend, workers=2, route=None, **keys):  # noqa: F811
    config = {"websocket": True, "response_limit": "4KiB", "target": "/", **keys}
    return holdfast(backend.server, workers=workers, route={"path": "/echo", "fallback": {"sockjs": config}, **(route or {})})


class Reply:
    def __init__(self, r):
        self.status, self.headers, self.body = r.status, r.headers, r.read().decode()
        self.type = self.headers["Content-Type"]


def ask(proxy, method, path, body=None, **headers):
    c = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=20)
    c.request(method, "/echo" + path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    reply = Reply(c.getresponse())
    c.close()
    return reply


def name():
    return f"/000/{secrets.token_hex(6)}"


def opened(proxy):
    s = name()
    r = ask(proxy, "POST", s + "/xhr")
    assert (r.status, r.body, r.type) == (200, "o\n", JS)
    return s


def receive(proxy, s, count):
    """Messages, however many answers they take."""
    got = []
    while len(got) < count:
        body = ask(proxy, "POST", s + "/xhr").body
        assert body[0] in "ah", body
        got += json.loads(body[1:]) if body[0] == "a" else []
    return got


# ---- pages ----

def test_greeting(proxy):
    for path in ("", "/"):
        r = ask(proxy, "GET", path)
        assert (r.status, r.type, r.body) == (200, TEXT, "Welcome to SockJS!\n")
        assert r.headers["Set-Cookie"] is None
    with RawClient(("127.0.0.1", proxy.port)) as c:
        c.send(b"GET /echo HTTP/1.0\r\n\r\n")
        assert c.read_to_end().endswith(b"Welcome to SockJS!\n")


@pytest.mark.parametrize("path", ["/a", "/a.html", "//", "///", "/a/a", "/a/a/", "/a/a/a", "/000/x/what", "/000//xhr", "/a./b/xhr",
                                  "/a/b./xhr", "/iframe.htm", "/iframe", "/IFRAME.HTML", "/IFRAME", "/iframe.HTML",
                                  "/iframe.xml", "/iframe-/.html"])
def test_unknown_paths(holdfast, backend, path):  # noqa: F811
    assert ask(sockjs_proxy(holdfast, backend), "GET", path).status == 404


def test_info(proxy, backend):  # noqa: F811
    r = ask(proxy, "GET", "/info")
    assert (r.status, r.type) == (200, "application/json; charset=UTF-8")
    assert r.headers["Cache-Control"] == NOT_CACHED and r.headers["Access-Control-Allow-Origin"] == "*"
    assert r.headers["Access-Control-Allow-Credentials"] is None
    first, second = json.loads(r.body), json.loads(ask(proxy, "GET", "/info").body)
    assert first["websocket"] is True and first["origins"] == ["*:*"] and first["cookie_needed"] is False
    assert first["entropy"] != second["entropy"] and 0 <= first["entropy"] < 1 << 32
    assert backend.opened == 0
    r = ask(proxy, "OPTIONS", "/info", Origin="null", Access_Control_Request_Headers="x-a, x-b")
    assert r.status == 204 and r.body == "" and r.headers["Access-Control-Allow-Methods"] == "OPTIONS, GET"
    assert r.headers["Access-Control-Allow-Origin"] == "null" and r.headers["Access-Control-Allow-Credentials"] == "true"
    assert r.headers["Access-Control-Allow-Headers"] == "x-a, x-b" and r.headers["Access-Control-Max-Age"] == "31536000"
    assert "max-age=31536000" in r.headers["Cache-Control"] and r.headers["Expires"]
    assert ask(proxy, "POST", "/info").status == 405


def test_cors_of_transports(proxy):
    for path in ("/xhr", "/xhr_send", "/xhr_streaming"):
        r = ask(proxy, "OPTIONS", name() + path, Origin="https://a.example")
        assert r.status == 204 and r.headers["Access-Control-Allow-Methods"] == "OPTIONS, POST"
        assert r.headers["Access-Control-Allow-Origin"] == "https://a.example"
        assert r.headers["Access-Control-Allow-Headers"] is None
    r = ask(proxy, "POST", name() + "/xhr", Origin="https://a.example")
    assert r.headers.get_all("Access-Control-Allow-Origin") == ["https://a.example"] and r.headers["Vary"] == "Origin"
    assert r.headers["Access-Control-Allow-Credentials"] == "true"


def test_only_allowed_origins(holdfast, backend):  # noqa: F811
    proxy = sockjs_proxy(holdfast, backend, route={"access": {"origins": ["https://a.example"]}})
    assert ask(proxy, "POST", name() + "/xhr", Origin="https://a.example").status == 200
    r = ask(proxy, "POST", name() + "/xhr", Origin="https://evil.example")
    assert r.status == 403 and r.headers["Access-Control-Allow-Origin"] is None


def test_iframe(proxy):
    for path in ("/iframe.html", "/iframe-a.html", "/iframe-0.1.2-abc-dirty.2144.html"):
        r = ask(proxy, "GET", path)
        assert r.status == 200 and r.type == "text/html; charset=UTF-8"
        assert re.search(r'<script src="[^"]+"></script>', r.body) and "SockJS.bootstrap_iframe();" in r.body
        assert "max-age=31536000" in r.headers["Cache-Control"] and "public" in r.headers["Cache-Control"]
        assert r.headers["Expires"] and r.headers["ETag"] and r.headers["Last-Modified"] is None
    again = ask(proxy, "GET", "/iframe.html", If_None_Match=r.headers["ETag"])
    assert (again.status, again.body, again.type) == (304, "", None)


def test_wrong_methods(proxy):
    for method, path, allow in [("GET", "/xhr", "OPTIONS, POST"), ("GET", "/xhr_send", "OPTIONS, POST"), ("POST", "/eventsource", "GET"),
                                ("POST", "/htmlfile", "GET"), ("POST", "/jsonp", "GET"), ("GET", "/jsonp_send", "POST"),
                                ("POST", "/websocket", "GET"), ("PUT", "/xhr", "OPTIONS, POST")]:
        r = ask(proxy, method, name() + path)
        assert (r.status, r.type, r.body, r.headers["Allow"]) == (405, None, "", allow), path


# ---- sessions ----

def test_xhr_polling(proxy, backend):  # noqa: F811
    s = opened(proxy)
    r = ask(proxy, "POST", s + "/xhr_send", '["a","b"]')
    assert (r.status, r.body, r.type) == (204, "", TEXT)
    assert receive(proxy, s, 2) == ["a", "b"]
    for content_type in ("text/plain", "T", "application/json", "application/xml", ""):
        assert ask(proxy, "POST", s + "/xhr_send", '["x"]', Content_Type=content_type).status == 204
    assert ask(proxy, "POST", s + "/xhr_send", "[]").status == 204
    assert receive(proxy, s, 5) == ["x"] * 5
    assert backend.opened == 1 and backend.paths[-1] == "/"


def test_what_was_sent_before_comes_in_one_array(proxy):
    """A real backend answers a moment later: all that is on its way is waited for."""
    s = opened(proxy)
    ask(proxy, "POST", s + "/xhr_send", '["burst 8"]')
    got = receive(proxy, s, 8)
    assert got == [f"m{i}" for i in range(8)]


def test_bad_sends(proxy):
    s = opened(proxy)
    r = ask(proxy, "POST", s + "/xhr_send", "")
    assert (r.status, r.body) == (500, "Payload expected.")
    for bad in ('["x', "x", "{}", '"x"', "[1]", '["x"] y', '["\udcff"]'):
        r = ask(proxy, "POST", s + "/xhr_send", bad.encode(errors="surrogateescape"))
        assert (r.status, r.body) == (500, "Broken JSON encoding."), bad
    assert ask(proxy, "POST", s + "/xhr_send", '["lives"]').status == 204
    assert receive(proxy, s, 1) == ["lives"]
    assert ask(proxy, "POST", name() + "/xhr_send", '["x"]').status == 404
    assert ask(proxy, "POST", name() + "/jsonp_send", '["x"]').status == 404


def test_the_server_part_and_the_query_mean_nothing(proxy, backend):  # noqa: F811
    key = secrets.token_hex(6)
    assert ask(proxy, "POST", f"/000/{key}/xhr?t=1").body == "o\n"
    assert ask(proxy, "POST", f"/999/{key}/xhr_send?t=2", '["x"]').status == 204
    assert ask(proxy, "POST", f"/a%20b/{key}/xhr/?t=3").body == 'a["x"]\n'
    assert backend.opened == 1


def test_closed_by_the_application(proxy):
    s = opened(proxy)
    ask(proxy, "POST", s + "/xhr_send", '["close"]')
    for _ in range(2):
        assert ask(proxy, "POST", s + "/xhr").body == 'c[4001,"as asked"]\n'


def test_one_receiver(proxy):
    s = name()
    first, _, _ = chunks(proxy, "POST", s + "/xhr_streaming")
    assert ask(proxy, "POST", s + "/xhr").body == 'c[2010,"Another connection still open"]\n'
    r = ask(proxy, "POST", s + "/xhr_streaming")
    assert r.status == 200 and r.body.endswith('c[2010,"Another connection still open"]\n')
    ask(proxy, "POST", s + "/xhr_send", '["for the first"]')
    first.read_until(b'a["for the first"]\n')
    first.close()


def test_an_aborted_receiver_ends_the_session(proxy, backend):  # noqa: F811
    s = name()
    c, _, _ = chunks(proxy, "POST", s + "/xhr_streaming")
    c.reset()
    wait_until(lambda: backend.closed, "the backend's close")
    assert backend.closed[0][0] in (1000, 1001)
    assert ask(proxy, "POST", s + "/xhr").body in ("o\n", 'c[1002,"Connection interrupted"]\n')


def test_a_session_ends_without_receivers(holdfast, backend):  # noqa: F811
    proxy = sockjs_proxy(holdfast, backend, disconnect_delay="1s")
    s = opened(proxy)
    wait_until(lambda: backend.closed, "the backend's close")
    assert ask(proxy, "POST", s + "/xhr_send", '["x"]').status == 404


def test_heartbeats(holdfast, backend):  # noqa: F811
    proxy = sockjs_proxy(holdfast, backend, heartbeat="1s")
    s = opened(proxy)
    assert ask(proxy, "POST", s + "/xhr").body == "h\n"


def test_a_refused_backend_is_no_200(holdfast):
    proxy = holdfast("127.0.0.1:1", route={"path": "/echo", "fallback": {"sockjs": {"target": "/"}}})
    assert ask(proxy, "POST", name() + "/xhr_streaming").status == 502


# ---- streaming ----

def chunks(proxy, method, path, after=None, count=2):
    """The first chunks of a streaming answer, one by one."""
    c = RawClient(("127.0.0.1", proxy.port))
    c.send(f"{method} /echo{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    head = c.read_head()
    got = []
    while len(got) < count:
        size = int(c.read_until(b"\r\n"), 16)
        got.append(c.read_exactly(size).decode())
        c.read_exactly(2)
        if len(got) == 2 and after:
            after()
    return c, head, got


def test_xhr_streaming(proxy):
    s = name()
    c, head, got = chunks(proxy, "POST", s + "/xhr_streaming",
                          lambda: ask(proxy, "POST", s + "/xhr_send", '["x"]'), 3)
    assert head.get("content-type") == JS and head.get("cache-control") == NOT_CACHED
    assert got == ["h" * 2048 + "\n", "o\n", 'a["x"]\n']
    c.close()


def test_response_limit(proxy):
    s = name()
    c, _, _ = chunks(proxy, "POST", s + "/xhr_streaming")
    message = '"' + "x" * 128 + '"'
    for _ in range(31):
        ask(proxy, "POST", s + "/xhr_send", f"[{message}]")
    rest = c.read_to_end() if False else c.read_until(b"0\r\n\r\n")
    assert rest.count(b"x" * 128) == 31
    assert ask(proxy, "POST", s + "/xhr_send", '["again"]').status == 204
    assert receive(proxy, s, 1) == ["again"]


def test_eventsource(proxy):
    s = name()
    c, head, got = chunks(proxy, "GET", s + "/eventsource",
                          lambda: ask(proxy, "POST", s + "/xhr_send", json.dumps(["  \0\n\r %41 "])), 3)
    assert head.get("content-type") == "text/event-stream"
    assert got == ["\r\n", "data: o\r\n\r\n", 'data: a["  \\u0000\\u000a\\u000d %2541 "]\r\n\r\n']
    c.close()


def test_htmlfile(proxy):
    s = name()
    c, head, got = chunks(proxy, "GET", s + "/htmlfile?c=%63allback",
                          lambda: ask(proxy, "POST", s + "/xhr_send", json.dumps(["</script>"])), 3)
    assert head.get("content-type") == "text/html; charset=UTF-8"
    assert len(got[0]) > 1024 and "var c = parent.callback;" in got[0] and got[0].endswith("\r\n\r\n")
    assert got[1:] == ['<script>\np("o");\n</script>\r\n', '<script>\np("a[\\"\\u003c/script>\\"]");\n</script>\r\n']
    c.close()


def test_jsonp(proxy):
    s = name()
    r = ask(proxy, "GET", s + "/jsonp?c=cb.x")
    assert (r.status, r.type, r.body) == (200, JS, '/**/cb.x("o");\r\n') and r.headers["X-Content-Type-Options"] == "nosniff"
    r = ask(proxy, "POST", s + "/jsonp_send", "d=%5B%22x%20y%22%5D", Content_Type="application/x-www-form-urlencoded")
    assert (r.status, r.body, r.type) == (200, "ok", TEXT)
    assert ask(proxy, "POST", s + "/jsonp_send", '["%20"]', Content_Type="text/plain").status == 200
    got = ""
    while "%20" not in got:
        got += ask(proxy, "GET", s + "/jsonp?c=cb").body
    assert '\\"x y\\"' in got
    for form in ("", "d=", "x=1"):
        r = ask(proxy, "POST", s + "/jsonp_send", form, Content_Type="application/x-www-form-urlencoded")
        assert (r.status, r.body) == (500, "Payload expected."), form


@pytest.mark.parametrize("path", ["/jsonp", "/htmlfile"])
def test_callbacks(holdfast, backend, path):  # noqa: F811
    proxy = sockjs_proxy(holdfast, backend)
    for query in ("", "?c=", "?x=1"):
        r = ask(proxy, "GET", name() + path + query)
        assert (r.status, r.body) == (500, '"callback" parameter required')
    for bad in ("%20", "*", "abc(", "abc%28", "a%0Ab", "<script>", "x" * 33):
        r = ask(proxy, "GET", name() + path + "?c=" + bad)
        assert (r.status, r.body) == (500, 'invalid "callback" parameter'), bad


def test_strings_are_escaped_for_old_browsers(proxy):
    s = opened(proxy)
    text = "".join(chr(c) for a, b in ((0, 0x20), (0x200c, 0x2010), (0x2028, 0x2030), (0x2060, 0x2070), (0xfff0, 0x10000))
                   for c in range(a, b)) + "\U0001f600\u20ac"
    ask(proxy, "POST", s + "/xhr_send", json.dumps([text, "\ud800 lone"]).encode())
    body = ""
    while "lone" not in body:
        body += ask(proxy, "POST", s + "/xhr").body
    assert "\\u200c" in body and "\\u2028" in body and "\\ufff0" in body and "\\u000b" in body and "\u20ac" in body
    assert "\\ufffd lone" in body and "\U0001f600" in body
    assert not any(ord(c) in range(0x2028, 0x2030) for c in body)


def test_cookies(holdfast, backend):  # noqa: F811
    proxy = sockjs_proxy(holdfast, backend, cookie=True)
    r = ask(proxy, "GET", "/info")
    assert json.loads(r.body)["cookie_needed"] is True and r.headers["Set-Cookie"] is None
    assert ask(proxy, "POST", name() + "/xhr").headers["Set-Cookie"] == "JSESSIONID=dummy; path=/"
    assert ask(proxy, "POST", name() + "/xhr", Cookie="JSESSIONID=abc").headers["Set-Cookie"] == "JSESSIONID=abc; path=/"


# ---- WebSocket ----

async def test_websocket(proxy, backend):  # noqa: F811
    s = name()
    first = await ws_connect(f"ws://127.0.0.1:{proxy.port}/echo{s}/websocket")
    second = await ws_connect(f"ws://127.0.0.1:{proxy.port}/echo{s}/websocket")  # the name means nothing here
    for ws in (first, second):
        assert await ws.recv() == "o"
    await first.send('["a"]')
    await second.send('"b"')
    await first.send("")
    await first.send("[]")
    await first.send('["c","d"]')
    assert [await first.recv() for _ in range(3)] == ['a["a"]', 'a["c"]', 'a["d"]']
    assert await second.recv() == 'a["b"]'
    await first.send('["close"]')
    assert await first.recv() == 'c[4001,"as asked"]'
    await asyncio.wait_for(first.wait_closed(), 20)
    assert first.close_code == 1000
    await second.send('["x')
    await asyncio.wait_for(second.wait_closed(), 20)
    assert second.close_code in (1002, 3000)
    await asyncio.to_thread(wait_until, lambda: len(backend.closed) == 2, "both backends' ends")


async def test_websocket_pings(holdfast, backend):  # noqa: F811
    proxy = sockjs_proxy(holdfast, backend, heartbeat="1s")
    ws = await ws_connect(f"ws://127.0.0.1:{proxy.port}/echo{name()}/websocket")
    assert await ws.recv() == "o"
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(ws.recv(), 3.5)  # it answers pings, and hears nothing else
    await ws.send('"alive"')
    assert await ws.recv() == 'a["alive"]'


def test_websocket_plain_requests(proxy):
    assert ask(proxy, "GET", name() + "/websocket").status == 400
    assert ask(proxy, "GET", "/websocket").status == 400


async def test_raw_websocket(proxy, backend):  # noqa: F811
    ws = await ws_connect(f"ws://127.0.0.1:{proxy.port}/echo/websocket", subprotocols=["v2"])
    assert ws.subprotocol == "v2"
    await ws.send("Hello world!\uffff")
    assert await ws.recv() == "Hello world!\uffff"
    await ws.send("close")
    with pytest.raises(websockets.ConnectionClosed):
        await ws.recv()
    assert ws.close_code == 4001 and backend.paths[-1] == "/"
