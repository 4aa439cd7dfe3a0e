"""The documentation: its configurations are good, its links lead somewhere, its tables are whole."""
import re

import pytest

from kit import process

DOC = process.TREE / "doc"
PAGES = sorted([*DOC.glob("*.md"), *DOC.glob("recipes/*.md"), process.TREE / "README.md",
                *(process.TREE / "contrib").rglob("*.md")])


def blocks(page):
    """Whole configurations: what has listeners."""
    found = re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.M | re.S)
    return [b for b in found if re.search(r"^listeners:", b, re.M)]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.stem)
def test_configurations_are_good(page, directory, certs):
    for text in blocks(page):
        # the one thing that a reader has and we have not
        text = re.sub(r"cert: /etc/\S+\.pem", f"cert: {certs.leaf.cert}", text)
        text = re.sub(r"key: /etc/[^ }]+\.key", f"key: {certs.leaf.key}", text)
        file = directory / "page.yaml"
        file.write_text(text)
        done = process.run("-t", "-c", file)
        faults = [line for line in done.err.splitlines() if not line.endswith("a start here would fail")]
        assert done.returncode == 0 and not faults, done.err + text


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(process.TREE)).replace("/", "_"))
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if not link.startswith(("http:", "https:")):
            assert (page.parent / link).exists(), link


def test_every_reason_is_explained():
    rows = re.findall(r"\[REASON_\w+\]\s*=\s*\{\s*\"(\w+)\"", (process.TREE / "src" / "base" / "reasons.c").read_text())
    assert len(rows) > 50
    text = (DOC / "troubleshooting.md").read_text().partition("## Every reason")[2]
    assert set(rows) - set(re.findall(r"`(\w+)`", text)) == set()


def test_keys_that_pages_name_are_keys():
    """What stands as `a.b` in the tables from other proxies is in the reference."""
    known = set(re.findall(r"^\| `([\w]+)`", (DOC / "configuration.md").read_text(), re.M))
    for page in ("from-nginx.md", "from-haproxy.md", "operations.md", "security.md"):
        for key in re.findall(r"`((?:[a-z_]+\.)+[a-z_]+)`", (DOC / page).read_text()):
            if key.split(".")[-1] in ("log", "conf", "yaml", "service", "md", "json") or key.startswith(("net.", "kernel.", "req.")):
                continue
            assert key.split(".")[-1] in known, f"{page}: {key}"
