"""What the server costs, measured beside a bare relay and the raw upstream in the same run."""
