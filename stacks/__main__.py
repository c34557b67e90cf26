"""The Pulumi program of every environment: read the settings once, then deploy that environment's shape."""
# ruff: noqa: INP001 -- Pulumi puts this folder first on sys.path, so it is no package and holds nothing to import

from quarterdeck_stacks.environments import deploy

deploy()
