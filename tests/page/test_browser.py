"""The page in a real browser, as its users have it: drop, read, listen, save."""

import base64
import csv
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

import tfpipeline as tfp

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs a browser's driver: pip install playwright"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
if not CHROMIUM:
    pytest.skip("needs chromium or google-chrome", allow_module_level=True)
# A microphone that gives beeps, and is allowed.
FLAGS = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
HOSTILE = "<img src=x onerror=alert(1)>.wav"
DROP = """([names, contents]) => {
    const data = new DataTransfer();
    names.forEach((name, at) => {
        const bytes = Uint8Array.from(atob(contents[at]), (letter) => letter.charCodeAt(0));
        data.items.add(new File([bytes], name));
    });
    document.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true}));
}"""


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(serve, sure_run):
    return serve([tfp.load(sure_run).scorer])


@pytest.fixture
def open_page(browser, site):
    """Opens the page; at the end nothing may have left this machine, failed or been alerted."""
    opened = []

    def open_it(address=site.address, width=1100):
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.set_default_timeout(120_000)  # of a machine that has other work
        page.faults, page.asked = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on(
            "console", lambda message: message.type == "error" and page.faults.append(message.text)
        )
        page.on("dialog", lambda dialog: (page.faults.append("a dialog"), dialog.dismiss()))
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        opened.append((page, address))
        return page

    yield open_it
    for page, address in opened:
        outside = [url for url in page.asked if not url.startswith((address, "blob:", "data:"))]
        assert not outside
        assert not page.faults
        page.close()


def drop(page, **files):
    """Drops files, name → bytes, and waits until all are judged."""
    before = page.locator(".result").count()
    page.evaluate(DROP, [list(files), [base64.b64encode(own).decode() for own in files.values()]])
    page.locator(".result").nth(before + len(files) - 1).wait_for()
    page.locator("#bar").wait_for(state="hidden")


def until(page, condition):
    """Waits within the page, whose security policy refuses Playwright's `wait_for_function`."""
    page.evaluate(
        f"() => new Promise((done) => {{ const look = () => "
        f"({condition}) ? done() : requestAnimationFrame(look); look(); }})"
    )


def test_a_real_and_a_fake_clip_get_two_verdicts(open_page, two_clips, site):
    page = open_page()
    real, fake = (Path(path).read_bytes() for path in (two_clips.real, two_clips.fake))
    drop(page, **{"real.wav": real})
    assert page.locator(".headline").inner_text() == "Sounds human"
    assert "Probability of a synthetic voice: 2 %" in page.locator(".verdict").inner_text()
    drop(page, **{"fake.wav": fake})
    assert page.locator("#batch tbody td:last-child").all_inner_texts() == [
        "Sounds human (synthetic: 2 %)",
        "Sounds synthetic (synthetic: 98 %)",
    ]
    assert list(site.folder.iterdir()) == []


def test_the_player_follows_and_plays_a_part(open_page, tmp_path, two_clips):
    page = open_page()
    long = np.concatenate([soundfile.read(path)[0] for path in (two_clips.real, two_clips.fake)])
    sound = io.BytesIO()
    soundfile.write(sound, np.tile(long, 2), 16_000, format="WAV")
    drop(page, **{"long.wav": sound.getvalue()})
    button = page.locator(".listen button").first
    begins = float(button.inner_text().split()[1])
    button.click()
    until(page, "!document.querySelector('audio').paused")
    assert page.evaluate("document.querySelector('audio').currentTime") >= begins
    page.evaluate("document.querySelector('audio').pause()")
    page.evaluate("document.querySelector('audio').currentTime = 8")
    until(page, "Math.abs(parseFloat(document.querySelector('.cursor').style.left) - 50) < 1")
    size = page.locator(".track img").evaluate("image => image.naturalWidth")
    assert 1000 < size <= 2000  # 16 s in columns of 8 or 16 ms


