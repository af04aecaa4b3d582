SELECT id, boot, device, patient, common FROM series WHERE id IN (SELECT value FROM json_each(?))
