"""What authors and instructors run: sweeps, records, pages, notebooks. Nothing else imports it."""
