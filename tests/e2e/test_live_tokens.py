"""What becomes of a live connection when its token runs out, is revoked, or its keys change: no reload, no restart."""
import os
import time

import pytest

from kit.backends import echo as echo_reply
from kit.frames import CLOSE, TEXT, close_body, echo_frames, frame, read_frame, upgrade_request, upgrade_response
from kit.tokens import SECRET, Key, bearer, hs, jwt, key_set
from kit.wait import wait_until


@pytest.fixture
def secret(directory):
    file = directory / "secret"
    file.write_bytes(SECRET)
    return {"secret_file": str(file), "algorithms": ["HS256"], "leeway": "0", "expiry_grace": "0"}


def joined_by(hf, token, extra=()):
    client = hf.connect()
    client.send(upgrade_request(extra=bearer(token) + list(extra)))
    response = client.read_response()
    assert response.status == 101, response
    client.response = response
    return client


def is_alive(client, text="hello"):
    client.send(frame(TEXT, text))
    return read_frame(client).payload == text.encode()


def closed_with(client):
    f = read_frame(client)
    assert f.opcode == CLOSE, f
    client.send(frame(CLOSE, close_body(f.code)))
    return f.code, f.reason


def put(path, text):
    """As a tool does it: the whole file at once."""
    draft = f"{path}.new"
    with open(draft, "w") as out:
        out.write(text)
    os.rename(draft, path)


# ---- running out ----

def test_connection_is_closed_when_its_token_runs_out(holdfast, echo, secret):
    hf = holdfast(echo, route=jwt(**secret))
    end = int(time.time()) + 3
    short, long, endless = joined_by(hf, hs(exp=end)), joined_by(hf, hs()), joined_by(hf, hs(exp=None))
    assert is_alive(short)
    assert closed_with(short) == (4401, "auth.jwt: the token has run out")
    assert time.time() >= end, "not before its time"
    assert is_alive(long) and is_alive(endless)
    line = hf.wait_access(lambda x: x.get("close_code") == 4401)[0]
    assert line["reason"] == "token_expired" and line["closed_by"] == "proxy"


def test_backend_is_told_as_well(holdfast, echo, secret):
    hf = holdfast(echo, route=jwt(**secret))
    client = joined_by(hf, hs(exp=int(time.time()) + 2))
    assert closed_with(client)[0] == 4401
    frames = echo.wait(lambda b: getattr(b.conns[0], "frames", None), "the Close") and echo.conns[0].frames
    assert frames[-1].opcode == CLOSE and frames[-1].code == 4401


def test_leeway_and_grace_are_added(holdfast, echo, secret):
    hf = holdfast(echo, route=jwt(**{**secret, "leeway": "2s", "expiry_grace": "2s"}))
    end = int(time.time()) + 1
    client = joined_by(hf, hs(exp=end))
    assert closed_with(client)[0] == 4401
    assert time.time() >= end + 4


def test_on_expiry_ignore_and_a_reload_that_changes_it(holdfast, echo, secret):
    hf = holdfast(echo, route=jwt(**secret, on_expiry="ignore"))
    client = joined_by(hf, hs(exp=int(time.time()) + 1))
    wait_until(lambda: hf.request(headers=bearer(hs(exp=int(time.time()) - 1))).status == 401, "an expired token is refused")
    time_is_up = time.time() + 1.2
    wait_until(lambda: time.time() > time_is_up, "the token's end")
    assert is_alive(client)
    config = hf.config
    config["listeners"][0]["routes"][0]["auth"]["jwt"]["on_expiry"] = "close"
    hf.reload(config)
    assert closed_with(client)[0] == 4401, "live connections go by the new policy"


# ---- revoked ----

@pytest.mark.parametrize("by", ["jti", "sub"])
def test_revoked_by_the_administrator(start, echo, secret, by):
    hf, admin = start(echo, route=jwt(**secret))
    bad = [joined_by(hf, hs(sub="eve", jti="j-1")) for _ in range(6)]
    good = joined_by(hf, hs(sub="ann", jti="j-2"))
    answer = admin.ask("POST", "/revocations", {by: {"jti": "j-1", "sub": "eve"}[by]})
    assert answer.status == 200 and answer.json == {"closed": 6}
    assert {closed_with(c) for c in bad} == {(1008, "auth.jwt: the token has been revoked")}
    assert is_alive(good)
    refused = hf.request(headers=bearer(hs(sub="eve", jti="j-1")))
    assert refused.status == 401 and refused.get("www-authenticate") == 'Bearer error="invalid_token"'
    assert hf.wait_access(lambda x: x["status"] == 401)[0]["reason"] == "token_revoked"
    listed = admin.get("/revocations").json["revocations"]
    assert listed == [{by: {"jti": "j-1", "sub": "eve"}[by]}]
    assert admin.ask("DELETE", f"/revocations?{by}={listed[0][by]}").status == 200
    assert admin.ask("DELETE", f"/revocations?{by}={listed[0][by]}").status == 404
    assert is_alive(joined_by(hf, hs(sub="eve", jti="j-1")))


