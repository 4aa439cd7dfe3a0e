"""The command line and the file: what is accepted, what is said about the rest."""
import json
import re

import pytest

from kit.process import TREE, run
from kit.kernel import free_port

GOOD = """\
listeners:
  - name: web
    bind: "127.0.0.1:{port}"
    routes:
      - cluster: chat
clusters:
  - name: chat
    endpoints: ["127.0.0.1:9"]
"""

BROKEN = """\
wrokers: 2
log: { level: loud }
listeners:
  - name: web
    bind: ["127.0.0.1:80", "127.0.0.1:80"]
    timeouts: { header: 10 minutes }
    routes:
      - path: "~ ("
        cluster: chta
      - cluster: chat
        cluster: chat
clusters:
  - name: chat
    balance: fastest
    endpoints: ["127.0.0.1:99999"]
"""

# line, a word of the message
MISTAKES = [(1, "workers"), (2, "loud"), (5, "twice"), (6, "10 minutes"), (8, "("), (9, '"chat"'), (11, "twice"),
            (14, "fastest"), (15, "99999")]


@pytest.fixture
def file(directory):
    def write(text, name="holdfast.yaml"):
        path = directory / name
        path.write_text(text.replace("{port}", str(free_port())))
        return path
    return write


def test_good_file_passes_the_check(file):
    done = run("-t", "-c", file(GOOD))
    assert done.returncode == 0, done.err


def test_check_does_not_listen(file, directory):
    path = file(GOOD + f"pid_file: {directory}/pid\n")
    assert run("-t", "-c", path).returncode == 0
    assert not (directory / "pid").exists()


@pytest.mark.parametrize("args", [("-t", "-c"), ("-c",)], ids=["check", "start"])
def test_every_mistake_is_told_in_one_run_with_its_place(file, args):
    path = file(BROKEN)
    done = run(*args, path)
    assert done.returncode == 1
    told = re.findall(rf"^(?:.*?\b)?{re.escape(str(path))}:(\d+):(\d+): (.*)$", done.err, re.M)
    assert told, done.err
    for line, word in MISTAKES:
        assert any(int(at) == line and word in text for at, _, text in told), f"line {line}, {word}: {done.err}"
    lines = BROKEN.splitlines()
    for at, column, text in told:
        assert 1 <= int(at) <= len(lines) and 1 <= int(column) <= len(lines[int(at) - 1]) + 1, (at, column, text)


@pytest.mark.parametrize("wrong, right", [
    ("backends: []", "clusters"), ("upstreams: []", "clusters"), ("maxconn: 5", "limits.max_connections"),
    ("listner: []", "listeners"), ("logs: {}", "log"), ("threads: 4", "workers")])
def test_did_you_mean(file, wrong, right):
    done = run("-t", "-c", file(wrong + "\n" + GOOD))
    assert done.returncode == 1
    assert re.search(rf':1:1: unknown key .*: did you mean "{re.escape(right)}"\?', done.err), done.err


def test_key_of_a_feature_to_come_is_a_warning(file):
    done = run("-t", "-c", file(GOOD + "    protocol: h2\n"))
    assert done.returncode == 0
    (line,) = [x for x in done.err.splitlines() if "not yet in effect" in x]
    assert ":9:" in line and "h2" in line


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "a: [1\n", "a: b: c\n", "\tx: 1\n", "a: &b [*b]\n", "\x00", "[" * 5000,
                                  "a: " + "x" * 100000 + "\n", "{" * 100 + "}" * 100])
def test_file_that_is_no_configuration_is_refused(file, text):
    path = file(text)
    done = run("-t", "-c", path)
    assert done.returncode == 1 and str(path) in done.err and len(done.err) < 20000


@pytest.mark.parametrize("path", ["nowhere.yaml", "."])
def test_file_that_cannot_be_read_is_told(directory, path):
    done = run("-c", directory / path)
    assert done.returncode == 1 and str(directory / path) in done.err


