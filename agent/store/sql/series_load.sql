SELECT id, boot, device, patient, common FROM series WHERE boot = ?
