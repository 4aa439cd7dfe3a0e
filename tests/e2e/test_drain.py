"""Endpoints that leave: what becomes of their connections, and how fast."""
import asyncio
import re
import threading
import time
from collections import Counter

import pytest

from kit.backends import answers, named, ok
from kit.frames import CLOSE, echo_frames, frame, open_websocket, read_frame, read_frame_from, websocket_play
from kit.raw import build_request
from kit.servers import ws_connect
from kit.wait import stays, wait_until

LEAVES = r"endpoint {} *: the endpoint was removed: (\d+) connections"


@pytest.fixture
def two(make_raw):
    return [make_raw(websocket_play(echo_frames)) for _ in range(2)]


def without(hf, *backends):
    """The configuration without these endpoints."""
    gone = {b.address for b in backends}
    config = {**hf.config}
    config["clusters"] = [{**c, "endpoints": [e for e in c["endpoints"] if e not in gone]} for c in config["clusters"]]
    return config


def open_sockets(hf, count):
    clients = []
    for _ in range(count):
        clients.append(hf.connect())
        open_websocket(clients[-1])
    return clients


def ports(backend):
    return {c.writer.get_extra_info("peername")[1] for c in backend.conns}


def of_endpoint(hf, clients, backend):
    """Which clients' WebSockets are at that endpoint: they say a word each."""
    found = []
    for client in clients:
        before = sum(len(getattr(c, "frames", ())) for c in backend.conns)
        client.send(frame(1, "where am I"))
        assert read_frame(client).payload == b"where am I"
        if sum(len(getattr(c, "frames", ())) for c in backend.conns) > before:
            found.append(client)
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_removed_endpoint_is_left_alone_and_then_closed_with_the_code(holdfast, two, workers):
    hf = holdfast(two, workers=workers, cluster={"balance": "least_connections",
                                                 "drain": {"timeout": "700ms", "close_code": 4123}})
    clients = open_sockets(hf, 8)
    leaving = of_endpoint(hf, clients, two[0])
    assert len(leaving) == 4
    hf.reload(without(hf, two[0]))
    assert hf.wait_log(LEAVES.format(re.escape(two[0].address)))[1] == "4"
    # until then they live
    assert len(of_endpoint(hf, leaving, two[0])) == 4
    for client in leaving:
        got = read_frame(client)
        assert got.opcode == CLOSE and got.code == 4123 and "removed" in got.reason
        client.send(frame(CLOSE, got.payload))
    lines = hf.wait_access(lambda x: x.get("event") == "close", count=4)
    assert {x["reason"] for x in lines} == {"endpoint_removed"} and {x["close_code"] for x in lines} == {4123}
    hf.wait_log("its last connection has gone")
    # the backend was told as well, by a masked Close of its own
    def heard(backend):
        return [f for c in backend.conns for f in c.frames if f.opcode == CLOSE]
    two[0].wait(lambda b: len(heard(b)) == 4, "four Closes")
    assert all(f.code == 4123 and f.masked for f in heard(two[0]))
    # and the others never noticed
    assert len(of_endpoint(hf, [c for c in clients if c not in leaving], two[1])) == 4


def test_new_connections_go_elsewhere_at_once(holdfast, two):
    hf = holdfast(two, workers=2, cluster={"drain": {"timeout": "1h"}})
    open_sockets(hf, 4)
    hf.reload(without(hf, two[0]))
    hf.wait_log("the new configuration is in force")
    before = len(two[0].conns)
    open_sockets(hf, 8)
    assert len(two[0].conns) == before


def test_endpoint_that_comes_back_in_mid_drain_is_not_closed_any_more(holdfast, two):
    hf = holdfast(two, workers=2, cluster={"balance": "least_connections", "drain": {"timeout": "0", "rate": "2/s"}})
    clients = open_sockets(hf, 20)
    whole = hf.config
    hf.reload(without(hf, two[0]))
    two[0].wait(lambda b: any(f.opcode == CLOSE for c in b.conns for f in getattr(c, "frames", ())), "the first Close")
    hf.reload(whole)
    hf.wait_log("its connections are not closed any more")
    # what counts is who was told: a client that does not answer its Close is logged later
    def told():
        return sum(1 for c in two[0].conns for f in getattr(c, "frames", ()) if f.opcode == CLOSE)
    before = told()
    assert 1 <= before < 8
    assert stays(lambda: told() == before, 1.2)
    del clients

