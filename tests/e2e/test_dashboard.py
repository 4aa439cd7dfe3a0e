"""The dashboard, in headless Chromium."""
import asyncio
import base64
import os
from pathlib import Path

import pytest

from kit import chrome
from kit.admin import Admin
from kit.frames import TEXT, echo_frames, frame, open_websocket, read_frame, websocket_play
from kit.kernel import free_port
from kit.wait import wait_until


@pytest.fixture
def start(holdfast, short_directory, make_raw):
    port, path = free_port(), short_directory / "admin.sock"
    backend = make_raw(websocket_play(echo_frames))
    hf = holdfast(backend, admin={"socket": str(path), "listen": f"127.0.0.1:{port}"})
    wait_until(path.exists, "the admin socket")
    return hf, Admin(path), port, backend


def test_page_has_no_part_from_elsewhere(start):
    _, admin, _, _ = start
    answer = admin.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    for word in ("src=", "@import", 'href="http', "url(", "https://"):
        assert word not in answer.text, word


def test_events_go_on_and_end_with_who_listens(start):
    _, admin, _, backend = start
    before = admin.metrics()["holdfast_process_open_fds"]
    connection = admin.connection()
    connection.request("GET", "/events")
    response = connection.getresponse()
    assert response.headers["content-type"] == "text/event-stream"
    events = []
    while len(events) < 2:
        line = response.readline()
        if line.startswith(b"data: "):
            events.append(line)
    assert backend.address.encode() in events[0]
    response.close()
    connection.close()
    wait_until(lambda: admin.metrics()["holdfast_process_open_fds"] <= before, "the stream to be let go")


def test_writes_of_pages_are_refused(start):
    _, admin, _, _ = start
    connection = admin.connection()
    connection.request("POST", "/drain", headers={"Origin": "http://localhost:9901"})
    response = connection.getresponse()
    assert response.status == 403 and response.read()
    connection.close()
    assert admin.get("/ready").status == 200


@pytest.mark.skipif(chrome.program() is None, reason="chromium is not there")
@pytest.mark.parametrize("scheme, width", [("light", 1200), ("dark", 390)])
def test_page_shows_what_lives(start, directory, scheme, width):
    hf, _, port, backend = start
    client = hf.connect()
    open_websocket(client)

    async def main():
        async with chrome.Chrome(directory) as browser:
            tab = await browser.tab("about:blank")
            await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            await tab.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1,
                           mobile=width < 500)
            await tab.call("Page.navigate", url=f"http://127.0.0.1:{port}/")
            await tab.wait_for("document.querySelector('#state')?.textContent === 'running'", "the first event")
            text = await tab.text()
            assert backend.address in text and "ready" in text and "web" in text
            total = "[...document.querySelectorAll('#endpoints td')].map(td => td.textContent)"
            cells = await tab.evaluate(total)
            assert cells[:5] == ["c", backend.address, "ready", "1", "1"]
            client.send(frame(TEXT, b"x"))
            assert read_frame(client).payload == b"x"
            await tab.wait_for("[...document.querySelectorAll('.card')].some(c => c.innerText.startsWith('Messages in')"
                               " && !/\\n0$/.test(c.innerText.trim()))", "the message to be seen")
            assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it is too wide"
            assert await tab.evaluate("document.querySelector('#find').hidden"), "only over the UNIX socket"
            keep = os.environ.get("HOLDFAST_E2E_SCREENSHOTS")
            if keep:
                shot = await tab.call("Page.captureScreenshot", format="png")
                (Path(keep) / f"dashboard-{scheme}.png").write_bytes(base64.b64decode(shot["data"]))
            return tab.problems
    assert asyncio.run(main()) == []
