"""Pure drawing of data: each view makes text, script-free HTML and JSON of what it is given. Nothing here runs or asks."""
