"""Demo of a fleet on one machine: three broker nodes, workers, PostgreSQL, simulated gateways and one real one."""