def test_closes_are_paced_over_all_workers_and_endpoints(holdfast, make_raw):
    three = [make_raw(websocket_play(echo_frames)) for _ in range(3)]
    hf = holdfast(three, workers=2, cluster={"balance": "least_connections", "drain": {"timeout": "0", "rate": "20/s"}})
    open_sockets(hf, 45)
    hf.reload(without(hf, three[0], three[1]))
    lines = hf.wait_access(lambda x: x.get("event") == "close" and x.get("reason") == "endpoint_removed", count=30,
                           timeout=30)
    # 30 closes at 20 a second are 29 gaps of 50 ms: never faster, whatever the machine does
    ends = sorted(wall_of(x) for x in lines)
    assert len(lines) == 30 and ends[-1] - ends[0] >= 29 * 0.05 - 0.15
    # and in no half second more than 10, the ones at its edges and a late timer apart
    assert max(sum(1 for e in ends if at <= e < at + 0.5) for at in ends) <= 10 + 3


def wall_of(line):
    """When the line's connection ended: its begin and how long it took."""
    began = time.strptime(line["time"][:19], "%Y-%m-%dT%H:%M:%S")
    return time.mktime(began) + float(line["time"][19:-1]) + line["duration_ms"] / 1000


def test_close_waits_for_the_end_of_a_frame(holdfast, make_raw, two):
    """A frame that is under way is passed on whole, and the Close stands behind it."""
    gate = threading.Event()

    async def long_frame(conn):
        await conn.send(frame(2, b"x" * 60000, mask=False)[:40000])
        while not gate.is_set():
            await asyncio.sleep(0.01)
        await conn.send(frame(2, b"x" * 60000, mask=False)[40000:])
        while (await read_frame_from(conn)).opcode != CLOSE:
            pass
    slow = make_raw(websocket_play(long_frame))
    hf = holdfast([slow], workers=1, cluster={"drain": {"timeout": "0"}})
    (client,) = open_sockets(hf, 1)
    slow.wait(lambda b: b.conns and b.conns[0].sent >= 40000)
    config = without(hf, slow)
    config["clusters"][0]["endpoints"] = [two[0].address]
    hf.reload(config)
    hf.wait_log(LEAVES.format(re.escape(slow.address)))
    gate.set()
    first, second = read_frame(client), read_frame(client)
    assert first.payload == b"x" * 60000
    assert second.opcode == CLOSE and second.code == 1012


def test_open_request_ends_in_peace(holdfast, make_origin):
    gate = threading.Event()

    async def slow(request, conn):
        while not gate.is_set():
            await asyncio.sleep(0.01)
        return ok("slow")
    old, new = make_origin(slow), make_origin(named("new"))
    hf = holdfast([old], workers=1, cluster={"drain": {"timeout": "0"}})
    client = hf.connect()
    client.send(build_request())
    old.wait(lambda b: b.requests)
    config = without(hf, old)
    config["clusters"][0]["endpoints"] = [new.address]
    hf.reload(config)
    hf.wait_log(LEAVES.format(re.escape(old.address)))
    assert hf.request().text == "new"
    gate.set()
    assert client.read_response().text == "slow"


def test_tcp_connections_are_closed_too(holdfast, make_raw):
    async def echo(conn):
        while data := await conn.read():
            await conn.send(data)
    a, b = make_raw(echo), make_raw(echo)
    hf = holdfast([a], workers=1, listener={"protocol": "tcp"}, cluster={"drain": {"timeout": "300ms"}})
    client = hf.connect()
    client.send(b"hello")
    assert client.read_exactly(5) == b"hello"
    config = without(hf, a)
    config["clusters"][0]["endpoints"] = [b.address]
    hf.reload(config)
    client.ends()
    (line,) = hf.wait_access(lambda x: x.get("event") == "close")
    assert line["reason"] == "endpoint_removed" and line["closed_by"] == "proxy"


def test_removed_cluster_is_drained_too(holdfast, two):
    hf = holdfast(clusters={"c": [two[0]], "d": [two[1]]}, workers=1,
                  routes=[{"name": "d", "path": "/d", "cluster": "d"}, {"name": "c", "cluster": "c"}])
    config = hf.config
    config["clusters"][1]["drain"] = {"timeout": "0"}
    hf.reload(config)
    hf.wait_log("the new configuration is in force")
    client = hf.connect()
    open_websocket(client, "/d")
    hf.reload({**config, "clusters": config["clusters"][:1],
               "listeners": [{**config["listeners"][0], "routes": config["listeners"][0]["routes"][1:]}]})
    got = read_frame(client)
    assert got.opcode == CLOSE and got.code == 1012