def test_revocation_survives_a_reload_and_ends_when_it_is_to(start, echo, secret):
    hf, admin = start(echo, route=jwt(**secret))
    assert admin.ask("POST", "/revocations", {"sub": "eve"}).json == {"closed": 0}
    until = time.time() + 2
    assert admin.ask("POST", "/revocations", {"sub": "bob", "seconds": 2}).status == 200
    assert admin.ask("POST", "/reload").status == 200

    def status(sub):
        client = hf.connect()
        client.send(upgrade_request(extra=bearer(hs(sub=sub))))
        return client.read_response().status
    assert [status(s) for s in ("eve", "bob", "ann")] == [401, 401, 101]
    wait_until(lambda: status("bob") == 101, "the end of bob's")
    assert time.time() >= until - 1
    assert status("eve") == 401


@pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"jti": 1}', '{"jti": "a", "sub": "b"}', '{"sub": "a", "seconds": -1}',
                                  '{"sub": ""}', '{"sub": "a", "sub": "b"}', '{"jti": "%s"}' % ("x" * 1025)])
def test_revocations_that_are_none(start, echo, secret, body):
    _, admin = start(echo, route=jwt(**secret))
    assert admin.ask("POST", "/revocations", body).status == 400
    assert admin.get("/revocations").json == {"revocations": []}


def test_revoked_by_a_file_that_is_watched(holdfast, echo, secret, directory):
    file = directory / "revoked.txt"
    file.write_text("# nobody\n")
    hf = holdfast(echo, route=jwt(**secret, revoked_file=str(file)))
    eve, mallory, ann = (joined_by(hf, hs(sub=s, jti=f"of {s}")) for s in ("eve", "mallory", "ann"))
    put(file, "# gone\nsub eve   # left\n\n  jti of mallory\nsub an\n")
    assert closed_with(eve) == closed_with(mallory) == (1008, "auth.jwt: the token has been revoked")
    assert is_alive(ann)
    assert hf.request(headers=bearer(hs(sub="eve"))).status == 401
    put(file, "")
    wait_until(lambda: "101" in str(try_to_join(hf, "eve")), "eve is welcome again")


def try_to_join(hf, sub):
    client = hf.connect()
    client.send(upgrade_request(extra=bearer(hs(sub=sub))))
    return client.read_response().status


def test_broken_revoked_file_changes_nothing(holdfast, echo, secret, directory):
    file = directory / "revoked.txt"
    file.write_text("sub eve\n")
    hf = holdfast(echo, route=jwt(**secret, revoked_file=str(file)))
    ann = joined_by(hf, hs(sub="ann"))
    put(file, "sub ann\nuser bob\n")
    hf.wait_log(r'revoked.txt:2:1: "user bob": a line is "jti NAME" or "sub NAME"')
    hf.wait_log("what was read from the files before stays in force")
    assert is_alive(ann)
    assert hf.request(headers=bearer(hs(sub="eve"))).status == 401


# ---- keys ----

def test_key_set_is_read_again_when_it_changes(holdfast, make_origin, directory):
    backend = make_origin(echo_reply)
    old, new = (Key(directory, "ES256", k) for k in ("old", "new"))
    file = key_set(directory, old.jwk)
    hf = holdfast(backend, route=jwt(keys=file))
    assert hf.request(headers=bearer(new.token())).status == 401
    draft = directory / "draft"
    draft.mkdir()
    os.rename(key_set(draft, new.jwk), file)
    wait_until(lambda: hf.request(headers=bearer(new.token())).status == 200, "the new key")
    assert hf.request(headers=bearer(old.token())).status == 401
    assert "reload:" not in hf.log()


def test_key_set_swapped_as_kubernetes_does_it(holdfast, make_origin, directory):
    backend = make_origin(echo_reply)
    old, new = (Key(directory, "ES256", k) for k in ("old", "new"))
    for name, key in (("..1", old), ("..2", new)):
        (directory / name).mkdir()
        key_set(directory / name, key.jwk)
    (directory / "..data").symlink_to("..1")
    (directory / "jwks.json").symlink_to("..data/jwks.json")
    hf = holdfast(backend, route=jwt(keys=str(directory / "jwks.json")))
    assert hf.request(headers=bearer(new.token())).status == 401
    (directory / "..data.new").symlink_to("..2")
    os.rename(directory / "..data.new", directory / "..data")
    wait_until(lambda: hf.request(headers=bearer(new.token())).status == 200, "the new key")


