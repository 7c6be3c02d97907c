"""The pages for candidates in a real browser: a phone and a desk, light and dark, by keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.web.conftest import Letter

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium")

# Text and its background by WCAG 2.2: AA wants 4.5, or 3 where it is large.
CONTRAST = """() => {
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const read = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const [r, g, b, a = 1] = read(getComputedStyle(e).backgroundColor);
      if (a > 0) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const ratio = (one, other) => {
    const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const wrong = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (own) {
      const found = ratio(read(style.color).slice(0, 3), behind(element));
      if (found < (large ? 3 : 4.5)) wrong.push(`${element.tagName} text ${found.toFixed(2)}`);
    }
    if (element.matches('button, select')) {
      const edge = ratio(read(style.borderTopColor).slice(0, 3), behind(element.parentElement));
      if (edge < 3) wrong.push(`${element.tagName} edge ${edge.toFixed(2)}`);
    }
    if (element.matches('button, select, label.choice, p.rule > a')) {
      const box = element.getBoundingClientRect();
      if (box.height < 24 && !element.matches('a')) wrong.push(`${element.tagName} too small`);
    }
  }
  if (document.documentElement.scrollWidth > innerWidth) wrong.push('scrolls sideways');
  return wrong;
}"""
FOCUS = """() => {
  const style = getComputedStyle(document.activeElement);
  const seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  return [document.activeElement.tagName, seen];
}"""


def look(page: Any, name: str, found: list[str]) -> None:
    found += [f"{name}: {wrong}" for wrong in page.evaluate(CONTRAST)]
    for _ in range(page.locator("a, button, select, input").count() + 1):
        page.keyboard.press("Tab")
        tag, seen = page.evaluate(FOCUS)
        if tag != "BODY" and not seen:
            found.append(f"{name}: focus on {tag} is not seen")


def press(page: Any, words: str) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name=words).click()


def walk(page: Any, at: str, letter: Letter, found: list[str]) -> None:
    """Every page in every state that a person can come to, ending with the last letter."""
    k, opt_in = letter.links("k")
    page.goto(at + k)
    look(page, "noted", found)
    press(page, "Yes, keep me posted")
    look(page, "done", found)
    press(page, "Take it back")
    look(page, "taken back", found)
    page.goto(at + opt_in)
    look(page, "ask", found)
    press(page, "Yes, you may")
    look(page, "agreed", found)
    page.goto(at + letter.link("p"))
    page.get_by_text("Nothing for 3 months").click()
    page.get_by_text("Every two months").click()
    look(page, "preferences", found)
    press(page, "Save")
    look(page, "saved", found)
    assert page.get_by_role("status").inner_text().startswith("Saved")
    for path in ("/k/x", "/p/x", "/u/x", "/c/x", "/v/x", letter.link("u")):
        page.goto(at + path)
        look(page, path[:3], found)


@pytest.mark.parametrize(("width", "scheme"), [(375, "dark"), (1280, "light")])
def test_every_page_can_be_read_and_used_by_keyboard_at_any_width_and_in_any_light(
    letter: Letter, wire: httpx.Client, width: int, scheme: str
) -> None:
    from playwright.sync_api import sync_playwright

    said: list[str] = []
    found: list[str] = []
    at = str(wire.base_url).rstrip("/")
    # Inside the block Playwright runs an event loop on this thread: the ledger is left alone.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        context: Any = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme=scheme,  # type: ignore[arg-type]
            java_script_enabled=True,
        )
        page = context.new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda m: said.append(m.text) if "404" not in m.text else None)
        walk(page, at, letter, found)
        press(page, "Stop the e")
        look(page, "unsubscribed", found)
        page.goto(at + letter.link("p"))
        look(page, "stopped", found)
        page.goto(at + letter.link("v"))
        assert "Hi Ada" in page.inner_text("body")
        assert not context.cookies()
        context.close()
        browser.close()
    assert said == []
    assert found == []


def test_the_pages_work_without_a_script(letter: Letter, wire: httpx.Client) -> None:
    from playwright.sync_api import sync_playwright

    at = str(wire.base_url).rstrip("/")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(java_script_enabled=False, locale="de-DE")
        page = context.new_page()
        page.goto(at + letter.link("p"))
        page.get_by_label("Einen Monat lang nichts").check()
        page.get_by_label("Höchstens einmal im Monat").check()
        press(page, "Speichern")
        assert page.get_by_label("Höchstens einmal im Monat").is_checked()
        page.goto(at + letter.links("k")[0])
        press(page, "Ja, halten Sie mich")
        assert "Danke" in page.get_by_role("heading", level=1).inner_text()
        context.close()
        browser.close()
