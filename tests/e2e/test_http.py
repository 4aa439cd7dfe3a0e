"""HTTP/1.1 through the proxy: what passes, what is changed, what is refused."""
import asyncio
import hashlib
import json
import os
import re
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kit.backends import Hole, answers, named, ok
from kit.process import is_sanitized
from kit.raw import Truncated, build_request, chunk, chunked
from kit.wait import wait_until

MIB = 1 << 20
GROWTH_MAX_KIB = 24 * 1024  # of the process, whatever passes through it


def seen(response):
    """What the echoing origin got, from its answer."""
    assert response.status == 200, response
    got = json.loads(response.text)
    got["fields"] = [(n.lower(), v) for n, v in got["headers"]]
    return got


def values(got, name):
    return [v for n, v in got["fields"] if n == name.lower()]


# ---- connections ----

def test_connection_is_kept_for_many_requests(holdfast, origin):
    hf = holdfast(origin)
    client = hf.connect()
    for i in range(50):
        assert seen(client.request(f"/{i}"))["target"] == f"/{i}"
    assert len(origin.conns) == 1, "the backend's connection is kept as well"


def test_pipelined_requests_are_answered_in_order(holdfast, make_origin):
    origin = make_origin(lambda request, conn: ok(request.target))
    client = holdfast(origin).connect()
    client.send(b"".join(build_request(f"/{i}") for i in range(40)))
    assert [client.read_response().text for _ in range(40)] == [f"/{i}" for i in range(40)]


def test_pipelined_request_behind_a_body_is_its_own(holdfast, origin):
    client = holdfast(origin).connect()
    client.send(build_request("/1", "POST", body=b"x" * 1000) + build_request("/2", "POST", [
        ("Transfer-Encoding", "chunked")]) + chunked(b"abc", b"de") + build_request("/3"))
    assert [(s["target"], s["body_len"]) for s in (seen(client.read_response()) for _ in range(3))] == [
        ("/1", 1000), ("/2", 5), ("/3", 0)]


@pytest.mark.parametrize("size", [1, 2, 7, 61])
def test_request_may_arrive_in_pieces(holdfast, origin, size):
    client = holdfast(origin).connect()
    client.send_in_pieces(build_request("/cut?here=1", "POST", [("Transfer-Encoding", "chunked")])
                          + chunked(b"some", b"more bytes", trailers=b"X-Sum: 5\r\n"), size)
    got = seen(client.read_response())
    assert (got["target"], got["body_len"], got["trailers"]) == ("/cut?here=1", 14, [["X-Sum", "5"]])


@pytest.mark.parametrize("size", [1, 3, 50])
def test_response_may_arrive_in_pieces(holdfast, make_origin, size):
    response = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nX-A: b\r\n\r\n"
                + chunked(b"some", b"more bytes", trailers=b"X-Sum: 5\r\n"))

    async def reply(request, conn):
        await conn.send_in_pieces(response, size)
    client = holdfast(make_origin(reply)).connect()
    for _ in range(3):
        got = client.request()
        assert (got.text, got.get("x-a"), got.trailers) == ("somemore bytes", "b", [("X-Sum", "5")])


def test_connection_close_is_heeded(holdfast, origin):
    client = holdfast(origin).connect()
    response = client.request(headers=[("Connection", "close")])
    assert response.status == 200 and response.get("connection").lower() == "close"
    client.ends()


