"""One HTML page with the photographs, what was found drawn on them, and the requests that did it."""

import os
from html import escape
from pathlib import Path
from typing import Any

from lunaria.demo.drawing import draw_faces
from lunaria.demo.estimates_page import part_of_estimates
from lunaria.demo.parts import degrees, exchanges
from lunaria.demo.story import THRESHOLD, Sight, Story
from lunaria.demo.style import STYLE
from lunaria.demo.survey import Survey

ACCURACY = Path(__file__).parents[3] / "docs" / "accuracy.md"


def write_page(story: Story, survey: Survey, file: Path) -> None:
    """Write the page; the pictures lie inside it."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Lunaria: what it sees</title>",
        f'<meta name=viewport content="width=device-width"><style>{STYLE}</style><main>',
        "<h1>Known faces, found again</h1>",
        "<p>Two people were enrolled from one photograph each. Then other photographs were searched for them. ",
        "Green: the face; blue: its 68 landmarks; yellow: the five points that align it. The bars show the similarity ",
        f"to each enrolled person; the mark is the threshold {THRESHOLD}, which at most one in 10,000 pairs of ",
        "strangers reaches.</p>",
        exchanges(story.account, "The account and the list"),
        "<h2>Enrolled</h2><div class=cards>",
        *map(_enrolled, story.enrolled),
        "</div><h2>Identified</h2><div class=cards>",
        *map(_identified, story.identified),
        "</div>",
        part_of_estimates(survey, os.path.relpath(ACCURACY, file.parent)),
        "</main></html>",
    ]
    file.write_text("".join(parts), encoding="utf-8")


def _enrolled(sight: Sight) -> str:
    return _card(sight, f"<div class=name>{escape(sight.title)}</div>")


def _identified(sight: Sight) -> str:
    name = sight.recognised
    title = f"<div class='name good'>{escape(name)}</div>" if name else "<div class='name none'>nobody known</div>"
    return _card(sight, title + "".join(_bar(*match) for match in sight.matches))


def _bar(name: str, similarity: float) -> str:
    return (
        f"<div class=bar><i style='width:{similarity:.1%}'></i><b style='left:{THRESHOLD:.1%}'></b>"
        f"<span><em>{escape(name)}</em> {similarity:.3f}</span></div>"
    )


def _card(sight: Sight, inner: str) -> str:
    picture = draw_faces(sight.photo, sight.faces)
    return (
        f"<div class=card><img src='{picture}' alt='{escape(sight.photo.name)}'><div class=body>{inner}"
        f"<div class=file>{escape(sight.photo.name)}{_pose(sight.faces)}</div>"
        f"{exchanges(sight.exchanges, 'Requests and replies')}</div></div>"
    )


def _pose(faces: list[dict[str, Any]]) -> str:
    pose = faces[0]["attributes"].get("head_pose") if faces else None
    if pose is None:
        return ""
    return " · " + ", ".join(f"{name} {degrees(pose[name])}" for name in ("yaw", "pitch", "roll"))
