"""The program that Python is started with.

multiprocessing lets each spawned child import this file again under another name. That must not start a second
runtime."""

if __name__ == "__main__":
    from tasklane_runtime import main

    main()
