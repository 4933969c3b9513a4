"""The database: connections by role, the unit of work, the migrations."""
