"""Who may ask: networks of a route, origins of pages."""
import pytest

from kit.backends import named
from kit.frames import upgrade_request


@pytest.fixture
def backend(make_origin):
    return make_origin(named("x"))


def access(**keys):
    return {"access": keys}


def test_networks_of_a_route(holdfast, backend):
    hf = holdfast(backend, routes=[
        {"path": "/in", "cluster": "c", **access(allow=["127.0.0.0/30"], deny=["127.0.0.3"])}, {"cluster": "c"}])
    got = {s: hf.request("/in", source=s) for s in ("127.0.0.1", "127.0.0.3", "127.0.0.9")}
    assert {s: r.status for s, r in got.items()} == {"127.0.0.1": 200, "127.0.0.3": 403, "127.0.0.9": 403}
    assert "the address has no access (access)" in got["127.0.0.9"].text
    assert hf.request("/", source="127.0.0.9").status == 200
    assert hf.wait_access(lambda x: x["status"] == 403, count=2)[0]["reason"] == "access"
    assert len(backend.requests) == 2


def test_networks_of_a_route_hold_for_forwarded_clients(holdfast, backend):
    hf = holdfast(backend, route=access(deny=["192.0.2.0/24"]), trusted_proxies=["127.0.0.1"])
    got = [hf.request(headers=[("X-Forwarded-For", a)]).status for a in
           ("192.0.2.1", "198.51.100.1", "192.0.2.1, 198.51.100.1", "198.51.100.1, 192.0.2.1")]
    assert got == [403, 200, 200, 403], "the rightmost that is not trusted is the client"


ORIGINS = ["https://example.com", "https://*.example.org"]


@pytest.mark.parametrize("origin, status", [
    ("https://example.com", 101), ("https://a.example.org", 101), (None, 101),
    ("https://example.org", 403), ("http://example.com", 403), ("https://example.com:8443", 403),
    ("https://example.com.evil.net", 403), ("null", 403), ("", 403)])
def test_origins_of_websockets(holdfast, echo, origin, status):
    hf = holdfast(echo, route=access(origins=ORIGINS))
    extra = [] if origin is None else [("Origin", origin)]
    response = hf.connect().send(upgrade_request(extra=extra)).read_response()
    assert response.status == status
    if status == 403:
        assert "access.origins" in response.text and not echo.conns
        assert hf.wait_access(lambda x: x["status"] == 403)[0]["key"] == "access.origins"


def test_two_origins_are_one_too_many(holdfast, echo):
    hf = holdfast(echo, route=access(origins=ORIGINS))
    response = hf.connect().send(upgrade_request(extra=[("Origin", ORIGINS[0])] * 2)).read_response()
    assert response.status == 403 and not echo.conns


def test_origins_do_not_concern_plain_requests(holdfast, backend):
    hf = holdfast(backend, route=access(origins=ORIGINS))
    assert hf.request(headers=[("Origin", "https://elsewhere.net")]).status == 200


# ---- rules ----

RULES = [{"path": "~ [.](env|git|php)$"}, {"query": "~ (?i)union\\s+select", "headers": {"User-Agent": "~ (?i)sqlmap"}},
         {"headers": {"X-Bad": "yes"}}]


@pytest.mark.parametrize("target, headers, status", [
    ("/", [], 200), ("/.env", [], 403), ("/a/%2Eenv", [], 403), ("/.env.txt", [], 200),
    ("/?q=1 union select".replace(" ", "%20"), [("User-Agent", "SQLMap/1")], 403),
    ("/?q=1+UNION++SELECT", [("User-Agent", "sqlmap")], 403),
    ("/?q=%zz&union%20select", [("User-Agent", "sqlmap")], 403),  # a broken escape does not lead past the rule
    ("/?q=1+union+select", [("User-Agent", "curl")], 200),
    ("/", [("X-Bad", "no"), ("X-Bad", "yes")], 403), ("/", [("X-Bad", "yes!")], 200)])
def test_requests_that_a_rule_denies(holdfast, backend, target, headers, status):
    hf = holdfast(backend, route=access(deny_if=RULES))
    response = hf.request(target, headers=headers)
    assert response.status == status
    assert len(backend.requests) == (status == 200)
    if status == 403:
        assert "access.deny_if" in response.text


def test_a_pattern_that_explodes_hangs_nobody(holdfast, backend):
    hf = holdfast(backend, workers=1, route=access(deny_if=[{"query": "~ ^(a+)+$"}, {"query": "~ (?:(?:b+)*)*c$"}]))
    response = hf.request("/?" + "a" * 3000 + "!")
    assert response.status in (200, 500), "given up, or seen through by the compiler"
    assert hf.request("/").status == 200
