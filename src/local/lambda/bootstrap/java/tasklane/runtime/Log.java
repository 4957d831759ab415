package tasklane.runtime;

import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.nio.charset.StandardCharsets;

/** The logger of a context: one call is one log entry, even if it has several lines. */
public final class Log implements LambdaLogger {
    private static final LogLevel LEAST = leastLevel(System.getenv("AWS_LAMBDA_LOG_LEVEL"));

    private static LogLevel leastLevel(String configured) {
        try {
            return LogLevel.fromString(configured);
        } catch (RuntimeException none) {
            return LogLevel.UNDEFINED;
        }
    }

    static void error(String text) {
        write(text);
    }

    private static void write(String text) {
        String shown = text == null ? "null" : text;
        // The reader of the pipe turns \r back into a line break.
        String entry = shown.endsWith("\n") ? shown.substring(0, shown.length() - 1) : shown;
        System.out.print(entry.replace('\n', '\r') + "\n");
        System.out.flush();
    }

    @Override
    public void log(String message) {
        write(message);
    }

    @Override
    public void log(byte[] message) {
        write(message == null ? null : new String(message, StandardCharsets.UTF_8));
    }

    @Override
    public void log(String message, LogLevel level) {
        if (level == LogLevel.UNDEFINED) {
            write(message);
        } else if (level.compareTo(LEAST) >= 0) {
            write("[" + level + "] " + message);
        }
    }

    @Override
    public void log(byte[] message, LogLevel level) {
        if (level == LogLevel.UNDEFINED || level.compareTo(LEAST) >= 0) {
            log(message);
        }
    }
}
