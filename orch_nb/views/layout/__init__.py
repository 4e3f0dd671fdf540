"""Where the parts of a picture lie: layers, their order, coordinates and the paths of arrows."""
