"""Tokens at the handshake: made by openssl and hmac, checked by the proxy, their claims used and never forged."""
import hashlib
import hmac
import json
import re
import time

import pytest

from kit.backends import echo as echo_reply
from kit.frames import TEXT, echo_frames, frame, read_frame, upgrade_request, websocket_play
from kit.tokens import SECRET, Key, b64, bearer, hs, joined, jwt, key_set, openssl

@pytest.fixture
def secret(directory):
    file = directory / "secret"
    file.write_bytes(SECRET + b"\n")
    return {"secret_file": str(file), "algorithms": ["HS256"]}


@pytest.fixture
def backend(make_origin):
    return make_origin(echo_reply)


def seen(response):
    assert response.status == 200, response
    return [(n.lower(), v) for n, v in json.loads(response.text)["headers"]]


ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_algorithms(holdfast, backend, directory, alg):
    key = Key(directory, alg, "k1")
    hf = holdfast(backend, route=jwt(keys=key_set(directory, key.jwk), algorithms=[alg]))
    good = key.token()
    assert hf.request(headers=bearer(good)).status == 200
    head, payload, signature = good.split(".")
    wrong = ("A" if signature[10] != "A" else "B")
    for bad in (f"{head}.{payload}.{signature[:10]}{wrong}{signature[11:]}", f"{head}.{payload}.", f"{head}.{payload}",
                f"{head}.{b64(b'{}')}.{signature}", f"{head}.{payload}.{signature}=", f"{good}.x"):
        response = hf.request(headers=bearer(bad))
        assert response.status == 401 and response.get("www-authenticate") == 'Bearer error="invalid_token"', bad
    assert len(backend.requests) == 1


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_shared_secrets(holdfast, backend, secret, alg):
    hf = holdfast(backend, route=jwt(**{**secret, "algorithms": [alg]}))
    assert hf.request(headers=bearer(hs(alg=alg))).status == 200
    assert hf.request(headers=bearer(hs(b"another secret of many bytes....", alg))).status == 401


def test_the_token_does_not_choose_the_algorithm(holdfast, backend, directory):
    key = Key(directory, "RS256", "k1")
    hf = holdfast(backend, route=jwt(keys=key_set(directory, key.jwk), algorithms=["RS256", "HS256"]))
    none = joined({"alg": "none"}, {"sub": "ann"}) + "."
    text = joined({"alg": "HS256", "kid": "k1"}, {"sub": "ann", "exp": time.time() + 600})
    confused = [f"{text}.{b64(hmac.new(s, text.encode(), hashlib.sha256).digest())}" for s in (
        key.public(), openssl("pkey", "-in", str(key.file), "-pubout"))]
    for bad in (none, none.replace("=", ""), *confused, key.token(alg="RS512"), key.token(header={"crit": ["b64"], "b64": False})):
        assert hf.request(headers=bearer(bad)).status == 401, bad
    assert not backend.requests
    assert hf.request(headers=bearer(key.token())).status == 200


def test_keys_are_chosen_by_kid_and_rotated_by_reload(holdfast, backend, directory):
    old, new, third = (Key(directory, "ES256", k) for k in ("old", "new", "third"))
    hf = holdfast(backend, route=jwt(keys=key_set(directory, old.jwk, {"kty": "xyz"}, new.jwk)))
    assert [hf.request(headers=bearer(k.token())).status for k in (old, new, third)] == [200, 200, 401]
    assert hf.request(headers=bearer(new.token(kid=None))).status == 200, "without kid every key is tried"
    assert hf.request(headers=bearer(new.token(kid="old"))).status == 401
    key_set(directory, new.jwk, third.jwk)
    hf.reload()
    hf.wait_log("reload: nothing changed|the new configuration is in force", count=1)
    hf.wait_log("the new configuration is in force")
    assert [hf.request(headers=bearer(k.token())).status for k in (old, new, third)] == [401, 200, 200]


def test_broken_key_file_changes_nothing(holdfast, backend, directory):
    key = Key(directory, "ES256", "k1")
    file = key_set(directory, key.jwk)
    hf = holdfast(backend, route=jwt(keys=file))
    for text in ("{", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "c2hvcnQ"}]}', "[]"):
        before = len(re.findall("reload: refused", hf.log()))
        open(file, "w").write(text)
        hf.reload()
        hf.wait_log("reload: refused", count=before + 1)
    assert hf.request(headers=bearer(key.token())).status == 200


def now(offset):
    """A moment so many seconds from when the test runs."""
    return lambda: time.time() + offset


@pytest.mark.parametrize("claims, status, reason", [
    ({}, 200, None),
    ({"iss": "https://other.net"}, 401, "token_bad"),
    ({"iss": None}, 401, "token_bad"),
    ({"aud": "mail"}, 401, "token_bad"),
    ({"aud": ["mail", "chat"]}, 200, None),
    ({"aud": []}, 401, "token_bad"),
    ({"exp": now(-120)}, 401, "token_expired"),
    ({"exp": now(-5)}, 200, None),  # within the leeway
    ({"exp": "tomorrow"}, 401, "token_bad"),
    ({"exp": -1}, 401, "token_bad"),
    ({"nbf": now(3600)}, 401, "token_bad"),
    ({"nbf": now(5)}, 200, None),
    ({"role": "guest"}, 403, "token_claims"),
    ({"role": ["guest", "admin"]}, 200, None),
    ({"role": None}, 403, "token_claims"),
    ({"tenant": None}, 403, "token_claims"),
])
def test_claims_that_are_wanted(holdfast, backend, secret, claims, status, reason):
    hf = holdfast(backend, route=jwt(**secret, issuer="https://id.net", audience="chat", leeway="60s",
                                     claims={"role": ["user", "admin"], "tenant": []}))
    claims = {n: v() if callable(v) else v for n, v in claims.items()}
    token = hs(**{"iss": "https://id.net", "aud": "chat", "role": "user", "tenant": 7, **claims})
    response = hf.request(headers=bearer(token))
    assert response.status == status
    if reason:
        assert hf.wait_access(lambda x: x["status"] == status)[0]["reason"] == reason
        assert not backend.requests


