"""TLS as strict as it is configured: names, keys and their files, tickets shared, clients' certificates told, handshakes bounded."""
import json
import os
import re
import shutil
import socket
import ssl
import subprocess

import pytest

from kit.backends import echo as echo_reply
from kit.certs import Leaf, openssl
from kit.process import config_of, run
from kit.raw import Truncated
from kit.wait import wait_until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
HELLO = {"routes": [{"respond": {"status": 200, "body": "hello"}}]}


def serial_of(hf, context, name="localhost"):
    client = hf.connect(tls=context, name=name)
    try:
        return client.socket.getpeercert()["serialNumber"]
    finally:
        client.close()


def names_of(hf, certs, name):
    context = certs.client_context()
    context.check_hostname = False
    return {n for _, n in hf.connect(tls=context, name=name).socket.getpeercert()["subjectAltName"]}


# ---- names ----

@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_unknown_names_are_refused_by_an_alert(holdfast, certs, version):
    hf = holdfast(tls={"certificates": [certs.leaf.config, certs.other.config], "unknown_sni": "reject"}, **HELLO)
    context = certs.client_context(version, verify=False)
    for name in ("localhost", "chat.example.com", "OTHER.test"):
        assert hf.connect(tls=context, name=name).request(headers=[("Host", name)]).text == "hello"
    for name in ("unknown.test", "a.b.example.com", "example.com", None):
        with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
            hf.connect(tls=context, name=name)


# ---- key files ----

@pytest.mark.parametrize("mode, is_good", [(0o600, True), (0o640, True), (0o644, False), (0o604, False), (0o602, False)])
def test_keys_that_everybody_may_read_are_refused(certs, directory, mode, is_good):
    key = directory / "a.key"
    shutil.copy(certs.leaf.key, key)
    key.chmod(mode)
    config = config_of(listener={"tls": {"certificates": [{"cert": certs.leaf.cert, "key": str(key)}]}}, **HELLO)
    file = directory / "holdfast.yaml"
    file.write_text(json.dumps(config))
    done = run("-t", "-c", file)
    assert (done.returncode == 0) == is_good, done.err
    assert is_good or re.search(rf"{key}: everybody may (read|write) this key: chmod o-rwx", done.err), done.err


# ---- files that change ----

def put_pair(leaf, cert, key):
    """As a tool does it: one after the other, each at once."""
    for source, to in ((leaf.cert, cert), (leaf.key, key)):
        shutil.copy(source, f"{to}.new")
        os.chmod(f"{to}.new", 0o600)
        os.rename(f"{to}.new", to)


def test_certificate_is_swapped_under_live_connections(holdfast, certs, directory):
    cert, key = directory / "site.pem", directory / "site.key"
    put_pair(certs.leaf, cert, key)
    hf = holdfast(tls={"certificates": [{"cert": str(cert), "key": str(key)}]}, **HELLO)
    context = certs.client_context()
    old, live = serial_of(hf, context), hf.connect(tls=context)
    fresh = certs.ca.issue("fresh", ["localhost"])
    put_pair(fresh, cert, key)
    wait_until(lambda: serial_of(hf, context) != old, "the new certificate")
    assert live.request().text == "hello", "a live connection keeps what it has"
    assert "reload:" not in hf.log()


def test_pair_that_does_not_match_leaves_the_old_one(holdfast, certs, directory):
    cert, key = directory / "site.pem", directory / "site.key"
    put_pair(certs.leaf, cert, key)
    hf = holdfast(tls={"certificates": [{"cert": str(cert), "key": str(key)}]}, **HELLO)
    context = certs.client_context()
    old = serial_of(hf, context)
    put_pair(Leaf(certs.other.cert, certs.leaf.key), cert, key)
    hf.wait_log("key does not match certificate")
    hf.wait_log("what was read from the files before stays in force")
    assert serial_of(hf, context) == old


def test_directory_of_certificates_is_watched(holdfast, certs, directory):
    store = directory / "certs"
    store.mkdir()
    put_pair(certs.leaf, store / "a.pem", store / "a.key")
    (store / "notes.txt").write_text("not a certificate")
    hf = holdfast(listener={"tls": {"certificate_dir": str(store)}}, **HELLO)
    assert "localhost" in names_of(hf, certs, "other.test"), "the first is the default"
    put_pair(certs.other, store / "b.crt", store / "b.key")
    wait_until(lambda: "other.test" in names_of(hf, certs, "other.test"), "the second certificate")
    (store / "b.crt").unlink()
    wait_until(lambda: "localhost" in names_of(hf, certs, "other.test"), "the second certificate is gone")


