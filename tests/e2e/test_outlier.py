"""Endpoints that fail in practice: ejected for a while, and back; panics, slow starts, zones."""
import re
import shutil
import subprocess
import threading
from collections import Counter

import pytest

from kit.admin import Admin
from kit.backends import answers, named, ok
from kit.frames import CLOSE, close_body, echo_frames, frame, open_websocket, read_frame, upgrade_request, websocket_play
from kit.wait import wait_until

OUTLIER = {"consecutive_failures": 3, "eject_for": "1s", "max_ejected": "50%"}
EJECTED = r"endpoint {} is ejected for ([\d.]+) s: (.*)"


def ejections(hf, backend):
    return re.findall(EJECTED.format(re.escape(backend.address)), hf.log())


def wait_ejected(hf, backend, count=1):
    hf.wait_log(EJECTED.format(re.escape(backend.address)), count=count)
    return ejections(hf, backend)


def shares(hf, count):
    client = hf.connect()
    return Counter(client.request().text for _ in range(count))


@pytest.mark.parametrize("reply, said", [
    (answers(b"", "reset"), "reset the connection"),
    (answers(b"", "close"), "closed the connection"),
    (answers(b"nonsense\r\n\r\n", "close"), "malformed"),
    (answers(ok("no", status="500 Internal Server Error")), "status 500"),
])
def test_failures_in_a_row_eject_and_time_brings_back(holdfast, make_origin, reply, said):
    bad, good = make_origin(reply), make_origin(named("good"))
    hf = holdfast([bad, good], workers=1, cluster={"outlier": OUTLIER})
    while not ejections(hf, bad):
        hf.request()
    (seconds, why), = ejections(hf, bad)
    assert seconds == "1.000" and said in why and why.startswith("3 failures in a row")
    assert len(bad.requests) == 3
    # none goes there until it is over, and then it is as good as any
    bad.reply = named("healed")
    wait_until(lambda: hf.request().text == "healed", "the ejection to end")
    assert shares(hf, 20) == {"good": 10, "healed": 10}
    hf.wait_log("the ejection is over")


def test_connects_that_fail_eject_and_ejections_grow(holdfast, make_origin):
    bad, good = make_origin(named("bad")), make_origin(named("good"))
    hf = holdfast([bad, good], workers=1, cluster={"outlier": OUTLIER})
    bad.stop()
    wait_until(lambda: hf.request().text == "good" and len(ejections(hf, bad)) == 3, "three ejections", timeout=30)
    assert [s for s, _ in ejections(hf, bad)] == ["1.000", "2.000", "3.000"]
    assert all("no endpoint accepted" in why for _, why in ejections(hf, bad))


def test_success_between_failures_does_not_eject(holdfast, make_origin):
    turn = [0]

    def mostly(_request, _conn):
        turn[0] += 1
        return ok("good") if turn[0] % 3 == 0 else ok("bad", status="503 Service Unavailable")
    origin, other = make_origin(mostly), make_origin(named("other"))
    hf = holdfast([origin, other], workers=1, cluster={"outlier": OUTLIER})
    shares(hf, 60)
    assert turn[0] == 30 and not ejections(hf, origin)


def test_one_endpoint_alone_is_never_ejected(holdfast, make_origin):
    origin = make_origin(answers(ok("no", status="500 Internal Server Error")))
    hf = holdfast([origin], workers=1, cluster={"outlier": OUTLIER})
    assert [hf.request().status for _ in range(10)] == [500] * 10
    assert not ejections(hf, origin)


def test_no_more_than_the_share_is_ejected(holdfast, make_origin):
    origins = [make_origin(answers(ok("no", status="500 Internal Server Error"))) for _ in range(4)]
    hf = holdfast(origins, workers=1, cluster={"outlier": {**OUTLIER, "eject_for": "1h"}})
    for _ in range(80):
        hf.request()
    assert sum(len(ejections(hf, o)) for o in origins) == 2


def test_errors_of_clients_eject_nobody(holdfast, make_origin):
    origins = [make_origin(answers(ok("no", status="404 Not Found"))) for _ in range(2)]
    hf = holdfast(origins, workers=1, cluster={"outlier": OUTLIER})
    for _ in range(20):
        hf.request()
    assert "ejected" not in hf.log()


async def die(conn):
    conn.reset()


async def say_goodbye(conn):
    await conn.send(frame(CLOSE, close_body(1000), mask=False))
    await conn.read_to_end()


def test_websockets_that_die_at_once_eject(holdfast, make_raw):
    bad, good = make_raw(websocket_play(die)), make_raw(websocket_play(echo_frames))
    hf = holdfast([bad, good], workers=1, cluster={"outlier": OUTLIER, "balance": "least_connections"})
    while not ejections(hf, bad):
        client = hf.connect()
        open_websocket(client)
        client.send(frame(CLOSE, close_body(1000)))
        client.read_to_end()
    assert "died in its first second" in ejections(hf, bad)[0][1]


