"""Which route takes a request, and what it does with it."""
import pytest

from kit.backends import named, ok
from kit.kernel import free_port
from kit.raw import RawClient, build_request


def routes_of(*pairs):
    """(name, keys): each answers with its name."""
    return [{"name": n, **keys, "respond": {"status": 200, "body": n}} for n, keys in pairs]


def ask(hf, target="/", host="localhost", method="GET", headers=(), body=b""):
    """The name of the route that answered, or the status."""
    response = hf.request(target, method, [("Host", host), *headers], body)
    return response.text if response.status == 200 else response.status


TABLES = {
    "host": ([("exact", {"host": "chat.example.com"}), ("wild", {"host": "*.example.com"}),
              ("regex", {"host": r"~ ^eu-\d+\.test$"}), ("list", {"host": ["a.test", "*.b.test"]}),
              ("ip6", {"host": "[::1]"})], [
        ({"host": "chat.example.com"}, "exact"), ({"host": "CHAT.Example.com"}, "exact"),
        ({"host": "chat.example.com:8443"}, "exact"), ({"host": "chat.example.com."}, "exact"),
        ({"host": "x.example.com"}, "wild"), ({"host": "x.y.example.com"}, "wild"), ({"host": "example.com"}, 404),
        ({"host": "notexample.com"}, 404), ({"host": "eu-12.test"}, "regex"), ({"host": "eu-x.test"}, 404),
        ({"host": "a.test"}, "list"), ({"host": "x.b.test"}, "list"), ({"host": "b.test"}, 404),
        ({"host": "[::1]:80"}, "ip6"), ({"host": "other"}, 404)]),
    "path": ([("exact", {"path": "= /ws"}), ("deep", {"path": "/ws/deep"}), ("prefix", {"path": "/ws"}),
              ("slash", {"path": "/dir/"}), ("regex", {"path": r"~ ^/v(\d+)/.*\.js$"})], [
        ({"target": "/ws"}, "exact"), ({"target": "/ws?x=1"}, "exact"), ({"target": "/ws/"}, "prefix"),
        ({"target": "/ws/a"}, "prefix"), ({"target": "/wsx"}, 404), ({"target": "/WS"}, 404),
        ({"target": "/ws/deep"}, "deep"), ({"target": "/ws/deep/er"}, "deep"), ({"target": "/ws/deeper"}, "prefix"),
        ({"target": "/dir/x"}, "slash"), ({"target": "/dirx"}, 404),
        ({"target": "/v12/a.js"}, "regex"), ({"target": "/v/a.js"}, 404), ({"target": "/"}, 404)]),
    "normalised": ([("admin", {"path": "/admin"}), ("rest", {})], [
        ({"target": "/admin"}, "admin"), ({"target": "/%61dmin"}, "admin"), ({"target": "/x/../admin"}, "admin"),
        ({"target": "/./admin"}, "admin"), ({"target": "/x/%2e%2e/admin"}, "admin"), ({"target": "/admin%2fx"}, "rest"),
        ({"target": "/administrator"}, "rest")]),
    "methods": ([("read", {"methods": ["GET", "HEAD"]}), ("write", {"methods": "POST"}), ("odd", {"methods": ["PURGE"]})], [
        ({"method": "GET"}, "read"), ({"method": "POST"}, "write"), ({"method": "PURGE"}, "odd"),
        ({"method": "DELETE"}, 404)]),
    "headers": ([("both", {"headers": {"X-Beta": "1", "X-Gamma": "~ ^g.*a$"}}), ("one", {"headers": {"x-beta": "1"}}),
                 ("empty", {"headers": {"X-Empty": ""}})], [
        ({"headers": [("X-Beta", "1"), ("X-Gamma", "gamma")]}, "both"), ({"headers": [("x-BETA", "1")]}, "one"),
        ({"headers": [("X-Beta", "1"), ("X-Gamma", "delta")]}, "one"), ({"headers": [("X-Beta", "2")]}, 404),
        ({"headers": [("X-Beta", "11")]}, 404), ({}, 404)]),
    "query": ([("two", {"query": {"v": "2"}}), ("digits", {"query": {"n": r"~ ^\d+$"}}),
               ("space", {"query": {"name": "a b"}})], [
        ({"target": "/?v=2"}, "two"), ({"target": "/?x=1&v=2&y"}, "two"), ({"target": "/?v=22"}, 404),
        ({"target": "/?n=123"}, "digits"), ({"target": "/?n=a"}, 404), ({"target": "/?name=a%20b"}, "space"),
        ({"target": "/?name=a+b"}, "space"), ({"target": "/?%76=2"}, "two"), ({"target": "/v=2"}, 404)]),
    "first match": ([("a", {"path": "/x/y"}), ("b", {"path": "/x"}), ("c", {"path": "/x/y/z"}), ("d", {})], [
        ({"target": "/x/y/z"}, "a"), ({"target": "/x/z"}, "b"), ({"target": "/"}, "d")]),
    "all together": ([("v2", {"host": "api.test", "path": "/v2", "methods": ["GET"], "headers": {"A": "1"}, "query": {"q": "2"}}),
                      ("any", {"host": "api.test"})], [
        ({"host": "api.test", "target": "/v2/x?q=2", "headers": [("A", "1")]}, "v2"),
        ({"host": "api.test", "target": "/v2/x?q=2", "headers": [("A", "2")]}, "any"),
        ({"host": "api.test", "target": "/v2/x", "headers": [("A", "1")]}, "any"),
        ({"host": "web.test", "target": "/v2/x?q=2", "headers": [("A", "1")]}, 404)]),
}


