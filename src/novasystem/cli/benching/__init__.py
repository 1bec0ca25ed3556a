"""What the commands of ``nova bench`` do."""
