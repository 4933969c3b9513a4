"""What every process shares: domain rules, data, clients, settings. Imports none of the other packages."""