def test_environment_expands(file, directory):
    text = GOOD.replace('"127.0.0.1:{port}"', '"127.0.0.1:${E2E_PORT}"').replace("name: chat\n", "name: chat\n    balance: ${E2E_BALANCE:-round_robin}\n")
    path = file(text)
    assert run("-t", "-c", path, env={"E2E_PORT": "8080"}).returncode == 0
    shown = run("-T", "-c", path, env={"E2E_PORT": "8080"}).out
    assert "127.0.0.1:8080" in shown and "round_robin" in shown
    bad = run("-t", "-c", path, env={"E2E_PORT": "8080", "E2E_BALANCE": "fastest"})
    assert bad.returncode == 1 and "fastest" in bad.err
    unset = run("-t", "-c", path)
    assert unset.returncode == 1 and "E2E_PORT" in unset.err


def test_effective_configuration_is_a_configuration_with_all_defaults(file, directory):
    path = file(GOOD)
    done = run("-T", "-c", path)
    assert done.returncode == 0
    for default in ("keep_alive", "75s", "max_header_size", "32KiB", "round_robin", "grace"):
        assert default in done.out, default
    again = file(done.out, "again.yaml")
    assert run("-t", "-c", again).returncode == 0
    assert run("-T", "-c", again).out == done.out, "a fixed point"


def test_schema_is_json_and_knows_the_keys(file):
    done = run("--schema")
    assert done.returncode == 0
    schema = json.loads(done.out)
    assert {"listeners", "clusters", "log", "limits", "shutdown", "workers"} <= set(schema["properties"])
    assert "$schema" in schema


def test_version_says_what_it_is_made_of(file):
    done = run("--version")
    assert done.returncode == 0
    assert re.match(r"holdfast \d+\.\d+", done.out)
    for part in ("OpenSSL", "liburing", "PCRE2", "libyaml", "io_uring"):
        assert part.lower() in done.out.lower(), part


def test_help_names_every_option(file):
    done = run("--help")
    assert done.returncode == 0
    for option in ("-c", "-t", "-T", "--schema", "--demo", "--version"):
        assert option in done.out


@pytest.mark.parametrize("args", [["--no-such-option"], ["-c"], ["-Z"], ["extra"], []], ids=" ".join)
def test_wrong_command_line_is_refused_with_a_hint(args, directory):
    done = run(*args, cwd=directory)
    assert done.returncode in (1, 2, 64) and done.err


def test_address_in_use_is_told_at_start(file, origin):
    done = run("-c", file(GOOD.replace("{port}", str(origin.port))))
    assert done.returncode == 1
    assert f"127.0.0.1:{origin.port}" in done.err and "in use" in done.err.lower()


def test_address_of_another_machine_is_told_at_start(file):
    done = run("-c", file(GOOD.replace("127.0.0.1:{port}", "192.0.2.1:8080")))
    assert done.returncode == 1 and "192.0.2.1:8080" in done.err


def test_pid_file_holds_the_process_id_while_it_runs(holdfast, directory):
    hf = holdfast(routes=[{"respond": {"status": 200}}], pid_file=str(directory / "pid"))
    assert int((directory / "pid").read_text()) == hf.pid
    assert hf.stop() == 0
    assert not (directory / "pid").exists()


def test_conf_of_the_tree_passes_the_check(directory):
    """The commented example has to be one that works, but for the files that it names."""
    text = (TREE / "conf" / "holdfast.yaml").read_text()
    done = run("-t", "-c", TREE / "conf" / "holdfast.yaml")
    assert done.returncode == 0 or all(
        re.search(r"cannot|No such file|unreadable|read", x) for x in done.err.splitlines() if "warning" not in x), done.err
    assert text.lstrip().startswith("#")


def test_check_warns_of_what_a_start_here_would_miss(file, directory):
    """The file may be meant for another machine: -t tells, and calls it good; the start does not."""
    path = file("user: nobody-of-that-name\nadmin: {socket: " + str(directory / "none" / "admin.sock") + "}\n"
                "log: {access: {path: " + str(directory / "none" / "access.log") + "}}\n" + GOOD)
    done = run("-t", "-c", path)
    assert done.returncode == 0
    for key in ("user", "admin.socket", "log.access.path"):
        assert re.search(rf"warning: {re.escape(key)}: .*a start here would fail".encode(), done.stderr), done.stderr
    done = run("-c", path)
    assert done.returncode == 1 and all(word in done.stderr for word in (b"nobody-of-that-name", b"access.log", b"admin.sock"))
