"""The process: what systemd is told, the watchdog, supervised tasks, log lines and exit codes. Knows no other room."""
