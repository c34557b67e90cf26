# noqa: INP001 -- a folder on PYTHONPATH, never a package
"""Python imports this at start-up, because `quarterdeck-instrument` put its folder first on PYTHONPATH.

It activates the instrumentation, then gives way to the `sitecustomize` it hides. In an interpreter that cannot
import the instrumentation (a child from another environment) it does only the latter.
"""

import os
import sys
from importlib import import_module


def _activate() -> None:
    try:
        from quarterdeck_instrumentation.activation import activate, lead  # noqa: PLC0415 -- may be missing
    except ImportError:
        return
    lead()  # where only PYTHONPATH was set, as by an operator that injects a copied folder
    activate()
    if "QUARTERDECK_DOCTOR_FOLDER" in os.environ:
        import_module("quarterdeck_instrumentation.doctor.probe").start()


def _run_the_hidden_one() -> None:
    """Leave the folder to the children, who look for it on PYTHONPATH: here, every import would look into it."""
    folder = os.path.dirname(os.path.abspath(__file__))
    ours = sys.modules.pop("sitecustomize", None)
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != folder]
    try:
        import_module("sitecustomize")
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        if ours is not None:
            sys.modules.setdefault("sitecustomize", ours)


_activate()
_run_the_hidden_one()
