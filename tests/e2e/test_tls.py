"""TLS on both sides: versions, names, ALPN, resumption, verification, and what is not TLS."""
import hashlib
import json
import re
import socket
import ssl

import pytest

from kit.backends import named, ok
from kit.certs import openssl
from kit.kernel import free_port
from kit.process import config_of, run
from kit.raw import Truncated, build_request
from kit.wait import wait_until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
HELLO = {"routes": [{"respond": {"status": 200, "body": "hello"}}]}


def s_client(hf, certs, *args, request=b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):
    """What openssl s_client tells, with the answer to a request."""
    done = openssl("s_client", "-connect", f"127.0.0.1:{hf.port}", "-CAfile", certs.ca.cert, "-ign_eof", *args,
                   stdin=request, check=False)
    return (done.stdout + done.stderr).decode(errors="replace")


def peer_names(client):
    return {n for _, n in client.socket.getpeercert()["subjectAltName"]}


# ---- versions, ciphers ----

@pytest.mark.parametrize("version, says", [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_openssl_client_gets_in(holdfast, certs, version, says):
    hf = holdfast(tls=True, **HELLO)
    said = s_client(hf, certs, version, "-servername", "localhost", "-alpn", "http/1.1")
    assert re.search(rf"New, {re.escape(says)}", said), said
    assert "Verify return code: 0 (ok)" in said and "ALPN protocol: http/1.1" in said
    assert "HTTP/1.1 200" in said and "hello" in said


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(holdfast, certs, version):
    hf = holdfast(tls=True, **HELLO)
    assert "HTTP/1.1" not in s_client(hf, certs, version, "-cipher", "ALL:@SECLEVEL=0")


def test_min_version_1_3_refuses_1_2(holdfast, certs):
    hf = holdfast(tls={"min_version": "1.3"}, **HELLO)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        hf.connect(tls=certs.client_context(V12))
    assert hf.request(tls=certs.client_context(V13)).text == "hello"


def test_ciphers_and_curves_are_as_configured(holdfast, certs):
    hf = holdfast(tls={"ciphersuites": "TLS_CHACHA20_POLY1305_SHA256", "ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384",
                       "curves": "P-256"}, **HELLO)
    assert hf.connect(tls=certs.client_context(V13)).socket.cipher()[0] == "TLS_CHACHA20_POLY1305_SHA256"
    assert hf.connect(tls=certs.client_context(V12)).socket.cipher()[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"
    assert "Server Temp Key: ECDH, prime256v1" in s_client(hf, certs, "-tls1_3") or "P-256" in s_client(hf, certs)


def test_rsa_and_ecdsa_for_one_name_by_the_clients_ability(holdfast, certs):
    rsa = certs.ca.issue("rsa", ["localhost"], ("rsa:2048",))
    hf = holdfast(listener={"tls": {"certificates": [certs.leaf.config, rsa.config]}}, **HELLO)
    assert "ECDSA" in s_client(hf, certs, "-tls1_2", "-servername", "localhost", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256")
    assert "HTTP/1.1 200" in s_client(hf, certs, "-tls1_2", "-servername", "localhost", "-cipher",
                                      "ECDHE-RSA-AES128-GCM-SHA256")


# ---- names ----

@pytest.mark.parametrize("name, names", [
    ("localhost", "localhost"), ("chat.example.com", "*.example.com"), ("CHAT.Example.COM", "*.example.com"),
    ("other.test", "other.test")])
@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_certificate_is_chosen_by_name(holdfast, certs, name, names, version):
    hf = holdfast(tls={"certificates": [certs.leaf.config, certs.other.config]}, **HELLO)
    client = hf.connect(tls=certs.client_context(version), name=name)
    assert names in peer_names(client)
    assert client.request(headers=[("Host", name)]).text == "hello"


@pytest.mark.parametrize("name", ["unknown.test", "a.b.example.com", "example.com", None])
def test_first_certificate_is_the_default(holdfast, certs, name):
    hf = holdfast(tls={"certificates": [certs.leaf.config, certs.other.config]}, **HELLO)
    context = certs.client_context(V13)
    context.check_hostname = False
    assert "localhost" in peer_names(hf.connect(tls=context, name=name))


# ---- ALPN ----

@pytest.mark.parametrize("offered, chosen", [
    (["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"), ([], None)])
def test_alpn(holdfast, certs, offered, chosen):
    client = holdfast(tls=True, **HELLO).connect(tls=certs.client_context(alpn=offered))
    assert client.socket.selected_alpn_protocol() == chosen
    assert client.request().text == "hello"


@pytest.mark.parametrize("offered", [["x"], ["h2c"], ["mqtt", "irc"]])
def test_another_protocol_is_refused(holdfast, certs, offered):
    """RFC 7301 3.2: no_application_protocol, and not HTTP all the same."""
    hf = holdfast(tls=True, **HELLO)
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        hf.connect(tls=certs.client_context(alpn=offered))


# ---- resumption ----

def resumes(hf, context, session):
    client = hf.connect(tls=context, session=session)
    assert client.request().text == "hello"
    reused, session = client.socket.session_reused, client.socket.session
    client.close()
    return reused, session


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_sessions_resume_on_every_worker_and_over_reloads(holdfast, certs, version):
    hf = holdfast(tls=True, workers=4, **HELLO)
    context = certs.client_context(version)
    reused, session = resumes(hf, context, None)
    assert not reused
    for _ in range(16):
        reused, session = resumes(hf, context, session)
        assert reused
    config = dict(hf.config)
    config["listeners"][0]["routes"].insert(0, {"path": "= /new", "respond": {"status": 202}})
    hf.reload(config)
    wait_until(lambda: hf.request("/new", tls=context).status == 202, "the new configuration")
    for _ in range(8):
        reused, session = resumes(hf, context, session)
        assert reused, "tickets outlive a reload"


def test_tickets_can_be_off(holdfast, certs):
    hf = holdfast(tls={"session_tickets": "off"}, workers=1, **HELLO)
    context = certs.client_context(V12)
    _, session = resumes(hf, context, None)
    assert not resumes(hf, context, session)[0]


def test_tickets_of_another_process_are_a_full_handshake(holdfast, certs):
    context = certs.client_context(V13)
    _, session = resumes(holdfast(tls=True, **HELLO), context, None)
    reused, _ = resumes(holdfast(tls=True, **HELLO), context, session)
    assert not reused


# ---- clients' certificates ----

def can_ask(hf, context):
    try:
        return hf.request(tls=context).text == "hello"
    except (ssl.SSLError, ConnectionError, Truncated):
        return False  # TLS 1.3: the client's handshake is done before it hears of the refusal


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_client_certificates(holdfast, certs, version):
    none, good = certs.client_context(version), certs.client_context(version, leaf=certs.client)
    bad = certs.client_context(version, leaf=certs.strange_client)
    ca = str(certs.ca.cert)
    for mode, admits in (("require", [False, True, False]), ("optional", [True, True, False]), ("off", [True, True, True])):
        hf = holdfast(tls={"client_auth": {"ca": ca, "mode": mode}}, **HELLO)
        assert [can_ask(hf, c) for c in (none, good, bad)] == admits, mode


# ---- what is not TLS, and what does not go on ----

@pytest.mark.parametrize("noise", [
    build_request(), b"\x00" * 1000, b"\x16\x03\x01\xff\xff" + b"x" * 70000, b"\x16\x03\x01\x00\x05hello",
    b"\x15\x03\x01\x00\x02\x02\x00", b"SSH-2.0-x\r\n", b"\x80\x2e\x01\x00\x02" + b"\x00" * 41],
    ids=["http", "zeros", "long record", "no hello", "alert", "ssh", "ssl2"])
def test_what_is_not_tls_ends_the_connection(holdfast, certs, noise):
    hf = holdfast(tls=True, **HELLO)
    client = hf.connect()
    try:
        client.send(noise)
    except ConnectionError:
        pass
    client.seconds_until_end()
    assert b"hello" not in client.last_words
    assert hf.request(tls=certs.client_context()).text == "hello"


def test_plain_http_is_told_that_it_has_the_wrong_port(holdfast):
    response = holdfast(tls=True, **HELLO).connect().request()
    assert response.status == 400 and "https://" in response.text


def test_handshake_that_does_not_go_on_is_ended_and_named(holdfast, certs):
    hf = holdfast(tls=True, listener={"timeouts": {"handshake": "400ms"}}, **HELLO)
    for first in (b"", b"\x16\x03\x01"):
        client = hf.connect()
        client.send(first)
        assert client.seconds_until_end() > 0.3
    assert hf.request(tls=certs.client_context()).text == "hello"


def test_handshake_in_single_bytes_succeeds(holdfast, certs):
    hf = holdfast(tls=True, **HELLO)
    context = certs.client_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    client = hf.connect()

    def drive(step):
        while True:
            try:
                value = step()
            except ssl.SSLWantReadError:
                value = None
            client.send_in_pieces(outgoing.read(), 1)
            if value is not None:
                return value
            incoming.write(client.socket.recv(3))
    drive(lambda: tls.do_handshake() or True)
    drive(lambda: tls.write(build_request()))
    assert drive(lambda: tls.read(100)).startswith(b"HTTP/1.1 200")


def test_client_that_leaves_within_the_handshake_harms_nobody(holdfast, certs):
    hf = holdfast(tls=True, **HELLO)
    for size in (1, 5, 100, 200):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = certs.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        hf.connect().send(outgoing.read()[:size]).reset()
    assert hf.request(tls=certs.client_context()).text == "hello"


def test_end_without_close_notify_is_an_end(holdfast, certs, make_origin):
    """Half of the world's clients just close the socket."""
    hf = holdfast(make_origin(named("x")), tls=True)
    client = hf.connect(tls=certs.client_context())
    assert client.request().text == "x"
    client.socket.shutdown(socket.SHUT_WR)
    client.seconds_until_end()


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_response_ends_with_close_notify(holdfast, certs, version):
    """Else a cut could not be told from an end."""
    client = holdfast(tls=True, **HELLO).connect(tls=certs.client_context(version))
    client.socket.suppress_ragged_eofs = False  # raises where close_notify is missing
    assert client.request(headers=[("Connection", "close")]).text == "hello"
    assert client.read_to_end() == b""


def test_renegotiation_is_refused(holdfast, certs):
    said = s_client(holdfast(tls=True, **HELLO), certs, "-tls1_2", request=b"R\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert "HTTP/1.1 200" not in said


def test_key_update_keeps_the_connection(holdfast, certs):
    said = s_client(holdfast(tls=True, **HELLO), certs, "-tls1_3",
                    request=b"K\nGET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    if "KEYUPDATE" in said:  # older tools do not know the command with -ign_eof
        assert "HTTP/1.1 200" in said


# ---- TLS to backends ----

@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_backend_over_tls_is_verified(holdfast, make_origin, certs, version):
    context = certs.server_context()
    context.minimum_version = context.maximum_version = version
    hf = holdfast(make_origin(named("safe"), tls=context), cluster={"tls": {"ca": str(certs.ca.cert)}})
    client = hf.connect()
    assert [client.request().text for _ in range(5)] == ["safe"] * 5


def test_backend_is_asked_for_by_its_name(holdfast, make_origin, certs):
    asked = []
    context = certs.server_context()
    context.sni_callback = lambda sock, name, ctx: asked.append(name)
    hf = holdfast(make_origin(named("x"), tls=context),
                  cluster={"tls": {"ca": str(certs.ca.cert), "sni": "chat.example.com"}})
    assert hf.request().text == "x"
    assert asked == ["chat.example.com"]


UNTRUSTED = [
    ("strange authority", "strange", {}), ("wrong name", "leaf", {"sni": "wrong.test"}),
    ("wrong name by wildcard", "leaf", {"sni": "a.b.example.com"})]


@pytest.mark.parametrize("leaf, keys", [u[1:] for u in UNTRUSTED], ids=[u[0] for u in UNTRUSTED])
def test_backend_that_cannot_be_verified_is_502(holdfast, make_origin, certs, leaf, keys):
    origin = make_origin(named("impostor"), tls=certs.server_context(getattr(certs, leaf)))
    hf = holdfast(origin, cluster={"tls": {"ca": str(certs.ca.cert), **keys}})
    assert hf.request().status == 502
    assert not origin.requests
    (line,) = hf.wait_access(lambda x: x["status"] == 502)
    assert line["reason"] == "backend_tls"


def test_verification_can_be_off(holdfast, make_origin, certs):
    origin = make_origin(named("x"), tls=certs.server_context(certs.strange))
    assert holdfast(origin, cluster={"tls": {"verify": False}}).request().text == "x"


def test_backend_that_speaks_no_tls_is_502(holdfast, make_origin, certs):
    assert holdfast(make_origin(), cluster={"tls": {"ca": str(certs.ca.cert)}}).request().status == 502


def test_backend_wants_our_certificate(holdfast, make_origin, certs):
    origin = make_origin(named("x"), tls=certs.server_context(client_ca=certs.ca))
    tls = {"ca": str(certs.ca.cert)}
    assert holdfast(origin, cluster={"tls": tls}).request().status == 502
    tls = {**tls, "client_cert": certs.client.cert, "client_key": certs.client.key}
    assert holdfast(origin, cluster={"tls": tls}).request().text == "x"


def test_nginx_over_tls_on_the_backends_side(holdfast, make_nginx, certs):
    nginx = make_nginx(certs.leaf)
    want = nginx.file("some", 3_000_000)
    hf = holdfast(nginx, tls=True, cluster={"tls": {"ca": str(certs.ca.cert)}})
    got = hf.request("/some", tls=certs.client_context())
    assert hashlib.sha256(got.body).hexdigest() == want


def test_backend_that_hangs_in_the_handshake_is_504(holdfast, make_raw, certs):
    async def mute(conn):
        await conn.read_to_end()
    hf = holdfast(make_raw(mute), cluster={"tls": {"ca": str(certs.ca.cert)}, "timeouts": {"connect": "400ms"},
                                           "retries": {"attempts": 0}})
    assert hf.request().status in (502, 504)


# ---- configuration of certificates ----

def test_bad_certificates_are_told_at_start(certs, directory):
    bad = directory / "bad.pem"
    bad.write_text("nothing\n")
    for pair in ({"cert": str(bad), "key": certs.leaf.key}, {"cert": certs.leaf.cert, "key": certs.other.key}):
        config = config_of(listener={"tls": {"certificates": [pair]}}, **HELLO)
        file = directory / "holdfast.yaml"
        file.write_text(json.dumps(config, indent=1))
        for args in (["-t", "-c"], ["-c"]):
            done = run(*args, file)
            assert done.returncode == 1
            assert pair["cert"] in done.err or pair["key"] in done.err, done.err


def test_many_handshakes_leave_nothing_behind(holdfast, certs):
    hf = holdfast(tls=True, **HELLO)
    context = certs.client_context()
    for _ in range(100):
        assert hf.request(tls=context).text == "hello"
    fds, memory = hf.fd_count(), hf.memory_kib()
    for _ in range(300):
        assert hf.request(tls=context).text == "hello"
    wait_until(lambda: hf.fd_count() <= fds + 2, "descriptors to be closed")
    assert hf.memory_kib() - memory < 8192


def test_plain_and_tls_listeners_side_by_side(holdfast, certs, make_origin):
    plain, secure = free_port(), free_port()
    routes = [{"cluster": "c"}]
    hf = holdfast(clusters={"c": [make_origin(lambda r, c: ok(r.get("x-forwarded-proto")))]}, listeners=[
        {"name": "plain", "bind": [f"127.0.0.1:{plain}"], "routes": routes},
        {"name": "secure", "bind": [f"127.0.0.1:{secure}"], "routes": routes,
         "tls": {"certificates": [certs.leaf.config]}}])
    assert hf.request(address=("127.0.0.1", plain)).text == "http"
    assert hf.request(address=("127.0.0.1", secure), tls=certs.client_context()).text == "https"
