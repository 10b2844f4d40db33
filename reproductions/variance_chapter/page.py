"""One page: the chapter's figures, under each what the chapter claims, what was measured, and whether it held.

python reproductions/variance_chapter/page.py [--runs FOLDER]      # chapter.html, from records/ and the trained models
"""

import argparse
from importlib.resources import files
from pathlib import Path

from answers import answer, answers, gallery
from claims import chapter
from models import FAMILIES
from shelf import Shelf
from verdicts import HERE, MODELS, read_records


def page(runs: Path) -> str:
    """The whole page."""
    read_records()
    shelf = Shelf(runs)
    style = files("elbowroom.pages").joinpath("templates/page.css").read_text()
    body = chapter(shelf) + answers(shelf)
    body += ["<h2>Samples of every family</h2>", *(gallery(shelf, c) for c in FAMILIES if c.name in MODELS)]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Where the variance goes</title><style>{style} .scroll {{ overflow-x: auto; }} "
        ".scroll td { white-space: nowrap; } .scroll th[scope=row] { min-width: 11em; } "
        "figure > img, figure > svg { margin-top: 12px; max-width: 100%; } "
        ".maps { display: flex; flex-wrap: wrap; gap: 12px; } .maps figure { width: 230px; margin: 0; }</style>"
        "<header><h1>Where the variance goes: a chapter's figures, measured</h1>"
        "<p class=how>MNIST, levels 0 … 255 dequantised to [0, 1] unless p(x | z) is over levels; networks "
        "784-256-256-d; seed 0; test images throughout. Squared errors are sums over 784 pixels in [0, 1].</p></header>"
        "<main>" + "".join(body) + "</main></html>\n"
    )


def main() -> None:
    """Write the page and the README's picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/variance_chapter"))
    arguments = parser.parse_args()
    (HERE / "chapter.html").write_text(page(arguments.runs))
    (HERE / "samples.png").write_bytes(answer(Shelf(arguments.runs)))


if __name__ == "__main__":
    main()
