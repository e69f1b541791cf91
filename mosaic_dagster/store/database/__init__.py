"""The database file: leases, migrations, schemas, bulk reading and writing."""
