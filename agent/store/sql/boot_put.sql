INSERT INTO boot (id, name, shift) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, shift = coalesce(excluded.shift, shift)
