"""The admin sockets: asked with curl, socat and Python's own client."""
import asyncio
import json
import os
import resource
import socket
import subprocess

import pytest

from kit.admin import Admin
from kit.frames import CLOSE, TEXT, echo_frames, frame, open_websocket, read_frame, websocket_play
from kit.kernel import free_port
from kit.raw import RawClient
from kit.servers import ws_connect
from kit.wait import wait_until


# ---- the process ----

def test_status_says_what_there_is(start, echo):
    hf, admin = start(echo)
    client = hf.connect()
    open_websocket(client)
    client.send(frame(TEXT, b"one", mask=True))
    assert read_frame(client).payload == b"one"
    answer = admin.get("/status")
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    status = answer.json
    assert status["pid"] == hf.pid and status["state"] == "running" and status["workers"] == 2
    most = status["connections"].pop("max")
    assert status["connections"] == {"total": 1, "websocket": 1, "tcp": 0, "http": 0}
    assert 100 < most <= min(200000, resource.prlimit(hf.pid, resource.RLIMIT_NOFILE)[0] / 2), "as descriptors go"
    assert status["totals"]["messages_in"] == 1 and status["totals"]["messages_out"] == 1
    assert status["listeners"] == [{"name": "web", "protocol": "http", "connections": 1, "websockets": 1}]
    assert status["reload"]["successful"] is True and status["uptime_seconds"] > 0


def test_ready_is_taken_back_and_given_again_while_nothing_else_changes(start, origin):
    hf, admin = start(origin)
    assert admin.get("/ready").status == 200 and admin.get("/health").status == 200
    assert admin.ask("POST", "/drain").json == {"away": True}
    assert admin.get("/ready").status == 503 and admin.get("/health").status == 200
    assert hf.request().status == 200
    assert admin.ask("DELETE", "/drain").json == {"away": False}
    assert admin.get("/ready").status == 200


def test_ready_says_503_while_the_process_ends(start, echo):
    hf, admin = start(echo, shutdown={"grace": "20s"})
    client = hf.connect()
    open_websocket(client)
    hf.send_signal(15)
    wait_until(lambda: admin.get("/ready").status == 503, "/ready to say no")
    assert admin.get("/status").json["state"] == "draining"
    client.close()
    assert hf.wait_end() == 0


def test_log_level_changes_without_a_reload(start, origin):
    hf, admin = start(origin, log={"level": "error"})
    assert admin.ask("POST", "/log", {"level": "info"}).json == {"level": "info"}
    wait_until(lambda: "the log's level is info" in hf.log(), "a line of the new level")
    bad = admin.ask("POST", "/log", {"level": "loud"})
    assert bad.status == 400 and "error, warn, info or debug" in bad.json["detail"]


# ---- HTTP ----

@pytest.mark.parametrize("method, path, status", [
    ("GET", "/nowhere", 404),
    ("GET", "/clusters/nobody", 404),
    ("POST", "/status", 405),
    ("GET", "/connections?limit=many", 400),
    ("DELETE", "/connections", 400),
    ("DELETE", "/connections/0-1-99", 404),
    ("DELETE", "/connections/nonsense", 404),
    ("DELETE", "/connections?kind=http&code=1005", 400),
])
def test_errors_are_problems(start, origin, method, path, status):
    _, admin = start(origin)
    answer = admin.ask(method, path)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == status and answer.json["detail"]
    if status == 405:
        assert answer.headers["allow"] == "GET"


def test_one_connection_serves_many_requests_also_in_pieces(start, origin):
    _, admin = start(origin)
    connection = admin.connection()
    for _ in range(3):
        connection.request("GET", "/ready")
        response = connection.getresponse()
        assert response.status == 200 and response.read()
    connection.close()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(admin.at))
        for byte in b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n":
            s.sendall(bytes([byte]))
        s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        got = b""
        while part := s.recv(65536):
            got += part
    assert got.count(b"HTTP/1.1 200 OK") == 2 and b'"ready"' in got and b'"ok"' in got


def test_what_is_no_request_is_refused_and_ends(start, origin):
    _, admin = start(origin)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(admin.at))
        s.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        got = b""
        while part := s.recv(65536):
            got += part
    assert got.startswith(b"HTTP/1.1 400 ")
    assert admin.get("/health").status == 200


def test_body_is_bounded(start, origin):
    _, admin = start(origin)
    assert admin.ask("POST", "/log", "x" * 70000).status == 413


