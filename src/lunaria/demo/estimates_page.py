"""The second part of the page: what is estimated, photograph by photograph, and what that is worth."""

from html import escape

from lunaria.demo import card as cards
from lunaria.demo import drawing
from lunaria.demo.card import Card, Sources
from lunaria.demo.parts import exchanges
from lunaria.demo.survey import Survey, Surveyed


def part_of_estimates(survey: Survey, accuracy: str) -> str:
    """`accuracy`: address of the document with the measured figures."""
    card = Card(survey.sources)
    together = survey.together
    return "".join(
        [
            "<h1 class=part>What is estimated</h1>",
            "<p>One request to <code>/6/sdk</code> with everything switched on for each photograph, and one to ",
            "<code>/6/iso</code> for the portrait checks. On the left the whole photograph with face, body and the ",
            "counted heads, beside it the face. Nothing here was chosen or corrected.</p>",
            _legend(),
            _worth(survey.sources, accuracy),
            *(_estimated(surveyed, card) for surveyed in survey.single),
            "" if together is None else _together(together),
            _sources(survey.sources),
        ]
    )


def _legend() -> str:
    colours = {
        "face": drawing.FACE,
        "body": drawing.BODY,
        "counted head": drawing.HEAD,
        "landmarks": drawing.DOT,
        "irises": drawing.IRIS,
        "gaze": drawing.GAZE,
        **{f"head: {name}": colour for name, colour in drawing.AXES.items()},
    }
    entries = (f"<span><i style='background:{colour}'></i>{name}</span>" for name, colour in colours.items())
    return f"<div class=legend>{''.join(entries)}</div>"


def _worth(sources: Sources, accuracy: str) -> str:
    research = sum(source["licence"] == "research" for source in sources.values())
    return (
        "<p>What these estimates are worth is measured, each on labelled photographs, with its limits: see "
        f"<a href='{escape(accuracy)}'>docs/accuracy.md</a>. A few photographs of well-lit grown-ups prove nothing of "
        f"the kind. {research} of {len(sources)} estimates rest on data that was given for research only; they are "
        "marked <em class=research>research</em> and do not run with the setting that allows open licences alone.</p>"
    )


def _estimated(surveyed: Surveyed, card: Card) -> str:
    photo, face, body = surveyed.photo, surveyed.face, surveyed.body
    whole = drawing.draw_whole(photo, surveyed.persons, surveyed.heads)
    name = escape(photo.name)
    shown = [f"<article class=estimated><h3>{name}</h3><div class=pictures><img src='{whole}' alt='{name}'>"]
    if face is None:
        shown.append("<p>No face was found.</p></div>")
    else:
        close = drawing.draw_close_up(photo, face)
        shown.append(f"<img src='{close}' alt='the face of {name}'><div>{card.person(face)}</div></div>")
    groups = [card.face(face) if face else "", card.body(body) if body else "<p>No body was found.</p>"]
    shown.append(f"<div class=groups>{''.join(groups)}</div>")
    if surveyed.checks:
        shown.append(cards.checks(surveyed.checks))
    return "".join([*shown, exchanges(surveyed.exchanges, "Requests and replies"), "</article>"])


def _together(surveyed: Surveyed) -> str:
    pairs = sum(1 for person in surveyed.persons if person["face"] and person["body"])
    picture = drawing.draw_persons(surveyed.photo, surveyed.persons, surveyed.heads)
    return (
        "<h2>Several persons in one picture</h2><p>Photographs pasted beside each other. Face and body of a person "
        f"have one colour. Found: {pairs} faces with their bodies among {len(surveyed.persons)} persons; counted: "
        f"{len(surveyed.heads)} people, by their numbered heads.</p>"
        f"<article class=estimated><img class=together src='{picture}' alt='several persons'>"
        f"{exchanges(surveyed.exchanges, 'Request and reply')}</article>"
    )


def _sources(sources: Sources) -> str:
    rows = "".join(
        f"<tr><td>{escape(cards.words(name))}<td>{escape(source['network'])}<td>"
        f"{'<em class=research>research</em>' if source['licence'] == 'research' else 'open'}"
        for name, source in sorted(sources.items())
    )
    return (
        "<h2>What each estimate is computed with</h2><p>As <code>/6/features</code> tells it.</p>"
        f"<article class=estimated><table><tr><th>estimate<th>networks<th>licence{rows}</table></article>"
    )
