"""Which endpoint serves: shares, loads, and what happens when one cannot."""
import asyncio
import resource
import socket
from collections import Counter

import pytest

from kit.backends import answers, named, ok
from kit.frames import echo_frames, open_websocket, upgrade_request, websocket_play
from kit.raw import build_request
from kit.servers import ws_connect
from kit.wait import wait_until


@pytest.fixture
def three(make_origin):
    return [make_origin(named(n)) for n in "abc"]


def shares(hf, count):
    client = hf.connect()
    return Counter(client.request().text for _ in range(count))


# ---- round robin ----

def test_round_robin_is_even(holdfast, three):
    assert shares(holdfast(three, workers=1), 30) == {"a": 10, "b": 10, "c": 10}


def test_round_robin_goes_round(holdfast, three):
    client = holdfast(three, workers=1).connect()
    got = "".join(client.request().text for _ in range(9))
    assert got == got[:3] * 3 and set(got[:3]) == set("abc")


@pytest.mark.parametrize("weights", [(1, 2, 1), (5, 1, 1), (1, 0, 3), (10, 20, 30)])
def test_weighted_round_robin_is_exact(holdfast, three, weights):
    hf = holdfast([{"address": o, "weight": w} for o, w in zip(three, weights)], workers=1)
    rounds = 3
    want = {n: w * rounds for n, w in zip("abc", weights) if w}
    assert shares(hf, sum(weights) * rounds) == want


def test_weighted_round_robin_is_smooth(holdfast, three):
    """A heavy endpoint is not asked five times in a row while others wait."""
    hf = holdfast([{"address": o, "weight": w} for o, w in zip(three, (5, 1, 1))], workers=1)
    client = hf.connect()
    got = "".join(client.request().text for _ in range(14))
    assert "aaaa" not in got


def test_workers_together_are_even(holdfast, three):
    hf = holdfast(three, workers=2)
    got = Counter(hf.request().text for _ in range(300))
    assert all(60 <= got[n] <= 140 for n in "abc"), got


# ---- least connections ----

def open_sockets(hf, count):
    clients = []
    for _ in range(count):
        client = hf.connect()
        open_websocket(client)
        clients.append(client)
    return clients


def counts(backends):
    return [sum(1 for c in b.conns if c.ended is None) for b in backends]


@pytest.fixture
def three_sockets(make_raw):
    return [make_raw(websocket_play(echo_frames)) for _ in range(3)]


@pytest.mark.parametrize("workers", [1, 2])
def test_least_connections_counts_long_lived_ones(holdfast, three_sockets, workers):
    hf = holdfast(three_sockets, workers=workers, cluster={"balance": "least_connections"})
    clients = open_sockets(hf, 12)
    assert counts(three_sockets) == [4, 4, 4]
    ports = {c.writer.get_extra_info("peername")[1] for c in three_sockets[1].conns}
    assert len(ports) == 4
    # all of one endpoint leave: it gets the next four
    for client in clients:
        client.close()
    wait_until(lambda: counts(three_sockets) == [0, 0, 0], "all to be gone")
    open_sockets(hf, 6)
    assert counts(three_sockets) == [2, 2, 2]


@pytest.mark.slow
@pytest.mark.limit(300)
def test_least_connections_with_as_many_as_descriptors_allow(holdfast, make_raw):
    """Up to 10,000: each takes two descriptors of this process and two of the proxy's."""
    count = min(10000, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1000) // 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)

    async def hold(conn):
        await conn.send(b"!")
        while await conn.read():
            pass
    four = [make_raw(hold) for _ in range(4)]
    hf = holdfast(four, workers=2, listener={"protocol": "tcp"}, cluster={"balance": "least_connections"})
    clients = []
    for _ in range(count):
        clients.append(socket.create_connection(hf.address, timeout=20))
        assert clients[-1].recv(1) == b"!"
    held = counts(four)
    assert sum(held) == count and max(held) - min(held) <= 1, held
    # a fifth of them go, all of one endpoint's ports; whoever comes fills that gap
    for client in clients[::5]:
        client.close()
    wait_until(lambda: sum(counts(four)) == count - len(clients[::5]), "them to be gone", timeout=60)
    for _ in clients[::5]:
        clients.append(socket.create_connection(hf.address, timeout=20))
        assert clients[-1].recv(1) == b"!"
    held = counts(four)
    for client in clients:
        client.close()
    print(count, "connections:", held)
    assert sum(held) == count and max(held) - min(held) <= 1, held


def test_least_connections_fills_the_emptiest_first(holdfast, three_sockets, make_raw):
    hf = holdfast(three_sockets, workers=1, cluster={"balance": "least_connections"})
    open_sockets(hf, 9)
    for conn in three_sockets[0].conns:
        three_sockets[0].home.loop.call_soon_threadsafe(conn.reset)
    wait_until(lambda: len(hf.access()) and sum(1 for x in hf.access() if x.get("event") == "close") == 3,
               "three to be counted off")
    open_sockets(hf, 3)
    assert [len(b.conns) for b in three_sockets] == [6, 3, 3]