def test_curl_speaks_with_it(start, origin):
    _, admin = start(origin)
    out = subprocess.run(["curl", "-sS", "--fail", "--unix-socket", str(admin.at), "http://localhost/help"],
                         capture_output=True, timeout=20, check=True).stdout
    assert any(row["path"] == "/metrics" for row in json.loads(out)["commands"])
    head = subprocess.run(["curl", "-sSI", "--unix-socket", str(admin.at), "http://localhost/status"],
                          capture_output=True, timeout=20, check=True).stdout
    assert head.startswith(b"HTTP/1.1 200 OK")


# ---- who may ----

def test_socket_has_the_mode_of_the_configuration_and_goes_with_the_process(start, origin, short_directory):
    path = short_directory / "admin.sock"
    hf, _ = start(origin, admin={"socket": str(path), "mode": "0600"})
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert hf.stop() == 0
    assert not path.exists()


def test_unknown_group_stops_the_start(holdfast, origin, short_directory):
    with pytest.raises(AssertionError, match="no such group"):
        holdfast(origin, admin={"socket": str(short_directory / "a.sock"), "group": "nobody-has-this-group"})


def test_tcp_address_may_only_be_read(start, origin, short_directory):
    port = free_port()
    start(origin, admin={"socket": str(short_directory / "admin.sock"), "listen": f"127.0.0.1:{port}"})
    tcp = Admin(port)
    for path in ("/status", "/health", "/ready", "/metrics"):
        assert tcp.get(path).status == 200, path
    for method, path in (("POST", "/reload"), ("POST", "/drain"), ("GET", "/connections"), ("POST", "/log"),
                         ("DELETE", "/connections?kind=http"), ("GET", "/clusters")):
        assert tcp.ask(method, path).status == 403, path
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b"show info\n")
        assert b"400" in s.recv(4096).split(b"\r\n")[0]


def test_path_that_is_too_long_stops_the_start(holdfast, origin):
    with pytest.raises(AssertionError, match="107 bytes at most"):
        holdfast(origin, admin={"socket": "/tmp/" + "x" * 120})


def test_socket_in_use_stops_the_start_and_stays_the_first_ones(start, holdfast, origin):
    hf, admin = start(origin)
    with pytest.raises(AssertionError, match="another process listens there"):
        holdfast(origin, admin={"socket": str(admin.at)})
    assert admin.get("/status").json["pid"] == hf.pid


def test_reload_moves_the_socket(start, origin, short_directory):
    hf, admin = start(origin)
    other = short_directory / "other.sock"
    hf.write({**hf.config, "admin": {"socket": str(other)}})
    assert admin.ask("POST", "/reload").status == 200
    assert Admin(other).get("/health").status == 200
    wait_until(lambda: not admin.at.exists(), "the old socket to go")


# ---- reload ----

def test_reload_answers_with_what_changed(start, origin):
    hf, admin = start(origin)
    changed = json.loads(json.dumps(hf.config))
    changed["shutdown"]["grace"] = "7s"
    changed["clusters"][0]["timeouts"] = {"connect": "9s"}
    changed["clusters"].append({"name": "more", "endpoints": ["127.0.0.1:1"]})
    hf.write(changed)
    rows = [("changed", "shutdown.grace", "1s", "7s"), ("changed", "clusters.c.timeouts.connect", "3s", "9s"),
            ("added", "clusters.more", None, "")]
    for method, path in (("GET", "/config/diff"), ("POST", "/reload")):
        answer = admin.ask(method, path)
        assert answer.status == 200
        got = [(c["change"], c["key"], c.get("from"), c.get("to")) for c in answer.json["changes"]]
        assert sorted(got, key=str) == sorted(rows, key=str)
    assert admin.get("/config/diff").json["changes"] == []
    assert [c["cluster"] for c in admin.get("/clusters").json["clusters"]] == ["c", "more"]
    assert admin.get("/status").json["reload"]["succeeded"] == 1


def test_reload_of_a_broken_file_says_why_and_changes_nothing(start, origin):
    hf, admin = start(origin)
    good = hf.config
    hf.write("listeners: [\n")
    for method, path in (("GET", "/config/diff"), ("POST", "/reload")):
        answer = admin.ask(method, path)
        assert answer.status == 422
        assert answer.json["errors"] and all("holdfast.yaml:" in e for e in answer.json["errors"])
    assert hf.request().status == 200
    status = admin.get("/status").json["reload"]
    assert status["successful"] is False and status["failed"] == 1 and status["errors"]
    hf.write(good)
    assert admin.ask("POST", "/reload").json["changes"] == []
    assert admin.get("/status").json["reload"]["successful"] is True


