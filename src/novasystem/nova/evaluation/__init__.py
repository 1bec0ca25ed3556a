"""Questions whose answers can be checked, and whether a team answers more of them than one."""
