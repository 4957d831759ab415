package tasklane.runtime;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What is wrong with a Function's code, in the words of AWS's client. */
final class Fault extends RuntimeException {
    private static final long serialVersionUID = 1;
    private static final String OWN = Fault.class.getPackage().getName() + ".";

    /** The class of the error, or null if there is none. */
    private final String type;
    private final String trace;
    /** Whether the process cannot run anything after it. */
    final boolean isFatal;

    private Fault(String message, String type, String trace, boolean isFatal) {
        super(message, null, false, false);
        this.type = type;
        this.trace = trace;
        this.isFatal = isFatal;
    }

    Fault(String message) {
        this(message, null, null, false);
    }

    Fault(Throwable thrown) {
        this(messageOf(thrown), thrown.getClass().getName(), traceOf(thrown), false);
    }

    /** A class could not be initialised, or its constructor failed. */
    static Fault atStart(Throwable thrown) {
        return new Fault(messageOf(thrown), thrown.getClass().getName(), traceOf(thrown), true);
    }

    static Fault loading(String name, Throwable thrown, boolean isFatal) {
        String why = thrown.getMessage() == null ? "" : ": " + thrown.getMessage();
        return new Fault("Error loading class " + name + why, thrown.getClass().getName(), traceOf(thrown), isFatal);
    }

    static Fault notFound(String name, Throwable thrown) {
        return new Fault("Class not found: " + name, thrown.getClass().getName(), traceOf(thrown), false);
    }

    String logged() {
        if (type == null) {
            return getMessage() + "\n";
        }
        return getMessage() + ": " + type + "\n" + trace + "\n";
    }

    /** Without a trace, as AWS's client reports it. */
    String toJson() {
        Map<String, Object> error = new LinkedHashMap<>();
        error.put("errorMessage", getMessage());
        if (type != null) {
            error.put("errorType", type);
        }
        return Json.write(error);
    }

    /** What a handler threw. */
    static String toJson(Throwable thrown) {
        List<String> frames = new ArrayList<>();
        for (StackTraceElement frame : thrown.getStackTrace()) {
            frames.add(frame.toString());
        }
        Map<String, Object> error = new LinkedHashMap<>();
        error.put("errorMessage", messageOf(thrown));
        error.put("errorType", thrown.getClass().getName());
        error.put("stackTrace", frames);
        return Json.write(error);
    }

    private static String messageOf(Throwable thrown) {
        String message = thrown.getLocalizedMessage();
        return message == null ? thrown.getClass().getName() : message;
    }

    private static String traceOf(Throwable thrown) {
        hideRuntime(thrown);
        StringWriter text = new StringWriter();
        thrown.printStackTrace(new PrintWriter(text));
        return text.toString();
    }

    /** Removes this runtime's frames, and those that called it, from a trace and from those of its causes. */
    static void hideRuntime(Throwable thrown) {
        Throwable next = thrown;
        // A circle of causes has an end, too.
        for (int depth = 0; next != null && depth < 100; depth++) {
            StackTraceElement[] frames = next.getStackTrace();
            for (int i = 0; i < frames.length; i++) {
                if (frames[i].getClassName().startsWith(OWN)) {
                    // Reflection calls the handler.
                    while (i > 0 && isReflection(frames[i - 1].getClassName())) {
                        i--;
                    }
                    next.setStackTrace(Arrays.copyOf(frames, i));
                    break;
                }
            }
            next = next.getCause();
        }
    }

    private static boolean isReflection(String name) {
        return name.startsWith("java.lang.reflect.") || name.startsWith("jdk.internal.reflect.")
                || name.startsWith("sun.reflect.");
    }
}
