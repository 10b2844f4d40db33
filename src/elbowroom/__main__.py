"""`python -m elbowroom`: the command line, where its script is not on the path."""

from elbowroom.cli import main

if __name__ == "__main__":
    main()