def test_every_one_of_many_reloads_at_once_is_answered(start, origin):
    _, admin = start(origin)
    connections = [admin.connection() for _ in range(10)]
    for c in connections:
        c.request("POST", "/reload")
    assert [c.getresponse().status for c in connections] == [200] * 10
    for c in connections:
        c.close()


# ---- clusters ----

def test_clusters_tell_of_their_endpoints(start, echo):
    hf, admin = start(echo)
    client = hf.connect()
    open_websocket(client)
    cluster = admin.get("/clusters/c").json
    assert cluster["cluster"] == "c" and cluster["active"] == 1
    (endpoint,) = cluster["endpoints"]
    assert endpoint["endpoint"] == echo.address and endpoint["state"] == "ready"
    assert endpoint["active"] == 1 and endpoint["total"] == 1 and endpoint["weight"] == 1
    client.close()
    wait_until(lambda: admin.get("/clusters/c").json["active"] == 0, "the place to be given back")


# ---- connections ----

def test_connections_are_told_with_what_passes(start, echo):
    hf, admin = start(echo)
    idle, client = hf.connect(), hf.connect()
    open_websocket(client)
    for text in (b"a", b"bcd"):
        client.send(frame(TEXT, text, mask=True))
        assert read_frame(client).payload == text
    (ws,) = wait_until(lambda: admin.connections("?kind=websocket"), "the WebSocket")
    assert ws["client"] == "127.0.0.1" and ws["listener"] == "web" and ws["route"] == "all"
    assert ws["cluster"] == "c" and ws["endpoint"] == echo.address and ws["state"] == "open"
    assert (ws["messages_in"], ws["messages_out"]) == (2, 2)
    assert ws["bytes_in"] == 6 + 1 + 6 + 3 and ws["bytes_out"] == 2 + 1 + 2 + 3
    assert ws["port"] == client.socket.getsockname()[1]
    (http,) = wait_until(lambda: admin.connections("?kind=http"), "the idle one")
    assert http["state"] == "idle" and "route" not in http
    assert admin.connections("?ip=127.0.0.2") == [] and len(admin.connections("?ip=127.0.0.1")) == 2
    idle.close()
    wait_until(lambda: len(admin.connections()) == 1, "the idle one to go")


def test_id_stays_through_the_upgrade(start, echo):
    hf, admin = start(echo)
    client = hf.connect()
    (before,) = wait_until(admin.connections, "the connection")
    open_websocket(client)
    (after,) = admin.connections("?kind=websocket")
    assert after["id"] == before["id"]


def test_client_of_a_trusted_proxy_is_who_it_says(start, echo):
    hf, admin = start(echo, trusted_proxies=["127.0.0.0/8"])
    client = hf.connect()
    open_websocket(client, extra=[("X-Forwarded-For", "203.0.113.9")])
    (ws,) = admin.connections("?ip=203.0.113.9")
    assert ws["kind"] == "websocket"


def test_list_of_many_is_whole_and_bounded(start, websocket_server):
    hf, admin = start(websocket_server)

    async def main():
        sockets = [await ws_connect(hf.url("/", "ws")) for _ in range(400)]
        loop = asyncio.get_running_loop()
        rows = await loop.run_in_executor(None, admin.connections)
        some = await loop.run_in_executor(None, admin.connections, "?limit=7")
        for s in sockets:
            await s.close()
        return rows, some
    rows, some = asyncio.run(main())
    assert len(rows) == 400 and len({r["id"] for r in rows}) == 400 and len(some) == 7


def test_reader_that_stops_reading_harms_nobody(start, websocket_server):
    """Its answer waits, bounded, and goes with it."""
    hf, admin = start(websocket_server)

    async def main():
        sockets = [await ws_connect(hf.url("/", "ws")) for _ in range(200)]
        slow = admin.connection()
        for _ in range(40):
            slow.connect() if slow.sock is None else None
            slow.sock.sendall(b"GET /connections HTTP/1.1\r\nHost: x\r\n\r\n")
        for s in sockets[:5]:
            await s.send("x")
            assert await s.recv() == "x"
        loop = asyncio.get_running_loop()
        rows = await loop.run_in_executor(None, admin.connections)
        slow.close()
        for s in sockets:
            await s.close()
        return rows
    assert len(asyncio.run(main())) == 200


