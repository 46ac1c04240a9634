"""The parts of ``bench/interpreter.py``."""
