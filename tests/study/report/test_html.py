"""The report's page in a real browser: what it shows, what its script adds, and that it requests nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gan_denoise.data.dataset import Dataset
from gan_denoise.study.report.build import write_report

ROOT = Path(__file__).parents[3]
NAME = "<img src=x onerror=alert(1)> <script>alert(2)"  # a run's folder
DESK, PHONE = (1280, 900), (390, 844)  # width and height
BODY = "main p, main li, main figcaption, main td, main th, main th button, main h2, main code, nav a"
CONTRASTS = """elements => elements.map(element => {
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const luminance = colour => numbers(colour).slice(0, 3).map(value => value / 255)
    .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  let behind = element;
  while (numbers(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  const both = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor].map(luminance);
  return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
})"""  # of WCAG 2
VISIBLE = "elements => elements.filter(element => element.checkVisibility() && element.naturalWidth > 0).length"

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def report(trained: Path, exported: Path, excerpt: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a trained run under a hostile name, with the published tables and the published comparison."""
    folder = tmp_path_factory.mktemp("page") / NAME
    shutil.copytree(trained, folder)
    shutil.copytree(exported, folder / "export")
    shutil.copytree(ROOT / "docs/best/results", folder / "results")
    shutil.copy(ROOT / "docs/experiments/compare.json", folder / "results")
    (folder / "study.json").write_text(json.dumps({"preset": "quick"}))
    return write_report(folder, excerpt)


@pytest.fixture
def open_page(browser: Any, report: Path) -> Iterator[Open]:
    """Opens the page in a browser context with options; checks afterwards that it requested and logged nothing."""
    requests: list[str] = []
    messages: list[str] = []
    contexts = []

    def open_in(size: tuple[int, int] = DESK, **options: Any) -> Any:
        contexts.append(browser.new_context(viewport={"width": size[0], "height": size[1]}, **options))
        page = contexts[-1].new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("dialog", lambda dialog: messages.append(dialog.message))
        page.goto(report.as_uri())
        return page

    yield open_in
    for context in contexts:
        context.close()
    assert not messages
    assert {url for url in requests if not url.startswith("data:")} == {report.as_uri()}


def column(page: Any, table: int, head: str) -> list[str]:
    """The cells below a heading."""
    cells: list[str] = (
        page.locator("table")
        .nth(table)
        .evaluate(
            """(table, name) => {
          const column = [...table.tHead.rows[0].cells].findIndex(cell => cell.textContent === name);
          return [...table.tBodies[0].rows].map(row => row.cells[column].textContent);
        }""",
            head,
        )
    )
    return cells


def table_with(page: Any, head: str) -> int:
    """The index of the first table with a heading of that name."""
    index: int = page.evaluate(
        "name => [...document.querySelectorAll('table')].findIndex("
        "table => [...table.tHead.rows[0].cells].some(cell => cell.textContent === name))",
        head,
    )
    assert index >= 0
    return index


def sort(page: Any, table: int, head: str) -> str:
    """Press a heading's button from the keyboard; returns its aria-sort afterwards. The page shows everything."""
    folded = "button.more[aria-expanded=false], button.fold[aria-expanded=false]"
    page.eval_on_selector_all(folded, "buttons => buttons.forEach(each => each.click())")
    button = page.locator("table").nth(table).get_by_role("button", name=head, exact=True)
    button.press("Enter")
    order: str = button.locator("..").get_attribute("aria-sort")
    return order


def test_the_policy_allows_only_the_pages_own_script(browser: Any, report: Path) -> None:
    page = browser.new_page()
    page.goto(report.as_uri())
    assert page.locator("th button").count() > 50
    blocked = page.evaluate(
        """() => new Promise(resolve => {
          document.addEventListener("securitypolicyviolation", event => resolve(event.violatedDirective));
          const script = document.createElement("script");
          script.textContent = "document.title = 'taken'";
          document.body.append(script);
          setTimeout(resolve, 2000, document.title);
        })"""
    )
    assert blocked == "script-src-elem"
    assert NAME in page.title()
    assert f"The study in {report.parent}, by" in page.locator("main p").first.text_content()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(open_page: Open, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    contrasts = page.eval_on_selector_all(BODY, CONTRASTS)
    assert len(contrasts) > 500
    assert min(contrasts) >= 4.5
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 23, 26)"
    assert dark == (scheme == "dark")


@pytest.mark.parametrize("size", [DESK, PHONE, (320, 600)])
def test_nothing_is_wider_than_the_screen(open_page: Open, size: tuple[int, int]) -> None:
    page = open_page(size)
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    wide = page.locator(".wide").nth(table_with(page, "KID"))
    assert wide.evaluate("element => getComputedStyle(element).overflowX") == "auto"  # the table scrolls, not the page
    assert wide.evaluate("element => element.getBoundingClientRect().right") <= size[0]


def test_every_image_has_a_text_and_a_caption(open_page: Open) -> None:
    page = open_page()
    texts = page.eval_on_selector_all("img", "images => images.map(image => image.alt)")
    assert len(texts) == 16
    assert min(map(len, texts)) > 20
    assert page.locator("figure:not(:has(figcaption))").count() == 0
    assert page.locator("img:not(figure img)").count() == 0


def test_a_heading_sorts_its_column_by_value_and_sets_aria_sort(open_page: Open) -> None:
    page = open_page()
    table = table_with(page, "images/s")
    before = column(page, table, "images/s")
    as_numbers = [int(text.replace(",", "")) for text in before]
    assert as_numbers != sorted(as_numbers)
    assert sort(page, table, "images/s") == "ascending"
    assert column(page, table, "images/s") == [f"{value:,}" for value in sorted(as_numbers)]
    assert sort(page, table, "images/s") == "descending"
    assert column(page, table, "images/s") == [f"{value:,}" for value in sorted(as_numbers, reverse=True)]
    assert sort(page, table, "backend") == "ascending"  # text; the other heading is no longer sorted
    assert column(page, table, "backend") == sorted(column(page, table, "backend"))
    assert page.locator("table").nth(table).locator("[aria-sort=descending]").count() == 0
    sort(page, table, "images/s")
    sort(page, table, "images/s")
    assert sort(page, table, "images/s") == "none"
    assert column(page, table, "images/s") == before


def test_errors_intervals_and_percents_are_sorted_by_their_value(open_page: Open) -> None:
    page = open_page()
    table = table_with(page, "KID")
    sort(page, table, "KID")
    values = [float(text.split("\u00a0±")[0]) for text in column(page, table, "KID")]
    assert values == sorted(values)
    assert values[0] < 0 < values[-1]
    for _ in range(2):  # last in both directions
        sort(page, table, "class preserved")
        cells = column(page, table, "class preserved")
        assert "not measured" in cells
        assert set(cells[cells.index("not measured") :]) == {"not measured"}
    assert cells[0] == "100.0%"  # as text it would sort before 98.9%
    table = table_with(page, "ratio")
    sort(page, table, "ratio")
    ratios = [float(text.split()[0]) for text in column(page, table, "ratio")]
    assert ratios == sorted(ratios)
    assert any(" to " in text.replace("\u00a0", " ") for text in column(page, table, "ratio"))


def test_a_wide_table_shows_six_columns_until_a_button_shows_all(open_page: Open) -> None:
    page = open_page(PHONE)
    table = page.locator("table").nth(table_with(page, "KID"))
    heads = table.locator("th")
    assert heads.count() > 6
    assert [head.is_visible() for head in heads.all()] == [i < 6 for i in range(heads.count())]
    button = table.locator("xpath=../preceding-sibling::button[1]")
    assert button.text_content() == f"Show all {heads.count()} columns"
    assert button.get_attribute("aria-expanded") == "false"
    button.press("Enter")
    assert all(head.is_visible() for head in heads.all())
    assert (button.text_content(), button.get_attribute("aria-expanded")) == ("Show 6 columns", "true")
    button.press("Enter")
    assert not heads.last.is_visible()
    narrow = page.locator("table").evaluate_all(
        "tables => tables.filter(t => t.tHead.rows[0].cells.length <= 6).length"
    )
    assert page.locator("button.more").count() == page.locator("table").count() - narrow


def test_details_are_folded_until_their_heading_is_pressed_or_linked_to(open_page: Open) -> None:
    page = open_page(PHONE)
    methods, speed = (page.get_by_role("button", name=name, exact=True) for name in ("Methods", "Speed"))
    table = page.locator("table").nth(table_with(page, "images/s"))
    assert not table.is_visible()
    assert speed.get_attribute("aria-expanded") == "false"
    speed.press("Enter")
    assert table.is_visible()
    speed.press("Enter")
    assert not table.is_visible()
    page.locator("nav a", has_text="Methods").click()
    assert methods.get_attribute("aria-expanded") == "true"
    assert page.locator("img[src^='data:image/svg']").first.is_visible()
    assert page.locator("h2", has_text="The denoiser on generated images").locator("button").count() == 0


def test_the_folded_page_is_short_on_a_phone(open_page: Open) -> None:
    assert open_page(PHONE).evaluate("document.documentElement.scrollHeight") < 12_000


def test_the_handle_uncovers_the_denoised_images(open_page: Open) -> None:
    page = open_page()
    frame, handle = page.locator(".frame"), page.locator(".handle")
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()

    def at() -> float:
        line = handle.bounding_box()
        return float((line["x"] + line["width"] / 2 - box["x"]) / box["width"])

    def shown() -> bytes:
        """A screenshot from 30 to 40 % of the width, where the handle never is."""
        shot: bytes = page.screenshot(clip={**box, "x": box["x"] + 0.3 * box["width"], "width": 0.1 * box["width"]})
        return shot

    assert at() == pytest.approx(0.5, abs=0.01)
    before = shown()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.5 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.2 * box["width"], y, steps=5)
    page.mouse.up()
    assert at() == pytest.approx(0.2, abs=0.01)
    after = shown()
    assert after != before
    slider = frame.get_by_role("slider")
    assert "Before the denoiser" in slider.get_attribute("aria-label")
    slider.press("End")
    assert at() == pytest.approx(1, abs=0.01)
    assert shown() == before
    slider.press("Home")
    assert at() == pytest.approx(0, abs=0.01)
    assert shown() == after
    slider.press("ArrowRight")
    assert at() == pytest.approx(0.01, abs=0.005)
    assert slider.evaluate("range => range.ariaValueText").startswith("1 %: Before the denoiser")


