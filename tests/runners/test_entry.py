"""The command where the runners extra is not installed."""

import subprocess
import sys


def test_without_torch_the_command_says_what_to_install():
    code = "import sys\nsys.modules['torch'] = None\nfrom runners.__main__ import main\nmain()\n"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert "distortion[runners]" in result.stderr
    assert "Traceback" not in result.stderr
