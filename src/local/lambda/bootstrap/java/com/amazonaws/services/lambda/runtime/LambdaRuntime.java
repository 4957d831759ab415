package com.amazonaws.services.lambda.runtime;

public final class LambdaRuntime {
    private static final LambdaLogger LOGGER = new tasklane.runtime.Log();

    private LambdaRuntime() {}

    public static LambdaLogger getLogger() {
        return LOGGER;
    }
}
