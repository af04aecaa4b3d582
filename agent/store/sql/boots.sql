SELECT id, name, shift FROM boot
