"""Active health checks: of three types, over TLS, by another port; and what follows from them."""
import re
from collections import Counter

import pytest

from kit.backends import named, ok
from kit.frames import CLOSE, PING, PONG, close_body, echo_frames, frame, open_websocket, read_frame, read_frame_from, \
    upgrade_response, websocket_play
from kit.wait import stays, wait_until

FAST = {"interval": "100ms", "fast_interval": "100ms", "timeout": "2s", "healthy": 2, "unhealthy": 2}


def health(kind, **more):
    return {"health": {"type": kind, **FAST, **more}, "outlier": {"consecutive_failures": 0}}


def wait_state(hf, backend, state, count=1):
    """Gives why."""
    return hf.wait_log(rf"endpoint {re.escape(backend.address)} is {state}: (.*)", count=count)[1]


def shares(hf, count=10):
    client = hf.connect()
    return Counter(client.request().text for _ in range(count))


# ---- tcp ----

def test_tcp_check_finds_who_is_dead_and_who_is_back(holdfast, make_origin):
    a, b = make_origin(named("a")), make_origin(named("b"))
    hf = holdfast([a, b], workers=1, cluster={**health("tcp"), "retries": {"attempts": 0}})
    assert "accepts connections" in wait_state(hf, a, "up")
    wait_state(hf, b, "up")
    assert shares(hf) == {"a": 5, "b": 5}
    a.stop()
    assert "Connection refused" in wait_state(hf, a, "down")
    assert shares(hf) == {"b": 10}
    a.start()
    wait_state(hf, a, "up", count=2)
    assert shares(hf) == {"a": 5, "b": 5}


def test_check_that_gets_no_answer_ends_in_time(holdfast, hole, make_origin):
    good = make_origin(named("good"))
    hf = holdfast([hole, good], workers=1, cluster=health("tcp", timeout="200ms"))
    assert "too long" in wait_state(hf, hole, "down")
    assert shares(hf) == {"good": 10}


# ---- http ----

def checked(reply):
    """Answers checks at /healthz with `reply`, and the rest with 200."""
    def answer(request, conn):
        return reply(request, conn) if request.target == "/healthz" else ok("served")
    return answer


@pytest.mark.parametrize("raw, expect, why", [
    (ok("fine"), {}, None),
    (ok("fine", status="204 No Content").replace(b"Content-Length: 4\r\n", b"").replace(b"fine", b""),
     {"expect_status": [200, 204]}, None),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + ok("fine"), {}, None),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nal\r\n4\r\nl ok\r\n0\r\n\r\n", {"expect_body": "all ok"}, None),
    (ok("all is well: ok"), {"expect_body": "~ ok$"}, None),
    (ok("all is not well"), {"expect_body": "~ ok$"}, "the body is not as expected"),
    (ok("no", status="503 Service Unavailable"), {}, "status 503"),
    (b"HTTP/1.1 200 OK\r\n\r\nhalf of it", {"expect_body": "whole"}, "not as expected"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf", {"expect_body": "~ half"}, "within the body"),
    (b"nonsense\r\n\r\n", {}, "malformed"),
    (b"", {}, "without a response"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40000 + b"\r\n\r\n", {}, "malformed|too large"),
])
def test_http_check_judges_the_response(holdfast, make_raw, raw, expect, why):
    async def play(conn):
        await conn.read_until(b"\r\n\r\n")
        await conn.send_in_pieces(raw, 7)
    backend = make_raw(play)
    hf = holdfast([backend], workers=1, cluster=health("http", path="/healthz", **expect))
    got = wait_state(hf, backend, "down" if why else "up")
    assert re.search(why or "status|as expected", got), got


def test_http_check_says_what_it_was_told_to(holdfast, make_origin):
    origin = make_origin()
    hf = holdfast([origin], workers=1, cluster=health("http", path="/healthz?deep=1", method="HEAD", host="health.test",
                                                      headers={"Authorization": "Bearer of-the-monitor"}))
    wait_state(hf, origin, "up")
    request = origin.requests[0]
    assert (request.method, request.target) == ("HEAD", "/healthz?deep=1")
    assert request.get("host") == "health.test" and request.get("authorization") == "Bearer of-the-monitor"
    assert not origin.violations