def test_deny_list_is_read_again_when_it_changes(holdfast, origin, directory):
    file = directory / "deny.txt"
    file.write_text("192.0.2.0/24\n")
    hf = holdfast(origin, limits={"deny_file": str(file)})
    assert hf.request().status == 200
    put(file, "127.0.0.2\n")

    def is_denied():
        try:
            return hf.connect(source="127.0.0.2").request() is None
        except (OSError, EOFError, Exception) as e:
            return type(e).__name__ in ("Truncated", "ConnectionResetError", "BrokenPipeError")
    wait_until(is_denied, "the address is denied")
    assert hf.request().status == 200


# ---- renewed ----

def refresh(hf, token, query="", headers=(), method="POST"):
    return hf.request(f"/.holdfast/auth{query}", method, [*bearer(token), *headers] if token else headers)


def id_of(client):
    return client.response.get("holdfast-connection")


def test_renewed_connection_outlives_its_first_token(holdfast, echo, secret):
    hf = holdfast(echo, route=jwt(**secret))
    end = int(time.time()) + 3
    renewed, left = joined_by(hf, hs(exp=end, jti="1")), joined_by(hf, hs(exp=end, jti="1"))
    answer = refresh(hf, hs(jti="2"), f"?connection={id_of(renewed)}")
    assert answer.status == 200 and answer.text == '{"renewed": 1}\n' and answer.get("cache-control") == "no-store"
    assert closed_with(left)[0] == 4401 and time.time() >= end
    assert is_alive(renewed)


def test_all_connections_of_a_subject_on_every_worker(start, echo, secret):
    hf, admin = start(echo, route=jwt(**secret), workers=2)
    end = int(time.time()) + 4
    ann = [joined_by(hf, hs(sub="ann", exp=end)) for _ in range(12)]
    bob = joined_by(hf, hs(sub="bob", exp=end))
    assert len({id_of(c).split("-")[0] for c in ann}) == 2, "both workers have some"
    assert {c["id"] for c in admin.connections()} >= {id_of(c) for c in ann}
    assert refresh(hf, hs(sub="ann")).text == f'{{"renewed": {len(ann)}}}\n'
    assert closed_with(bob)[0] == 4401
    assert all(is_alive(c) for c in ann)


def test_renewed_for_a_while_only(holdfast, echo, secret):
    hf = holdfast(echo, route=jwt(**secret))
    end = int(time.time()) + 2
    client = joined_by(hf, hs(exp=end))
    assert refresh(hf, hs(exp=end + 2)).status == 200
    assert refresh(hf, hs(exp=end + 1)).status == 200, "one that ends earlier changes nothing"
    assert closed_with(client)[0] == 4401
    assert time.time() >= end + 2


def test_a_renewed_token_is_what_is_revoked(start, echo, secret):
    hf, admin = start(echo, route=jwt(**secret))
    client = joined_by(hf, hs(jti="old", exp=time.time() + 60))
    assert refresh(hf, hs(jti="new")).status == 200
    assert admin.ask("POST", "/revocations", {"jti": "old"}).json == {"closed": 0}
    assert admin.ask("POST", "/revocations", {"jti": "new"}).json == {"closed": 1}
    assert closed_with(client)[0] == 1008


@pytest.mark.parametrize("token, query, status", [
    (None, "", 401),
    ("eve", "", 404),                            # her own: she has no connection
    ("eve", "?connection={id}", 404),            # another's
    ("ann", "?connection=0-999-1", 404),
    ("ann", "?connection={id}9", 404),           # another serial
    ("ann", "?connection=99-1-1", 400),
    ("ann", "?connection=x", 400),
    ("ann", "?connection=0-0-0", 400),
    ("forged", "?connection={id}", 401),
    ("expired", "?connection={id}", 401),
    ("nobody", "?connection={id}", 404),         # no sub
])
def test_refreshes_that_renew_nothing(holdfast, echo, secret, token, query, status):
    hf = holdfast(echo, route=jwt(**secret))
    end = int(time.time()) + 2
    client = joined_by(hf, hs(sub="ann", exp=end))
    tokens = {"eve": hs(sub="eve"), "ann": hs(sub="ann"), "forged": hs(b"x" * 32), "expired": hs(exp=time.time() - 5),
              "nobody": hs(sub=""), None: None}
    assert refresh(hf, tokens[token], query.format(id=id_of(client))).status == status
    assert closed_with(client)[0] == 4401
    assert time.time() < end + 60


