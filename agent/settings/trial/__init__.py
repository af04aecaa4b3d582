"""Changes on trial: validated, tried, and undone unless somebody confirms them in time."""
