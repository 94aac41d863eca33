"""`distortion-run`, also as `python -m runners`."""

import sys

EXTRA = {"torch", "torchvision", "safetensors", "sklearn", "PIL"}


def main() -> None:
    """Run the command, or say what to install."""
    try:
        from runners.cli import main as command
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        sys.exit(
            f"Error: distortion-run needs {error.name}, which is not installed. Install the "
            'runners: pip install "distortion[runners]"'
        )
    command(prog_name="distortion-run")


if __name__ == "__main__":
    main()
