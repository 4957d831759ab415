"""What Python is started with."""

from tasklane_runtime import main

main()
