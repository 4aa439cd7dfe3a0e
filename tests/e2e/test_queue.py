"""A cluster whose endpoints are full: who waits, in which order, how long; and limits on what is pending or recovers."""
import asyncio
import threading
import time

import pytest

from kit.backends import named, ok
from kit.frames import echo_frames, frame, open_websocket, read_frame, upgrade_request, websocket_play
from kit.raw import build_request
from kit.wait import wait_until


def one_place(backend, count=1):
    return {"address": backend.address, "max_connections": count}


def waiting(admin):
    return admin.get("/clusters/c").json["waiting"]


def joined(admin, count):
    wait_until(lambda: waiting(admin) == count, f"{count} in the queue")


def asks(hf):
    """A client that has sent its handshake, and does not know yet."""
    client = hf.connect()
    client.send(upgrade_request())
    return client


def is_open(client):
    return client.read_response().status == 101


# ---- the queue ----

@pytest.mark.parametrize("workers", [1, 2])
def test_who_came_first_gets_the_next_place_whatever_the_worker(start, echo, workers):
    hf, admin = start([one_place(echo)], workers=workers, cluster={"queue": {"max": 20, "timeout": "30s"}})
    holder = hf.connect()
    open_websocket(holder)
    clients = []
    for n in range(12):
        clients.append(asks(hf))
        joined(admin, n + 1)
    assert admin.metrics()['holdfast_cluster_waiting{cluster="c"}'] == 12
    assert len(echo.conns) == 1
    for n, client in enumerate(clients):
        holder.close()
        assert is_open(client)
        joined(admin, 11 - n)
        client.send(frame(1, "mine"))
        assert read_frame(client).payload == b"mine"
        holder = client
    assert len(echo.conns) == 13


def test_newcomers_do_not_overtake(start, echo):
    hf, admin = start([one_place(echo)], workers=2, cluster={"queue": {"max": 20, "timeout": "30s"}})
    holder = hf.connect()
    open_websocket(holder)
    first = asks(hf)
    joined(admin, 1)
    holder.close()
    late = [asks(hf) for _ in range(6)]
    assert is_open(first)
    joined(admin, 6)
    del late


def test_the_queue_is_bounded_and_refusals_say_when_to_come_again(start, echo):
    hf, admin = start([one_place(echo)], workers=2, cluster={"queue": {"max": 2, "timeout": "30s"}})
    holder = hf.connect()
    open_websocket(holder)
    kept = [asks(hf) for _ in range(2)]
    joined(admin, 2)
    seen = set()
    for _ in range(20):
        answer = hf.request()
        assert answer.status == 503 and "queue.max" in answer.text
        seen.add(int(answer.get("retry-after")))
    assert seen <= set(range(1, 6)) and len(seen) > 1
    assert admin.metrics()['holdfast_connections_refused_total{reason="queue_full"}'] == 20
    assert waiting(admin) == 2
    del kept


def test_the_wait_has_an_end(start, echo):
    hf, admin = start([one_place(echo)], workers=1, cluster={"queue": {"max": 9, "timeout": "300ms"}})
    holder = hf.connect()
    open_websocket(holder)
    began = time.monotonic()
    answer = hf.request()
    assert answer.status == 503 and answer.get("retry-after") and "queue.timeout" in answer.text
    assert time.monotonic() - began >= 0.3 and waiting(admin) == 0
    (line,) = hf.wait_access(lambda x: x.get("event") == "request")
    assert line["reason"] == "queue_timeout"
    holder.send(frame(1, "unharmed"))
    assert read_frame(holder).payload == b"unharmed"


def test_without_a_queue_a_full_cluster_refuses_at_once(start, echo):
    hf, admin = start([one_place(echo)], workers=1)
    holder = hf.connect()
    open_websocket(holder)
    answer = hf.request()
    assert answer.status == 503 and 1 <= int(answer.get("retry-after")) <= 5
    assert admin.metrics()['holdfast_connections_refused_total{reason="cluster_full"}'] == 1


def test_who_goes_while_he_waits_makes_room(start, echo):
    hf, admin = start([one_place(echo)], workers=2, cluster={"queue": {"max": 1, "timeout": "30s"}})
    holder = hf.connect()
    open_websocket(holder)
    gone = asks(hf)
    joined(admin, 1)
    gone.reset()
    joined(admin, 0)
    next_one = asks(hf)
    joined(admin, 1)
    holder.close()
    assert is_open(next_one)
    assert len(echo.conns) == 2


def test_a_body_waits_with_its_request(start, make_origin):
    gate = threading.Event()

    async def slow(request, conn):
        while request.target == "/slow" and not gate.is_set():
            await asyncio.sleep(0.01)
        return ok(str(len(request.body)))
    origin = make_origin(slow)
    hf, admin = start([one_place(origin)], workers=2, cluster={"queue": {"max": 9, "timeout": "30s"}})
    holder, client = hf.connect(), hf.connect()
    holder.send(build_request("/slow"))
    origin.wait(lambda b: b.requests)
    client.send(build_request("/", "POST", body=b"x" * 300000))
    joined(admin, 1)
    gate.set()
    assert client.read_response().text == "300000"
    assert holder.read_response().status == 200


