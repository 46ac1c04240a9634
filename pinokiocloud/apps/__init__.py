"""Apps: their launchers, menus and scripts, looked at without running them."""
