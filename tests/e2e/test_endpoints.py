"""Endpoints commanded at run time: drained, readied, disabled, weighed, added, removed; clusters rebalanced."""
import json
import subprocess
import threading
from collections import Counter

import pytest

from kit.backends import named
from kit.frames import CLOSE, echo_frames, frame, open_websocket, read_frame, websocket_play
from kit.wait import stays, wait_until


@pytest.fixture
def two(make_raw):
    return [make_raw(websocket_play(echo_frames)) for _ in range(2)]


@pytest.fixture
def abc(make_origin):
    return [make_origin(named(n)) for n in "abc"]


def open_sockets(hf, count):
    clients = [hf.connect() for _ in range(count)]
    for client in clients:
        open_websocket(client)
    return clients


def at(admin, backend, command="", method="POST", body=None):
    return admin.ask(method, f"/clusters/c/endpoints/{backend.address}{command}", body)


def row(admin, backend):
    answer = at(admin, backend, method="GET")
    assert answer.status == 200, answer.text
    return answer.json


def spread(hf, count):
    return Counter(hf.request().text for _ in range(count))


def told(backend):
    return sum(1 for c in backend.conns for f in getattr(c, "frames", ()) if f.opcode == CLOSE)


# ---- draining ----

def test_drained_endpoint_gets_nothing_new_and_its_websockets_are_closed(start, two):
    hf, admin = start(two, workers=2, cluster={"balance": "least_connections", "drain": {"timeout": "0", "rate": "0"}})
    clients = open_sockets(hf, 6)
    answer = at(admin, two[0], "/drain")
    assert answer.status == 200 and answer.json["state"] == "draining" and answer.json["mode"] == "draining"
    assert answer.json["why"] == "asked for on the admin socket" and answer.json["since"]
    two[0].wait(lambda b: told(b) == 3, "three Closes")
    before = len(two[0].conns)
    open_sockets(hf, 4)
    assert len(two[0].conns) == before and told(two[1]) == 0
    del clients
    lines = hf.wait_access(lambda x: x.get("event") == "close", count=3)
    assert {(x["reason"], x["close_code"]) for x in lines} == {("endpoint_draining", 1012)}


def test_drain_outlives_a_reload_and_ready_ends_it(start, abc):
    hf, admin = start(abc[:2], workers=2)
    assert at(admin, abc[0], "/drain").status == 200
    assert admin.ask("POST", "/reload").status == 200
    assert spread(hf, 10) == {"b": 10} and row(admin, abc[0])["state"] == "draining"
    assert at(admin, abc[0], "/ready").json["state"] == "ready"
    assert spread(hf, 10) == {"a": 5, "b": 5}


def test_readying_in_mid_drain_stops_the_closing(start, two):
    hf, admin = start(two, workers=2, cluster={"balance": "least_connections", "drain": {"timeout": "0", "rate": "2/s"}})
    clients = open_sockets(hf, 20)
    at(admin, two[0], "/drain")
    two[0].wait(lambda b: told(b) >= 1, "the first Close")
    leaving = row(admin, two[0])["leaving"]
    assert leaving["reason"] == "endpoint_draining" and leaving["closing"] is True and leaving["rate"] == 2
    assert leaving["eta_seconds"] == leaving["remaining"] / 2
    assert at(admin, two[0], "/ready").json["state"] == "ready"
    hf.wait_log("its connections are not closed any more")
    before = told(two[0])
    assert 1 <= before < 8 and stays(lambda: told(two[0]) == before, 1.2)
    assert row(admin, two[0])["leaving"] is None
    del clients


def test_disabled_endpoint_keeps_what_it_has(start, two):
    hf, admin = start(two, workers=2, cluster={"balance": "least_connections", "drain": {"timeout": "0", "rate": "0"}})
    clients = open_sockets(hf, 4)
    assert at(admin, two[0], "/disable").json["state"] == "disabled"
    before = len(two[0].conns)
    open_sockets(hf, 4)
    assert len(two[0].conns) == before and stays(lambda: told(two[0]) == 0, 0.5)
    for client in clients:
        client.send(frame(1, "still here"))
        assert read_frame(client).payload == b"still here"


