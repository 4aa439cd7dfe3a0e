"""Tokens at the handshake: made by openssl and hmac, checked by the proxy, their claims used and never forged."""
import base64
import hashlib
import hmac
import json
import re
import time

import pytest

from kit import certs
from kit.backends import echo as echo_reply
from kit.frames import TEXT, echo_frames, frame, read_frame, upgrade_request, websocket_play

SECRET = b"a secret of thirty-two bytes....x"


def openssl(*args, **options):
    return certs.openssl(*args, **options).stdout


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def joined(header, claims):
    return b64(json.dumps(header).encode()) + "." + b64(json.dumps(claims).encode())


def der_numbers(der):
    """The two INTEGERs of an ECDSA signature."""
    at = 2 + (der[1] & 0x7f if der[1] & 0x80 else 0)
    numbers = []
    for _ in range(2):
        length = der[at + 1]
        numbers.append(int.from_bytes(der[at + 2:at + 2 + length], "big"))
        at += 2 + length
    return numbers


class Key:
    """A private key of openssl's, its JWK, and how it signs."""

    def __init__(self, directory, alg, kid):
        self.alg, self.kid = alg, kid
        self.file = directory / f"{kid}.key"
        kinds = {"RS": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "Ed": ["-algorithm", "ED25519"],
                 "ES": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:"
                        + {"256": "P-256", "384": "P-384", "512": "P-521"}.get(alg[2:], "P-256")]}
        openssl("genpkey", *kinds["RS" if alg[0] in "RP" else alg[:2]], "-out", str(self.file))

    def public(self):
        return openssl("pkey", "-in", str(self.file), "-pubout", "-outform", "DER")

    @property
    def jwk(self):
        der = self.public()
        if self.alg == "EdDSA":
            return {"kty": "OKP", "crv": "Ed25519", "x": b64(der[-32:]), "kid": self.kid}
        if self.alg[:2] == "ES":
            size = {"256": 32, "384": 48, "512": 66}[self.alg[2:]]
            curve = {"256": "P-256", "384": "P-384", "512": "P-521"}[self.alg[2:]]
            return {"kty": "EC", "crv": curve, "x": b64(der[-2 * size:-size]), "y": b64(der[-size:]), "kid": self.kid}
        text = openssl("rsa", "-in", str(self.file), "-noout", "-modulus").decode()
        return {"kty": "RSA", "n": b64(bytes.fromhex(text.strip().split("=")[1])), "e": "AQAB", "kid": self.kid}

    def sign(self, data):
        if self.alg == "EdDSA":
            file = self.file.with_suffix(".in")
            file.write_bytes(data)
            return openssl("pkeyutl", "-sign", "-rawin", "-inkey", str(self.file), "-in", str(file))
        args = ["dgst", f"-sha{self.alg[2:]}", "-sign", str(self.file)]
        if self.alg[0] == "P":
            args += ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
        made = openssl(*args, stdin=data)
        if self.alg[:2] != "ES":
            return made
        size = {"256": 32, "384": 48, "512": 66}[self.alg[2:]]
        return b"".join(n.to_bytes(size, "big") for n in der_numbers(made))

    def token(self, alg=None, kid=True, header=(), **claims):
        head = {"alg": alg or self.alg, "typ": "JWT", **({"kid": self.kid} if kid is True else {"kid": kid} if kid else {}),
                **dict(header)}
        text = joined(head, {"sub": "ann", "exp": time.time() + 600, **claims})
        return f"{text}.{b64(self.sign(text.encode()))}"


def hs(secret=SECRET, alg="HS256", **claims):
    text = joined({"alg": alg}, {"sub": "ann", "exp": time.time() + 600, **claims})
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
    return f"{text}.{b64(hmac.new(secret, text.encode(), digest).digest())}"


def key_set(directory, *jwks):
    file = directory / "jwks.json"
    file.write_text(json.dumps({"keys": list(jwks)}))
    return str(file)


@pytest.fixture
def secret(directory):
    file = directory / "secret"
    file.write_bytes(SECRET + b"\n")
    return {"secret_file": str(file), "algorithms": ["HS256"]}


@pytest.fixture
def backend(make_origin):
    return make_origin(echo_reply)


def jwt(**keys):
    return {"auth": {"jwt": keys}}


def bearer(token):
    return [("Authorization", f"Bearer {token}")]


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