@pytest.mark.parametrize("table", TABLES)
def test_route_is_chosen_by(holdfast, table):
    pairs, questions = TABLES[table]
    hf = holdfast(routes=routes_of(*pairs))
    got = [(question, ask(hf, **question)) for question, _ in questions]
    assert got == questions


def test_absolute_target_decides_the_host(holdfast):
    hf = holdfast(routes=routes_of(("inner", {"host": "inner.test"}), ("outer", {"host": "outer.test"})))
    assert ask(hf, "http://inner.test/", host="outer.test") == "inner"


def test_each_listener_has_its_own_routes(holdfast):
    a, b = free_port(), free_port()
    hf = holdfast(listeners=[{"name": n, "bind": [f"127.0.0.1:{p}"], "routes": routes_of((n, {}))}
                             for n, p in (("a", a), ("b", b))])
    assert hf.request(address=("127.0.0.1", a)).text == "a"
    assert hf.request(address=("127.0.0.1", b)).text == "b"


def test_pattern_that_would_take_for_ever_is_bounded(holdfast):
    hf = holdfast(routes=routes_of(("slow", {"path": r"~ ^/(a+)+$"}), ("rest", {})))
    assert ask(hf, "/" + "a" * 4000 + "!") in ("rest", 500)
    assert ask(hf, "/a") == "slow"


# ---- respond ----

def test_respond_answers_with_variables(holdfast):
    hf = holdfast(routes=[{"respond": {"status": 301, "headers": {"location": "https://$host$request_uri", "X-Who": "$remote_addr"},
                                       "body": "to $host"}}])
    response = hf.request("/a/b?c=d", headers=[("Host", "www.example.com:8080")])
    assert response.status == 301
    assert response.get("location") in ("https://www.example.com/a/b?c=d", "https://www.example.com:8080/a/b?c=d")
    assert response.get("x-who") == "127.0.0.1" and response.text.startswith("to www.example.com")


def test_respond_cannot_be_made_to_split(holdfast):
    hf = holdfast(routes=[{"respond": {"status": 302, "headers": {"location": "$request_uri"}}}])
    response = hf.request("/%0d%0aX-Evil:%201")
    assert response.get("x-evil") is None and response.get("location") == "/%0d%0aX-Evil:%201"


@pytest.mark.parametrize("status", [200, 204, 304, 403, 503])
def test_respond_keeps_the_connection(holdfast, status):
    client = holdfast(routes=[{"respond": {"status": status}}]).connect()
    for method in ("GET", "HEAD", "GET"):
        assert client.request(method=method).status == status
    client.send(build_request("/", "POST", body=b"x" * 1000) + build_request())
    assert [client.read_response().status for _ in range(2)] == [status, status]


# ---- rewrite, fields ----

@pytest.mark.parametrize("rewrite, target, want", [
    ({"path": r"~ ^/ws/(.*)$", "to": "/socket/$1"}, "/ws/a/b?c=d", "/socket/a/b?c=d"),
    ({"path": r"~ ^/ws/(.*)$", "to": "/socket/$1"}, "/other?x", "/other?x"),
    ({"path": r"~ ^/(\w+)/(\w+)$", "to": "/$2/$1"}, "/a/b", "/b/a"),
    ({"path": "/api", "to": "/"}, "/api/v1/x", "/v1/x"),
    ({"path": "/api", "to": "/v2"}, "/api/x?y=1", "/v2/x?y=1"),
    ({"path": "/api", "to": "/v2"}, "/apix", "/apix"),
    ({"path": "= /old", "to": "/new"}, "/old?q", "/new?q"),
    ({"path": "= /old", "to": "/new"}, "/old/x", "/old/x")])
