"""Files and how they are read and written: atomically, checked, and without running them."""