def test_http_1_0_client_gets_no_chunks_and_an_end(holdfast, make_origin):
    origin = make_origin(answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"abc", b"def")))
    client = holdfast(origin).connect()
    client.send(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
    response = client.read_response()
    assert not response.is_chunked and response.text == "abcdef"
    client.ends()


def test_http_1_0_client_may_ask_for_keep_alive(holdfast, make_origin):
    client = holdfast(make_origin(named("x"))).connect()
    for _ in range(3):
        client.send(b"GET / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n")
        response = client.read_response()
        assert response.text == "x" and response.get("connection", "").lower() == "keep-alive"


def test_client_that_half_closes_still_gets_its_response(holdfast, make_origin):
    client = holdfast(make_origin(named("answer"))).connect()
    client.send(build_request()).half_close()
    assert client.read_response().text == "answer"
    client.ends()


def test_response_without_length_ends_with_the_connection(holdfast, make_origin):
    origin = make_origin(answers(b"HTTP/1.1 200 OK\r\n\r\n" + b"z" * 100000, "close"))
    assert holdfast(origin).request().body == b"z" * 100000


def test_stale_pooled_connection_does_not_fail_a_request(holdfast, make_origin):
    """The backend closes each connection after its answer without having said so."""
    origin = make_origin(answers(ok("fresh"), "close"))
    client = holdfast(origin, workers=1).connect()
    assert [client.request().text for _ in range(20)] == ["fresh"] * 20


def test_unused_pooled_connection_is_closed_after_the_idle_timeout(holdfast, make_origin):
    origin = make_origin(named("x"))
    hf = holdfast(origin, cluster={"timeouts": {"idle": "300ms"}})
    hf.request()
    origin.wait(lambda b: b.conns[0].ended == "end", "the end of the idle connection")


def test_pool_holds_no_more_than_max_idle(holdfast, make_origin):
    barrier = threading.Barrier(8)
    origin = make_origin(named("x"))
    hf = holdfast(origin, workers=1, cluster={"pool": {"max_idle": 2}})
    with ThreadPoolExecutor(8) as many:
        list(many.map(lambda _: (barrier.wait(), hf.request()), range(8)))
    origin.wait(lambda b: sum(c.ended is None for c in b.conns) <= 2, "connections beyond max_idle to be closed")


# ---- methods, targets, bodies ----

def test_head_has_no_body_and_keeps_its_length(holdfast, make_origin):
    def reply(request, conn):
        return b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n" if request.method == "HEAD" else ok("get")
    client = holdfast(make_origin(reply)).connect()
    for _ in range(3):
        head = client.request("/", "HEAD")
        assert head.get("content-length") == "12345" and head.body == b""
        assert client.request().text == "get"


def test_head_of_a_chunked_resource_keeps_the_connection(holdfast, make_origin):
    def reply(request, conn):
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" if request.method == "HEAD" else ok("get")
    client = holdfast(make_origin(reply)).connect()
    assert client.request("/", "HEAD").status == 200
    assert client.request().text == "get"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_statuses_without_body_keep_the_connection(holdfast, make_origin, status):
    client = holdfast(make_origin(answers(f"HTTP/1.1 {status}\r\nX-A: b\r\n\r\n".encode()))).connect()
    for _ in range(3):
        assert client.request().start[1] == status[:3]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "M-SEARCH"])
def test_any_method_passes(holdfast, origin, method):
    assert seen(holdfast(origin).request("/x", method, body=b"abc"))["method"] == method


@pytest.mark.parametrize("target", [
    "/", "/a//b", "/a/./b/../c", "/%7euser/%2F?x=%20&y=;z", "/?", "/a?b?c", "/*", "/:80", "/a;p=1,2", "/(a)'!$&+"])
def test_target_reaches_the_backend_as_it_was_sent(holdfast, origin, target):
    assert seen(holdfast(origin).request(target))["target"] == target


def test_absolute_form_names_the_host(holdfast, origin):
    got = seen(holdfast(origin).request("http://inside.example:81/p?q", headers=[("Host", "outside.example")]))
    assert got["target"] == "/p?q" and values(got, "host") == ["inside.example:81"]


def test_absolute_form_without_path_is_the_root(holdfast, origin):
    assert seen(holdfast(origin).request("http://localhost"))["target"] == "/"


def test_options_asterisk_is_answered_by_the_proxy(holdfast, origin):
    client = holdfast(origin).connect()
    response = client.request("*", "OPTIONS")
    assert response.status in (200, 204) and not origin.requests
    assert client.request().status == 200


def test_connect_is_refused(holdfast, origin):
    client = holdfast(origin).connect()
    client.send(b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost:22\r\n\r\n")
    assert client.read_response().status in (405, 501)
    assert not origin.requests


def test_chunks_reach_the_backend_with_trailers(holdfast, origin):
    client = holdfast(origin).connect()
    client.send(build_request("/", "POST", [("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")])
                + chunked(b"one", b"two" * 30000, trailers=b"X-Sum: 7\r\nX-More: 8\r\n"))
    got = seen(client.read_response())
    assert got["body_len"] == 90003 and got["trailers"] == [["X-Sum", "7"], ["X-More", "8"]]


@pytest.mark.parametrize("trailer", ["Content-Length: 5", "Transfer-Encoding: chunked", "Host: evil", "Authorization: x",
                                     "Connection: close"])
def test_trailer_that_frames_or_routes_is_not_passed(holdfast, origin, trailer):
    client = holdfast(origin).connect()
    client.send(build_request("/", "POST", [("Transfer-Encoding", "chunked")])
                + chunked(b"x", trailers=f"{trailer}\r\nX-Good: 1\r\n".encode()))
    response = client.read_response()
    if response.status == 200:
        assert seen(response)["trailers"] == [["X-Good", "1"]]
    else:
        assert response.status == 400 and not any(r.is_whole for r in origin.requests)


def test_chunked_response_streams_as_it_comes(holdfast, make_origin):
    """The first chunk is there before the backend has the second to send."""
    gate = threading.Event()

    async def reply(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"first"))
        while not gate.is_set():
            await asyncio.sleep(0.01)
        await conn.send(chunk(b"second") + b"0\r\n\r\n")
    client = holdfast(make_origin(reply)).connect().send(build_request())
    response = client.read_head()
    assert response.is_chunked and client.read_until(b"first") is not None
    gate.set()
    assert client.read_until(b"second") is not None
    client.read_until(b"0\r\n\r\n")


