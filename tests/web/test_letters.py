"""Each step of each sequence, read back from the catcher, in a browser: desktop and telephone, by
day and by night."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import House

CHROMIUM = Path("/usr/bin/chromium")
# The worst contrast of any text with what lies behind it (WCAG 2.2), and the text.
WORST = """() => {
  const light = c => c.map(v => v / 255).map(
    v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const lum = c => { const [r, g, b] = light(c); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const rgba = s => s.match(/[\\d.]+/g).map(Number);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = rgba(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  let worst = [99, ''];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement, words = walk.currentNode.data.trim();
    const box = e.getBoundingClientRect();
    if (!words || box.width < 2 || box.height < 2) continue;
    const a = lum(rgba(getComputedStyle(e).color)), b = lum(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst[0]) worst = [ratio, words.slice(0, 40)];
  }
  return worst;
}"""


def sent(house: House) -> dict[str, dict[str, Any]]:
    """The mails by step, whole, of somebody who is welcomed and of somebody who was not hired."""
    house.apply(first_name="Wolfeschlegelsteinhausen" * 2, email="w@example.com")
    row = house.apply(first_name="José", email="jose@example.com")
    house.settle()
    house.does("move", row["id"], "Final Interview")
    house.does("reject", row["id"])
    for _ in range(95):
        house.clock.move(days=1)
        house.settle()
    found: dict[str, dict[str, Any]] = {}
    for mail in house.mails():
        url = f"{house.box.mailbox_url}/api/messages/{mail['id']}"
        whole = httpx.get(url, trust_env=False).json()
        headers = {name.lower(): value for name, value in whole["all_headers"]}
        found[headers["x-warmline-step"]] = {**whole, "headers": headers}
    return found


@pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium")
def test_each_letter_can_be_read_on_any_screen_by_day_and_by_night(house: House) -> None:
    from playwright.sync_api import sync_playwright

    mails = sent(house)
    steps = {f"welcome/{n}" for n in (1, 2, 3)} | {f"silver-medalist/{n}" for n in (1, 2, 3, 4)}
    assert steps <= set(mails)
    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        for scheme, paper in (("light", "rgb(253, 251, 248)"), ("dark", "rgb(29, 27, 25)")):
            for width in (1280, 375):
                context = browser.new_context(
                    viewport={"width": width, "height": 800},
                    color_scheme="dark" if scheme == "dark" else "light",
                    java_script_enabled=True,
                    offline=True,
                )
                page = context.new_page()
                for step, mail in mails.items():
                    page.set_content(mail["html"])
                    where = f"{step} {scheme} {width}"
                    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                        wrong.append(f"{where}: scrolls sideways")
                    ratio, words = page.evaluate(WORST)
                    if ratio < 4.5:
                        wrong.append(f"{where}: contrast {ratio:.2f} of {words!r}")
                    shade = "getComputedStyle(document.querySelector('.page')).backgroundColor"
                    if page.evaluate(shade) != paper:
                        wrong.append(f"{where}: the paper is {page.evaluate(shade)}")
                    small = "getComputedStyle(document.querySelector('.letter div')).fontSize"
                    assert page.evaluate(small) == "17px"
                context.close()
        browser.close()
    assert wrong == []


def test_the_header_fields_and_both_parts_as_they_arrive(house: House) -> None:
    for step, mail in sent(house).items():
        headers = mail["headers"]
        assert headers["list-unsubscribe-post"] == "List-Unsubscribe=One-Click", step
        link = headers["list-unsubscribe"].strip(" <>")
        assert link in mail["text"]
        assert link.replace("&", "&amp;") in mail["html"]
        assert headers["content-type"].startswith("multipart/alternative")
        assert headers["message-id"].startswith("<warmline.")
        assert headers["auto-submitted"] == "auto-generated"
        for part in (mail["text"], mail["html"]):
            assert "12 Mill Lane, Bristol BS1 4ND" in part
            assert part.count("Northwind Bakeries, Northwind Bakeries") == 0
        assert len(mail["html"].encode()) < 102 * 1024
