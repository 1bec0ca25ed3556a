"""One door to a team of agents: planner, executors, critic and closer, on durable runs."""
