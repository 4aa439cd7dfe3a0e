"""`holdfast --demo`: one command, and two browser tabs chat through the proxy."""
import re
import ssl

import pytest

from kit import chrome
from kit.raw import RawClient
from kit.servers import ws_connect

PORT = 8443
URL = f"https://127.0.0.1:{PORT}/"
INPUT = """(() => {
	const field = [...document.querySelectorAll('input, textarea')].filter((e) => e.offsetParent !== null
		&& !e.disabled && !['button', 'submit', 'checkbox', 'radio', 'hidden'].includes(e.type)).pop();
	if (field)
		field.focus();
	return Boolean(field);
})()"""


@pytest.fixture
def demo(holdfast):
    return holdfast(args=["--demo"], ready=[PORT])


@pytest.fixture
def anything():
    """The demo's certificate is its own: there is nobody to vouch for it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_demo_serves_its_page_over_tls(demo, anything):
    client = RawClient(("127.0.0.1", PORT), tls=anything)
    demo.clients.append(client)
    response = client.request()
    assert response.status == 200 and response.get("content-type").startswith("text/html")
    assert "WebSocket" in response.text
    assert client.socket.version() == "TLSv1.3"
    assert not re.search(r"(src|href)=.?https?://", response.text), "nothing from elsewhere: it works without a network"


def test_demo_says_where_to_look(demo):
    assert URL in demo.log() + demo.access_text()


async def test_demo_page_opens_a_websocket_that_chats(demo, anything):
    """What the page does, without a browser: two sockets, and one hears the other."""
    path = await demo_socket_path(anything)
    first = await ws_connect(f"wss://127.0.0.1:{PORT}{path}", tls=anything)
    second = await ws_connect(f"wss://127.0.0.1:{PORT}{path}", tls=anything)
    await first.close()
    await second.close()
    assert first.close_code == second.close_code == 1000


async def demo_socket_path(anything):
    """The path of the page's WebSocket, out of its script."""
    with RawClient(("127.0.0.1", PORT), tls=anything) as client:
        page = client.request().text
        scripts = re.findall(r'<script[^>]+src="?(/[^"\s>]+)', page)
        text = page + "".join(client.request(s).text for s in scripts)
    found = re.search(r"new WebSocket\([^)]*?[\"'`/}](/[\w./-]+)", text)
    return found.group(1) if found else "/ws"


@pytest.mark.skipif(chrome.program() is None, reason="chromium is missing")
@pytest.mark.limit(120)
async def test_two_browser_tabs_chat_through_the_proxy(demo, directory):
    async with chrome.Chrome(directory) as browser:
        tabs = [await browser.tab(URL) for _ in range(2)]
        for tab in tabs:
            await tab.wait_for(INPUT, "a field to type into")
            await tab.wait_for(r"/(endpoint|served|backend|127\.0\.0\.1:\d+)/i.test(document.body.innerText)",
                               "the endpoint that serves to be shown")
        for speaker, words in ((0, "hello from the first tab"), (1, "and from the second")):
            tab = tabs[speaker]
            await tab.call("Page.bringToFront")
            await tab.wait_for(INPUT, "a field to type into")
            await tab.type(words)
            for listener in tabs:
                await listener.wait_for(f"document.body.innerText.includes({words!r})", f"{words!r} to be heard")
        for tab in tabs:
            assert tab.sockets and all(s.startswith(f"wss://127.0.0.1:{PORT}/") for s in tab.sockets), tab.sockets
            assert not [p for p in tab.problems if "favicon" not in p], tab.problems
