"""Where the MNIST workflow is, and how its scripts become modules."""

import importlib.util
from pathlib import Path

WORKFLOW = Path(__file__).parents[2] / "workflows" / "mnist"
SCRIPTS = WORKFLOW / "workflow" / "scripts"


def load_script(name):
    """Import a script by its name, under a name that clashes with nothing."""
    spec = importlib.util.spec_from_file_location(f"mnist_{name}", SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
