"""The script language: the Node host, its values, and runs."""