def test_progress_of_a_drain_is_streamed_until_nothing_is_left(start, two):
    hf, admin = start(two, workers=2, cluster={"balance": "least_connections", "drain": {"timeout": "300ms", "rate": "0"}})
    clients = open_sockets(hf, 6)

    # half of them are the other endpoint's, and hear nothing
    def one(client):
        try:
            got = read_frame(client)
            client.send(frame(CLOSE, got.payload))
        except (OSError, EOFError, AssertionError):
            pass
    for client in clients:
        threading.Thread(target=one, args=(client,), daemon=True).start()
    answer = at(admin, two[0], "/drain?wait=true")
    assert answer.status == 200 and answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines[0]["active"] == 3 and lines[-1]["active"] == 0
    assert [x["active"] for x in lines] == sorted((x["active"] for x in lines), reverse=True)
    assert {x["state"] for x in lines} == {"draining"}


def test_watching_a_drain_ends_where_it_is_taken_back(start, two):
    hf, admin = start(two, workers=2, cluster={"balance": "least_connections", "drain": {"timeout": "1h"}})
    clients = open_sockets(hf, 4)
    found = []
    watcher = threading.Thread(target=lambda: found.append(at(admin, two[0], "/drain?wait=true")))
    watcher.start()
    wait_until(lambda: row(admin, two[0])["leaving"], "the drain")
    assert 3500 < row(admin, two[0])["leaving"]["closes_in_seconds"] <= 3600
    at(admin, two[0], "/ready")
    watcher.join(20)
    lines = [json.loads(line) for line in found[0].text.splitlines()]
    assert lines[0]["mode"] == "draining" and lines[-1]["mode"] == "ready" and lines[-1]["active"] == 2
    del clients


# ---- weights ----

def test_weight_holds_until_the_next_reload(start, abc):
    hf, admin = start(abc[:2], workers=2)
    answer = at(admin, abc[0], method="PATCH", body={"weight": 3})
    assert answer.json["weight"] == 3 and answer.json["configured_weight"] == 1
    assert spread(hf, 16) == {"a": 12, "b": 4}
    assert at(admin, abc[1], method="PATCH", body={"weight": 0}).json["weight"] == 0
    assert spread(hf, 8) == {"a": 8}
    # other endpoints are no reload
    assert admin.ask("POST", "/clusters/c/endpoints", {"address": abc[2].address}).status == 201
    assert spread(hf, 16) == {"a": 12, "c": 4}
    assert admin.ask("POST", "/reload").status == 200
    assert spread(hf, 9) == {"a": 3, "b": 3, "c": 3}


# ---- coming and going ----

def test_added_endpoint_serves_at_once_and_across_reloads(start, abc):
    hf, admin = start(abc[:1], workers=2)
    answer = admin.ask("POST", "/clusters/c/endpoints", {"address": abc[1].address, "weight": 2})
    assert answer.status == 201 and answer.json == {"added": [abc[1].address]}
    assert spread(hf, 9) == {"a": 3, "b": 6}
    assert row(admin, abc[1])["added"] is True
    assert admin.ask("POST", "/reload").status == 200
    assert spread(hf, 9) == {"a": 3, "b": 6}
    assert at(admin, abc[1], method="DELETE").json == {"removed": abc[1].address}
    assert spread(hf, 4) == {"a": 4}
    wait_until(lambda: at(admin, abc[1], method="GET").status == 404, "it to be forgotten")


def test_removed_endpoint_drains(start, two):
    hf, admin = start(two[:1], workers=2, cluster={"balance": "least_connections", "drain": {"timeout": "0", "rate": "0"}})
    admin.ask("POST", "/clusters/c/endpoints", {"address": two[1].address})
    clients = open_sockets(hf, 6)
    assert len(two[1].conns) == 3
    at(admin, two[1], method="DELETE")
    two[1].wait(lambda b: told(b) == 3, "three Closes")
    assert told(two[0]) == 0
    del clients