def test_what_is_no_recording_is_told_in_words(open_page):
    page = open_page()
    drop(page, **{"notes.wav": b"These are notes, and no sound at all.\n" * 50})
    assert page.locator(".headline").inner_text() == "Cannot be judged"
    assert "cannot be read as a recording" in page.locator(".verdict").inner_text()
    assert page.locator("audio").count() == 0


def test_names_are_text(open_page, two_clips):
    page = open_page()
    names = (HOSTILE, "=cmd|' /C calc'!A0.wav")
    sound = Path(two_clips.real).read_bytes()
    drop(page, **dict.fromkeys(names, sound), **{"<b>none</b>.wav": b"no audio"})
    assert page.locator("#results img").count() == 0  # no details are open
    assert page.locator("#batch a").all_inner_texts() == [*names, "<b>none</b>.wav"]
    page.locator("#batch a").first.click()
    assert page.locator("#results img").count() == 1  # the spectrogram
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the table as CSV").click()
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["path"] for row in rows] == [HOSTILE, f"'{names[1]}", "<b>none</b>.wav"]
    assert [row["verdict"] for row in rows] == ["bonafide", "bonafide", ""]


def test_two_runs_stand_side_by_side(open_page, serve, sure_run, tiny_run, two_clips):
    site = serve([tfp.load(folder).scorer for folder in (sure_run, tiny_run)])
    page = open_page(site.address)
    drop(page, **{"a.wav": Path(two_clips.real).read_bytes()})
    assert page.locator(".verdict h3").all_inner_texts() == ["sure", "tiny"]
    first, second = (page.locator(".verdict").nth(at).bounding_box() for at in range(2))
    assert first["y"] == second["y"]
    page.get_by_role("button", name="Show what matters to tiny").click()
    page.locator(".why img").wait_for()


def test_a_phone_needs_no_sideways_scroll(open_page, two_clips):
    page = open_page(width=360)
    sound = Path(two_clips.fake).read_bytes()
    drop(page, **{"a_name_without_any_space_" * 6 + ".wav": sound})
    drop(page, **{"b.wav": sound})
    page.locator("#batch a").nth(1).click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_keyboard_is_enough(open_page, two_clips):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "files"
    # The dialog itself is the browser's, and opens within seconds or not at all.
    page.evaluate("""document.activeElement.addEventListener("click", (event) => {
        window.asked = event.isTrusted;
        event.preventDefault();
    })""")
    page.keyboard.press("Enter")
    until(page, "window.asked")
    page.set_input_files("#files", [two_clips.real, two_clips.fake])
    page.locator(".result").nth(1).wait_for()

    def tab_to(selector):
        for _ in range(30):
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
            page.keyboard.press("Tab")
        pytest.fail(f"the Tab key does not reach {selector}")

    tab_to("#batch a")
    page.keyboard.press("Enter")
    tab_to(".listen button")
    page.keyboard.press("Enter")
    until(page, "!document.querySelector('audio').paused")


def test_a_recording_of_the_browser_is_judged(open_page):
    page = open_page()
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_role("button", name="Stop and judge").wait_for()
    page.wait_for_timeout(1500)  # of sound
    page.get_by_role("button", name="Stop and judge").click()
    page.locator(".headline").wait_for()
    assert page.locator(".headline").inner_text() == "No verdict"  # beeps are no speech
    assert page.locator(".result h2").inner_text().endswith(".webm")
    assert "too little speech" in page.locator(".verdict").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_page, two_clips, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python"
    )
    page = open_page()
    page.emulate_media(color_scheme=scheme)
    found = axe.Axe().run(page).response["violations"]
    drop(page, **{"a.wav": Path(two_clips.fake).read_bytes(), "b.wav": b"no audio"})
    for link in page.locator("#batch a").all():
        link.click()
    found += axe.Axe().run(page).response["violations"]
    told = [(own["impact"], own["id"], own["nodes"][0]["html"]) for own in found]
    assert [own for own in told if own[0] in ("serious", "critical")] == []