def test_checks_come_once_a_process(holdfast, make_origin):
    """Four workers, and each check has the connection of the one before it gone."""
    origin = make_origin(named("fine"))
    hf = holdfast([origin], workers=4, cluster=health("http", path="/healthz"))
    wait_state(hf, origin, "up")
    origin.wait_requests(10)
    assert sum(1 for c in origin.conns if not c.ended) <= 1


def test_so_many_in_a_row_count(holdfast, make_origin):
    """Two bad checks of three do nothing."""
    bad = [0]

    def reply(request, conn):
        if bad[0] > 0:
            bad[0] -= 1
            return ok("no", status="500 Internal Server Error")
        return ok("fine")
    origin = make_origin(checked(reply))
    hf = holdfast([origin], workers=1, cluster=health("http", path="/healthz", unhealthy=3, healthy=2))
    wait_state(hf, origin, "up")
    bad[0] = 2
    wait_until(lambda: bad[0] == 0, "two bad checks")
    assert stays(lambda: "is down" not in hf.log(), 0.5)
    bad[0] = 3
    assert "status 500" in wait_state(hf, origin, "down")
    wait_state(hf, origin, "up", count=2)


def test_check_over_tls_and_its_name(holdfast, make_origin, certs):
    good, wrong = make_origin(named("good"), tls=certs.server_context()), make_origin(named("plain"))
    hf = holdfast([good, wrong], workers=1, cluster={**health("http"), "tls": {"ca": str(certs.ca.cert), "sni": "localhost"}})
    wait_state(hf, good, "up")
    assert "TLS" in wait_state(hf, wrong, "down")
    assert shares(hf) == {"good": 10}


def test_check_at_another_port(holdfast, make_origin):
    origin, checks = make_origin(named("served")), make_origin(named("check"))
    hf = holdfast([origin], workers=1, cluster=health("http", port=checks.port))
    wait_state(hf, origin, "up")
    assert not origin.requests and checks.requests
    checks.stop()
    wait_state(hf, origin, "down")


def test_check_with_a_proxy_header(holdfast, make_raw):
    async def play(conn):
        conn.line = await conn.read_until(b"\r\n")
        await conn.read_until(b"\r\n\r\n")
        await conn.send(ok("fine"))
    backend = make_raw(play)
    hf = holdfast([backend], workers=1, cluster={**health("http"), "proxy_protocol": "v1"})
    wait_state(hf, backend, "up")
    assert backend.conns[0].line == b"PROXY UNKNOWN\r\n"


# ---- websocket ----

async def answer_ping(conn):
    await conn.send(frame(1, "a greeting " * 3000, mask=False))
    await echo_frames(conn)


async def never_answer(conn):
    await read_frame_from(conn)
    await conn.read_to_end()


async def close_at_once(conn):
    await conn.send(frame(CLOSE, close_body(1013), mask=False))
    await conn.read_to_end()


async def wrong_pong(conn):
    await read_frame_from(conn)
    await conn.send(frame(PONG, b"somebody else's", mask=False))
    await conn.read_to_end()


@pytest.mark.parametrize("script, why", [(answer_ping, None), (never_answer, "no answer in time"),
                                         (wrong_pong, "no answer in time"), (close_at_once, "closed the WebSocket")])
def test_websocket_check_wants_a_pong(holdfast, make_raw, script, why):
    backend = make_raw(websocket_play(script))
    hf = holdfast([backend], workers=1, cluster=health("websocket", path="/ws", timeout="300ms"))
    got = wait_state(hf, backend, "down" if why else "up")
    assert (why or "answers pings") in got
    if not why:
        frames = backend.wait(lambda b: [c.frames for c in b.conns if len(getattr(c, "frames", ())) == 2])[0]
        assert [f.opcode for f in frames] == [PING, CLOSE] and frames[1].code == 1000 and frames[0].masked


