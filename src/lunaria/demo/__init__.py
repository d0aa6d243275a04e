"""The quickstart as a program: enrol two people from photographs, find them again in others, draw it all on a page."""