def test_normal_closes_right_after_the_handshake_eject_nobody(holdfast, make_raw):
    backends = [make_raw(websocket_play(say_goodbye)) for _ in range(2)]
    hf = holdfast(backends, workers=1, cluster={"outlier": OUTLIER})
    for _ in range(12):
        client = hf.connect()
        open_websocket(client)
        got = read_frame(client)
        assert got.opcode == CLOSE and got.code == 1000
        client.send(frame(CLOSE, close_body(1000)))
    hf.wait_access(lambda x: x.get("event") == "close", count=12)
    assert "ejected" not in hf.log()


def test_refused_handshakes_eject(holdfast, make_origin):
    origins = [make_origin(answers(ok("no", status="503 Service Unavailable"))), make_origin(named("x"))]
    hf = holdfast(origins, workers=1, cluster={"outlier": OUTLIER})
    while not ejections(hf, origins[0]):
        client = hf.connect()
        client.send(upgrade_request())
        client.read_response()
        client.close()
    assert "status 503" in ejections(hf, origins[0])[0][1]


# ---- SIGKILL under load ----

@pytest.mark.limit(120)
def test_killed_endpoint_costs_no_request_and_gets_none_afterwards(holdfast, make_node):
    nodes = [make_node() for _ in range(3)]
    hf = holdfast(nodes, cluster={"outlier": {**OUTLIER, "eject_for": "1h"}})
    statuses, stop = Counter(), threading.Event()

    def load():
        client = hf.connect()
        while not stop.is_set():
            statuses[client.request("/").status] += 1
    threads = [threading.Thread(target=load) for _ in range(3)]
    for t in threads:
        t.start()
    wait_until(lambda: sum(statuses.values()) > 300, "some load")
    nodes[1].kill()
    hf.wait_log(EJECTED.format(re.escape(nodes[1].address)))
    seen = sum(statuses.values())
    wait_until(lambda: sum(statuses.values()) > seen + 300, "more load")
    stop.set()
    for t in threads:
        t.join(20)
    assert not {s for s in statuses if s >= 500}, statuses


@pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load (Debian: nghttp2-client) is not there")
@pytest.mark.limit(180)
def test_killed_endpoint_at_a_thousand_requests_a_second(holdfast, make_node, short_directory):
    """h2load asks 1,000 times a second, six thousand times in all, over 20 connections, while one of three is killed."""
    nodes = [make_node() for _ in range(3)]
    path = short_directory / "admin.sock"
    hf = holdfast(nodes, cluster={"outlier": {**OUTLIER, "eject_for": "1h"}}, admin={"socket": str(path)})
    wait_until(path.exists, "the admin socket")

    def total(node, name="connections_total"):
        return Admin(path).metrics()[f'holdfast_endpoint_{name}{{cluster="c",endpoint="{node.address}"}}']
    load = subprocess.Popen(["h2load", "--h1", "-n", "6000", "-c", "20", "--rps", "50", hf.url("/")], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: total(nodes[1]) > 500, "some load", timeout=60)
        nodes[1].kill()
        hf.wait_log(EJECTED.format(re.escape(nodes[1].address)))
        dead = total(nodes[1])
        out = load.communicate(timeout=120)[0].decode()
    finally:
        load.kill()
        load.wait()
    assert "6000 total, 6000 started, 6000 done, 6000 succeeded, 0 failed, 0 errored, 0 timeout" in out, out
    assert "status codes: 6000 2xx, 0 3xx, 0 4xx, 0 5xx" in out, out
    assert total(nodes[1]) == dead and total(nodes[1], "up") == 0


# ---- zones, slow starts ----

def test_own_zone_is_preferred_and_another_one_helps(holdfast, make_origin):
    a, b, anywhere = [make_origin(named(n)) for n in ("a", "b", "anywhere")]
    hf = holdfast([{"address": a, "zone": "a"}, {"address": b, "zone": "b"}, anywhere], workers=1, zone="a",
                  cluster={"outlier": OUTLIER})
    assert shares(hf, 20) == {"a": 10, "anywhere": 10}
    a.stop()
    anywhere.stop()
    assert shares(hf, 10) == {"b": 10}


def test_arrival_starts_slowly(holdfast, make_origin):
    old, new = make_origin(named("old")), make_origin(named("new"))
    hf = holdfast([old], workers=1, cluster={"slow_start": "1h"})
    config = dict(hf.config)
    config["clusters"][0]["endpoints"].append(new.address)
    hf.reload(config)
    hf.wait_log("the new configuration is in force")
    got = shares(hf, 400)
    assert 1 <= got["new"] <= 8, got
