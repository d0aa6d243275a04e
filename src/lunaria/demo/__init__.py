"""The quickstart as a program: enrol two people from photographs, find them again in others, estimate all that the API
tells of faces and bodies, draw it on a page.
"""