def test_the_slider_shows_one_epoch_at_a_time(open_page: Open) -> None:
    page = open_page(PHONE)
    figure = page.locator("figure.series")
    slider = figure.get_by_role("slider")
    assert figure.locator("img").count() == 2
    assert [image.is_visible() for image in figure.locator("img").all()] == [False, True]
    assert figure.locator(".controls span").text_content() == "Epoch 2"
    last = figure.screenshot()
    slider.press("ArrowLeft")
    assert [image.is_visible() for image in figure.locator("img").all()] == [True, False]
    assert slider.evaluate("range => range.ariaValueText") == "Epoch 1"
    assert figure.screenshot() != last


def test_without_script_everything_is_shown(open_page: Open) -> None:
    page, scripted = open_page(java_script_enabled=False), open_page()
    assert page.locator("button, input").count() == 0
    assert page.locator("tbody tr").count() == scripted.locator("tbody tr").count() > 50
    assert [image.is_visible() for image in page.locator("img").all()] == 16 * [True]
    before, after = (page.locator("figure.pair img").nth(i).bounding_box() for i in range(2))
    assert before["y"] + before["height"] <= after["y"]  # one below the other


def test_print_shows_all_images_and_no_controls(open_page: Open) -> None:
    page = open_page()
    assert page.eval_on_selector_all("img", VISIBLE) < 14  # one of two epochs and the folded sections are hidden
    page.locator(".frame").get_by_role("slider").press("Home")  # would hide figure 3
    page.emulate_media(media="print")
    assert page.eval_on_selector_all("img", VISIBLE) == 16
    assert page.locator(".frame img").first.evaluate("image => getComputedStyle(image).clipPath") == "none"
    before, after = (page.locator("figure.pair img").nth(i).bounding_box() for i in range(2))
    assert before["y"] + before["height"] <= after["y"]
    for control in page.locator("input, .handle, .names, nav").all():
        assert not control.is_visible()
    assert page.pdf().startswith(b"%PDF")


def test_the_page_is_small(report: Path) -> None:
    assert 100_000 < report.stat().st_size < 3_000_000