def test_least_connections_heeds_weights(holdfast, three_sockets):
    hf = holdfast([{"address": b, "weight": w} for b, w in zip(three_sockets, (1, 2, 3))], workers=1,
                  cluster={"balance": "least_connections"})
    open_sockets(hf, 12)
    assert counts(three_sockets) == [2, 4, 6]


def test_least_connections_counts_requests_in_flight(holdfast, make_origin):
    gate = [False]

    async def slow(request, conn):
        while not gate[0]:
            await asyncio.sleep(0.01)
        return ok("slow")
    stuck, quick = make_origin(slow), make_origin(named("quick"))
    hf = holdfast([stuck, quick], workers=1, cluster={"balance": "least_connections"})
    waiting = []
    while not stuck.requests:
        waiting.append(hf.connect().send(build_request()))
        wait_until(lambda: len(stuck.requests) + len(quick.requests) == len(waiting), "the request to arrive")
    assert Counter(hf.request().text for _ in range(10)) == {"quick": 10}
    gate[0] = True
    assert waiting[-1].read_response().text == "slow"


# ---- failures ----

def test_dead_endpoint_costs_no_request(holdfast, three):
    three[1].stop()
    got = shares(holdfast(three, workers=1), 60)
    assert set(got) == {"a", "c"} and sum(got.values()) == 60


def test_dead_endpoint_costs_no_websocket(holdfast, three_sockets):
    hf = holdfast(three_sockets, workers=1)
    three_sockets[0].stop()
    open_sockets(hf, 9)
    assert sum(counts(three_sockets)) == 9


def test_endpoint_that_drops_syns_costs_only_time(holdfast, hole, make_origin):
    hf = holdfast([hole, make_origin(named("alive"))], workers=1, cluster={"timeouts": {"connect": "200ms"}})
    assert shares(hf, 6) == {"alive": 6}


def test_all_endpoints_dead_is_502_and_they_come_back(holdfast, three):
    hf = holdfast(three, workers=1)
    for origin in three:
        origin.stop()
    assert hf.request().status == 502
    for origin in three:
        origin.start()
    wait_until(lambda: hf.request().status == 200, "the cluster to be back")


def test_request_whose_body_has_begun_to_leave_is_not_repeated(holdfast, make_origin):
    origins = [make_origin(answers(b"", "reset")) for _ in range(3)]
    hf = holdfast(origins, workers=1)
    assert hf.request("/", "POST", body=b"once").status == 502
    assert sum(len(o.requests) for o in origins) == 1


def test_get_is_repeated_on_another_endpoint_after_a_reset(holdfast, make_origin):
    bad, good = make_origin(answers(b"", "reset")), make_origin(named("good"))
    hf = holdfast([bad, good], workers=1)
    assert [hf.request().text for _ in range(6)] == ["good"] * 6


def test_attempts_are_bounded(holdfast, make_origin):
    origins = [make_origin(answers(b"", "reset")) for _ in range(5)]
    hf = holdfast(origins, workers=1, cluster={"retries": {"attempts": 2}})
    assert hf.request().status == 502
    assert sum(len(o.requests) for o in origins) == 3


def test_no_retry_where_it_is_off(holdfast, make_origin):
    bad, good = make_origin(answers(b"", "reset")), make_origin(named("good"))
    hf = holdfast([bad, good], workers=1, cluster={"retries": {"attempts": 0}})
    assert sorted(hf.request().status for _ in range(6)) == [200] * 3 + [502] * 3


def test_backup_serves_only_when_no_other_can(holdfast, three):
    hf = holdfast([three[0], {"address": three[1], "backup": True}], workers=1,
                  cluster={"outlier": {"eject_for": "1s"}})
    assert shares(hf, 10) == {"a": 10}
    three[0].stop()
    assert shares(hf, 10) == {"b": 10}
    three[0].start()
    wait_until(lambda: hf.request().text == "a", "the first to serve again")


def test_full_endpoint_is_passed_over_and_a_full_cluster_is_503(holdfast, three_sockets):
    hf = holdfast([{"address": b, "max_connections": n} for b, n in zip(three_sockets, (1, 2, 1))], workers=1)
    open_sockets(hf, 4)
    assert counts(three_sockets) == [1, 2, 1]
    client = hf.connect()
    client.send(upgrade_request())
    assert client.read_response().status == 503


@pytest.mark.limit(120)
async def test_many_websockets_spread_over_node_servers(holdfast, make_node):
    servers = [make_node() for _ in range(3)]
    hf = holdfast(servers, cluster={"balance": "least_connections"})
    sockets = [await ws_connect(hf.url("/", "ws")) for _ in range(60)]
    for i, s in enumerate(sockets):
        await s.send(f"hello {i}")
        assert await s.recv() == f"hello {i}"
    used = Counter(x["endpoint"] for x in hf.wait_access(lambda x: x.get("event") == "open", count=60))
    assert used == {s.address: 20 for s in servers}
    for s in sockets:
        await s.close()
