"""The follower's files in a JavaScript engine of their own: no browser, no page."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybrid.ui.explore import follower

FOLDER = Path(follower.__file__).parent
JavaScript = Callable[[str, Any], Any]
PURE = ("counting.js", "filling.js", "certifying.js")


@pytest.fixture(scope="session")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> JavaScript:
    """Apply a function in JavaScript to a value; it sees all that the pure files export."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no Node.js on this machine; install node to run the follower's files")
    folder = tmp_path_factory.mktemp("follower")
    for name in PURE:
        shutil.copy(FOLDER / name, folder)
    (folder / "package.json").write_text('{"type": "module"}')

    def apply(function: str, given: Any) -> Any:
        script = (
            'import * as counting from "./counting.js"; import * as filling from "./filling.js";\n'
            'import * as certifying from "./certifying.js";\n'
            'import { readFileSync } from "node:fs";\n'
            f"const apply = {function};\n"
            'const given = JSON.parse(readFileSync(0, "utf-8"));\n'
            "process.stdout.write(JSON.stringify(apply(given)));\n"
        )
        command = [node, "--input-type=module", "-e", script]
        ran = subprocess.run(
            command,
            cwd=folder,
            input=json.dumps(given),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return apply
