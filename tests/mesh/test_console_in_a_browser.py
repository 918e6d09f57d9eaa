"""The console in a real Chromium: it moves with the mesh, it may be read by anybody, and it asks nobody else."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fixtures import browser as browsing
from fixtures.browser import DESKTOP, NARROW, Visit, settled, visiting
from fixtures.customer import Customer
from fixtures.keyed_mesh import key_of, keyed_mesh
from fixtures.observation import wait_until
from fixtures.sandbox_mesh import SandboxMesh, sandbox_mesh

pytestmark = [
    pytest.mark.real,
    pytest.mark.product("P-OPS-6"),
    pytest.mark.skipif(bool(browsing.missing()), reason=f"not installed: {browsing.missing()} (make test-real)"),
]
FAST = "groq/openai/gpt-oss-120b"
LOCAL = "ollama/llama3.1:8b"
KEY = "caller-key-of-the-console"


class Mesh:
    """A sandboxed mesh as these tests use it."""

    def __init__(self, running: SandboxMesh) -> None:
        self.edge = running.edge
        self._edge = httpx.Client(base_url=running.edge, timeout=60, trust_env=False)
        self._simulator = httpx.Client(base_url=running.simulator, timeout=60, trust_env=False)

    def ask(self, model: str, text: str = "say: yes", **more: Any) -> None:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        reply = self._edge.post("/v1/chat/completions", json=body)
        assert reply.status_code == 200, reply.text

    def tell(self, vendor: str, what: str, body: Any) -> None:
        assert self._simulator.put(f"/_control/vendors/{vendor}/{what}", json=body).status_code == 200


@pytest.fixture(scope="module")
def _mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    use_cases = {
        "chain": {"default_tier": "free", "candidates": {"free": [FAST, LOCAL]}},
        "breaks": {"default_tier": "free", "candidates": {"free": ["gemini/gemini-2.5-flash", LOCAL]}},
    }
    with sandbox_mesh(tmp_path_factory.mktemp("console"), {"use_cases": use_cases}) as running:
        yield Mesh(running)


@pytest.fixture
def mesh(_mesh: Mesh) -> Iterator[Mesh]:
    yield _mesh
    for vendor in ("groq", "gemini", "ollama"):
        _mesh.tell(vendor, "faults", [])
        _mesh.tell(vendor, "latency", {"first_token_ms": 0, "token_ms": 0})


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browsing.browser() as running:
        yield running


@pytest.fixture
def visit(chromium: Any, mesh: Mesh) -> Iterator[Visit]:
    with visiting(chromium, mesh.edge) as opened:
        settled(opened)
        yield opened
        assert opened.complaints == []
        assert opened.strangers() == []


def ask(visit: Visit, model: str, text: str) -> None:
    visit.page.select_option("#model", model)
    visit.page.fill("#prompt", text)
    visit.page.click("#send")


def until_let_in(customer: Customer, key: str) -> None:
    """Wait until the router has read the tenants file again."""
    headers = {"authorization": f"Bearer {key}"}

    def let_in() -> bool:
        return httpx.get(f"{customer.mesh.edge}/v1/models", headers=headers, trust_env=False).status_code == 200

    wait_until(let_in, 60, "the new key to be known")


def test_quotas_move_while_requests_flow(visit: Visit, mesh: Mesh) -> None:
    figures = visit.row("groq").locator(".figures-of").first
    figures.wait_for(timeout=browsing.WAIT)
    before = figures.inner_text()
    mesh.ask(FAST)
    visit.until("([row, before]) => row.innerText !== before", [figures.element_handle(), before])
    assert "used" in figures.inner_text()
    assert "left of" in figures.inner_text()
    # What is held is seen while the answer is on its way.
    mesh.tell("groq", "latency", {"first_token_ms": 0, "token_ms": 250})
    ask(visit, FAST, "tokens: 40")
    visit.until("(row) => row.innerText.includes('held')", figures.element_handle())
    held = visit.row("groq").locator(".bar .held").first
    visit.until("(bar) => bar.getBoundingClientRect().width > 0", held.element_handle())
    visit.page.click("#stop")
    visit.page.get_by_text("You stopped it.").wait_for(timeout=browsing.WAIT)
    visit.until("(row) => !row.innerText.includes('held')", figures.element_handle())


def test_the_breaker_of_a_vendor_that_is_killed_opens_and_who_stands_in_is_told(visit: Visit, mesh: Mesh) -> None:
    breaker = visit.row("gemini").locator(".breakers")
    assert breaker.inner_text() == "closed"
    closed = breaker.locator("path").nth(1).get_attribute("d")
    mesh.tell("gemini", "faults", [{"kind": "refuse", "operation": "any"}])
    for _ in range(6):
        mesh.ask("use_case:breaks")
    visit.until("(cell) => cell.innerText.startsWith('open')", breaker.element_handle())
    assert breaker.locator("path").nth(1).get_attribute("d") != closed  # by its shape, not by colour alone
    fallback = visit.page.locator("#fallback-rows tr", has_text="breaks, free").first
    fallback.wait_for(timeout=browsing.WAIT)
    assert "ollama" in fallback.inner_text()
    visit.until("() => document.querySelector('#now').innerText.includes('ollama/llama3.1:8b')")


def test_a_playground_answer_streams_and_tells_its_route(visit: Visit, mesh: Mesh) -> None:
    mesh.tell("ollama", "latency", {"first_token_ms": 50, "token_ms": 60})
    visit.page.evaluate(
        """() => {
          window.seen = [];
          const text = document.querySelector("#answer .text");
          new MutationObserver(() => window.seen.push(text.textContent.length))
            .observe(text, { subtree: true, childList: true, characterData: true });
        }"""
    )
    words = " ".join(f"word{number}" for number in range(20))
    ask(visit, LOCAL, f"say: {words}")
    visit.page.locator("#outcome.good").wait_for(timeout=browsing.WAIT)
    assert visit.text("#answer .text") == words
    seen = visit.page.evaluate("window.seen")
    assert len(set(seen)) > 10  # it came in pieces
    outcome = visit.text("#outcome")
    assert outcome.startswith("ollama/llama3.1:8b answered in ")
    assert "tokens in and" in outcome
    assert outcome.endswith("for $0.")
    (attempt,) = visit.page.locator("#route tbody tr").all()
    assert "served" in attempt.inner_text()
    assert [cell.inner_text().endswith(("ms", " s")) for cell in attempt.locator("td").all()[:2]] == [True, True]


def test_a_vendor_is_tried_from_its_row_and_what_it_refuses_is_said(visit: Visit, mesh: Mesh) -> None:
    mesh.tell("cohere", "faults", [{"kind": "status", "status": 400, "times": 1}])
    visit.row("cohere").get_by_role("button").click()
    assert visit.page.input_value("#model") == "cohere"
    assert visit.page.evaluate("document.activeElement.id") == "prompt"
    visit.page.keyboard.press("Control+Enter")
    visit.page.locator("#outcome.bad").wait_for(timeout=browsing.WAIT)
    assert "failed" in visit.text("#route tbody")
    visit.complaints.clear()  # the browser's own word for a reply that is no 200


def test_what_models_and_vendors_say_is_text_and_never_markup(visit: Visit) -> None:
    marked = "<img src=x onerror=alert(1)><b>bold</b>"
    ask(visit, LOCAL, f"say: {marked}")
    visit.page.locator("#outcome.good").wait_for(timeout=browsing.WAIT)
    assert visit.text("#answer .text") == marked
    assert visit.page.locator("#answer img, #answer b").count() == 0


def test_everything_is_reached_by_the_keyboard(visit: Visit) -> None:
    reached = set()
    visit.page.evaluate("document.body.focus()")
    for _ in range(120):
        visit.page.keyboard.press("Tab")
        reached.add(visit.page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"model", "tier", "prompt", "send", "baseline", "quiet try"} <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, NARROW], ids=["wide", "narrow"])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_screen(
    chromium: Any, mesh: Mesh, scheme: str, size: dict[str, int]
) -> None:
    mesh.tell("gemini", "faults", [{"kind": "refuse", "operation": "any"}])
    for _ in range(4):
        mesh.ask("use_case:breaks")
    mesh.ask(FAST)
    with visiting(chromium, mesh.edge, size, color_scheme=scheme, bypass_csp=True) as visit:
        settled(visit)
        ask(visit, LOCAL, "tokens: 60")
        visit.page.locator("#route tbody tr").wait_for(timeout=browsing.WAIT)
        for details in visit.page.locator("details:visible summary").all()[:3]:
            details.click()
        width = visit.page.evaluate("document.documentElement.scrollWidth")
        assert width <= size["width"]
        assert visit.faults() == []
        red, *_ = visit.page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert (red < 60) is (scheme == "dark")


def test_a_page_that_is_not_seen_asks_for_nothing(visit: Visit) -> None:
    """A hidden page closes its stream, and opens it again when it is seen."""
    hide = """(hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    visit.page.evaluate(hide, True)
    visit.until("() => document.querySelector('#live').dataset.state === 'paused'")
    visit.page.evaluate(hide, False)
    visit.until("() => document.querySelector('#live').dataset.state === 'live'")
    assert sum(url.endswith("/console/events") for url in visit.asked) == 2


def test_with_a_caller_key_the_page_asks_for_it_and_sends_it_nowhere_but_in_a_header(
    chromium: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory, keys = tmp_path_factory.mktemp("keyed"), {"GROQ_API_KEY": key_of("groq", "key1")}
    (directory / "tenants.yaml").write_text("tenants: {alice: {}}\n", encoding="utf-8")
    (directory / "tenants.pepper").write_text("pepper of the tests, long enough\n", encoding="utf-8")
    config = {"tenants": "tenants.yaml"}
    with (
        keyed_mesh(directory, config=config, keys=keys, caller_key=KEY) as customer,
        visiting(chromium, customer.mesh.edge) as visit,
    ):
        visit.page.locator("#door").wait_for(timeout=browsing.WAIT)
        assert visit.page.locator("#playground").is_hidden()
        visit.page.fill("#key", "wrong")
        visit.page.keyboard.press("Enter")
        visit.page.get_by_text("This key does not open the mesh.").wait_for(timeout=browsing.WAIT)
        visit.page.fill("#key", KEY)
        visit.page.keyboard.press("Enter")
        visit.row("groq").wait_for(timeout=browsing.WAIT)
        assert visit.page.locator("#door").is_hidden()
        ask(visit, FAST, "say: yes")
        visit.page.locator("#outcome.good").wait_for(timeout=browsing.WAIT)
        assert not any(KEY in url for url in visit.asked)
        assert visit.page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        visit.page.reload()
        visit.row("groq").wait_for(timeout=browsing.WAIT)  # it stays in the tab
        visit.page.click("#forget")
        visit.page.locator("#door").wait_for(timeout=browsing.WAIT)
        assert visit.page.evaluate("sessionStorage.length") == 0
        # Who is no operator may ask, and see nothing of others.
        file = str(directory / "tenants.yaml")
        made = json.loads(customer.command("keys", "create", "alice", "--file", file, "--json").stdout)["key"]
        until_let_in(customer, made)
        visit.page.fill("#key", made)
        visit.page.keyboard.press("Enter")
        visit.page.get_by_text("This key may ask, but not look").wait_for(timeout=browsing.WAIT)
        assert visit.page.locator("#state").is_hidden()
        ask(visit, FAST, "say: yes")
        visit.page.locator("#outcome.good").wait_for(timeout=browsing.WAIT)
        assert visit.strangers() == []
