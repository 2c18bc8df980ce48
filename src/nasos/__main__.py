"""``python -m nasos`` is the ``nasos`` command."""

from nasos.cli import main

if __name__ == "__main__":
    main()
