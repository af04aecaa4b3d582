"""`gatepost demo`: simulated devices, the real agent and a broker of its own on this machine, shown in the terminal."""
