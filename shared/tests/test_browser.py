"""The pages as a reader meets them, in headless Chromium at the widths of a phone and of a desk."""

import importlib.util
import re
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from claimkit import house
from claimkit.testing.ports import free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SITE = Path(__file__).parents[2] / "build" / "site"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="playwright is not installed"),
]
widths = pytest.mark.parametrize("width", [390, 1280])


@contextmanager
def browser(width):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        window = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = window.new_page(viewport={"width": width, "height": 900})
            page.set_default_timeout(600_000)
            errors = []
            page.on("pageerror", lambda e: errors.append(str(e)))
            yield page
            assert not errors
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        finally:
            window.close()


@contextmanager
def closing_down(server):
    try:
        yield
    finally:
        server.terminate()
        server.wait(300)


@widths
def test_the_report_filters_by_verdict_and_package(width, record, workspace):
    record(kind="reproduced", id="M4").save(workspace / "packages/msgd/results")
    house.page(workspace, workspace / "none", workspace / "report")
    with browser(width) as page:
        address = (workspace / "report/index.html").as_uri()
        page.goto(address)
        assert page.locator("article:visible").count() == 0
        assert page.get_by_text("3 claims shown").is_visible()
        page.get_by_role("button", name="not reproduced (1)").click()
        assert page.locator("article:visible").count() == 1
        assert page.locator("section.package:visible h2").all_inner_texts() == ["delta"]
        page.get_by_role("button", name="all verdicts").click()
        page.get_by_role("button", name="msgd (2)").click()
        assert page.locator("article:visible").count() == 2
        assert page.url.endswith("?package=msgd")
        page.reload()  # the choice is in the address
        assert page.locator("article:visible").count() == 2
        page.locator("article:visible").get_by_text("Values by seed").first.click()
        assert page.locator("article details[open] td").first.is_visible()
        assert (page.locator("article a img").first.get_attribute("alt") or "").startswith("Plot of Order: ")
        page.goto(f"{address}#delta-M3")
        assert page.locator("article:visible").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@widths
def test_the_report_can_be_read_by_everyone(width, scheme, record, workspace):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    house.page(workspace, workspace / "none", workspace / "report")
    with browser(width) as page:
        page.emulate_media(color_scheme=scheme)
        page.goto(f"{(workspace / 'report/index.html').as_uri()}?verdict=reproduced")
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        """Say nothing of a request."""


@contextmanager
def site():
    """The address of the documentation; the page that stands for a missing one has its style from the root of a server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=SITE)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@widths
def test_every_page_of_the_site_can_be_read_by_everyone(width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    pages = sorted(SITE.rglob("*.html"))
    if not pages:
        pytest.skip("the documentation is not built: nox -s docs")
    with site() as address, browser(width) as page:
        page.emulate_media(color_scheme=scheme)
        wrong = {}
        for path in pages:
            page.goto(f"{address}/{path.relative_to(SITE).as_posix()}")
            page.evaluate("Promise.all(document.getAnimations().map(a => a.finished))")  # half-way, contrast is less
            found = [v["id"] for v in axe.Axe().run(page).response["violations"]]
            found += ["wider than the window"] * (page.evaluate("document.documentElement.scrollWidth") > width)
            wrong |= {str(path.relative_to(SITE)): found} if found else {}
        assert not wrong


@contextmanager
def served(package):
    """The address of a package's page."""
    pytest.importorskip(package)
    pytest.importorskip("gradio")
    command = [str(Path(sys.executable).with_name(package)), "web", "--port", str(free_port()), "--size", "128"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, closing_down(server):
        assert server.stdout is not None
        address = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
        assert address
        yield address[0]


@pytest.mark.parametrize("package", ["styleproj", "photonet"])
@widths
def test_two_pictures_dropped_make_a_third_and_every_choice_changes_it(width, package, tmp_path):
    from PIL import Image

    ramp = Image.linear_gradient("L").convert("RGB")
    for name, colour in (("content", "seagreen"), ("style", "darkred")):
        Image.blend(ramp, Image.new("RGB", (256, 256), colour), 0.5).save(tmp_path / f"{name}.png")
    below = Image.new("L", (256, 256), 0)
    below.paste(9, (0, 128, 256, 256))
    below.save(tmp_path / "below.png")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (tmp_path / "diary.txt").write_text("Dear diary")
    with served(package) as address, browser(width) as page:
        page.goto(address)
        shown, notes = page.locator("#result img"), page.locator("#notes textarea")

        def drop(place, name):
            page.locator(f"#{place}").get_by_label(re.compile("Clear|Remove")).first.click()
            page.locator(f"#{place} input[type=file]").set_input_files(tmp_path / name)

        def changed(before):
            page.wait_for_function(
                "before => { const now = document.querySelector('#result img')?.src; return now && now !== before }",
                arg=before,
            )
            return shown.get_attribute("src")

        first = shown.get_attribute("src")
        drop("content", "content.png")
        second = changed(first)
        drop("style", "style.png")
        full = changed(second)
        page.locator("#strength input[type=number]").fill("0.2")
        page.locator("#strength input[type=number]").press("Enter")
        weak = changed(full)
        page.get_by_label("size", exact=True).click()
        page.get_by_role("option", name="256", exact=True).click()
        large = changed(weak)
        page.get_by_label({"styleproj": "transform", "photonet": "method"}[package], exact=True).click()
        page.get_by_role("option", name={"styleproj": "adain", "photonet": "mk"}[package], exact=True).click()
        other = changed(large)
        page.locator("#regions").get_by_text("regions").first.click()
        for place in {"styleproj": (1, 2), "photonet": (0, 1)}[package]:
            page.locator(f"#map-{place} input[type=file]").set_input_files(tmp_path / "below.png")
        regions = changed(other)
        if package == "styleproj":  # and a mask
            page.locator("#map-0 input[type=file]").set_input_files(tmp_path / "below.png")
            regions = changed(regions)
        page.get_by_role("radio", name="PNG").check()
        changed(regions)
        with page.expect_download() as download:
            page.locator("#result").get_by_label("Download").click()
        assert download.value.suggested_filename == "content-style.png"
        with Image.open(download.value.path()) as image:
            assert (image.format, image.size) == ("PNG", (256, 256))
            assert b"sRGB" in image.info["icc_profile"]
        for name, sentence in (
            ("phone.heic", "phone.heic is no "),  # what else it says depends on whether the plugin is there
            ("diary.txt", "diary.txt is no picture"),
        ):
            drop("content", name)
            page.wait_for_function(
                "start => document.querySelector('#notes textarea').value.startsWith(start)", arg=sentence
            )
            assert shown.count() == 0
        drop("content", "content.png")
        shown.wait_for()
        assert notes.input_value() == ""
