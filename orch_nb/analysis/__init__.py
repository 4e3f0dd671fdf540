"""The prototyping sandbox: what a workflow will cost, and whether what is said of it is so."""
