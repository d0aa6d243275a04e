"""What statistics allow of every column is what the API's description says: its two tables, as they stand there."""

import re
from pathlib import Path

from lunaria.events.statistics_columns import AGGREGATORS, COMPARISONS, META_AGGREGATORS

FUNCTIONS = """\
event_id + - - - +
external_id + - - - +
handler_id + - - - +
stream_id + - - - +
source + - - - +
top_matching_candidates_label + - - - +
top_similar_object_id + - - - +
top_similar_external_id + - - - +
top_similar_object_similarity + + + + -
create_time + + + - -
end_time + + + - -
face_id + - - - +
gender + + + + +
age + + + + +
emotion + + + + +
mask + + + + +
ethnic_group + + + + +
liveness + + + + +
deepfake + + + + +
user_data + - - - +
tags + + + - -
city + - - - +
area + - - - +
district + - - - +
street + - - - +
house_number + - - - +
geo_position + - - - -
track_id + - - - +
apparent_age + + + + +
apparent_gender + + + + +
sleeve_length + - - - +
headwear_state + + + + +
headwear_apparent_color + - - - +
upper_clothing_colors + - - - -
lower_garment_colors + - - - -
lower_garment_type + - - - +
shoes_apparent_color + - - - +
backpack_state + + + + +
meta.* + + + + -"""
"""Column; count, max, min, avg, group_by."""

OPERATORS = """\
tags + - - - - -
source - + + - - +
stream_id - + + - - +
user_data - + + - - -
account_id - + + + - -
event_id - + + + - -
external_id - + + + - -
handler_id - + + + - -
top_similar_object_id - + + + - -
top_similar_external_id - + + + - -
top_matching_candidates_label - + + - - -
top_similar_object_similarity - - - + - -
face_id - + + + - -
gender - + + + - +
age - + + + - +
emotion - + + + - +
mask - + + + - +
ethnic_group - + + + - +
liveness - + + + - +
deepfake - + + + - +
city - + + - - +
area - + + - - +
district - + + - - +
street - + + - - +
house_number - + + - - +
geo_position - - - - + +
track_id - + + - - +
apparent_age - + + + - +
apparent_gender - + + + - +
sleeve_length - + + - - +
headwear_state - + + + - +
upper_clothing_colors - + - - - +
backpack_state - + + + - +
lower_garment_colors - + - - - +
headwear_apparent_color - + + - - +
lower_garment_type - + + - - +
shoes_apparent_color - + + - - +"""
"""Column; like and nlike, in and nin, eq and neq, gt to lte, covered, eq with null."""

GROUPS = (("like", "nlike"), ("in", "nin"), ("eq", "neq"), ("gt", "gte", "lt", "lte"), ("covered",))


def rows(table: str) -> dict[str, list[bool]]:
    found = {}
    for line in table.splitlines():
        column, *marks = line.split()
        found[column] = [mark == "+" for mark in marks]
    return found


def test_functions_of_every_column() -> None:
    known = {**AGGREGATORS, "meta.*": META_AGGREGATORS}
    assert {
        column: [name in allowed for name in ("count", "max", "min", "avg", "group_by")]
        for column, allowed in known.items()
    } == rows(FUNCTIONS)


def test_operators_of_every_column() -> None:
    found = {}
    for column, comparison in COMPARISONS.items():
        marks = []
        for group in GROUPS:
            allowed = {name in comparison.operators for name in group}
            assert len(allowed) == 1, "the operators of a group go together"
            marks.append(allowed.pop())
        found[column] = [*marks, comparison.nullable]
    assert found == rows(OPERATORS)


def test_the_user_guide_says_the_same() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "user-guide.md").read_text("utf-8")
    section = guide.partition("## Statistics of events")[2].partition("\n## ")[0]
    told: dict[str, tuple[set[str], set[str], bool]] = {}
    for names, functions, operators in re.findall(r"^\| (`.*?) \|(.*?)\| (.*?) \|$", section, flags=re.MULTILINE):
        listed = set(re.findall(r"\w+", re.sub(r"\(.*?\)|;.*", "", operators))) - {"the", "period"}
        for name in re.findall(r"`(.+?)`", names):
            told[name] = (set(re.findall(r"\w+", functions)), listed, "eq null" in operators)
    assert told.pop("meta.<path>")[0] == set(META_AGGREGATORS)
    assert told == {
        column: (
            set(AGGREGATORS.get(column, ())),
            set(COMPARISONS[column].operators) if column in COMPARISONS else set(),
            column in COMPARISONS and COMPARISONS[column].nullable,
        )
        for column in {**AGGREGATORS, **COMPARISONS}
    }
