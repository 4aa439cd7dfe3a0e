"""What becomes of a live connection when its token runs out, is revoked, or its keys change: no reload, no restart."""
import os
import time

import pytest

from kit.admin import Admin
from kit.backends import echo as echo_reply
from kit.frames import CLOSE, TEXT, close_body, echo_frames, frame, read_frame, upgrade_request, websocket_play
from kit.tokens import SECRET, Key, bearer, hs, jwt, key_set
from kit.wait import wait_until


@pytest.fixture
def secret(directory):
    file = directory / "secret"
    file.write_bytes(SECRET)
    return {"secret_file": str(file), "algorithms": ["HS256"], "leeway": "0", "expiry_grace": "0"}


@pytest.fixture
def echo(make_raw):
    return make_raw(websocket_play(echo_frames))


@pytest.fixture
def start(holdfast, short_directory):
    """A process with an admin socket, and who asks it."""
    def make(backend=None, **parts):
        path = short_directory / "admin.sock"
        hf = holdfast(backend, **{"admin": {"socket": str(path)}, **parts})
        wait_until(path.exists, "the admin socket")
        return hf, Admin(path)
    return make


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