def test_kill_closes_both_ends_with_code_and_reason(start, websocket_server):
    hf, admin = start(websocket_server)

    async def main():
        one, other = await ws_connect(hf.url("/", "ws")), await ws_connect(hf.url("/", "ws"))
        await one.send("x")
        assert await one.recv() == "x"
        loop = asyncio.get_running_loop()
        rows = await loop.run_in_executor(None, admin.connections, "?kind=websocket")
        busy = next(r for r in rows if r["messages_in"] == 1)
        answer = await loop.run_in_executor(None, admin.ask, "DELETE",
                                            f"/connections/{busy['id']}?code=4000&reason=go%20home")
        assert answer.json == {"closed": 1}
        await asyncio.wait_for(one.wait_closed(), 20)
        assert (one.close_code, one.close_reason) == (4000, "go home")
        await other.send("y")
        assert await other.recv() == "y"
        again = await loop.run_in_executor(None, admin.ask, "DELETE", f"/connections/{busy['id']}")
        assert again.status == 404
        await other.close()
    asyncio.run(main())
    wait_until(lambda: (4000, "go home") in websocket_server.closes, "the server to be told")
    wait_until(lambda: any(line["event"] == "close" and line.get("reason") == "killed" and line["close_code"] == 4000
                           for line in hf.access()), "its line in the access log")


def test_kill_by_filter_takes_all_that_match_and_no_other(start, websocket_server):
    hf, admin = start(websocket_server)

    async def main():
        sockets = [await ws_connect(hf.url("/", "ws")) for _ in range(30)]
        loop = asyncio.get_running_loop()
        none = await loop.run_in_executor(None, admin.ask, "DELETE", "/connections?cluster=other")
        assert none.json == {"closed": 0}
        answer = await loop.run_in_executor(None, admin.ask, "DELETE", "/connections?cluster=c&kind=websocket")
        assert answer.json == {"closed": 30}
        for s in sockets:
            await asyncio.wait_for(s.wait_closed(), 20)
        return {s.close_code for s in sockets}
    assert asyncio.run(main()) == {1008}


def test_tcp_connections_are_listed_and_killed(start, make_raw):
    hf, admin = start(make_raw(websocket_play(echo_frames)), listener={"protocol": "tcp"})
    client = RawClient(hf.address)
    (row,) = wait_until(lambda: [r for r in admin.connections("?kind=tcp") if r["state"] == "open"], "it")
    assert row["cluster"] == "c"
    assert admin.ask("DELETE", f"/connections/{row['id']}").json == {"closed": 1}
    assert client.ends()


# ---- HAProxy's words ----

def socat(admin, text):
    return subprocess.run(["socat", "-t10", "-", f"UNIX-CONNECT:{admin.at}"], input=text.encode(),
                          capture_output=True, timeout=20, check=True).stdout.decode()


def test_show_info_and_stat_read_as_haproxys(start, echo):
    hf, admin = start(echo)
    client = hf.connect()
    open_websocket(client)
    info = dict(line.split(": ", 1) for line in socat(admin, "show info\n").splitlines() if line)
    assert info["Pid"] == str(hf.pid) and info["CurrConns"] == "1" and int(info["Uptime_sec"]) >= 0
    text = socat(admin, "show stat\n")
    assert text.startswith("# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,")
    names, *rows = [line.lstrip("# ").split(",") for line in text.splitlines() if line]
    rows = [dict(zip(names, row)) for row in rows]
    assert all(len(row) == len(names) for row in rows)
    assert [(r["pxname"], r["svname"], r["status"], r["scur"]) for r in rows] == [
        ("web", "FRONTEND", "OPEN", "1"), ("c", echo.address, "no check", "1"), ("c", "BACKEND", "UP", "1")]


def test_show_sess_and_shutdown_session(start, echo):
    hf, admin = start(echo)
    client = hf.connect()
    open_websocket(client)
    (line,) = [s for s in socat(admin, "show sess\n").splitlines() if s]
    session = line.split(":")[0]
    assert f"srv={echo.address}" in line and "fe=web be=c" in line
    assert socat(admin, f"shutdown session {session}\n").strip() == ""
    assert read_frame(client).opcode == CLOSE
    assert "No such session" in socat(admin, f"shutdown session {session}\n")


def test_servers_state_and_what_is_not_known(start, echo):
    _, admin = start(echo)
    lines = socat(admin, "show servers state\n").splitlines()
    assert lines[0] == "1" and lines[1].startswith("# be_id be_name srv_id srv_name srv_addr srv_op_state")
    assert lines[2].split()[1] == "c" and lines[2].split()[3] == echo.address
    assert socat(admin, "make coffee\n").startswith("Unknown command.")
    assert "No such server" in socat(admin, "shutdown sessions server c/nobody\n")