def test_without_a_token_one_is_asked_for(holdfast, backend, secret):
    hf = holdfast(backend, route=jwt(**secret))
    for headers in ([], [("Authorization", "Basic YTpi")], [("Authorization", "Bearer")], bearer("a") + bearer("b")):
        response = hf.request(headers=headers)
        assert response.status == 401 and response.get("www-authenticate") == "Bearer", headers
    assert hf.wait_access(lambda x: x["status"] == 401)[0]["reason"] == "token_missing"
    assert hf.request(headers=[("Authorization", f"bEARER   {hs()}")]).status == 200


def test_cookie_and_query(holdfast, backend, secret):
    hf = holdfast(backend, route=jwt(**secret, **{"from": ["cookie:token", "query:access_token"]}))
    assert hf.request(headers=[("Cookie", f"a=b; token={hs()}; c=d")]).status == 200
    assert hf.request(f"/?x=1&access_token={hs()}").status == 200
    assert hf.request(headers=bearer(hs())).status == 401, "it is not looked for where it is not asked from"


def test_claims_become_headers_and_are_never_forged(holdfast, backend, secret):
    hf = holdfast(backend, route={**jwt(**secret, forward={"X-User": "sub", "X-Roles": "roles", "X-Admin": "admin"}),
                                  "request_headers": {"set": {"X-Who": "$claim.sub of $claim.org"}},
                                  "response_headers": {"set": {"X-Hello": "$claim.sub"}}})
    forged = [("X-User", "root"), ("x-user", "root"), ("X-Roles", "all"), ("X-Admin", "yes")]
    response = hf.request(headers=bearer(hs(roles=["a", "b"], org=12)) + forged)
    got = seen(response)
    assert [v for n, v in got if n == "x-user"] == ["ann"]
    assert [v for n, v in got if n == "x-roles"] == ["a,b"]
    assert [v for n, v in got if n == "x-admin"] == [], "a claim that is not there leaves no header"
    assert [v for n, v in got if n == "x-who"] == ["ann of 12"]
    assert response.get("x-hello") == "ann"


def test_claims_cannot_break_out_of_a_header(holdfast, backend, secret):
    hf = holdfast(backend, route=jwt(**secret, forward={"X-User": "sub"}))
    got = seen(hf.request(headers=bearer(hs(sub="ann\r\nX-Admin: yes")) + [("X-User", "root")]))
    assert not [1 for n, _ in got if n in ("x-user", "x-admin")]


def test_rates_by_claim(holdfast, backend, secret):
    hf = holdfast(backend, route={**jwt(**secret), "limits": {"request_rate": "1/h", "request_burst": 2, "key": "claim:sub"}})
    got = [hf.request(headers=bearer(hs(sub=s))).status for s in ("ann", "ann", "bob", "ann", "bob", "bob")]
    assert got == [200, 200, 200, 429, 200, 429]


def test_websockets_are_asked_as_well(holdfast, make_raw, secret):
    echo = make_raw(websocket_play(echo_frames))
    hf = holdfast(echo, route=jwt(**secret))
    assert hf.connect().send(upgrade_request()).read_response().status == 401
    assert not echo.conns
    client = hf.connect()
    client.send(upgrade_request(extra=bearer(hs())))
    assert client.read_response().status == 101
    client.send(frame(TEXT, "in"))
    assert read_frame(client).payload == b"in"


def test_tokens_that_are_no_tokens(holdfast, backend, secret):
    hf = holdfast(backend, route=jwt(**secret))
    deep = b64(b'{"alg":"HS256","x":' + b"[" * 3000 + b"]" * 3000 + b"}")
    twice = b64(b'{"alg":"none","alg":"HS256"}')
    for bad in ("", ".", "..", "...", "a.b.c", "\u00e9", "x" * 9000, "e30.e30.e30", f"{deep}.e30.e30", f"{twice}.e30.e30",
                b64(b"[]") + ".e30.e30", b64(b"\xff\xfe") + ".e30.e30"):
        assert hf.request(headers=bearer(bad)).status == 401, bad
    assert hf.request(headers=bearer(hs())).status == 200


@pytest.mark.parametrize("key, value, other", [("header:X-Key", [("X-Key", "a")], [("X-Key", "b")]),
                                               ("cookie:k", [("Cookie", "k=a")], [("Cookie", "k=b")])])
def test_rates_by_other_keys(holdfast, backend, key, value, other):
    hf = holdfast(backend, route={"limits": {"request_rate": "1/h", "key": key}})
    assert [hf.request(headers=h).status for h in (value, value, other, [], [])] == [200, 429, 200, 200, 429]


def test_rates_by_query(holdfast, backend):
    hf = holdfast(backend, route={"limits": {"request_rate": "1/h", "key": "query:room"}})
    assert [hf.request(t).status for t in ("/?room=a", "/?room=%61", "/?room=b")] == [200, 429, 200]
