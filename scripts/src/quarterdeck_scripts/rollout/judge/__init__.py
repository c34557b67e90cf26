"""From what a provider of metrics answers to a verdict, and the record of how it came about.

Pure but for `measure`, which asks. Here belongs whatever decides whether a new version is worse; not what is done about
it (`steps`), nor what a cluster says of pods (`acting`).
"""