@pytest.mark.parametrize("answer, why", [(ok("not here"), "status 200"), (upgrade_response(accept="x" * 28), "handshake")])
def test_websocket_check_wants_a_whole_handshake(holdfast, make_raw, answer, why):
    async def play(conn):
        await conn.read_until(b"\r\n\r\n")
        await conn.send(answer)
        await conn.read_to_end()
    backend = make_raw(play)
    hf = holdfast([backend], workers=1, cluster=health("websocket", path="/ws"))
    assert why in wait_state(hf, backend, "down")


@pytest.mark.limit(120)
def test_websocket_check_of_a_server_that_nobody_here_wrote(holdfast, make_node):
    nodes = [make_node() for _ in range(2)]
    hf = holdfast(nodes, workers=2, cluster=health("websocket"))
    for node in nodes:
        wait_state(hf, node, "up")
    nodes[0].kill()
    assert "Connection refused" in wait_state(hf, nodes[0], "down")
    client = hf.connect()
    for _ in range(6):
        assert client.request().status == 200


# ---- reloads, panics ----

def test_health_survives_a_reload_and_ends_with_its_key(holdfast, make_origin):
    a, b = make_origin(named("a")), make_origin(named("b"))
    hf = holdfast([a, b], workers=1, cluster=health("tcp", interval="100ms"))
    wait_state(hf, a, "up")
    a.stop()
    wait_state(hf, a, "down")
    hf.reload(hf.config)
    hf.wait_log("the new configuration is in force")
    assert shares(hf) == {"b": 10}
    config = dict(hf.config)
    del config["clusters"][0]["health"]
    hf.reload(config)
    wait_state(hf, a, "unchecked")
    a.start()
    wait_until(lambda: shares(hf) == {"a": 5, "b": 5}, "the endpoint to serve again, unchecked")


def test_when_all_are_down_all_are_asked(holdfast, make_origin):
    """Checks that fail everywhere are commonly wrong."""
    origins = [make_origin(checked(lambda *_: ok("no", status="404 Not Found"))) for _ in range(2)]
    hf = holdfast(origins, workers=1, cluster=health("http", path="/healthz"))
    for o in origins:
        wait_state(hf, o, "down")
    hf.wait_log(r"only 0 of 2 endpoints are well: connections are spread over all \(panic_threshold\)")
    assert shares(hf) == {"served": 10}


def test_without_a_panic_nobody_is_asked(holdfast, make_origin):
    origin = make_origin(checked(lambda *_: ok("no", status="404 Not Found")))
    hf = holdfast([origin], workers=1, cluster={**health("http", path="/healthz"), "panic_threshold": "0%"})
    wait_state(hf, origin, "down")
    response = hf.request()
    assert response.status == 503 and response.get("retry-after")


# ---- what becomes of open WebSockets ----

@pytest.mark.parametrize("what", ["keep", "drain", "close"])
def test_open_websockets_of_an_unhealthy_endpoint(holdfast, make_raw, make_origin, what):
    checks = make_origin(named("check"))
    backend = make_raw(websocket_play(echo_frames))
    hf = holdfast([backend], workers=1, cluster={**health("http", port=checks.port, on_unhealthy=what),
                                                 "drain": {"timeout": "300ms", "close_code": 4000}})
    wait_state(hf, backend, "up")
    client = hf.connect()
    open_websocket(client)
    checks.stop()
    wait_state(hf, backend, "down")
    if what == "keep":
        client.send(frame(1, "still here"))
        assert read_frame(client).payload == b"still here"
        return
    got = read_frame(client)
    assert got.opcode == CLOSE and got.code == 4000 and "unhealthy" in got.reason
    (line,) = hf.wait_access(lambda x: x.get("event") == "close")
    assert line["reason"] == "endpoint_unhealthy" and line["closed_by"] == "proxy"
