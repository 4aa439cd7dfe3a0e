"""Limits by address: who is over is refused before anything is spent on him, is told why where he can be told, and nobody
beside him notices."""
import re
import socket
import threading

import pytest

from kit.backends import named
from kit.frames import TEXT, frame, open_websocket, read_frame
from kit.process import python
from kit.raw import Truncated
from kit.wait import wait_until

HONEST, GREEDY = "127.0.0.2", "127.0.0.3"


@pytest.fixture
def backend(make_origin):
    return make_origin(named("x"))


def limits(**keys):
    return {"limits": keys}


def attempt(hf, source=GREEDY, header=b"", **options):
    """A connection and one request on it: the open client, or None where it was refused without a word."""
    try:
        client = hf.connect(source=source, **options)
    except ConnectionError:
        return None
    try:
        client.send(header)
        client.request()
        return client
    except (ConnectionError, Truncated, BrokenPipeError):
        client.close()
        return None


def proxy_header(source):
    return f"PROXY TCP{6 if ':' in source else 4} {source} {'::1' if ':' in source else '127.0.0.1'} 1 2\r\n".encode()


# ---- connections ----

def test_connections_of_one_address_are_limited_exactly(holdfast, backend):
    """At two workers, whichever of them each connection comes to."""
    hf = holdfast(backend, **limits(per_ip={"connections": 7}))
    clients = [attempt(hf) for _ in range(20)]
    opened = [c for c in clients if c]
    assert len(opened) == 7 and clients[:7] == opened
    assert attempt(hf, HONEST).request().status == 200
    opened[3].close()
    wait_until(lambda: attempt(hf), "a place for the one that left")
    hf.wait_log(rf"{GREEDY}:\d+: refused: too many connections from this address \(limits.per_ip.connections\)")