def test_directory_with_a_certificate_without_key_is_told(certs, directory):
    store = directory / "certs"
    store.mkdir()
    shutil.copy(certs.leaf.cert, store / "a.pem")
    file = directory / "holdfast.yaml"
    for listener, said in (({"tls": {"certificate_dir": str(store)}}, "a.pem: its key is missing"),
                           ({"tls": {"certificate_dir": str(directory / "none")}}, "cannot list"),
                           ({"tls": {}}, "no certificates")):
        file.write_text(json.dumps(config_of(listener=listener, **HELLO)))
        done = run("-t", "-c", file)
        assert done.returncode == 1 and said in done.err, done.err


# ---- tickets ----

def resumed(hf, context, session):
    client = hf.connect(tls=context, session=session)
    assert client.request().text == "hello"
    try:
        return client.socket.session_reused, client.socket.session
    finally:
        client.close()


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_ticket_keys_are_shared_by_file_and_rotated_by_it(holdfast, certs, directory, version):
    file = directory / "tickets"
    keys = [os.urandom(80) for _ in range(3)]

    def put(data):
        draft = directory / "draft"
        draft.write_bytes(data)
        draft.chmod(0o600)
        draft.rename(file)
    put(keys[0])
    tls = {"certificates": [certs.leaf.config], "session_tickets": {"key_file": str(file)}}
    one, other = holdfast(tls=tls, **HELLO), holdfast(tls=tls, **HELLO)
    context = certs.client_context(version)
    _, session = resumed(one, context, None)
    assert resumed(other, context, session)[0], "another process opens it"
    put(keys[1] + keys[0])
    for hf in (one, other):
        hf.wait_log(f"{file} has changed")
        wait_until(lambda hf=hf: sealed_by(hf, certs, keys[1][:16]), "the new key seals")
    assert resumed(one, context, session)[0], "the old key still opens"
    put(keys[2])
    for hf in (one, other):
        wait_until(lambda hf=hf: sealed_by(hf, certs, keys[2][:16]), "the third key seals")
    assert not resumed(one, context, session)[0], "a key that is gone opens nothing"
    put(b"short")
    one.wait_log("5 bytes: a key has 80")
    assert sealed_by(one, certs, keys[2][:16])


def sealed_by(hf, certs, name):
    """Does a ticket open with the name of the key?"""
    done = openssl("s_client", "-connect", f"127.0.0.1:{hf.port}", "-CAfile", certs.ca.cert, "-tls1_2", "-servername",
                   "localhost", check=False)
    found = re.search(rb"0000 - ([0-9a-f -]{47})", done.stdout)
    return found is not None and bytes.fromhex(found.group(1).decode().replace("-", " ")) == name


# ---- clients' certificates ----

FORWARD = {"X-Subject": "subject", "X-CN": "cn", "X-Issuer": "issuer", "X-Serial": "serial", "X-Print": "fingerprint",
           "X-DNS": "dns", "X-URI": "uri"}
FORGED = [(n, "root") for n in FORWARD] + [("x-cn", "root")]


def seen(response):
    assert response.status == 200, response
    return {n.lower(): v for n, v in json.loads(response.text)["headers"] if n.lower().startswith("x-") and "forwarded" not in n.lower()
            and n.lower() != "x-request-id"}


@pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])
def test_client_certificate_is_told_and_never_forged(holdfast, make_origin, certs, version):
    ca = str(certs.ca.cert)
    hf = holdfast(make_origin(echo_reply), tls={"client_auth": {"ca": ca, "mode": "optional", "forward": FORWARD}})
    der = openssl("x509", "-in", certs.client.cert, "-outform", "DER").stdout
    said = openssl("x509", "-in", certs.client.cert, "-noout", "-serial", "-fingerprint", "-sha256").stdout.decode()
    serial = re.search("serial=([0-9A-F]+)", said).group(1).lower()
    fingerprint = re.search("ingerprint=([0-9A-F:]+)", said).group(1).replace(":", "").lower()
    assert der
    context = certs.client_context(version, leaf=certs.client)
    expected = {"x-subject": "CN=a-client", "x-cn": "a-client", "x-issuer": "CN=test-ca", "x-serial": serial,
                "x-print": fingerprint, "x-dns": "a-client"}
    client = hf.connect(tls=context)
    assert seen(client.request(headers=FORGED)) == expected
    session = client.socket.session
    assert seen(hf.connect(tls=context, session=session).request(headers=FORGED)) == expected, "resumed as well"
    assert seen(hf.request(headers=FORGED, tls=certs.client_context(version))) == {}, "without one nothing is said"


