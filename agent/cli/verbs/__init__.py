"""One file for each verb; a verb is imported when it is used."""
