"""What Python is started with.

multiprocessing has each child that it spawns import this file again, under another name: that must start no second runtime."""

if __name__ == "__main__":
    from tasklane_runtime import main

    main()
