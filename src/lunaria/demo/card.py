"""What was estimated of one photograph, as groups of bars and words."""

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any, NamedTuple

from lunaria.demo.parts import bar, bars, degrees, fact, mark, swatches

GENDERS = ("female", "male", "undefined")
STATES = ("absent", "present", "undefined")
"""By their numbers in the API."""

Sources = Mapping[str, Mapping[str, str]]


class Group(NamedTuple):
    """A part of a card: its title, the name of the estimate in /6/features and in a reply, and what is shown of it."""

    title: str
    source: str
    key: str
    show: Callable[[Any], Iterable[str]]


def _predominant(name: str) -> Callable[[Any], Iterable[str]]:
    """Bars of all estimations, of which the one named so stands out."""
    return lambda found: [bars(found["estimations"], found[name])]


def _degrees(names: Iterable[str]) -> Callable[[Any], Iterable[str]]:
    """Angles, each of which may be missing."""

    def show(found: Any) -> Iterable[str]:
        if found is None or found["yaw"] is None:
            return [fact("angles", "cannot be told")]
        return [fact(name, degrees(found[name])) for name in names]

    return show


def _bars_of(names: Iterable[str]) -> Callable[[Any], Iterable[str]]:
    return lambda found: [bar(name, found[name]) for name in names]


def _ethnicities(found: Any) -> Iterable[str]:
    known = found.get("ethnicities")
    return [bars(known["estimations"], known["predominant_ethnicity"])] if known else [fact("ethnicity", "not told")]


def _occlusion(found: Any) -> Iterable[str]:
    return _predominant("predominant_occlusion")(found["face_occlusion"])


def _descriptor(found: Any) -> Iterable[str]:
    return [bar("score", found["score"]), fact("version", str(found["version"]))]


def _body(found: Any) -> Iterable[str]:
    return [
        fact("apparent age", str(found["apparent_age"])),
        fact("apparent gender", GENDERS[found["apparent_gender"]]),
    ]


def _upper_body(found: Any) -> Iterable[str]:
    headwear = found["headwear"]
    return [
        fact("colours", swatches(found["upper_clothing"]["colors"])),
        fact("sleeve", found["sleeve"]["length"]),
        fact("headwear", STATES[headwear["state"]]),
        fact("its colour", swatches([headwear["apparent_color"]])),
    ]


def _lower_body(found: Any) -> Iterable[str]:
    garment = found["lower_garment"]
    return [
        fact("garment", garment["type"]),
        fact("colours", swatches(garment["colors"])),
        fact("shoes", swatches([found["shoes"]["apparent_color"]])),
    ]


OF_PERSON = (
    Group(
        "Age and gender",
        "basic_attributes",
        "basic_attributes",
        lambda found: [fact("age", str(found["age"])), fact("gender", GENDERS[found["gender"]])],
    ),
    Group("Emotions", "emotions", "emotions", _predominant("predominant_emotion")),
    Group("Ethnicity", "basic_attributes", "basic_attributes", _ethnicities),
)
OF_FACE = (
    Group("Mask", "mask", "mask", _predominant("predominant_mask")),
    Group("What is covered", "mask", "mask", _occlusion),
    Group("Head pose", "head_pose", "head_pose", _degrees(("yaw", "pitch", "roll"))),
    Group("Gaze, relative to the head", "gaze", "gaze", _degrees(("yaw", "pitch"))),
    Group(
        "Eyes, as in the picture",
        "eyes_attributes",
        "eyes_attributes",
        lambda found: [fact(side, found[f"{side}_eye"]["state"]) for side in ("left", "right")],
    ),
    Group("Mouth", "mouth_attributes", "mouth_attributes", _bars_of(("smile", "opened", "occluded"))),
    Group("Glasses", "glasses", "glasses", lambda found: [fact("worn", words(found["glasses"]))]),
    Group(
        "Liveness",
        "liveness",
        "liveness",
        lambda found: [fact("prediction", found["prediction"]), *_bars_of(("score", "quality"))(found["estimations"])],
    ),
    Group(
        "Deepfake",
        "deepfake",
        "deepfake",
        lambda found: [fact("prediction", found["prediction"]), bar("untouched", found["score"])],
    ),
    Group("Image quality (1 is good)", "quality", "quality", lambda found: _bars_of(found)(found)),
    Group("Face descriptor", "face_descriptor", "descriptor", _descriptor),
)
OF_BODY = (
    Group("Body", "body_attributes", "basic_attributes", _body),
    Group("Upper body", "body_attributes", "upper_body", _upper_body),
    Group("Lower body", "body_attributes", "lower_body", _lower_body),
    Group(
        "Accessories",
        "body_attributes",
        "accessories",
        lambda found: [fact("backpack", STATES[found["backpack"]["state"]])],
    ),
    Group("Body descriptor", "body_descriptor", "descriptor", _descriptor),
)


class Card:
    """Groups of estimates; `sources` (of /6/features) say which of them rest on research data.

    What the server does not estimate is left out.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def person(self, face: dict[str, Any]) -> str:
        """Who it may be: age, gender, emotions, ethnicity."""
        return self._groups(OF_PERSON, face["attributes"])

    def face(self, face: dict[str, Any]) -> str:
        """All else of the face."""
        quality = {"quality": face["quality"]} if "quality" in face else {}
        return self._groups(OF_FACE, face["attributes"] | quality)

    def body(self, body: dict[str, Any]) -> str:
        """Everything of the body."""
        return self._groups(OF_BODY, body["attributes"])

    def _groups(self, groups: Iterable[Group], found: dict[str, Any]) -> str:
        return "".join(
            f"<section class=group><h4>{escape(title)}{self.badge(source)}</h4>{''.join(show(found[key]))}</section>"
            for title, source, key, show in groups
            if key in found
        )

    def badge(self, estimate: str) -> str:
        """A mark for what rests on research data."""
        research = self._sources.get(estimate, {}).get("licence") == "research"
        return "<em class=research title='rests on research data'>research</em>" if research else ""


def checks(found: list[dict[str, Any]]) -> str:
    """The portrait checks with their values, limits and marks, in two columns, folded."""
    passed = sum(check["result"] for check in found)
    half = (len(found) + 1) // 2
    return (
        f"<details class=checks><summary>Portrait checks (/6/iso): {passed} of {len(found)} passed</summary>"
        f"<div>{_table(found[:half])}{_table(found[half:])}</div></details>"
    )


def _table(found: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{mark(bool(check['result']))}<td>{escape(words(check['name']))}"
        f"<td>{escape(value(check['object_value']))}<td>{escape(limit(check['threshold_value']))}"
        for check in found
    )
    return f"<table><tr><th><th>check<th>found<th>allowed{rows}</table>"


def value(found: float | str) -> str:
    """What a check found, short."""
    if isinstance(found, str):
        return words(found)
    return f"{found:,.2f}".rstrip("0").rstrip(".")


def limit(threshold: Any) -> str:
    """What a check allows, short."""
    if isinstance(threshold, dict):
        shown = {name: value(bound) for name, bound in threshold.items()}
        if shown.keys() == {"min", "max"}:
            return f"{shown['min']} to {shown['max']}"
        return f"at least {shown['min']}" if "min" in shown else f"at most {shown['max']}"
    if isinstance(threshold, list):
        return ", ".join(words(one) for one in threshold)
    return value(threshold)


def words(name: str) -> str:
    """A name of the API as words."""
    return name.replace("_", " ")
