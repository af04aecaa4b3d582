SELECT id, shift FROM boot
