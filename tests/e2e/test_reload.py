"""SIGHUP: a whole new configuration or the old one, and nothing that is open notices."""
import asyncio
import copy
import json
import os
import socket

import pytest

from kit.backends import named, ok
from kit.frames import TEXT, echo_frames, frame, open_websocket, read_frame, websocket_play
from kit.kernel import free_port, is_listening
from kit.process import config_of, is_sanitized
from kit.raw import RawClient, build_request
from kit.servers import ws_connect
from kit.wait import stays, wait_until


def with_generation(config, number):
    """The configuration, with an answer at /generation by which a test knows that it is in force."""
    config = copy.deepcopy(config)
    for listener in config["listeners"]:
        routes = [r for r in listener.get("routes", ()) if r.get("name") != "generation"]
        listener["routes"] = [{"name": "generation", "path": "= /generation",
                               "respond": {"status": 200, "body": str(number)}}, *routes]
    return config


class Reloader:
    """Reloads, and waits until every worker serves the new configuration."""

    def __init__(self, hf, number=0):
        self.hf, self.number = hf, number

    def __call__(self, config, **ask):
        self.number += 1
        self.hf.reload(with_generation(config, self.number))
        self.wait(**ask)

    def wait(self, **ask):
        in_a_row = 0

        def is_new():
            nonlocal in_a_row
            in_a_row = in_a_row + 1 if self.hf.request("/generation", **ask).text == str(self.number) else 0
            return in_a_row >= 6
        wait_until(is_new, f"generation {self.number}:\n{self.hf.log()[-1000:]}", timeout=30)


@pytest.fixture
def started(holdfast):
    def start(*args, **parts):
        hf = holdfast(config=with_generation(config_of(*args, **parts), 0))
        return hf, Reloader(hf), hf.config
    return start


# ---- what a new configuration changes ----

def test_routes_come_and_go(started):
    hf, reload, config = started(routes=[{"path": "/old", "respond": {"status": 200, "body": "old"}}])
    assert hf.request("/old").text == "old" and hf.request("/new").status == 404
    new = copy.deepcopy(config)
    new["listeners"][0]["routes"] = [{"path": "/new", "respond": {"status": 200, "body": "new"}}]
    reload(new)
    assert hf.request("/old").status == 404 and hf.request("/new").text == "new"


def test_kept_connection_follows_the_new_routes(started):
    hf, reload, config = started(routes=[{"path": "/x", "respond": {"status": 200, "body": "old"}}])
    client = hf.connect()
    assert client.request("/x").text == "old"
    new = copy.deepcopy(config)
    new["listeners"][0]["routes"][-1]["respond"]["body"] = "new"
    reload(new)
    assert client.request("/x").text == "new"


def test_clusters_and_endpoints_come_and_go(started, make_origin):
    a, b, c = (make_origin(named(n)) for n in "abc")
    hf, reload, config = started(clusters={"c": [a, b]}, routes=[{"cluster": "c"}], workers=1)
    assert {hf.request().text for _ in range(6)} == {"a", "b"}
    new = copy.deepcopy(config)
    new["clusters"][0]["endpoints"] = [c.address]
    reload(new)
    assert {hf.request().text for _ in range(6)} == {"c"}
    new["clusters"] = [{"name": "d", "endpoints": [a.address]}]
    new["listeners"][0]["routes"][-1]["cluster"] = "d"
    reload(new)
    assert {hf.request().text for _ in range(6)} == {"a"}


def test_listeners_come_and_go(started, origin):
    hf, reload, config = started(origin)
    other = free_port()
    new = copy.deepcopy(config)
    new["listeners"].append({"name": "second", "bind": [f"127.0.0.1:{other}"], "routes": [{"cluster": "c"}]})
    reload(new)
    hf.wait_listening(other)
    second = RawClient(("127.0.0.1", other))
    hf.clients.append(second)
    assert second.request().status == 200
    reload(config)
    wait_until(lambda: not is_listening(other), "the listener to go")
    with pytest.raises(ConnectionRefusedError):
        RawClient(("127.0.0.1", other))


