DELETE FROM owed WHERE broker = ? AND urgent = ?