def test_rewrite_of_the_path(holdfast, make_origin, rewrite, target, want):
    hf = holdfast(make_origin(lambda request, conn: ok(request.target)), route={"rewrite": rewrite})
    assert hf.request(target).text == want


def test_rewrite_cannot_smuggle_a_line(holdfast, make_origin):
    origin = make_origin(lambda request, conn: ok(request.target))
    hf = holdfast(origin, route={"rewrite": {"path": r"~ ^/ws/(.*)$", "to": "/socket/$1"}})
    response = hf.request("/ws/x%0d%0aX-Evil:%201%20HTTP/1.1%0d%0a")
    assert not origin.violations
    for request in origin.requests:
        assert not request.all("x-evil") and " " not in request.target
    assert response.status in (200, 400)


def test_request_fields_are_set_added_and_removed(holdfast, origin):
    hf = holdfast(origin, route={"request_headers": {
        "set": {"X-Set": "new", "X-Client": "$remote_addr", "X-Host": "$host", "X-Dollar": "$$5"},
        "add": {"X-Add": "second"}, "remove": ["X-Remove", "Cookie"]}})
    hf.request(headers=[("X-Set", "old"), ("x-set", "older"), ("X-Add", "first"), ("X-Remove", "1"), ("Cookie", "a=b")])
    got = origin.last
    assert got.all("x-set") == ["new"] and got.all("x-add") == ["first", "second"]
    assert got.all("x-remove") == [] and got.all("cookie") == []
    assert got.all("x-client") == ["127.0.0.1"] and got.all("x-host")[0].startswith("localhost")
    assert got.all("x-dollar") == ["$5"]


def test_response_fields_are_set_added_and_removed(holdfast, make_origin):
    origin = make_origin(lambda r, c: ok("x", [("X-Set", "old"), ("X-Add", "first"), ("Server", "secret")]))
    hf = holdfast(origin, route={"response_headers": {
        "set": {"X-Set": "new", "Strict-Transport-Security": "max-age=1"}, "add": {"X-Add": "second"},
        "remove": ["Server"]}})
    response = hf.request()
    assert response.all("x-set") == ["new"] and response.all("x-add") == ["first", "second"]
    assert response.all("server") == [] and response.all("strict-transport-security") == ["max-age=1"]


def test_weighted_clusters_share_as_told(holdfast, make_origin):
    hf = holdfast(routes=[{"clusters": [{"name": "a", "weight": 3}, {"name": "b", "weight": 1}, {"name": "z", "weight": 0}]}],
                  clusters={n: [make_origin(named(n))] for n in ("a", "b", "z")}, workers=1)
    got = [hf.request().text for _ in range(400)]
    assert 230 <= got.count("a") <= 360 and got.count("a") + got.count("b") == 400


# ---- addresses ----

def test_ipv6_on_both_sides(holdfast, make_origin):
    port = free_port()
    origin = make_origin(lambda r, c: ok(r.get("x-forwarded-for") + " " + r.get("forwarded")), host="::1")
    hf = holdfast(origin, listener={"bind": [f"[::1]:{port}"]})
    response = hf.request(address=("::1", port))
    assert "::1" in response.text and 'for="[::1]' in response.text, "brackets and quotes (RFC 7239 6)"


def test_unix_sockets_on_both_sides(holdfast, make_origin, directory):
    path = str(directory / "web.sock")
    origin = make_origin(path=str(directory / "backend.sock"))
    hf = holdfast(origin, listener={"bind": [f"unix:{path}"]})
    client = hf.connect(path)
    for _ in range(3):
        assert client.request().status == 200


def test_several_addresses_of_one_listener(holdfast, directory, origin):
    a, b, path = free_port(), free_port(), str(directory / "web.sock")
    hf = holdfast(origin, listener={"bind": [f"127.0.0.1:{a}", f"[::1]:{b}", f"unix:{path}"]})
    for address in (("127.0.0.1", a), ("::1", b), path):
        assert hf.request(address=address).status == 200


