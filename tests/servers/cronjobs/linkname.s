// Functions without a body need it.
