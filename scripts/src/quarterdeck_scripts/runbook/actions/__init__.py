"""The actions, one a module. Each is a class whose docstring is its page, pure but for `observe`."""
