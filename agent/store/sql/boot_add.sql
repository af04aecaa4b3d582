INSERT INTO boot (name) VALUES (?)
