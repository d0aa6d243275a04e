"""One HTML page with the photographs, what was found drawn on them, and the requests that did it."""

import io
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from lunaria.demo.story import THRESHOLD, Exchange, Sight, Story, data_uri

HEIGHT = 420
"""Height of a drawn photograph in pixels."""
BOX, POINT, DOT = "#2f9e6e", "#ffd166", "#7fd6ff"

STYLE = """
:root { color-scheme: light dark; --ink:#1d2530; --soft:#5d6b7a; --line:#dde3ea; --paper:#f7f9fb; --card:#fff;
  --good:#2f9e6e; --none:#b65f2a; }
@media (prefers-color-scheme: dark) { :root { --ink:#e8edf3; --soft:#9aa7b5; --line:#2d3743; --paper:#141a21;
  --card:#1c242d; --good:#55c795; --none:#e39a64; } }
body { margin:0; background:var(--paper); color:var(--ink); font:16px/1.5 system-ui,sans-serif; }
main { max-width:1180px; margin:0 auto; padding:32px 20px 80px; }
h1 { margin:0 0 4px; } h2 { margin:44px 0 12px; } p { color:var(--soft); max-width:72ch; }
.cards { display:flex; flex-wrap:wrap; gap:20px; }
.card { background:var(--card); border:1px solid var(--line); border-radius:12px; overflow:hidden; }
.card { flex:1 1 300px; max-width:380px; }
.card img { display:block; width:100%; height:420px; object-fit:contain; background:#0d1117; }
.body { padding:12px 16px 16px; } .name { font-weight:600; font-size:18px; } .good { color:var(--good); }
.none { color:var(--none); } .file { color:var(--soft); font-size:13px; }
.bar { position:relative; height:22px; margin-top:8px; background:var(--line); border-radius:6px; overflow:hidden; }
.bar i { position:absolute; inset:0 auto 0 0; background:var(--good); opacity:.55; }
.bar b { position:absolute; top:0; bottom:0; width:2px; background:var(--none); }
.bar span { position:absolute; inset:0 10px; font-size:13px; line-height:22px; display:flex;
  justify-content:space-between; }
details { margin-top:10px; } summary { cursor:pointer; color:var(--soft); font-size:14px; }
pre { background:var(--paper); border:1px solid var(--line); border-radius:8px; padding:10px; overflow:auto;
  font-size:12px; max-height:280px; }
"""


def write_page(story: Story, file: Path) -> None:
    """Write the page; the pictures lie inside it."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Lunaria: known faces found again</title>",
        '<meta name=viewport content="width=device-width"><style>',
        STYLE,
        "</style><main><h1>Known faces, found again</h1>",
        "<p>Two people were enrolled from one photograph each. Then other photographs were searched for them. ",
        "Green: the face and its 68 landmarks; yellow: the five points that align it. The bars show the similarity ",
        f"to each enrolled person; the mark is the threshold {THRESHOLD}, which at most one in 10,000 pairs of ",
        "strangers reaches.</p>",
        _exchanges(story.account, "The account and the list"),
        "<h2>Enrolled</h2><div class=cards>",
        *map(_enrolled, story.enrolled),
        "</div><h2>Identified</h2><div class=cards>",
        *map(_identified, story.identified),
        "</div></main></html>",
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
        f"<span><em>{escape(name)}</em>{similarity:.3f}</span></div>"
    )


def _card(sight: Sight, inner: str) -> str:
    picture = data_uri(draw_faces(sight.photo, sight.faces))
    return (
        f"<div class=card><img src='{picture}' alt='{escape(sight.photo.name)}'><div class=body>{inner}"
        f"<div class=file>{escape(sight.photo.name)}{_pose(sight.faces)}</div>"
        f"{_exchanges(sight.exchanges, 'Requests and replies')}</div></div>"
    )


def _pose(faces: list[dict[str, Any]]) -> str:
    pose = faces[0]["attributes"].get("head_pose") if faces else None
    if pose is None:
        return ""
    return f" · yaw {pose['yaw']:.0f}°, pitch {pose['pitch']:.0f}°, roll {pose['roll']:.0f}°"


def _exchanges(exchanges: Iterable[Exchange], title: str) -> str:
    shown = "".join(f"<pre>{escape(one.request)}\n\n{escape(one.reply)}</pre>" for one in exchanges)
    return f"<details><summary>{escape(title)}</summary>{shown}</details>"


def draw_faces(photo: Path, faces: Iterable[dict[str, Any]]) -> bytes:
    """The photograph as JPEG, scaled to HEIGHT, with boxes and landmarks of the detections."""
    with Image.open(photo) as opened:
        picture = opened.convert("RGB")
    scale = HEIGHT * 2 / picture.height  # twice the shown size, for sharp lines
    picture = picture.resize((round(picture.width * scale), HEIGHT * 2), Image.Resampling.LANCZOS)
    canvas = ImageDraw.Draw(picture)
    for face in faces:
        rect = face["rect"]
        left, top = rect["x"] * scale, rect["y"] * scale
        corner = (left + rect["width"] * scale, top + rect["height"] * scale)
        canvas.rectangle((left, top, *corner), outline=BOX, width=5)
        for x, y in face.get("landmarks68", ()):
            _dot(canvas, x * scale, y * scale, 3, DOT)
        for x, y in face.get("landmarks5", ()):
            _dot(canvas, x * scale, y * scale, 6, POINT)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _dot(canvas: ImageDraw.ImageDraw, x: float, y: float, radius: int, colour: str) -> None:
    canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour, outline="black")
