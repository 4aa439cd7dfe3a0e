"""Out of descriptors, out of places: who is in goes on, who is not waits, and nothing spins."""
import resource

import pytest

from kit.backends import named
from kit.frames import TEXT, echo_frames, frame, open_websocket, read_frame, websocket_play
from kit.raw import RawClient, build_request
from kit.wait import stays, wait_until


def try_request(client, seconds=0.3):
    """Sends a request; is it answered within the time?"""
    client.send(build_request())
    return not client.is_silent(seconds)


@pytest.mark.limit(120)
def test_accepting_pauses_when_descriptors_run_out_and_resumes(holdfast, make_origin):
    hf = holdfast(make_origin(named("x")), workers=1, limits={"max_connections": 0},
                  listener={"timeouts": {"header": "1h", "keep_alive": "1h"}})
    first = hf.connect()
    assert first.request().text == "x"
    resource.prlimit(hf.pid, resource.RLIMIT_NOFILE, (160, 160))  # others of the system may take them as well
    clients = [hf.connect() for _ in range(250)]  # the kernel's queue takes those that are not accepted
    used = hf.cpu_seconds()
    assert stays(lambda: hf.fd_count() <= 160 and hf.is_running(), 1.5)
    assert hf.cpu_seconds() - used < 0.75, "a process that cannot accept must not spin"
    assert first.request().status in (200, 502, 503), "who is in goes on"
    for client in clients[:200]:
        client.close()
    wait_until(lambda: hf.fd_count() < 100, "room")
    late = clients[200:]
    for client in late:
        assert client.request().text == "x", "who waited is served"
    assert hf.request().text == "x"
    assert "descriptor" in hf.log() or "files" in hf.log(), "and it is told"


def test_who_is_accepted_finds_a_descriptor_for_the_endpoint(holdfast, make_origin):
    """No more are accepted than can be served: nobody is told 503 for want of descriptors."""
    hf = holdfast(make_origin(named("x")), workers=2, prefix=["prlimit", "--nofile=160:160"], limits={"max_connections": 0},
                  listener={"timeouts": {"header": "1h", "keep_alive": "1h"}})
    clients = [hf.connect(timeout=60) for _ in range(150)]
    answered, waiting = [], []
    for client in clients:
        client.send(build_request())
    for client in clients:
        (waiting if client.is_silent(0.2 if not waiting else 0.01) else answered).append(client)
    assert len(answered) > 40 and waiting and "RLIMIT_NOFILE" in hf.log()
    while answered or waiting:
        for client in answered:
            assert client.read_response().text == "x"
            client.close()
        answered, waiting = waiting[:20], waiting[20:]


def test_max_connections_lets_further_ones_wait(holdfast, make_origin):
    hf = holdfast(make_origin(named("x")), workers=1, limits={"max_connections": 8})
    clients = [hf.connect() for _ in range(8)]
    assert [c.request().text for c in clients] == ["x"] * 8
    ninth, tenth = hf.connect(), hf.connect()
    assert not try_request(ninth) and not try_request(tenth)
    used = hf.cpu_seconds()
    assert clients[0].request().text == "x"
    clients[0].close()
    assert ninth.read_response().text == "x"
    assert not try_request(hf.connect())
    assert hf.cpu_seconds() - used < 1
    for client in clients:
        client.close()
    assert tenth.read_response().text == "x"


@pytest.mark.parametrize("workers", [1, 2])
def test_max_connections_counts_websockets_and_all_workers(holdfast, make_raw, workers):
    hf = holdfast(make_raw(websocket_play(echo_frames)), workers=workers, limits={"max_connections": 12})
    inside, outside = [], []
    for _ in range(24):
        client = RawClient(hf.address, timeout=20)
        hf.clients.append(client)
        client.send(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        (outside if client.is_silent(0.15) else inside).append(client)
    assert len(inside) == 12, "neither more nor fewer, however many workers share them"
    for client in inside:
        assert client.read_response().status == 101
        client.send(frame(TEXT, "x"))
        assert read_frame(client).payload == b"x"
        client.close()
    for client in outside:
        assert client.read_response().status == 101


def test_connections_that_come_and_go_at_the_limit_all_get_their_turn(holdfast, make_origin):
    hf = holdfast(make_origin(named("x")), workers=2, limits={"max_connections": 4})
    for _ in range(10):
        clients = [RawClient(hf.address).send(build_request(headers=[("Connection", "close")])) for _ in range(12)]
        for client in clients:
            assert client.read_response().text == "x"
            client.close()


def test_descriptors_of_websockets_come_back(holdfast, make_raw):
    hf = holdfast(make_raw(websocket_play(echo_frames)))
    fds = None
    for _ in range(4):
        clients = [hf.connect() for _ in range(50)]
        for client in clients:
            open_websocket(client)
        for client in clients:
            client.reset()
        wait_until(lambda: len([x for x in hf.access() if x["event"] == "close"]) % 50 == 0, "all to be gone")
        if fds is not None:
            wait_until(lambda: hf.fd_count() <= fds + 2, "descriptors to come back")
        fds = fds or hf.fd_count()