def test_refresh_is_a_post_and_can_be_off(holdfast, make_origin, echo, secret):
    hf = holdfast(echo, route=jwt(**secret))
    answer = refresh(hf, hs(), method="GET")
    assert answer.status == 405 and answer.get("allow") == "POST"
    backend = make_origin(echo_reply)
    off = holdfast(backend, route={"auth": {"jwt": secret, "refresh": False}})
    assert refresh(off, hs()).status == 200
    assert len(backend.requests) == 1, "the path is the backend's then"


def test_refresh_from_a_page_of_another_origin(holdfast, echo, secret):
    hf = holdfast(echo, route={**jwt(**secret), "access": {"origins": ["https://example.com"]}})
    joined_by(hf, hs(), extra=[("Origin", "https://example.com")])
    assert refresh(hf, hs(), headers=[("Origin", "https://evil.net")]).status == 401
    assert refresh(hf, hs(), headers=[("Origin", "https://example.com")]).status == 200


def test_refresh_counts_for_the_rate_of_its_address(holdfast, echo, secret):
    hf = holdfast(echo, route=jwt(**secret), limits={"per_ip": {"request_rate": "1/h", "request_burst": 2}})
    assert [refresh(hf, hs()).status for _ in range(3)] == [404, 404, 429]


# ---- in Sec-WebSocket-Protocol ----

@pytest.fixture
def picky(make_raw):
    """A backend that speaks chat.v2 if it is offered, and says what it was offered."""
    async def play(conn):
        head = (await conn.read_until(b"\r\n\r\n")).decode()
        fields = dict(line.lower().split(": ", 1) if "protocol" not in line.lower() else
                      (line.split(": ", 1)[0].lower(), line.split(": ", 1)[1]) for line in head.split("\r\n")[1:] if line)
        conn.offered = fields.get("sec-websocket-protocol")
        key = next(x.split(": ", 1)[1] for x in head.split("\r\n") if x.lower().startswith("sec-websocket-key"))
        chosen = [("Sec-WebSocket-Protocol", "chat.v2")] if "chat.v2" in (conn.offered or "") else []
        await conn.send(upgrade_response(key, extra=chosen))
        await echo_frames(conn)
    return make_raw(play)


@pytest.mark.parametrize("offer, allowed, seen, chosen", [
    ("{t}", [], None, "{t}"),                          # nothing else was offered: a browser insists on an answer
    ("chat.v2, {t}", [], "chat.v2", "chat.v2"),
    ("{t}, chat.v1, chat.v2", [], "chat.v1, chat.v2", "chat.v2"),
    ("bearer, {t}", [], None, "bearer"),
    ("chat.v2, Bearer, {t}", [], "chat.v2", "chat.v2"),
    ("chat.v1, bearer, {t}, chat.v2", ["chat.v2"], "chat.v2", "chat.v2"),
    ("bearer.{t}, chat.v2", [], "chat.v2", "chat.v2"),
])
def test_token_among_the_subprotocols(holdfast, picky, secret, offer, allowed, seen, chosen):
    hf = holdfast(picky, route={**jwt(**secret, **{"from": ["subprotocol"]}), "websocket": {"subprotocols": allowed}})
    token = hs()
    client = hf.connect()
    client.send(upgrade_request(protocol=offer.format(t=token)))
    response = client.read_response()
    assert response.status == 101
    assert response.get("sec-websocket-protocol") == chosen.format(t=token)
    assert picky.conns[0].offered == seen
    assert is_alive(client)


def test_token_in_another_field_of_the_offer(holdfast, picky, secret):
    hf = holdfast(picky, route=jwt(**secret, **{"from": ["subprotocol"]}))
    client = hf.connect()
    client.send(upgrade_request(extra=[("Sec-WebSocket-Protocol", "chat.v2"), ("Sec-WebSocket-Protocol", hs())]))
    assert client.read_response().status == 101
    assert picky.conns[0].offered == "chat.v2"


@pytest.mark.parametrize("offer", ["chat.v2", "a.b.c", "{t}x", "bearer, x", "ey.ey.ey"])
def test_subprotocols_that_are_no_good_token(holdfast, picky, secret, offer):
    hf = holdfast(picky, route=jwt(**secret, **{"from": ["subprotocol"]}))
    client = hf.connect()
    client.send(upgrade_request(protocol=offer.format(t=hs())))
    assert client.read_response().status == 401
    assert not picky.conns


def test_subprotocols_are_left_alone_where_no_token_is_looked_for_there(holdfast, picky, secret):
    hf = holdfast(picky, route=jwt(**secret))
    token = hs()
    client = hf.connect()
    client.send(upgrade_request(protocol=f"chat.v2, {token}", extra=bearer(token)))
    assert client.read_response().status == 101
    assert picky.conns[0].offered == f"chat.v2, {token}"
