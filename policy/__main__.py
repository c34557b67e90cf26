"""The policy pack: the rules are in the package, so that every stack has the same."""
# ruff: noqa: INP001 -- Pulumi runs this folder, so it is no package and holds nothing to import

from quarterdeck_stacks.policy.pack import serve

serve()
