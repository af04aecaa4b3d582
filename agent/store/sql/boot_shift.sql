UPDATE boot SET shift = ? WHERE id = ?