def test_listener_may_move_to_another_port(started, origin):
    hf, reload, config = started(origin)
    new = copy.deepcopy(config)
    was, moved = hf.port, free_port()
    new["listeners"][0]["bind"] = [f"127.0.0.1:{moved}"]
    hf.write(with_generation(new, 1))
    hf.reload()
    hf.wait_listening(moved)
    wait_until(lambda: not is_listening(was), "the old port to be left")
    reload.number = 1
    reload.wait()


def test_certificates_change_without_a_restart(started, certs):
    hf, reload, config = started(listener={"tls": {"certificates": [certs.leaf.config]}},
                                 routes=[{"respond": {"status": 200}}])
    context = certs.client_context()

    def names():
        client = hf.connect(tls=context)
        return {n for _, n in client.socket.getpeercert()["subjectAltName"]}
    before = hf.connect(tls=context)
    assert "fresh.test" not in names()
    fresh = certs.ca.issue("fresh", ["localhost", "fresh.test"])
    new = copy.deepcopy(config)
    new["listeners"][0]["tls"]["certificates"] = [fresh.config]
    reload(new, tls=context)
    assert "fresh.test" in names()
    assert before.request("/generation").text == "1"


def test_renewed_certificate_in_the_same_file_is_read_again(started, certs, directory):
    """What certbot does: other bytes under the same name, and SIGHUP."""
    cert, key = directory / "live.pem", directory / "live.key"

    def put(leaf):
        for source, target in ((leaf.cert, cert), (leaf.key, key)):
            target.touch(0o600)
            target.write_bytes(open(source, "rb").read())
    put(certs.leaf)
    hf, reload, config = started(listener={"tls": {"certificates": [{"cert": str(cert), "key": str(key)}]}},
                                 routes=[{"respond": {"status": 200}}])
    context = certs.client_context()
    put(certs.ca.issue("renewed", ["localhost", "renewed.test"]))
    reload(config, tls=context)
    client = hf.connect(tls=context)
    assert "renewed.test" in {n for _, n in client.socket.getpeercert()["subjectAltName"]}


def test_listener_may_become_tls_and_plain_again(started, certs):
    hf, reload, config = started(routes=[{"respond": {"status": 200}}])
    new = copy.deepcopy(config)
    new["listeners"][0]["tls"] = {"certificates": [certs.leaf.config]}
    hf.reload(with_generation(new, 1))
    reload.number = 1

    def is_tls():
        try:
            return hf.request("/generation", tls=certs.client_context()).text == "1"
        except OSError:
            return False
    wait_until(is_tls, "TLS on the port")
    hf.reload(with_generation(config, 2))
    reload.number = 2

    def is_plain():
        try:
            return hf.request("/generation").text == "2"
        except Exception:
            return False
    wait_until(is_plain, "plain HTTP on the port")


def test_limits_and_timeouts_change(started, origin):
    hf, reload, config = started(origin)
    assert hf.request("/", "POST", body=b"x" * 5000).status == 200
    new = copy.deepcopy(config)
    new["listeners"][0]["http"] = {"max_body_size": "1KiB"}
    reload(new)
    assert hf.request("/", "POST", body=b"x" * 5000).status == 413


def test_log_level_and_access_log_change(started, directory):
    hf, reload, config = started(routes=[{"respond": {"status": 200}}])
    new = copy.deepcopy(config)
    new["log"] = {"level": "debug", "access": {"path": str(directory / "access.log"), "format": "combined"}}
    reload(new)
    hf.request("/logged-elsewhere")
    wait_until(lambda: (directory / "access.log").exists()
               and "/logged-elsewhere" in (directory / "access.log").read_text(), "a line in the new log")
    assert "/logged-elsewhere" not in hf.access_text()


def test_unix_socket_listener_comes_and_goes(started, directory, origin):
    hf, reload, config = started(origin)
    path = str(directory / "web.sock")
    new = copy.deepcopy(config)
    new["listeners"][0]["bind"].append("unix:" + path)
    reload(new)
    hf.wait_listening(path)
    assert hf.request(address=path).status == 200
    reload(config)
    wait_until(lambda: not is_listening(path), "the socket to go")
    wait_until(lambda: not os.path.exists(path), "its file to go")


