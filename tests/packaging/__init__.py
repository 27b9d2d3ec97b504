"""What is handed on: the wheel, the Debian package, the containers, the load script."""
