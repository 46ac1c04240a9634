"""The tools that scripts expect to be there: Python, pip, uv, node, npm, hf and conda in ``HOME/bin``."""
