"""Why a task ran, was reused, was skipped, waits or failed: answers from the journal alone."""