def test_what_stands_in_the_file_is_the_files(start, abc):
    hf, admin = start(abc[:2], workers=1)
    assert at(admin, abc[0], method="DELETE").status == 409
    assert admin.ask("POST", "/clusters/c/endpoints", {"address": abc[0].address}).status == 409
    # one that was added and then stands in the file, too, is one endpoint
    admin.ask("POST", "/clusters/c/endpoints", {"address": abc[2].address})
    hf.config["clusters"][0]["endpoints"].append(abc[2].address)
    hf.write(hf.config)
    assert admin.ask("POST", "/reload").status == 200
    assert spread(hf, 9) == {"a": 3, "b": 3, "c": 3}
    assert at(admin, abc[2], method="DELETE").status == 200
    assert spread(hf, 9) == {"a": 3, "b": 3, "c": 3}


def test_many_at_once_are_all_there_when_they_are_answered(start, abc, make_origin):
    hf, admin = start(abc[:1], workers=2)
    more = [make_origin(named(str(n))) for n in range(8)]
    answers = []

    def add(backend):
        answers.append(admin.ask("POST", "/clusters/c/endpoints", {"address": backend.address}).status)

    def reload():
        answers.append(admin.ask("POST", "/reload").status + 1)
    threads = [threading.Thread(target=add, args=(b,)) for b in more] + [threading.Thread(target=reload) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert answers == [201] * 12
    assert spread(hf, 18) == {n: 2 for n in ["a", *map(str, range(8))]}


def test_endpoints_come_while_the_file_is_broken(start, abc):
    hf, admin = start(abc[:1], workers=2)
    good = hf.config
    hf.write("clusters: [\n")
    threads = [threading.Thread(target=admin.ask, args=("POST", "/reload")) for _ in range(4)]
    for t in threads:
        t.start()
    assert admin.ask("POST", "/clusters/c/endpoints", {"address": abc[1].address}).status == 201
    for t in threads:
        t.join(30)
    assert spread(hf, 8) == {"a": 4, "b": 4}
    hf.write(good)


# ---- rebalancing ----

def test_rebalance_by_command_sheds_the_excess(start, two):
    hf, admin = start(two[:1], workers=2, cluster={"balance": "least_connections", "rebalance": {"rate": "0"}})
    clients = open_sockets(hf, 20)
    admin.ask("POST", "/clusters/c/endpoints", {"address": two[1].address})
    assert admin.ask("POST", "/clusters/c/rebalance").json == {"shed": 10}
    two[0].wait(lambda b: told(b) == 10, "ten Closes")
    assert stays(lambda: told(two[0]) == 10, 0.3)
    assert admin.ask("POST", "/clusters/x/rebalance").status == 404
    del clients


# ---- what is wrong ----

@pytest.mark.parametrize("method, path, body, status, says", [
    ("GET", "/clusters/c/endpoints/nobody:1", None, 404, 'has no endpoint \\"nobody:1'),
    ("POST", "/clusters/c/endpoints/nobody:1/drain", None, 404, "has no endpoint"),
    ("POST", "/clusters/x/endpoints/nobody:1/ready", None, 404, "has no endpoint"),
    ("PATCH", "/clusters/c/endpoints/nobody:1", {"weight": 1}, 404, "has no endpoint"),
    ("PATCH", "/clusters/c/endpoints/nobody:1", {"weight": -1}, 400, "0 to 1000000"),
    ("PATCH", "/clusters/c/endpoints/nobody:1", {"weight": 1, "zone": "a"}, 400, "weight"),
    ("PATCH", "/clusters/c/endpoints/nobody:1", "nonsense", 400, "weight"),
    ("DELETE", "/clusters/c/endpoints/nobody:1", None, 404, "has no endpoint"),
    ("POST", "/clusters/x/endpoints", {"address": "10.0.0.1:80"}, 404, 'no cluster \\"x'),
    ("POST", "/clusters/c/endpoints", None, 400, "a body like"),
    ("POST", "/clusters/c/endpoints", {"address": "10.0.0.1"}, 400, "endpoint:1:"),
    ("POST", "/clusters/c/endpoints", {"address": "10.0.0.1:80", "wieght": 2}, 400, 'did you mean \\"weight\\"'),
    ("POST", "/clusters/c/endpoints", "[]]][", 400, "endpoint:1:"),
    ("POST", "/clusters/c/endpoints", b"\xff\x00\xfe", 400, "a body like"),
])
def test_wrong_commands_are_problems(start, origin, method, path, body, status, says):
    _, admin = start(origin)
    answer = admin.ask(method, path, body)
    assert answer.status == status and says in answer.text, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


# ---- in HAProxy's words ----

def socat(admin, text):
    return subprocess.run(["socat", "-t10", "-", f"UNIX-CONNECT:{admin.at}"], input=text.encode(),
                          capture_output=True, timeout=20, check=True).stdout.decode()


def states(admin):
    lines = socat(admin, "show servers state c\n").splitlines()
    return {x.split()[3]: (x.split()[5], x.split()[6], x.split()[7]) for x in lines[2:] if x}


def statuses(admin):
    names, *rows = [x.lstrip("# ").split(",") for x in socat(admin, "show stat\n").splitlines() if x]
    return {r[names.index("svname")]: r[names.index("status")] for r in rows}


def test_haproxys_commands_for_servers(start, abc):
    hf, admin = start(abc[:2], workers=2)
    a, b = (f"c/{x.address}" for x in abc[:2])
    assert socat(admin, f"set server {a} state drain\n").strip() == ""
    assert spread(hf, 4) == {"b": 4} and states(admin)[abc[0].address] == ("0", "8", "1")
    assert statuses(admin)[abc[0].address] == "DRAIN" and statuses(admin)["BACKEND"] == "UP"
    socat(admin, f"disable server {b}\n")
    assert hf.request().status == 503 and states(admin)[abc[1].address] == ("0", "1", "1")
    assert statuses(admin)[abc[1].address] == "MAINT" and statuses(admin)["BACKEND"] == "DOWN"
    socat(admin, f"enable server {b}\n")
    socat(admin, f"set server {a} state ready\n")
    assert spread(hf, 4) == {"a": 2, "b": 2} and states(admin)[abc[0].address] == ("2", "0", "1")
    socat(admin, f"set server {a} weight 3\n")
    assert spread(hf, 8) == {"a": 6, "b": 2}
    socat(admin, f"set server {a} weight 200%\n")
    assert spread(hf, 6) == {"a": 4, "b": 2}
    for line, says in ((f"set server {a} state gone", "expects"), (f"set server {a} weight -1", "Malformed"),
                       (f"set server {a} weight", "Malformed"), (f"set server {a} colour blue", "usage"),
                       ("set server", "No such server"), ("set server c/nobody state drain", "No such server"),
                       ("disable server x/nobody", "No such server"), ("enable server c", "No such server")):
        assert says in socat(admin, line + "\n"), line
    assert spread(hf, 6) == {"a": 4, "b": 2}


# ---- metrics ----

def test_metrics_of_endpoints(start, two):
    hf, admin = start(two, workers=2, cluster={"balance": "least_connections", "drain": {"timeout": "1h"},
                                               "source_addresses": ["127.0.0.1", "127.0.0.2"]})
    clients = open_sockets(hf, 4)
    at(admin, two[0], "/drain")
    wait_until(lambda: row(admin, two[0])["leaving"], "the drain")
    at(admin, two[1], method="PATCH", body={"weight": 7})
    m = admin.metrics()

    def of(name, backend):
        return m[f'holdfast_endpoint_{name}{{cluster="c",endpoint="{backend.address}"}}']
    low, high = map(int, open("/proc/sys/net/ipv4/ip_local_port_range").read().split())
    assert [of(n, two[0]) for n in ("up", "draining", "disabled", "healthy", "ejected", "connections")] == [0, 1, 0, 1, 0, 2]
    assert [of(n, two[1]) for n in ("up", "draining", "disabled", "weight", "connections_max")] == [1, 0, 0, 7, 0]
    assert of("ephemeral_ports_free", two[0]) == 2 * (high - low + 1) - 2
    assert of("ejections_total", two[0]) == 0 and of("idle_connections", two[0]) == 0
    at(admin, two[0], "/disable")
    m = admin.metrics()
    assert of("disabled", two[0]) == 1
    del clients
