"""Takes the pictures of docs/console.md: a sandboxed mesh with some traffic and one vendor that has died."""

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from fixtures import browser as browsing
from fixtures.browser import NARROW, Visit, settled, visiting
from fixtures.sandbox_mesh import ROOT, SandboxMesh, sandbox_mesh

PLACE = ROOT / "docs" / "images"
WIDE = {"width": 1280, "height": 1000}
QUESTION = "What is a mesh, in two sentences?"


def limit(amount: int, window: str, unit: str = "requests") -> dict[str, Any]:
    """Return a limit that little traffic fills."""
    return {"unit": unit, "window": window, "amount": amount, "scope": "account"}


CONFIG = {
    "vendors": {
        "groq": {"limits": {"free": [limit(60, "day"), limit(20_000, "day", "tokens"), limit(40, "minute")]}},
        "gemini": {"limits": {"free": [limit(40, "day America/Los_Angeles")]}},
        "mistral": {"limits": {"free": [limit(4_000, "month", "tokens")]}},
    }
}
TRAFFIC = (
    *(("groq/openai/gpt-oss-120b", "tokens: 120"),) * 34,
    *(("openrouter", "say: yes"),) * 21,
    *(("cohere", "tokens: 90"),) * 12,
    *(("mistral", "tokens: 150"),) * 8,
    *(("anthropic", "tokens: 400"),) * 5,
    *(("openai", "tokens: 300"),) * 9,
    *(("ollama", "say: yes"),) * 3,
)


def main() -> int:
    """Take them all."""
    if missing := browsing.missing():
        sys.stderr.write(f"not installed: {missing}; `make test-real` says why\n")
        return 1
    PLACE.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as place,
        sandbox_mesh(Path(place), CONFIG) as mesh,
        browsing.browser() as chromium,
    ):
        _live(mesh)
        for name, size, scheme in (("light", WIDE, "light"), ("dark", WIDE, "dark"), ("narrow", NARROW, "light")):
            with visiting(chromium, mesh.edge, size, color_scheme=scheme) as visit:
                _take(visit, mesh, PLACE / f"console-{name}.png")
    return 0


def _live(mesh: SandboxMesh) -> None:
    """Let traffic flow, and a vendor die under it."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda asked: _ask(mesh, *asked), TRAFFIC))
    httpx.put(f"{mesh.simulator}/_control/vendors/gemini/faults", json=[{"kind": "refuse", "operation": "any"}])
    for _ in range(6):
        _ask(mesh, "use_case:summarization", "tokens: 80")


def _ask(mesh: SandboxMesh, model: str, text: str) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    httpx.post(f"{mesh.edge}/v1/chat/completions", json=body, timeout=60, trust_env=False)


def _take(visit: Visit, mesh: SandboxMesh, file: Path) -> None:
    """Ask something, and take the picture with something else under way."""
    settled(visit)
    visit.page.select_option("#model", "use_case:summarization")
    visit.page.fill("#prompt", QUESTION)
    visit.page.click("#send")
    visit.page.locator("#outcome.good").wait_for(timeout=browsing.WAIT)
    slow = {"first_token_ms": 0, "token_ms": 400}
    httpx.put(f"{mesh.simulator}/_control/vendors/groq/latency", json=slow)
    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(_ask, mesh, "groq/openai/gpt-oss-20b", "tokens: 20") for _ in range(6)]
        visit.until("() => document.querySelector('#vendor-rows').innerText.includes('held')")
        visit.page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        visit.page.wait_for_timeout(600)  # the bars glide
        visit.page.screenshot(path=str(file))
        for each in asking:
            each.result()
    sys.stdout.write(f"{file.relative_to(ROOT)}\n")


if __name__ == "__main__":
    sys.exit(main())
