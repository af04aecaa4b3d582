SELECT substr(key, :skip + 1), value FROM state WHERE substr(key, 1, :skip) = :prefix