def test_endpoint_by_name_is_resolved(holdfast, make_origin):
    origin = make_origin(named("x"))
    assert holdfast(f"localhost:{origin.port}").request().text == "x"


def test_ipv4_client_of_an_ipv6_listener_is_ipv4(holdfast, make_origin):
    port = free_port()
    hf = holdfast(make_origin(lambda r, c: ok(r.get("x-forwarded-for"))), listener={"bind": [f"[::]:{port}"]})
    try:
        client = RawClient(("127.0.0.1", port))
    except ConnectionRefusedError:
        pytest.skip("[::] is for IPv6 alone here")
    hf.clients.append(client)
    assert client.request().text == "127.0.0.1"


def test_clients_come_evenly_to_all_workers(holdfast, origin):
    """As much as can be seen from outside: two threads work where two have to."""
    hf = holdfast(origin, workers=2)
    for _ in range(10):
        clients = [hf.connect() for _ in range(40)]
        for client in clients:
            assert client.request().status == 200
        for client in clients:
            client.close()


# ---- PROXY headers ----

V2 = b"\r\n\r\n\0\r\nQUIT\n"


@pytest.mark.parametrize("header, who", [
    (b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 443\r\n", "192.0.2.7"),
    (b"PROXY TCP6 2001:db8::7 2001:db8::8 4711 443\r\n", "2001:db8::7"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    (V2 + b"\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x08\x12\x67\x01\xbb", "192.0.2.7"),
    (V2 + b"\x20\x00\x00\x00", "127.0.0.1")], ids=["v1 TCP4", "v1 TCP6", "v1 UNKNOWN", "v2 TCP4", "v2 LOCAL"])
@pytest.mark.parametrize("size", [1, 1000], ids=["cut", "whole"])
def test_proxy_header_says_who_the_client_is(holdfast, make_origin, header, who, size):
    hf = holdfast(make_origin(lambda r, c: ok(r.get("x-forwarded-for"))), listener={"proxy_protocol": "require"})
    client = hf.connect().send_in_pieces(header + build_request(), size)
    assert client.read_response().text == who
    assert client.request().text == who


@pytest.mark.parametrize("first", [build_request(), b"PROXY TCP4 1.2.3.4\r\n" + build_request(), b"PROXY " + b"x" * 200,
                                   V2 + b"\x31\x11\x00\x0c" + b"\x00" * 12 + build_request()])
def test_connection_without_a_good_proxy_header_ends(holdfast, origin, first):
    client = holdfast(origin, listener={"proxy_protocol": "require"}).connect().send(first)
    client.seconds_until_end()
    assert b"200 OK" not in client.last_words and not origin.requests


def test_proxy_header_from_elsewhere_is_refused(holdfast, origin):
    hf = holdfast(origin, listener={"proxy_protocol": "require", "proxy_protocol_from": ["192.0.2.0/24"]})
    client = hf.connect()
    try:
        client.send(b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n" + build_request())
    except ConnectionError:
        pass  # reset already
    client.seconds_until_end()
    assert not origin.requests


@pytest.mark.parametrize("version, begins", [("v1", b"PROXY TCP4 127.0.0.1 "), ("v2", V2 + b"\x21\x11")])
def test_proxy_header_for_the_backend(holdfast, make_raw, version, begins):
    async def play(conn):
        if version == "v1":
            conn.first = await conn.read_until(b"\r\n")
        else:
            conn.first = await conn.read_exactly(16)
            conn.first += await conn.read_exactly(int.from_bytes(conn.first[14:], "big"))
        while True:
            await conn.read_until(b"\r\n\r\n")
            await conn.send(ok("x"))
    backend = make_raw(play)
    hf = holdfast(backend, cluster={"proxy_protocol": version})
    assert hf.request().text == "x"
    assert backend.conns[0].first.startswith(begins)
    if version == "v2":
        assert backend.conns[0].first[16:20] == bytes([127, 0, 0, 1])


def test_proxy_header_is_never_shared_by_two_clients(holdfast, make_raw):
    """A pooled connection tells one client's address for ever: so each client needs its own."""
    async def play(conn):
        who = (await conn.read_until(b"\r\n")).split()[4].decode()
        while True:
            await conn.read_until(b"\r\n\r\n")
            await conn.send(ok(who))
    hf = holdfast(make_raw(play), cluster={"proxy_protocol": "v1"}, workers=1)
    for _ in range(5):
        client = hf.connect()
        mine = str(client.socket.getsockname()[1])
        assert client.request().text == mine
        client.close()
