"""`python -m runners`, the same as `distortion-run`."""

from runners.cli import main

if __name__ == "__main__":
    main(prog_name="distortion-run")