# ---- rebalancing ----

def test_scale_out_sheds_the_excess_least_recently_active_first(holdfast, make_raw):
    old, new = [make_raw(websocket_play(echo_frames)) for _ in range(2)]
    hf = holdfast([old], workers=1, cluster={"balance": "least_connections", "rebalance": {"after": "300ms", "rate": "0"}})
    clients = open_sockets(hf, 12)
    opened = time.monotonic()
    wait_until(lambda: time.monotonic() > opened + 0.05, "a time that clocks of milliseconds can tell from the opening")
    for client in clients[:6]:  # the first six are the busy ones
        client.send(frame(1, "busy"))
        read_frame(client)
    config = dict(hf.config)
    config["clusters"][0]["endpoints"].append(new.address)
    hf.reload(config)
    assert hf.wait_log(r"rebalance: sheds (\d+) of 12 connections")[1] == "6"
    for client in clients[6:]:
        got = read_frame(client)
        assert got.opcode == CLOSE and got.code == 1012
        client.send(frame(CLOSE, got.payload))
    hf.wait_access(lambda x: x.get("reason") == "rebalance", count=6)
    assert len(of_endpoint(hf, clients[:6], old)) == 6
    again = open_sockets(hf, 6)
    assert len(new.conns) == 6
    del again


@pytest.mark.parametrize("workers", [2])
def test_shed_is_exact_over_workers(holdfast, make_raw, workers):
    old, new = [make_raw(websocket_play(echo_frames)) for _ in range(2)]
    hf = holdfast([old], workers=workers, cluster={"balance": "least_connections",
                                                   "rebalance": {"after": "200ms", "rate": "0"}})
    open_sockets(hf, 31)
    config = dict(hf.config)
    config["clusters"][0]["endpoints"].append(new.address)
    hf.reload(config)
    assert hf.wait_log(r"rebalance: sheds (\d+) of 31 connections")[1] == "15"
    hf.wait_access(lambda x: x.get("reason") == "rebalance", count=15)
    assert stays(lambda: len([x for x in hf.access() if x.get("reason") == "rebalance"]) == 15, 0.3)


# ---- a deploy ----

@pytest.mark.parametrize("clients, rate", [(60, 40), pytest.param(500, 200, marks=pytest.mark.slow)])
@pytest.mark.limit(300)
async def test_rolling_restart_of_a_cluster(holdfast, make_node, clients, rate):
    """Each of three servers leaves, restarts and comes back, while clients that reconnect hang on."""
    nodes = [make_node() for _ in range(3)]
    hf = holdfast(nodes, cluster={"balance": "least_connections", "drain": {"timeout": "0", "rate": f"{rate}/s"}})
    url, refused, opened, over = hf.url("/", "ws"), [], [], asyncio.Event()

    async def client():
        while not over.is_set():
            try:
                async with ws_connect(url) as socket:
                    opened.append(time.monotonic())
                    waiting = asyncio.ensure_future(over.wait())
                    closing = asyncio.ensure_future(socket.wait_closed())
                    await asyncio.wait([waiting, closing], return_when=asyncio.FIRST_COMPLETED)
                    waiting.cancel()
            except Exception as e:
                refused.append(repr(e))
                return
    running = [asyncio.ensure_future(client()) for _ in range(clients)]

    async def until(condition, what):
        for _ in range(3000):
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(what + hf.log()[-2000:])
    await until(lambda: len(opened) == clients, "all are connected")
    begun = time.monotonic()
    whole = hf.config
    for i, node in enumerate(nodes):
        hf.reload(without(hf, node))
        await until(lambda: hf.log().count("its last connection has gone") == i + 1, "the endpoint to be empty")
        node.kill()
        node.start()  # at another port
        whole["clusters"][0]["endpoints"][i] = node.address
        before = hf.log().count("the new configuration is in force")
        hf.reload(whole)
        await until(lambda: hf.log().count("the new configuration is in force") > before, "the reload")
    over.set()
    await asyncio.gather(*running)
    assert not refused, refused
    again = sorted(t for t in opened if t > begun)
    assert len(again) >= clients
    worst = max(sum(1 for t in again if at <= t < at + 1) for at in again)
    assert worst <= rate * 1.1 + 2, Counter(int(t - begun) for t in again)
