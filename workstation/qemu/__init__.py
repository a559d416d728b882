"""What is asked of QEMU and told to it: argv, processes, monitors, images, the screen."""
