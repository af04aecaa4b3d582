SELECT id, boot, device, patient, common, crc FROM series WHERE boot = ?