def test_all_at_once_and_over_both_workers_is_exact_too(holdfast, backend):
    hf = holdfast(backend, **limits(per_ip={"connections": 20}))
    got, lock = [], threading.Lock()

    def many():
        for _ in range(15):
            client = attempt(hf)
            with lock:
                got.append(client)
    threads = [threading.Thread(target=many) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sum(1 for c in got if c) == 20


def test_refused_connections_pay_no_tls(holdfast, backend, certs):
    hf = holdfast(backend, tls=True, **limits(per_ip={"connections": 1}))
    first = hf.connect(source=GREEDY, tls=certs.client_context())
    assert first.request().status == 200
    try:
        with socket.create_connection(hf.address, source_address=(GREEDY, 0)) as second:
            assert second.recv(100) == b""
        pytest.fail("an orderly end: it was to be a reset")
    except ConnectionResetError:
        pass
    assert hf.connect(source=HONEST, tls=certs.client_context()).request().status == 200


def test_websockets_count_as_long_as_they_live(holdfast, echo):
    hf = holdfast(echo, **limits(per_ip={"connections": 2}))
    a, b = (hf.connect(source=GREEDY) for _ in range(2))
    open_websocket(a)
    open_websocket(b)
    assert attempt(hf) is None
    a.send(frame(TEXT, "still here"))
    assert read_frame(a).payload == b"still here"
    b.close()

    def opened():
        try:
            open_websocket(hf.connect(source=GREEDY))
            return True
        except (ConnectionError, Truncated):
            return False
    wait_until(opened, "the place of the one that left")


def test_tcp_listeners_have_the_same_limits(holdfast, make_raw):
    async def play(conn):
        await conn.send(b"hello")
        await conn.read_to_end()
    hf = holdfast(make_raw(play), listener={"protocol": "tcp"}, **limits(per_ip={"connections": 1}))
    first = hf.connect(source=GREEDY)
    assert first.read_exactly(5) == b"hello"
    with pytest.raises((ConnectionError, Truncated)):
        hf.connect(source=GREEDY).read_exactly(5)
    assert hf.connect(source=HONEST).read_exactly(5) == b"hello"


def test_new_connections_a_second_have_a_burst(holdfast, backend):
    hf = holdfast(backend, **limits(per_ip={"connection_rate": "1/h", "connection_burst": 5}))
    got = [attempt(hf) for _ in range(12)]
    assert [bool(c) for c in got] == [True] * 5 + [False] * 7
    for c in got[:5]:
        c.close()
    assert attempt(hf) is None, "closing gives no token back"
    assert attempt(hf, HONEST)


def test_rate_comes_back_with_time(holdfast, backend):
    hf = holdfast(backend, **limits(per_ip={"connection_rate": "5/s", "connection_burst": 1}))
    assert attempt(hf)
    wait_until(lambda: attempt(hf), "the next token")


def test_limits_of_a_listener_are_its_own(holdfast, backend):
    from kit import kernel
    ports = [kernel.free_port() for _ in range(2)]
    routes = [{"cluster": "c"}]
    hf = holdfast(backend, listeners=[
        {"name": "a", "bind": [f"127.0.0.1:{ports[0]}"], "routes": routes, "limits": {"per_ip": {"connections": 1}}},
        {"name": "b", "bind": [f"127.0.0.1:{ports[1]}"], "routes": routes}])
    assert attempt(hf) and attempt(hf) is None
    assert all(attempt(hf, address=("127.0.0.1", ports[1])) for _ in range(3))


def test_process_and_listener_count_both(holdfast, backend):
    hf = holdfast(backend, listener=limits(per_ip={"connections": 5}), **limits(per_ip={"connections": 3}))
    got = [attempt(hf) for _ in range(6)]
    assert [bool(c) for c in got] == [True] * 3 + [False] * 3
    for c in got[:3]:
        c.close()
    again = []

    def filled():
        again.extend(c for c in [attempt(hf)] if c)
        return len(again) == 3
    wait_until(filled, "all places again")
    assert attempt(hf) is None


def test_max_connections_of_a_listener(holdfast, backend):
    hf = holdfast(backend, listener=limits(max_connections=4))
    got = [attempt(hf, f"127.0.0.{i}") for i in range(10, 20)]
    assert sum(1 for c in got if c) == 4 and all(got[:4])
    got[0].close()
    wait_until(lambda: attempt(hf), "the place of the one that left")
    hf.wait_log(r"limits\.max_connections")


def test_max_connections_of_a_listener_survives_its_renaming(holdfast, backend):
    hf = holdfast(backend, listener=limits(max_connections=2))
    first = [attempt(hf), attempt(hf)]
    assert all(first) and attempt(hf) is None
    config = hf.config
    config["listeners"][0]["name"] = "other"
    hf.reload(config)
    hf.wait_log("the new configuration is in force")
    assert attempt(hf) is None
    first[0].close()
    wait_until(lambda: attempt(hf), "the place of the one that left")


def test_exempt_networks_have_no_limit(holdfast, backend):
    hf = holdfast(backend, **limits(per_ip={"connections": 1, "exempt": ["127.0.0.2/32"]}))
    assert all(attempt(hf, HONEST) for _ in range(5))
    assert attempt(hf) and attempt(hf) is None


def test_ipv6_counts_by_prefix(holdfast, backend):
    hf = holdfast(backend, listener={"proxy_protocol": "require"}, **limits(per_ip={"connections": 1, "ipv6_prefix": 60}))
    assert attempt(hf, None, proxy_header("2001:db8:0:10::1"))
    assert attempt(hf, None, proxy_header("2001:db8:0:1f:ffff::2")) is None
    assert attempt(hf, None, proxy_header("2001:db8:0:20::1"))


def test_address_of_the_proxy_header_counts(holdfast, backend):
    hf = holdfast(backend, listener={"proxy_protocol": "require"}, **limits(per_ip={"connections": 2}))
    assert [bool(attempt(hf, None, proxy_header("192.0.2.1"))) for _ in range(4)] == [True, True, False, False]
    assert attempt(hf, None, proxy_header("192.0.2.2"))
    hf.wait_log(r"192\.0\.2\.1:1: refused: ")


def test_reload_changes_limits_and_keeps_counts(holdfast, backend):
    hf = holdfast(backend, **limits(per_ip={"connections": 2}))
    first = [attempt(hf), attempt(hf)]
    config = hf.config
    config["limits"]["per_ip"]["connections"] = 3
    hf.reload(config)
    hf.wait_log("the new configuration is in force")
    assert all(first) and attempt(hf) and attempt(hf) is None


def test_a_forgetful_table_still_serves(holdfast, backend):
    """More addresses than it has room for, each over its limit."""
    hf = holdfast(backend, listener={"proxy_protocol": "require"},
                  **limits(table_entries=64, per_ip={"connection_rate": "1/h", "connection_burst": 1}))
    opened = [attempt(hf, None, proxy_header(f"192.0.2.{i % 250}")) for i in range(500)]
    assert sum(1 for c in opened[:250] if c) == 250
    for c in opened:
        if c:
            c.close()


# ---- denied networks ----

def test_denied_networks_are_reset(holdfast, backend, directory):
    listed = directory / "deny.txt"
    listed.write_text("# who was bad\n\n127.0.0.4\n127.0.1.0/24 # all of it\n")
    hf = holdfast(backend, **limits(deny=["127.0.0.3/32"], deny_file=str(listed)))
    assert attempt(hf, HONEST)
    for source in ("127.0.0.3", "127.0.0.4", "127.0.1.77"):
        assert attempt(hf, source) is None, source
    listed.write_text("127.0.0.2\n")
    hf.reload()
    hf.wait_log("nothing changed|the new configuration is in force")
    wait_until(lambda: attempt(hf, HONEST) is None, "the list to be read again")
    assert attempt(hf, "127.0.0.4")


def test_wrong_line_of_a_deny_file_is_named_and_changes_nothing(holdfast, backend, directory):
    listed = directory / "deny.txt"
    listed.write_text("127.0.0.4\n")
    hf = holdfast(backend, **limits(deny_file=str(listed)))
    listed.write_text("127.0.0.2\n10.0.0.1/8\nnonsense\n")
    hf.reload()
    hf.wait_log(r"deny\.txt:2:1: \"10.0.0.1/8\" has bits set past its length")
    hf.wait_log(r"deny\.txt:3:1: \"nonsense\" is no address and no network")
    hf.wait_log("reload: refused")
    assert attempt(hf, HONEST) and attempt(hf, "127.0.0.4") is None


def test_access_of_a_listener(holdfast, backend):
    hf = holdfast(backend, listener={"access": {"allow": ["127.0.0.0/30"], "deny": ["127.0.0.1"]}})
    assert attempt(hf, HONEST)
    assert attempt(hf, "127.0.0.1") is None and attempt(hf, "127.0.0.9") is None


def test_unix_sockets_are_nobodys_network(holdfast, backend, directory):
    path = f"{directory}/s"
    hf = holdfast(backend, listener={"bind": [f"unix:{path}"], "access": {"allow": ["10.0.0.0/8"]}},
                  **limits(per_ip={"connections": 1}))
    assert all(attempt(hf, None, address=path) for _ in range(3))


# ---- requests ----

def rate_of(response):
    policy = re.fullmatch(r'"(\w+)";q=(\d+);w=(\d+)', response.get("ratelimit-policy"))
    state = re.fullmatch(r'"(\w+)";r=0;t=(\d+)', response.get("ratelimit"))
    assert policy[1] == state[1] and state[2] == response.get("retry-after")
    return policy[1], int(policy[2]), int(policy[3]), int(state[2])


def test_requests_over_the_rate_are_told_so(holdfast, backend):
    hf = holdfast(backend, route=limits(request_rate="6/m", request_burst=3))
    client = hf.connect(source=GREEDY)
    got = [client.request() for _ in range(6)]
    assert [r.status for r in got] == [200, 200, 200, 429, 429, 429]
    name, quota, window, wait = rate_of(got[3])
    assert (name, quota, window) == ("request_rate", 3, 30) and 1 <= wait <= 10
    assert "limits.request_rate" in got[3].text
    assert hf.request(source=HONEST).status == 200
    lines = hf.wait_access(lambda x: x.get("status") == 429, count=3)
    assert {(x["reason"], x["key"]) for x in lines} == {("request_rate", "limits.request_rate")}
    assert len(backend.requests) == 4, "what is refused reaches no backend"


def test_rate_is_the_routes_own(holdfast, backend):
    hf = holdfast(backend, routes=[{"name": "a", "path": "/a", "cluster": "c", **limits(request_rate="1/h")},
                                   {"name": "b", "cluster": "c"}])
    assert [hf.request("/a").status for _ in range(2)] == [200, 429]
    assert [hf.request("/b").status for _ in range(2)] == [200, 200]


def test_rate_is_exact_over_both_workers(holdfast, backend):
    hf = holdfast(backend, route=limits(request_rate="1/h", request_burst=50))
    got, lock = [], threading.Lock()

    def many():
        for _ in range(20):
            status = hf.request().status
            with lock:
                got.append(status)
    threads = [threading.Thread(target=many) for _ in range(5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert (got.count(200), got.count(429)) == (50, 50)


def test_rate_of_the_whole_process(holdfast, backend):
    hf = holdfast(backend, routes=[{"path": "/a", "cluster": "c"}, {"cluster": "c"}],
                  **limits(per_ip={"request_rate": "1/h", "request_burst": 2}))
    got = [hf.request(t) for t in ("/a", "/b", "/a", "/b")]
    assert [r.status for r in got] == [200, 200, 429, 429]
    assert rate_of(got[2])[0] == "per_ip_request_rate"


def test_handshakes_are_requests(holdfast, echo):
    hf = holdfast(echo, route=limits(request_rate="1/h"))
    open_websocket(hf.connect())
    from kit.frames import upgrade_request
    assert hf.connect().send(upgrade_request()).read_response().status == 429


# ---- behind a trusted proxy ----

def forwarded(address):
    return [("X-Forwarded-For", address)]


def test_rate_counts_the_client_behind_a_trusted_proxy(holdfast, backend):
    hf = holdfast(backend, route=limits(request_rate="1/h"), trusted_proxies=["127.0.0.1"])
    client = hf.connect()
    assert [client.request(headers=forwarded(a)).status for a in ("192.0.2.1", "192.0.2.2", "192.0.2.1")] == [200, 200, 429]


def test_nobody_else_is_believed(holdfast, backend):
    hf = holdfast(backend, route=limits(request_rate="1/h"), trusted_proxies=["10.0.0.0/8"])
    client = hf.connect()
    assert [client.request(headers=forwarded(a)).status for a in ("192.0.2.1", "192.0.2.2")] == [200, 429]


def test_deny_lists_hold_behind_a_trusted_proxy(holdfast, backend):
    hf = holdfast(backend, trusted_proxies=["127.0.0.1"], **limits(deny=["192.0.2.0/24"]))
    client = hf.connect()
    assert client.request(headers=forwarded("198.51.100.1")).status == 200
    response = client.request(headers=forwarded("192.0.2.9"))
    assert response.status == 403 and "limits.deny" in response.text


def test_websockets_behind_a_trusted_proxy_count_for_their_clients(holdfast, echo):
    hf = holdfast(echo, trusted_proxies=["127.0.0.1"], **limits(per_ip={"connections": 2}))
    from kit.frames import upgrade_request

    def opened(address):
        client = hf.connect()
        client.send(upgrade_request(extra=forwarded(address)))
        return client, client.read_response().status
    first, _ = opened("192.0.2.1")
    assert [opened(a)[1] for a in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.2")] == [101, 429, 101, 101, 429]
    first.close()
    wait_until(lambda: opened("192.0.2.1")[1] == 101, "the place of the one that left")


# ---- beside attackers ----

def test_honest_clients_notice_nothing_of_a_greedy_one(holdfast, backend):
    hf = holdfast(backend, **limits(per_ip={"connections": 10}))
    honest = hf.connect(source=HONEST)
    keep = [attempt(hf) for _ in range(10)]
    before = hf.fd_count()
    for _ in range(300):
        assert attempt(hf) is None
        assert honest.request().status == 200
    assert all(keep)
    assert hf.fd_count() <= before + 8, "who is refused leaves nothing behind"


FLOOD = """
import socket
while True:
    with socket.socket() as s:
        s.bind(("%s", 0))
        s.settimeout(5)
        try:
            s.connect(("127.0.0.1", %d))
        except OSError:
            pass
"""


def test_honest_clients_notice_nothing_of_a_flood(holdfast, backend, make_child):
    """Refused by the thousand, from processes of their own.  Every turn of the ring then accepts: once, no send was settled
    in such turns, and what was written behind one stayed where it was."""
    hf = holdfast(backend, **limits(deny=[f"{GREEDY}/32"]))
    honest = [hf.connect(source=HONEST) for _ in range(4)]
    script = FLOOD % (GREEDY, hf.port)
    for _ in range(3):
        make_child([python(), "-c", script], port=hf.port)
    hf.wait_log("refused: the address is denied")
    for _ in range(250):
        assert [c.request().status for c in honest] == [200] * 4
    assert hf.request(source=HONEST).status == 200
    assert hf.fd_count() < 200, "who is refused leaves nothing behind"
