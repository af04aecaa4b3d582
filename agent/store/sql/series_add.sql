INSERT INTO series (id, boot, device, patient, common) VALUES (?, ?, ?, ?, ?)
