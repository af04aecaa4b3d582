DELETE FROM reading WHERE seq >= :lo AND seq < :hi AND (bits & 1) = :urgent
