"""The notebook: magics, live displays, controls, and what every object looks like there. Imported by the extension only."""
