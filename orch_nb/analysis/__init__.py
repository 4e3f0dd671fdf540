"""Analysis of workflows: comparisons, the routing matrix, forecasts and claims."""
