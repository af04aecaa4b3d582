SELECT id, boot, device, patient, common, crc FROM series WHERE id IN (SELECT value FROM json_each(?))