def test_request_body_streams_as_it_comes(holdfast, origin):
    """The first bytes of a body are with the backend before the last are sent."""
    client = holdfast(origin).connect()
    client.send(build_request("/", "POST", [("Content-Length", "10")]) + b"first")
    origin.wait(lambda b: b.requests and b.requests[0].body == b"first", "half a body")
    client.send(b"secnd")
    assert seen(client.read_response())["body_len"] == 10


# ---- 1xx, Expect, early responses ----

def test_interim_responses_pass(holdfast, make_origin):
    origin = make_origin(answers(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
                                 b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n" + ok("final")))
    client = holdfast(origin).connect().send(build_request())
    got = [client.read_response(interim=True) for _ in range(3)]
    assert [(r.status, r.get("link")) for r in got] == [(103, "</a.css>"), (103, "</b.css>"), (200, None)]
    assert got[2].text == "final"


def test_interim_responses_are_not_for_http_1_0(holdfast, make_origin):
    origin = make_origin(answers(b"HTTP/1.1 103 Early Hints\r\n\r\n" + ok("final")))
    client = holdfast(origin).connect().send(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
    assert client.read_response(interim=True).status == 200


def test_expect_100_continue_lets_the_body_follow(holdfast, make_origin):
    async def go_on(request, conn):
        if "100-continue" in (request.get("expect") or ""):
            await conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    client = holdfast(make_origin(before_body=go_on)).connect()
    for _ in range(2):
        client.send(build_request("/", "POST", [("Content-Length", "5"), ("Expect", "100-continue")]))
        assert client.read_response(interim=True).status == 100
        client.send(b"hello")
        assert seen(client.read_response(interim=True))["body_len"] == 5


def test_backend_may_refuse_before_the_body_is_sent(holdfast, make_origin):
    async def refuse(request, conn):
        await conn.send(ok("too much", status="413 Content Too Large", headers=[("Connection", "close")]))
        return True
    client = holdfast(make_origin(before_body=refuse)).connect()
    client.send(build_request("/", "POST", [("Content-Length", "5000000"), ("Expect", "100-continue")]))
    response = client.read_response()
    assert response.status == 413 and response.text == "too much"


def test_curl_and_its_expectation(holdfast, origin, directory):
    """curl sends Expect: 100-continue before a body of more than 1 MiB, and waits a second for the answer."""
    body = directory / "body"
    body.write_bytes(os.urandom(3 * MIB))
    hf = holdfast(origin)
    done = subprocess.run(["curl", "-sS", "--fail", "-T", str(body), "-H", "Expect: 100-continue", hf.url("/up")],
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sha256"] == hashlib.sha256(body.read_bytes()).hexdigest()


def test_early_response_is_heard_by_a_client_still_sending(holdfast, make_origin):
    async def refuse(request, conn):
        await conn.send(ok("enough", status="403 Forbidden", headers=[("Connection", "close")]))
        return True
    client = holdfast(make_origin(before_body=refuse), listener={"http": {"max_body_size": 0}}).connect()
    client.send(build_request("/", "POST", [("Content-Length", str(64 * MIB))]))
    response = client.read_response()
    assert (response.status, response.text) == (403, "enough")
    try:  # what follows is dropped or refused, and never answered again
        for _ in range(64):
            client.send(b"x" * MIB)
    except (ConnectionError, TimeoutError):
        return
    try:
        assert client.read_to_end() == b""
    except ConnectionError:
        pass


# ---- large bodies at a constant size ----

class Peak:
    """How much the process grew at its largest while the body of `with` ran."""

    def __init__(self, hf):
        self.hf = hf

    def __enter__(self):
        from kit import kernel
        kernel.reset_peak_memory(self.hf.pid)
        self.before = self.hf.memory_kib("VmRSS")
        return self

    def __exit__(self, *failure):
        self.growth_kib = self.hf.memory_kib("VmHWM") - self.before


def download(client, target):
    """Reads a whole response without keeping it; gives (bytes, hash)."""
    client.send(build_request(target))
    response = client.read_head()
    assert response.status == 200
    digest, left = hashlib.sha256(client.buffer), int(response.get("content-length")) - len(client.buffer)
    client.buffer, view = b"", bytearray(MIB)
    while left > 0:
        n = client.socket.recv_into(view, min(left, MIB))
        assert n > 0, "cut short"
        digest.update(memoryview(view)[:n])
        left -= n
    return digest.hexdigest()


def upload(client, target, size, block):
    digest = hashlib.sha256()
    client.send(build_request(target, "PUT", [("Content-Length", str(size))]))
    for _ in range(size // len(block)):
        digest.update(block)
        client.send(block)
    return digest.hexdigest(), client.read_response()


def warm(hf, nginx, tls):
    """The first transfers make buffers that stay."""
    nginx.file("warm", 4 * MIB)
    for _ in range(4):
        with hf.connect(tls=tls) as client:
            download(client, "/warm")
            upload(client, "/upload/warm", 4 * MIB, b"w" * MIB)


@pytest.mark.parametrize("size", [128, pytest.param(1024, marks=pytest.mark.slow)], ids=lambda n: f"{n} MiB")
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.limit(300)
def test_large_bodies_pass_exactly_at_a_constant_size(holdfast, nginx, certs, size, tls):
    hf = holdfast(nginx, tls=tls, workers=1, listener={"http": {"max_body_size": 0}})
    context = certs.client_context() if tls else None
    want = nginx.file("big", size * MIB)
    warm(hf, nginx, context)
    with Peak(hf) as peak:
        assert download(hf.connect(tls=context), "/big") == want
        sent, response = upload(hf.connect(tls=context), "/upload/big", size * MIB, os.urandom(MIB))
    assert response.status == 201
    assert hashlib.sha256((nginx.files / "upload/big").read_bytes()).hexdigest() == sent
    assert peak.growth_kib < GROWTH_MAX_KIB, f"grew by {peak.growth_kib} KiB"


def test_large_chunked_bodies_pass_exactly(holdfast, make_origin):
    def reply(request, conn):
        return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                + chunked(*(request.body[i:i + 7777] for i in range(0, len(request.body), 7777))))
    client = holdfast(make_origin(reply)).connect()
    body = os.urandom(2 * MIB)
    client.send(build_request("/", "POST", [("Transfer-Encoding", "chunked")])
                + chunked(*(body[i:i + 33333] for i in range(0, len(body), 33333))))
    assert client.read_response().body == body


def test_client_that_does_not_read_holds_the_backend_back(holdfast, make_origin):
    size = 256 * MIB

    async def flood(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 65536):
            await conn.send(b"f" * 65536)
    origin = make_origin(flood)
    hf = holdfast(origin, workers=1)
    with Peak(hf) as peak:
        client = hf.connect(receive_buffer=65536).send(build_request())
        client.read_head()
        wait_until_still(lambda: origin.conns[0].sent)
    assert origin.conns[0].sent < 32 * MIB, "the kernel's buffers and ours, and no more"
    assert peak.growth_kib < GROWTH_MAX_KIB


def test_backend_that_does_not_read_holds_the_client_back(holdfast, make_origin):
    async def stuck(request, conn):
        await conn.reader.read(1)
        conn.writer.transport.pause_reading()
        await asyncio.sleep(60)
    origin = make_origin(before_body=stuck, receive_buffer=65536)
    hf = holdfast(origin, workers=1, listener={"http": {"max_body_size": 0}})
    client = hf.connect().send(build_request("/", "POST", [("Content-Length", str(256 * MIB))]))
    client.socket.setblocking(False)
    sent = 0

    def push():
        nonlocal sent
        try:
            while sent < 256 * MIB:
                sent += client.socket.send(b"f" * 65536)
        except BlockingIOError:
            pass
        return sent
    with Peak(hf) as peak:
        wait_until_still(push)
    assert sent < 32 * MIB
    assert peak.growth_kib < GROWTH_MAX_KIB


def wait_until_still(value, seconds=0.5):
    """Until the value has not changed for so long."""
    import time
    last = [value(), time.monotonic()]

    def is_still():
        now = value()
        if now != last[0]:
            last[:] = [now, time.monotonic()]
        return now > 0 and time.monotonic() - last[1] > seconds
    wait_until(is_still, "the flow to stop", timeout=30)


# ---- header fields ----

HOP_BY_HOP = [("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"), ("TE", "gzip"),
              ("Proxy-Authorization", "Basic eA=="), ("X-Named", "secret"), ("X-Other-Named", "secret")]


def test_hop_by_hop_fields_do_not_reach_the_backend(holdfast, origin):
    got = seen(holdfast(origin).request(headers=[("Connection", "keep-alive, X-Named"), ("Connection", "x-other-named"),
                                                 ("X-Kept", "1"), *HOP_BY_HOP]))
    names = {n for n, _ in got["fields"]}
    assert not names & {n.lower() for n, _ in HOP_BY_HOP} - {"te"}, names
    assert values(got, "te") in ([], ["trailers"]) and values(got, "x-kept") == ["1"]
    assert "X-Named" not in "".join(values(got, "connection"))


def test_hop_by_hop_fields_do_not_reach_the_client(holdfast, make_origin):
    origin = make_origin(lambda request, conn: ok("x", [
        ("Connection", "X-Named, keep-alive"), ("X-Named", "secret"), ("Keep-Alive", "timeout=5"), ("X-Kept", "1"),
        ("Proxy-Authenticate", "Basic")]))
    response = holdfast(origin).request()
    assert response.get("x-kept") == "1"
    assert not [n for n, _ in response.fields if n.lower() in ("x-named", "keep-alive", "proxy-authenticate")]


@pytest.mark.parametrize("name", ["Host", "Content-Length", "X-Forwarded-For", "Cookie"])
def test_connection_cannot_name_away_what_matters(holdfast, origin, name):
    """A client must not strip the proxy's own fields, or those that frame the message, by naming them in Connection."""
    headers = [("Connection", f"close, {name}"), ("Cookie", "a=b")]
    response = holdfast(origin).request("/", "POST", headers, b"hello")
    got = seen(response)
    assert got["body_len"] == 5 and values(got, "host") == ["localhost"]
    assert values(got, "x-forwarded-for") == ["127.0.0.1"]


def test_upgrade_to_something_else_is_not_passed_on(holdfast, origin):
    got = seen(holdfast(origin).request(headers=[
        ("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")]))
    assert values(got, "upgrade") == [] and values(got, "http2-settings") == []


def test_end_to_end_fields_pass_both_ways(holdfast, make_origin):
    fields = [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2"), ("X-Empty", ""), ("X-Utf8", "caf\u00e9"),
              ("Server", "mine"), ("Date", "Tue, 15 Nov 1994 08:12:31 GMT"), ("Cache-Control", "no-store")]
    origin = make_origin(lambda request, conn: ok("x", fields))
    request = [("Cookie", "a=1; b=2"), ("X-Twice", "1"), ("X-Twice", "2"), ("Accept", "*/*"), ("X-Empty", ""),
               ("User-Agent", "some one"), ("Authorization", "Bearer x"), ("X-Odd!#$%&'*+-.^_`|~1", "ok")]
    response = holdfast(origin).request(headers=request)
    got = origin.last
    for name in dict(request):
        assert got.all(name) == [v for n, v in request if n == name]
    for name in dict(fields):
        assert response.all(name) == [v for n, v in fields if n == name]


def test_forwarding_fields_tell_the_client_the_scheme_and_the_host(holdfast, origin, certs):
    for tls, scheme in ((False, "http"), (True, "https")):
        hf = holdfast(origin, tls=tls)
        response = hf.request(headers=[("Host", "chat.example.com:8443")], tls=certs.client_context() if tls else None)
        got = seen(response)
        assert values(got, "host") == ["chat.example.com:8443"]
        assert values(got, "x-forwarded-for") == ["127.0.0.1"]
        assert values(got, "x-forwarded-proto") == [scheme]
        assert values(got, "x-forwarded-host") == ["chat.example.com:8443"]
        assert values(got, "x-forwarded-port") == [str(hf.port)] or values(got, "x-forwarded-port") == ["8443"]
        (forwarded,) = values(got, "forwarded")
        assert re.search(r'for="?127\.0\.0\.1', forwarded) and f"proto={scheme}" in forwarded
        assert re.search(r'host="chat\.example\.com:8443"', forwarded), "a colon wants quotes (RFC 7239 4)"
        (request_id,) = values(got, "x-request-id")
        assert len(request_id) >= 16


CLAIMS = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "7.7.7.7"), ("X-Forwarded-Proto", "gopher"),
          ("X-Forwarded-Host", "evil"), ("X-Forwarded-Port", "666"), ("Forwarded", "for=6.6.6.6;proto=gopher"),
          ("X-Real-IP", "6.6.6.6")]


def test_claims_of_an_untrusted_client_are_not_believed(holdfast, origin):
    got = seen(holdfast(origin).request(headers=CLAIMS))
    assert values(got, "x-forwarded-for") == ["127.0.0.1"]
    assert values(got, "x-forwarded-proto") == ["http"]
    assert values(got, "x-forwarded-host") == ["localhost"]
    for name in ("x-forwarded-port", "forwarded", "x-real-ip"):
        assert not [v for v in values(got, name) if "666" in v or "6.6.6.6" in v], name


def test_claims_of_a_trusted_proxy_are_extended(holdfast, origin):
    hf = holdfast(origin, trusted_proxies=["127.0.0.0/8"])
    got = seen(hf.request(headers=[("X-Forwarded-For", "6.6.6.6, 9.9.9.9"), ("X-Forwarded-Proto", "https"),
                                   ("X-Forwarded-Host", "front.example")]))
    addresses = [a.strip() for a in ",".join(values(got, "x-forwarded-for")).split(",")]
    assert addresses == ["6.6.6.6", "9.9.9.9", "127.0.0.1"]
    assert values(got, "x-forwarded-proto") == ["https"] and values(got, "x-forwarded-host") == ["front.example"]


def test_every_request_has_an_id_of_its_own(holdfast, origin):
    client = holdfast(origin).connect()
    ids = [values(seen(client.request()), "x-request-id") for _ in range(50)]
    assert all(len(i) == 1 for i in ids) and len({i[0] for i in ids}) == 50


# ---- refusals: each status where it belongs ----

def refusals():
    """name, request bytes, status, keys of the listener"""
    yield "malformed", b"GET / HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n", 400, {}
    yield "no host", b"GET / HTTP/1.1\r\n\r\n", 400, {}
    yield "body too large", build_request("/", "POST", [("Content-Length", "5000")]), 413, {
        "http": {"max_body_size": "4KiB"}}
    yield "chunked body too large", (build_request("/", "POST", [("Transfer-Encoding", "chunked")])
                                     + chunked(b"x" * 3000, b"y" * 3000)), 413, {"http": {"max_body_size": "4KiB"}}
    yield "target too long", build_request("/" + "a" * 4000), 414, {"http": {"max_header_size": "2KiB"}}
    yield "unknown expectation", build_request(headers=[("Expect", "200-ok")]), 417, {}
    yield "field too large", build_request(headers=[("X-Big", "a" * 4000)]), 431, {"http": {"max_header_size": "2KiB"}}
    yield "fields too many", build_request(headers=[(f"X-{i}", "1") for i in range(50)]), 431, {
        "http": {"max_headers": 20}}
    yield "unknown coding", build_request("/", "POST", [("Transfer-Encoding", "gzip, chunked")]), 501, {}
    yield "another major version", b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505, {}
    yield "no route", build_request("/elsewhere"), 404, {"routes": [{"path": "/here", "cluster": "c"}]}


@pytest.mark.parametrize("request_bytes, status, listener", [r[1:] for r in refusals()], ids=[r[0] for r in refusals()])
def test_refusal_of_a_request(holdfast, origin, request_bytes, status, listener):
    hf = holdfast(origin, listener=listener)
    client = hf.connect().send(request_bytes)
    response = client.read_response()
    assert response.status == status
    assert not any(r.is_whole for r in origin.requests), "not forwarded"
    (line,) = hf.wait_access(lambda x: x["status"] == status)
    assert line["reason"]


def test_header_that_never_ends_is_408(holdfast, origin):
    hf = holdfast(origin, listener={"timeouts": {"header": "400ms"}})
    client = hf.connect().send(b"GET / HTTP/1.1\r\nHost: x\r\n")
    assert client.read_response().status == 408
    client.ends()


def test_refused_connection_is_502(holdfast, make_origin):
    origin = make_origin()
    hf = holdfast(origin)
    origin.stop()
    assert hf.request().status == 502


@pytest.mark.parametrize("how", ["close", "reset"])
def test_backend_that_ends_without_an_answer_is_502(holdfast, make_origin, how):
    assert holdfast(make_origin(answers(b"", how))).request("/", "POST", body=b"x").status == 502


def test_cluster_without_endpoints_to_choose_is_503(holdfast, origin):
    hf = holdfast({"address": origin, "weight": 0})
    assert hf.request().status == 503


def test_backend_that_does_not_accept_is_504(holdfast):
    hole = Hole()
    try:
        hf = holdfast(hole, cluster={"timeouts": {"connect": "300ms"}, "retries": {"attempts": 0}})
        assert hf.request().status == 504
    finally:
        hole.close()


def test_backend_that_does_not_answer_is_504(holdfast, make_origin):
    hf = holdfast(make_origin(answers(b"", "wait")), cluster={"timeouts": {"response": "300ms"}})
    assert hf.request().status == 504


@pytest.mark.parametrize("accept, kind", [
    (None, "text/html"), ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"), ("*/*", "text/html"),
    ("application/json", "application/json"), ("application/json, text/plain, */*", "application/json")])
def test_error_page_is_what_the_client_accepts(holdfast, accept, kind):
    hf = holdfast(routes=[{"path": "/here", "respond": {"status": 200}}])
    client = hf.connect()
    response = client.request("/elsewhere", headers=[("Accept", accept)] if accept else [])
    assert response.status == 404
    assert response.get("content-type").startswith(kind)
    if kind == "application/json":
        page = json.loads(response.text)
        assert 404 in page.values() or page.get("error", {}).get("status") == 404, page
    else:
        assert "404" in response.text
    assert client.request("/here").status == 200, "the connection goes on"


def test_error_page_repeats_nothing_of_the_request(holdfast):
    hf = holdfast(routes=[{"path": "/here", "respond": {"status": 200}}])
    response = hf.request("/<script>alert(1)</script>", headers=[("Host", "evil.example"), ("User-Agent", "<b>")])
    assert response.status in (400, 404)
    assert "script" not in response.text and "evil" not in response.text


def test_error_to_head_has_no_body(holdfast):
    client = holdfast(routes=[{"path": "/here", "respond": {"status": 200, "body": "x"}}]).connect()
    assert client.request("/elsewhere", "HEAD").status == 404
    assert client.request("/here", "HEAD").status == 200
    assert client.request("/here").text == "x"


# ---- ends in between ----

@pytest.mark.parametrize("head, sent", [
    (b"Content-Length: 1000\r\n", b"half"), (b"Transfer-Encoding: chunked\r\n", chunk(b"half"))],
    ids=["length", "chunked"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_response_cut_short_is_seen_as_cut_short(holdfast, make_origin, head, sent, how):
    hf = holdfast(make_origin(answers(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + sent, how)))
    client = hf.connect().send(build_request())
    try:
        client.read_response()
    except Truncated:
        pass
    except ConnectionError:
        pass
    else:
        raise AssertionError("a cut response looked whole")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_that_leaves_takes_its_backend_connection_along(holdfast, make_origin, how):
    async def endless(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while conn.ended is None:
            await conn.send(chunk(b"tick" * 100))
            await asyncio.sleep(0.01)
    origin = make_origin(endless)
    client = holdfast(origin).connect().send(build_request())
    client.read_head()
    getattr(client, how)()
    # the origin finds out by its sends failing, and its play ends
    origin.wait(lambda b: not b.tasks, "the end of the endless response")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_long_response_cut_in_its_midst_is_seen_as_cut_short(holdfast, make_origin, how):
    """Long bodies take a way of their own through the kernel: their ends are as true as those of short ones."""
    origin = make_origin(answers(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MIB) + b"x" * (20 * MIB), how))
    hf = holdfast(origin)
    client = hf.connect().send(build_request())
    with pytest.raises((Truncated, ConnectionError)):
        client.read_response()
    (line,) = hf.wait_access()
    assert line["reason"] == "backend_truncated"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_long_request_cut_in_its_midst_is_seen_as_cut_short(holdfast, origin, how):
    hf = holdfast(origin, listener={"http": {"max_body_size": 0}})
    client = hf.connect().send(build_request("/", "POST", [("Content-Length", str(64 * MIB))]) + b"x" * (20 * MIB))
    getattr(client, how)()
    origin.wait(lambda b: b.requests and b.requests[0].conn.ended, "the end at the backend")
    assert not origin.requests[0].is_whole
    assert hf.request().status == 200


def test_long_bodies_one_after_another_on_one_connection(holdfast, make_origin):
    """What follows a long body, in either direction, is where it belongs."""
    body = os.urandom(3 * MIB)
    origin = make_origin(lambda request, conn: ok(request.body_hash.hexdigest() if request.method == "PUT" else body))
    client = holdfast(origin).connect()
    for _ in range(6):
        client.send(build_request("/up", "PUT", body=body) + build_request("/down") + build_request("/up", "PUT", body=b"x"))
        assert client.read_response().text == hashlib.sha256(body).hexdigest()
        assert client.read_response().body == body
        assert client.read_response().text == hashlib.sha256(b"x").hexdigest()


@pytest.mark.limit(120)
def test_long_bodies_of_any_size_come_to_their_end(holdfast, make_origin):
    """Sizes around what a passage moves in a turn."""
    sizes = [n * MIB + k for n in (1, 2, 3, 4, 5, 8) for k in (-4096, -1, 0, 1, 65536)]
    origin = make_origin(lambda request, conn: ok(b"d" * int(request.target[1:])))
    hf = holdfast(origin, workers=1)
    for _ in range(2):
        client = hf.connect()
        for size in sizes:
            assert len(client.request(f"/{size}", "PUT", body=b"u" * size).body) == size
    assert all(r.body_len == int(r.target[1:]) for r in origin.requests)


def test_request_cut_short_never_looks_whole_to_the_backend(holdfast, origin):
    hf = holdfast(origin)
    for request in (build_request("/", "POST", [("Content-Length", "1000")]) + b"half",
                    build_request("/", "POST", [("Transfer-Encoding", "chunked")]) + chunk(b"half")):
        origin.requests.clear()
        client = hf.connect().send(request)
        origin.wait(lambda b: b.requests, "the head")
        client.close()
        origin.wait(lambda b: b.requests[0].conn.ended, "the end of the connection")
        assert not origin.requests[0].is_whole


def test_nginx_and_curl_on_either_side(holdfast, nginx):
    """A real server, a real client, a kept connection and every kind of request in a row."""
    hf = holdfast(nginx)
    want = nginx.file("some", 300000)
    done = subprocess.run(["curl", "-sS", "--fail", hf.url("/plain"), hf.url("/plain"), "--next", "-sS", "-I",
                           hf.url("/some"), "--next", "-sS", hf.url("/some"), "-o", str(nginx.directory / "got"),
                           "--next", "-sS", "--http1.0", hf.url("/plain"), "--next", "-sS", "-r", "5-9",
                           hf.url("/some"), "-o", str(nginx.directory / "range")], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"nginx\n") == 3 and b"300000" in done.stdout
    assert hashlib.sha256((nginx.directory / "got").read_bytes()).hexdigest() == want
    assert (nginx.directory / "range").read_bytes() == (nginx.files / "some").read_bytes()[5:10]


@pytest.mark.limit(180)
def test_many_short_connections_leave_nothing_behind(holdfast, origin):
    hf = holdfast(origin, log={"level": "info"})
    count = 1500 if is_sanitized() else 4000

    def some(n):
        for _ in range(n):
            assert hf.request().status == 200
    some(300)
    fds, memory = hf.fd_count(), hf.memory_kib()
    some(count)
    wait_until(lambda: hf.fd_count() <= fds + 2, "descriptors to be closed")
    assert hf.memory_kib() - memory < 4096


LIE = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"


@pytest.mark.parametrize("backend", ["tcp", "unix", "tls"])
@pytest.mark.parametrize("total", [4096, 61440, 65536, 131072, 1_000_000, 3 << 20])
def test_what_stands_behind_a_response_is_nobodys(holdfast, make_origin, certs, short_directory, backend, total):
    """Where the surplus begins at a buffer's end, or behind a passage, nobody has seen it when the next request comes."""
    def reply(request, _conn):
        if request.target != "/lie":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhonest"
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
        length = total - len(head % total)
        return head % length + b"A" * length + LIE
    options = {"tcp": {}, "unix": {"path": short_directory / "backend"}, "tls": {"tls": certs.server_context()}}[backend]
    hf = holdfast(make_origin(reply, **options), workers=1, cluster={"tls": {"verify": False}} if backend == "tls" else {})
    for _ in range(4):
        client = hf.connect()
        client.send(build_request("/lie") + build_request("/next"))
        assert client.read_response().body.count(b"A") > total - 100
        assert client.read_response().text == "honest"
        assert hf.request("/other").text == "honest"


def test_backend_that_stops_reading_is_not_the_clients_fault(holdfast, make_origin):
    """The body goes by a passage, which waits for the backend: 504, and not 408."""
    async def stop(_request, _conn):
        await asyncio.sleep(3600)
    hf = holdfast(make_origin(before_body=stop, receive_buffer=16384), workers=1,
                  listener={"timeouts": {"body": "500ms"}, "http": {"max_body_size": 0}},
                  cluster={"timeouts": {"response": "2s", "idle": "2s"}})
    client = hf.connect()

    def pour():
        try:
            while True:
                client.socket.sendall(b"x" * 65536)
        except OSError:
            pass
    client.send(build_request("/", "PUT", [("Content-Length", str(1 << 30))]))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(pour)
        assert client.read_response().status == 504
        client.reset()
    (line,) = hf.wait_access()
    assert line["key"].startswith("timeouts.") and line["key"] != "timeouts.body"


@pytest.mark.parametrize("behind", [b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", b"\x81\x85abcdefghi"], ids=["request", "frame"])
def test_what_is_sent_behind_a_refused_upgrade_is_no_request(holdfast, make_origin, behind):
    origin = make_origin()
    client = holdfast(origin).connect()
    client.send(build_request("/ws", headers=[("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
                                              ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]) + behind)
    assert client.read_response().status == 200
    client.ends()
    assert [r.target for r in origin.requests] == ["/ws"]