def test_subject_cannot_break_out_of_its_header(holdfast, make_origin, certs, directory):
    key, cert, request = (directory / f"evil.{x}" for x in ("key", "pem", "csr"))
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8", "-subj",
            "/CN=eve\r\nX-Admin: yes", "-keyout", key, "-out", request)
    openssl("x509", "-req", "-in", request, "-CA", certs.ca.cert, "-CAkey", certs.ca.key, "-CAcreateserial", "-out", cert)
    hf = holdfast(make_origin(echo_reply), tls={"client_auth": {"ca": str(certs.ca.cert), "mode": "require",
                                                                "forward": {"X-Subject": "subject", "X-CN": "cn"}}})
    got = seen(hf.request(headers=[("X-CN", "root"), ("x-subject", "root")],
                          tls=certs.client_context(leaf=Leaf(cert, key))))
    assert "x-admin" not in got and "x-cn" not in got, "a name that no header can hold leaves none"
    assert "root" not in got.values()


# ---- as scanners see it ----

def test_scanner_finds_nothing_old(holdfast, certs):
    hf = holdfast(tls=True, **HELLO)
    said = subprocess.run(["sslscan", "--no-colour", "--no-failed", f"127.0.0.1:{hf.port}"], capture_output=True,
                          timeout=80).stdout.decode()
    for old in ("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"):
        assert re.search(rf"{re.escape(old)}\s+disabled", said), said
    for new in ("TLSv1.2", "TLSv1.3"):
        assert re.search(rf"{re.escape(new)}\s+enabled", said), said
    accepted = re.findall(r"(?:Preferred|Accepted)\s+(TLSv1\.\d)\s+\d+ bits\s+(\S+)", said)
    assert accepted and all("GCM" in c or "CHACHA20" in c for _, c in accepted), accepted
    assert all(c.startswith(("ECDHE-", "TLS_")) for _, c in accepted), "forward secrecy"
    assert "Session renegotiation not supported" in said
    assert not re.search(r"(?i)compression enabled", said), said
    assert re.findall(r"heartbleed", said) == re.findall(r"not vulnerable to (heartbleed)", said)


# ---- a flood of handshakes ----

def left_of(sockets):
    """Those that the proxy has not closed."""
    left = []
    for s in sockets:
        s.setblocking(False)
        try:
            if s.recv(1, socket.MSG_PEEK):
                left.append(s)
        except BlockingIOError:
            left.append(s)
        except ConnectionError:
            pass
    return left


def test_handshakes_are_bounded_and_honest_clients_get_in(holdfast, certs):
    hf = holdfast(tls=True, limits={"max_handshakes": 20}, workers=2, **HELLO)
    slow = [socket.create_connection(("127.0.0.1", hf.port)) for _ in range(120)]
    wait_until(lambda: len(left_of(slow)) <= 20, "those that take longest are cut off")
    hf.wait_log("too many handshakes are under way")
    context = certs.client_context()
    for _ in range(20):
        assert hf.request(tls=context).text == "hello"
    assert len(left_of(slow)) <= 20
    for s in slow:
        s.close()


def test_every_handshake_may_be_slow_where_there_is_no_bound(holdfast, certs):
    hf = holdfast(tls=True, limits={"max_handshakes": 0}, **HELLO)
    slow = [socket.create_connection(("127.0.0.1", hf.port)) for _ in range(60)]
    assert hf.request(tls=certs.client_context()).text == "hello"
    assert "too many handshakes" not in hf.log()
    for s in slow:
        s.close()


def can_ask(hf, context):
    try:
        return hf.request(tls=context).text == "hello"
    except (ssl.SSLError, ConnectionError, Truncated):
        return False


def test_authorities_of_clients_are_read_again_when_they_change(holdfast, certs, directory):
    ca = directory / "ca.pem"
    shutil.copy(certs.ca.cert, ca)
    hf = holdfast(tls={"client_auth": {"ca": str(ca), "mode": "require"}}, **HELLO)
    good, strange = certs.client_context(leaf=certs.client), certs.client_context(leaf=certs.strange_client)
    assert can_ask(hf, good) and not can_ask(hf, strange)
    shutil.copy(certs.stranger.cert, f"{ca}.new")
    os.rename(f"{ca}.new", ca)
    wait_until(lambda: can_ask(hf, strange), "the other authority")
    assert not can_ask(hf, good)
