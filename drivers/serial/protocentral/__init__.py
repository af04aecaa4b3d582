"""ProtoCentral ECG boards and HealthyPi."""
