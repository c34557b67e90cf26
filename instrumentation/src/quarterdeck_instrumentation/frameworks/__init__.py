"""One module for each framework or server: how to get hold of it, and nothing about what is measured.

Each function gets a freshly imported module and changes its classes in place.
"""
