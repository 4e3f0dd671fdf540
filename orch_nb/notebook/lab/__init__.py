"""What serves JupyterLab's extension: its comm, completion, diagnostics, inline quotes and the list of runs."""
