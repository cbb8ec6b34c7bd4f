"""Takes the pictures of the page for the documentation, in a browser that is installed here.

python -m tfpipeline.app --run cnn &
python tests/benchmarks/page_pictures.py --clips FOLDER-of-the-demo-corpus
"""

import argparse
import io
import shutil
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parents[2] / "docs/images"
BATCH = ("en_susan_0_original.wav", "en_susan_0_griffin_lim.wav", "en_susan_0_world.wav")
MIXED = (
    "en_susan_0_original.wav",
    "en_susan_0_griffin_lim.wav",
    "de_Elli_0_original.wav",
    "de_Elli_0_world.wav",
    "de_Knubbel_0_original.wav",
)
SEEK = """() => new Promise((done) => {
    const audio = document.querySelector("audio");
    audio.addEventListener("seeked", () => requestAnimationFrame(done));
    audio.currentTime = audio.duration / 3;
})"""
COLOURS = 128  # of a palette, which keeps the files small


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="http://127.0.0.1:7860/")
    parser.add_argument("--clips", type=Path, required=True)
    flags = parser.parse_args()
    batch = [file_of(name, read(flags.clips, name)) for name in BATCH]
    notes = file_of("notes.wav", b"These are notes.\n" * 50)
    mixed = io.BytesIO()
    waveforms = [soundfile.read(io.BytesIO(read(flags.clips, name)))[0] for name in MIXED]
    soundfile.write(mixed, np.concatenate(waveforms), 16_000, format="WAV")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])

        def take(name: str, width: int, files: list) -> None:
            page = browser.new_page(viewport={"width": width, "height": 700})
            page.set_default_timeout(120_000)
            page.goto(flags.address)
            page.wait_for_selector("body[data-ready]")
            page.set_input_files("#files", files)
            page.locator(".result").nth(len(files) - 1).wait_for()
            if len(files) == 1:
                page.evaluate(SEEK)
            bottom = page.locator(".result").last.bounding_box()
            clip = {"x": 0, "y": 0, "width": width, "height": bottom["y"] + bottom["height"] + 12}
            shot = page.screenshot(full_page=True, clip=clip)
            picture = Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLOURS)
            picture.save(IMAGES / name, optimize=True)
            page.close()

        take("app.png", 900, [file_of("interview.wav", mixed.getvalue())])
        take("app-phone.png", 375, batch[1:2])
        take("app-batch.png", 900, [*batch, notes])
        browser.close()


def read(folder: Path, name: str) -> bytes:
    return next(folder.rglob(name)).read_bytes()


def file_of(name: str, contents: bytes) -> dict:
    return {"name": name, "mimeType": "audio/wav", "buffer": contents}


if __name__ == "__main__":
    main()
