"""Makes `python -m llm_mesh` the same as `llm-mesh`."""

from llm_mesh.cli.app import main

if __name__ == "__main__":
    main()
