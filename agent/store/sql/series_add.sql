INSERT OR REPLACE INTO series (id, boot, device, patient, common, crc) VALUES (?, ?, ?, ?, ?, ?)
