"""The end: SIGTERM lets go gently, INT and QUIT at once."""
import asyncio
import signal
import socket
import time

import pytest

from kit.backends import ok
from kit.frames import CLOSE, TEXT, close_body, frame, open_websocket, read_frame
from kit.kernel import is_listening
from kit.raw import RawClient, Truncated, build_request
from kit.servers import ws_connect
from kit.wait import wait_until

LONG = {"shutdown": {"grace": "20s"}}


def slow_origin(make_origin):
    """Answers when its gate is opened."""
    gate = [False]

    async def reply(request, conn):
        while not gate[0]:
            await asyncio.sleep(0.01)
        return ok("at last")
    return make_origin(reply), gate


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda n: n.name)
def test_idle_process_ends_with_0(holdfast, origin, number):
    hf = holdfast(origin, **LONG)
    hf.request()
    assert hf.stop(number, timeout=15) == 0


def test_sigterm_closes_the_listener_first(holdfast, echo):
    hf = holdfast(echo, **LONG)
    client = hf.connect()
    open_websocket(client)
    hf.send_signal(signal.SIGTERM)
    wait_until(lambda: not is_listening(hf.port), "the listener to go")
    with pytest.raises((ConnectionRefusedError, ConnectionResetError)):
        RawClient(hf.address)
    client.close()
    assert hf.wait_end() == 0


def test_sigterm_closes_websockets_with_1001_within_the_grace(holdfast, websocket_server):
    hf = holdfast(websocket_server, shutdown={"grace": "2s"})

    async def main():
        sockets = [await ws_connect(hf.url("/", "ws")) for _ in range(20)]
        for s in sockets:
            await s.send("hello")
            assert await s.recv() == "hello"
        hf.send_signal(signal.SIGTERM)
        for s in sockets:
            await asyncio.wait_for(s.wait_closed(), 20)
        return [s.close_code for s in sockets]
    assert asyncio.run(main()) == [1001] * 20
    assert hf.wait_end() == 0
    wait_until(lambda: len(websocket_server.closes) == 20, "the server to be told as well")
    assert {code for code, _ in websocket_server.closes} == {1001}


def test_websocket_works_until_its_turn_has_come(holdfast, websocket_server):
    """Spread over the grace: not all in the first instant."""
    hf = holdfast(websocket_server, shutdown={"grace": "3s"}, workers=1)

    async def main():
        sockets = [await ws_connect(hf.url("/", "ws")) for _ in range(30)]
        began, ends = time.monotonic(), []

        async def watch(s):
            await s.wait_closed()
            ends.append(time.monotonic() - began)
        hf.send_signal(signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(*map(watch, sockets)), 30)
        return ends
    ends = asyncio.run(main())
    assert max(ends) - min(ends) > 0.5, ends
    assert hf.wait_end() == 0


def test_client_that_ignores_the_close_does_not_hold_the_process(holdfast, echo):
    hf = holdfast(echo, shutdown={"grace": "500ms"})
    client = hf.connect()
    open_websocket(client)
    hf.send_signal(signal.SIGTERM)
    assert read_frame(client).code == 1001
    assert hf.wait_end(timeout=30) == 0


def test_close_that_is_under_way_is_finished(holdfast, echo):
    hf = holdfast(echo, **LONG)
    client = hf.connect()
    open_websocket(client)
    hf.send_signal(signal.SIGTERM)
    wait_until(lambda: not is_listening(hf.port), "the listener to go")
    client.send(frame(TEXT, "x") + frame(CLOSE, close_body(1000)))
    got = [read_frame(client)]
    while got[-1].opcode != CLOSE:
        got.append(read_frame(client))
    assert got[-1].code in (1000, 1001)
    assert hf.wait_end() == 0


def test_request_in_flight_is_finished(holdfast, make_origin):
    origin, gate = slow_origin(make_origin)
    hf = holdfast(origin, **LONG)
    client = hf.connect().send(build_request())
    origin.wait(lambda b: b.requests, "the request")
    hf.send_signal(signal.SIGTERM)
    wait_until(lambda: not is_listening(hf.port), "the listener to go")
    assert hf.is_running()
    gate[0] = True
    response = client.read_response()
    assert response.text == "at last" and response.get("connection", "").lower() == "close"
    client.ends()
    assert hf.wait_end() == 0


def test_idle_kept_connections_are_closed(holdfast, origin):
    hf = holdfast(origin, **LONG)
    client = hf.connect()
    client.request()
    fresh = hf.connect()
    hf.send_signal(signal.SIGTERM)
    client.ends()
    fresh.ends()
    assert hf.wait_end() == 0


def test_grace_ends_what_does_not_end_by_itself(holdfast, make_origin):
    origin, _ = slow_origin(make_origin)
    hf = holdfast(origin, shutdown={"grace": "500ms"})
    client = hf.connect().send(build_request())
    origin.wait(lambda b: b.requests, "the request")
    hf.send_signal(signal.SIGTERM)
    assert hf.wait_end() == 0
    try:
        assert client.read_response().status == 503
    except (Truncated, ConnectionError):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=lambda n: n.name)
def test_int_and_quit_end_it_at_once(holdfast, echo, make_origin, number):
    origin, _ = slow_origin(make_origin)
    hf = holdfast(shutdown={"grace": "1h"}, routes=[{"path": "/ws", "cluster": "ws"}, {"cluster": "slow"}],
                  clusters={"ws": [echo], "slow": [origin]})
    chat, waiting = hf.connect(), hf.connect()
    open_websocket(chat)
    waiting.send(build_request())
    origin.wait(lambda b: b.requests, "the request")
    assert hf.stop(number, timeout=20) == 0


def test_second_signal_cuts_the_grace_short(holdfast, make_origin):
    origin, _ = slow_origin(make_origin)
    hf = holdfast(origin, shutdown={"grace": "1h"})
    hf.connect().send(build_request())
    origin.wait(lambda b: b.requests, "the request")
    hf.send_signal(signal.SIGTERM)
    wait_until(lambda: not is_listening(hf.port), "the listener to go")
    assert hf.stop(signal.SIGINT, timeout=20) == 0


def test_unix_socket_file_is_removed(holdfast, origin, directory):
    path = directory / "web.sock"
    hf = holdfast(origin, listener={"bind": [f"unix:{path}"]})
    assert path.exists()
    assert hf.stop() == 0
    assert not path.exists()


def test_stale_unix_socket_file_is_no_obstacle(holdfast, origin, directory):

    path = directory / "web.sock"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
    hf = holdfast(origin, listener={"bind": [f"unix:{path}"]})
    assert hf.request().status == 200


def test_sighup_during_shutdown_is_harmless(holdfast, echo):
    hf = holdfast(echo, shutdown={"grace": "1s"})
    client = hf.connect()
    open_websocket(client)
    hf.send_signal(signal.SIGTERM)
    hf.send_signal(signal.SIGHUP)
    hf.send_signal(signal.SIGUSR1)
    assert read_frame(client).code == 1001
    assert hf.wait_end() == 0
