DELETE FROM reading WHERE bits & 1 AND seq >= :lo AND seq < :hi