# ---- what does not notice ----

def test_open_websocket_does_not_notice(started, make_raw, certs):
    backend = make_raw(websocket_play(echo_frames))
    hf, reload, config = started(backend)
    client = hf.connect()
    open_websocket(client)
    for i in range(5):
        new = copy.deepcopy(config)
        new["listeners"][0]["routes"][-1]["websocket"] = {"max_message_size": f"{i + 1}MiB"}
        reload(new)
        client.send(frame(TEXT, str(i)))
        assert read_frame(client).payload == str(i).encode()
    assert len(backend.conns) == 1


def test_running_download_and_upload_do_not_notice(started, make_origin):
    gate, size = [False], 8 << 20
    body = os.urandom(size)

    async def reply(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body[:size // 2])
        while not gate[0]:
            await asyncio.sleep(0.01)
        await conn.send(body[size // 2:])
    origin = make_origin(reply)
    hf, reload, config = started(origin)
    down = hf.connect().send(build_request())
    head = down.read_head()
    got = down.read_exactly(size // 2)
    up = hf.connect().send(build_request("/", "POST", [("Content-Length", "10")]) + b"first")
    origin.wait(lambda b: len(b.requests) == 2, "both requests")
    new = copy.deepcopy(config)
    new["clusters"][0]["balance"] = "least_connections"
    reload(new)
    gate[0] = True
    assert head.status == 200 and got + down.read_exactly(size - size // 2) == body
    assert up.send(b"secnd").read_response().status == 200


def test_listener_that_stays_loses_no_connection(started, origin):
    """Connections made while it reloads are all served: no moment without a listening socket."""
    hf, reload, config = started(origin)
    for i in range(1, 6):
        hf.reload(with_generation(config, i))
        for _ in range(30):
            assert hf.request().status == 200
    reload.number = 5
    reload.wait()


# ---- what is refused ----

BROKEN = ["listeners: [", "listeners: []\n", "nonsense: 1\n", ""]


@pytest.mark.parametrize("text", BROKEN, ids=["yaml", "empty list", "unknown key", "empty"])
def test_broken_file_keeps_the_old_configuration(started, origin, text):
    hf, reload, config = started(origin)
    config = hf.config
    hf.write(text)
    hf.reload()
    hf.wait_log(r"holdfast\.yaml(:\d+:\d+)?: ")
    assert hf.request("/generation").text == "0" and hf.request().status == 200
    hf.config = config
    reload(config)


def test_file_that_is_gone_keeps_the_old_configuration(started, origin):
    hf, reload, config = started(origin)
    hf.file.unlink()
    hf.reload()
    hf.wait_log(r"holdfast\.yaml: ")
    assert hf.request().status == 200
    reload(config)


def test_all_errors_of_a_broken_file_are_in_the_log(started, origin):
    hf, _, config = started(origin)
    hf.write("wrokers: 1\nlog: { level: loud }\n")
    hf.reload()
    hf.wait_log(r":1:1: unknown key \"wrokers\"")
    hf.wait_log(r":2:\d+: .*loud")
    hf.config = config


def test_port_in_use_keeps_the_old_configuration(started, origin):
    hf, reload, config = started(origin)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        new = with_generation(config, 77)
        new["listeners"].append({"name": "second", "bind": [f"127.0.0.1:{taken}"], "routes": [{"cluster": "c"}]})
        hf.file.write_text(json.dumps(new))
        hf.reload()
        hf.wait_log(rf"127\.0\.0\.1:{taken}.*in use")
        assert hf.request("/generation").text == "0"
    reload(config)


def test_bad_certificate_keeps_the_old_configuration(started, certs, directory):
    hf, reload, config = started(listener={"tls": {"certificates": [certs.leaf.config]}},
                                 routes=[{"respond": {"status": 200}}])
    context = certs.client_context()
    bad = directory / "bad.pem"
    bad.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    new = with_generation(config, 77)
    new["listeners"][0]["tls"]["certificates"][0] = {"cert": str(bad), "key": certs.leaf.key}
    hf.file.write_text(json.dumps(new))
    hf.reload()
    hf.wait_log(r"bad\.pem")
    assert hf.request("/generation", tls=context).text == "0"
    reload(config, tls=context)


def test_start_only_keys_say_so(started, origin):
    hf, reload, config = started(origin)
    new = copy.deepcopy(config)
    new["workers"] = 3
    reload(new)
    hf.wait_log(r"workers")


# ---- many times ----

@pytest.mark.limit(180)
async def test_fifty_reloads_under_websocket_traffic_drop_nothing(started, websocket_server, certs):
    """Sockets on a plain and a TLS listener talk all the time; none closes, none misses a message."""
    secure, plain = free_port(), free_port()
    routes = [{"name": "chat", "cluster": "c"}]
    listeners = [{"name": "plain", "bind": [f"127.0.0.1:{plain}"], "routes": routes},
                 {"name": "secure", "bind": [f"127.0.0.1:{secure}"], "routes": routes,
                  "tls": {"certificates": [certs.leaf.config]}}]
    hf, reload, config = started(listeners=listeners, clusters={"c": [websocket_server]})
    sockets = [await ws_connect(f"ws://localhost:{plain}/") for _ in range(20)]
    sockets += [await ws_connect(f"wss://localhost:{secure}/", tls=certs.client_context()) for _ in range(20)]
    done = asyncio.Event()
    counts = [0] * len(sockets)

    async def talk(i):
        while not done.is_set():
            message = os.urandom(64 + counts[i] % 3000)
            await sockets[i].send(message)
            assert await asyncio.wait_for(sockets[i].recv(), 20) == message
            counts[i] += 1
    talking = [asyncio.ensure_future(talk(i)) for i in range(len(sockets))]
    loop = asyncio.get_running_loop()
    fds = memory = None
    for n in range(50):
        new = copy.deepcopy(config)
        new["clusters"][0]["balance"] = ("round_robin", "least_connections")[n % 2]
        new["listeners"][0]["routes"][-1]["websocket"] = {"max_message_size": f"{n + 1}MiB"}
        await loop.run_in_executor(None, reload, new)
        if n == 9:
            fds, memory = hf.fd_count(), hf.memory_kib()
    assert hf.fd_count() <= fds + 4, "descriptors do not grow by reloads"
    assert hf.memory_kib() - memory < (16 if is_sanitized() else 6) * 1024, "nor does memory"
    done.set()
    await asyncio.gather(*talking)
    assert all(s.open for s in sockets) and min(counts) > 0
    assert len(websocket_server.sockets) == len(sockets), "nobody had to come back"
    for s in sockets:
        await s.close()


def test_reloads_in_a_burst_end_with_the_last(started, origin):
    hf, reload, config = started(origin)
    for i in range(1, 31):
        hf.reload(with_generation(config, i))
    reload.number = 30
    reload.wait()
    assert hf.is_running()


def test_reload_and_broken_reload_by_turns_leave_nothing_behind(started, origin):
    hf, reload, config = started(origin)
    for i in range(10):
        hf.write("nonsense: [" if i % 2 else "listeners: []\n")
        hf.reload()
        hf.wait_log(r"holdfast\.yaml:\d+:\d+: ", count=i + 1)
        reload(config)
        if i == 3:
            fds = hf.fd_count()
    assert hf.fd_count() <= fds + 2


def test_requests_over_pooled_connections_survive_reloads(started, make_origin):
    """A pool belongs to its endpoint, not to a configuration: kept connections are used on."""
    origin = make_origin(lambda request, conn: ok(str(len(conn.requests))))
    hf, reload, config = started(origin, workers=1)
    for i in range(1, 6):
        assert hf.request().status == 200
        reload(config)
    assert stays(lambda: hf.request().status == 200, 0.2)
    assert len(origin.conns) <= 3
