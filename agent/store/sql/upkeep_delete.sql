DELETE FROM reading WHERE seq >= :lo AND seq < :hi AND NOT bits & 1
