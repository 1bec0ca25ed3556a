"""What the pages show: frozen dataclasses of ready texts and flags, one file a page."""
