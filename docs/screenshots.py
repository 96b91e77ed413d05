"""Pictures of the last report for the README: `make screenshots`. Needs Chromium; few colours keep
them small.
"""

import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
LATEST = HERE.parent / "reports" / "latest"
COLOURS = 128
# file, page, width, height, colour scheme
SHOTS = (
    ("index", "index", 1280, 1900, "light"),
    ("index-phone", "index", 390, 1500, "light"),
    ("index-dark", "index", 1280, 1300, "dark"),
    ("contract-term", "01_contract_term", 1280, 1900, "light"),
    ("rep-liking-phone", "03_rep_liking", 390, 1500, "light"),
    ("churn-risk-dark", "04_churn_risk", 1280, 1300, "dark"),
)


def main() -> None:
    (HERE / "screens").mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or "chromium"
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        for name, page, width, height, scheme in SHOTS:
            tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            tab.goto((LATEST / f"{page}.html").resolve().as_uri())
            picture = (
                Image.open(io.BytesIO(tab.screenshot()))
                .convert("RGB")
                .quantize(COLOURS, dither=Image.Dither.NONE)
            )
            picture.save(HERE / "screens" / f"{name}.png", optimize=True)
            tab.close()
        browser.close()


if __name__ == "__main__":
    main()