def test_tcp_connections_wait_too(start, make_raw):
    async def echo(conn):
        while data := await conn.read():
            await conn.send(data)
    backend = make_raw(echo)
    hf, admin = start([one_place(backend)], workers=2, listener={"protocol": "tcp"},
                      cluster={"queue": {"max": 9, "timeout": "30s"}})
    holder = hf.connect()
    holder.send(b"x")
    assert holder.read_exactly(1) == b"x"
    client = hf.connect()
    client.send(b"early bytes")
    joined(admin, 1)
    holder.close()
    assert client.read_exactly(11) == b"early bytes"


def test_a_place_that_comes_otherwise_is_found(start, echo, make_raw):
    """An endpoint that is added gives nothing back."""
    hf, admin = start([one_place(echo)], workers=2, cluster={"queue": {"max": 9, "timeout": "30s"}})
    holder = hf.connect()
    open_websocket(holder)
    client = asks(hf)
    joined(admin, 1)
    # whoever waits goes by what was in force when he came: the first place that is given back is his
    more = make_raw(websocket_play(echo_frames))
    admin.ask("POST", "/clusters/c/endpoints", {"address": more.address})
    holder.close()
    assert is_open(client)
    # and who comes now finds the new one
    open_websocket(hf.connect())
    assert len(more.conns) == 1


def test_a_reload_and_the_end_of_the_process_forget_nobody(start, echo):
    hf, admin = start([one_place(echo)], workers=2, cluster={"queue": {"max": 9, "timeout": "30s"}})
    holder = hf.connect()
    open_websocket(holder)
    clients = [asks(hf) for _ in range(3)]
    joined(admin, 3)
    assert admin.ask("POST", "/reload").status == 200
    assert waiting(admin) == 3
    holder.close()
    wait_until(lambda: waiting(admin) == 2, "one to be served")
    assert hf.stop() == 0
    del clients


# ---- pending ----

def test_pending_requests_to_an_endpoint_are_bounded(start, make_origin):
    gate = threading.Event()
    most = [0, 0]

    async def slow(request, conn):
        most[0] += 1
        most[1] = max(most)
        while not gate.is_set():
            await asyncio.sleep(0.01)
        most[0] -= 1
        return ok("done")
    origin = make_origin(slow)
    hf, admin = start([origin], workers=2, cluster={"max_pending": 3, "queue": {"max": 50, "timeout": "30s"}})
    clients = [hf.connect() for _ in range(10)]
    for client in clients:
        client.send(build_request())
    joined(admin, 7)
    origin.wait(lambda b: len(b.requests) == 3, "three requests")
    assert len(origin.requests) == 3
    assert admin.metrics()[f'holdfast_endpoint_pending{{cluster="c",endpoint="{origin.address}"}}'] == 3
    gate.set()
    for client in clients:
        assert client.read_response().text == "done"
    assert most[1] == 3
    wait_until(lambda: admin.get("/clusters/c").json["endpoints"][0]["pending"] == 0, "nothing to be pending")


def test_open_websockets_are_not_pending(start, make_raw):
    gate = threading.Event()

    async def late(conn):
        while not gate.is_set():
            await asyncio.sleep(0.01)
    echo = make_raw(websocket_play(echo_frames))
    hf, admin = start([echo], workers=2, cluster={"max_pending": 1, "queue": {"max": 50, "timeout": "30s"}})
    clients = [asks(hf) for _ in range(20)]
    for client in clients:
        assert is_open(client)
    assert admin.get("/clusters/c").json["endpoints"][0]["pending"] == 0
    assert admin.get("/clusters/c").json["active"] == 20


def test_failed_connects_leave_nothing_pending(start, make_origin):
    origin = make_origin(named("a"))
    origin.stop()
    hf, admin = start([origin], workers=1, cluster={"max_pending": 1})
    for _ in range(5):
        assert hf.request().status == 502
    assert admin.get("/clusters/c").json["endpoints"][0]["pending"] == 0
    assert admin.get("/clusters/c").json["active"] == 0


# ---- storms ----

def test_an_endpoint_that_comes_back_is_not_overrun(start, make_raw):
    rate, opened = 20, []

    async def noting(conn):
        opened.append(time.monotonic())
        await echo_frames(conn)
    echo = make_raw(websocket_play(noting))
    hf, admin = start([echo], workers=2, cluster={"slow_start": "1m", "slow_start_rate": f"{rate}/s",
                                                  "queue": {"max": 100, "timeout": "30s"}})
    path = f"/clusters/c/endpoints/{echo.address}"
    admin.ask("POST", path + "/disable")
    assert hf.request().status == 503
    admin.ask("POST", path + "/ready")
    clients = [asks(hf) for _ in range(40)]
    for client in clients:
        assert is_open(client)
    wait_until(lambda: len(opened) >= 40, "the last one's note, which comes behind its 101")
    # 40 at 20 a second take 1.9 s; without a pace they come at once.  (How many in each tenth: tests/unit/cluster_queue.)
    assert len(opened) == 40 and max(opened) - min(opened) >= 1


def test_after_the_slow_start_nothing_is_held_back(start, echo):
    hf, admin = start([echo], workers=2, cluster={"slow_start": "500ms", "slow_start_rate": "2/s",
                                                  "queue": {"max": 100, "timeout": "30s"}})
    path = f"/clusters/c/endpoints/{echo.address}"
    admin.ask("POST", path + "/disable")
    admin.ask("POST", path + "/ready")
    clients = [asks(hf) for _ in range(40)]
    for client in clients:
        assert is_open(client)  # at 2 a second this would be 20 s
    assert admin.get("/clusters/c").json["endpoints"][0]["share"] == 1
