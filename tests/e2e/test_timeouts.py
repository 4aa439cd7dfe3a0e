"""Every wait has an end: what does not go on is ended by the deadline that it falls under, and nothing else is."""
import asyncio
import time

import pytest

from kit.backends import answers, ok
from kit.frames import (CLOSE, PING, TEXT, close_body, echo_frames, frame, open_websocket, read_frame, upgrade_request,
                        websocket_play)
from kit.kernel import open_connections
from kit.raw import Truncated, build_request, chunk
from kit.wait import wait_until

SHORT, SHORT_S = "400ms", 0.4


def too_early(seconds):
    return seconds < SHORT_S * 0.75


def waited(client):
    """The next response, and how long it took."""
    began = time.monotonic()
    response = client.read_response()
    return response.status, time.monotonic() - began


# ---- of the client ----

@pytest.mark.parametrize("first", [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\r\n"])
def test_header_that_stalls_is_408(holdfast, origin, first):
    client = holdfast(origin, listener={"timeouts": {"header": SHORT}}).connect().send(first)
    if first == b"\r\n":
        client.seconds_until_end()
        return
    status, seconds = waited(client)
    assert status == 408 and not too_early(seconds)
    client.ends()


def test_header_in_drops_does_not_prolong_its_deadline(holdfast, origin):
    client = holdfast(origin, listener={"timeouts": {"header": "600ms"}}).connect()
    client.send(b"GET / HTTP/1.1\r\n")
    client.socket.settimeout(0.05)
    began = time.monotonic()
    while time.monotonic() - began < 20:
        try:
            client.send(b"X-Slow: 1\r\n")
            if client.fill() is False or client.buffer:
                break
        except TimeoutError:
            continue
        except ConnectionError:
            return
    assert b" 408 " in client.buffer


def test_first_request_has_the_header_timeout_or_keep_alive(holdfast, origin):
    """A connection on which nothing is ever said."""
    hf = holdfast(origin, listener={"timeouts": {"header": SHORT, "keep_alive": SHORT}})
    client = hf.connect()
    client.seconds_until_end()
    assert client.last_words == b"" or b" 408 " in client.last_words


def test_body_that_stalls_is_408(holdfast, origin):
    client = holdfast(origin, listener={"timeouts": {"body": SHORT}}).connect()
    client.send(build_request("/", "POST", [("Content-Length", "10")]) + b"half")
    status, seconds = waited(client)
    assert status == 408 and not too_early(seconds)
    origin.wait(lambda b: not b.requests or b.requests[0].conn.ended, "the end at the backend")


def test_body_that_goes_on_slowly_is_not_cut(holdfast, origin):
    client = holdfast(origin, listener={"timeouts": {"body": "2s"}}).connect()
    client.send(build_request("/", "POST", [("Content-Length", "12")]))
    for i in range(12):
        client.send(b"x")
        origin.wait(lambda b: b.requests and b.requests[0].body_len == i + 1, "the byte")
        assert i == 11 or client.is_silent(0.25)
    assert client.read_response().status == 200


def test_keep_alive_ends_an_idle_connection_without_a_word(holdfast, origin):
    hf = holdfast(origin, listener={"timeouts": {"keep_alive": SHORT}})
    client = hf.connect()
    client.request()
    seconds = client.seconds_until_end()
    assert client.last_words == b"" and not too_early(seconds)


def test_keep_alive_begins_anew_with_each_request(holdfast, origin):
    client = holdfast(origin, listener={"timeouts": {"keep_alive": "1500ms"}}).connect()
    for _ in range(4):
        assert client.request().status == 200
        assert client.is_silent(0.6)
    assert client.request().status == 200


def test_request_in_flight_is_not_idle(holdfast, make_origin):
    async def slow(request, conn):
        await asyncio.sleep(1.2)
        return ok("at last")
    hf = holdfast(make_origin(slow), listener={"timeouts": {"keep_alive": SHORT, "header": SHORT, "body": SHORT}})
    assert hf.request().text == "at last"


def test_client_that_takes_nothing_is_ended(holdfast, make_origin):
    """A response is there, and nobody reads it."""
    async def flood(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not conn.writer.is_closing():
            await conn.send(chunk(b"f" * 65536))
    origin = make_origin(flood)
    hf = holdfast(origin, listener={"timeouts": {"body": "1s"}}, cluster={"timeouts": {"idle": "60s"}})
    hf.connect(receive_buffer=4096).send(build_request())
    origin.wait(lambda b: b.conns and not b.tasks, "the end of the flood", timeout=30)


# ---- of the backend ----

def test_connect_that_hangs_is_504(holdfast, hole):
    hf = holdfast(hole, cluster={"timeouts": {"connect": SHORT}, "retries": {"attempts": 0}})
    status, seconds = waited(hf.connect().send(build_request()))
    assert status == 504 and not too_early(seconds)


def test_response_that_does_not_come_is_504(holdfast, make_origin):
    origin = make_origin(answers(b"", "wait"))
    hf = holdfast(origin, cluster={"timeouts": {"response": SHORT}})
    status, seconds = waited(hf.connect().send(build_request()))
    assert status == 504 and not too_early(seconds)
    origin.wait(lambda b: all(c.ended for c in b.conns), "the end at the backend")


def test_head_of_a_response_that_stalls_is_504(holdfast, make_origin):
    hf = holdfast(make_origin(answers(b"HTTP/1.1 200 OK\r\nX-A", "wait")), cluster={"timeouts": {"response": SHORT}})
    assert waited(hf.connect().send(build_request()))[0] == 504


def test_interim_responses_do_not_count_as_the_response(holdfast, make_origin):
    hf = holdfast(make_origin(answers(b"HTTP/1.1 103 Early Hints\r\n\r\n", "wait")),
                  cluster={"timeouts": {"response": SHORT}})
    assert waited(hf.connect().send(build_request()))[0] == 504


def test_101_that_does_not_come_is_504(holdfast, make_raw):
    async def mute(conn):
        await conn.read_to_end()
    backend = make_raw(mute)
    hf = holdfast(backend, cluster={"timeouts": {"response": SHORT}})
    client = hf.connect().send(upgrade_request())
    status, seconds = waited(client)
    assert status == 504 and not too_early(seconds)
    backend.wait(lambda b: all(c.ended for c in b.conns), "the end at the backend")


def test_response_time_begins_with_the_end_of_the_request(holdfast, origin):
    client = holdfast(origin, cluster={"timeouts": {"response": "1s"}}).connect()
    client.send(build_request("/", "POST", [("Content-Length", "4")]))
    for _ in range(4):
        assert client.is_silent(0.5)
        client.send(b"x")
    assert client.read_response().status == 200


def test_body_of_a_response_that_stalls_is_cut(holdfast, make_origin):
    origin = make_origin(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "wait"))
    client = holdfast(origin, cluster={"timeouts": {"idle": SHORT}}).connect().send(build_request())
    with pytest.raises((Truncated, ConnectionError)):
        client.read_response()
    origin.wait(lambda b: all(c.ended for c in b.conns), "the end at the backend")


def test_body_that_streams_slowly_is_not_cut(holdfast, make_origin):
    async def slow(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(0.25)
            await conn.send(b"x")
    hf = holdfast(make_origin(slow), cluster={"timeouts": {"idle": "1s", "response": "1s"}})
    assert hf.request().text == "x" * 8


# ---- WebSocket ----

def test_idle_websocket_is_closed_at_both_ends(holdfast, echo):
    client = holdfast(echo, route={"websocket": {"idle_timeout": SHORT}}).connect()
    open_websocket(client)
    began = time.monotonic()
    got = read_frame(client)
    assert (got.opcode, got.code) == (CLOSE, 1001) and not too_early(time.monotonic() - began)
    client.send(frame(CLOSE, close_body(1001)))
    client.ends()
    echo.wait(lambda b: b.conns[0].ended, "the end at the backend")
    assert echo.conns[0].frames[-1].code == 1001


def test_messages_either_way_keep_a_websocket_alive(holdfast, make_raw):
    async def script(conn):
        for _ in range(5):
            await asyncio.sleep(0.3)
            await conn.send(frame(TEXT, "tick", mask=False))
        await echo_frames(conn)
    client = holdfast(make_raw(websocket_play(script)), route={"websocket": {"idle_timeout": "1s"}}).connect()
    open_websocket(client)
    for _ in range(5):
        assert read_frame(client).payload == b"tick"
    for _ in range(4):
        client.send(frame(TEXT, "up"))
        assert read_frame(client).payload == b"up"
        assert client.is_silent(0.3)


def test_pings_are_no_messages(holdfast, echo):
    client = holdfast(echo, route={"websocket": {"idle_timeout": "800ms"}}).connect()
    open_websocket(client)
    client.socket.settimeout(0.1)
    while True:
        try:
            client.send(frame(PING, "x"))
            got = read_frame(client)
        except TimeoutError:
            continue
        if got.opcode == CLOSE:
            assert got.code == 1001
            return


def test_websocket_without_idle_timeout_outlives_all_http_timeouts(holdfast, echo):
    hf = holdfast(echo, listener={"timeouts": {"header": SHORT, "body": SHORT, "keep_alive": SHORT}},
                  cluster={"timeouts": {"response": SHORT, "idle": SHORT}})
    client = hf.connect()
    open_websocket(client)
    assert client.is_silent(1.5)
    client.send(frame(TEXT, "still here"))
    assert read_frame(client).payload == b"still here"


def test_old_websocket_is_closed_at_its_lifetime(holdfast, echo):
    client = holdfast(echo, route={"websocket": {"max_lifetime": "700ms", "max_lifetime_jitter": "0%"}}).connect()
    open_websocket(client)
    client.send(frame(TEXT, "x"))
    assert read_frame(client).payload == b"x"
    got = read_frame(client)
    assert got.opcode == CLOSE and got.code in (1001, 1012) and "websocket.max_lifetime" in got.reason


# ---- lingering ----

@pytest.mark.limit(120)
def test_client_that_does_not_close_after_a_refusal_is_ended(holdfast, origin):
    """The proxy has said its last word and waits for the other's end: not for ever, and not too short to be heard."""
    hf = holdfast(origin)
    client = hf.connect(timeout=90).send(b"NONSENSE\r\n\r\n")
    assert client.read_response().status == 400
    fds = hf.fd_count()
    client.ends()  # our own side stays open
    wait_until(lambda: open_connections(hf.port) <= 1 and hf.fd_count() <= fds, "our end to be forgotten", timeout=90)


def test_tcp_idle_timeout_ends_both(holdfast, make_raw):
    async def play(conn):
        await conn.read_to_end()
    backend = make_raw(play)
    hf = holdfast(backend, listener={"protocol": "tcp", "timeouts": {"idle": SHORT}})
    client = hf.connect().send(b"hello")
    assert not too_early(client.seconds_until_end())
    backend.wait(lambda b: b.conns[0].ended, "the end at the backend")
