package tasklane.runtime;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOError;
import java.io.IOException;
import java.io.PrintStream;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Runs a Function's handler under Java, as AWS's runtime client does (com.amazonaws:aws-lambda-java-runtime-interface-client): it
 * finds handlers, names errors, and writes log lines in the same way.
 */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) throws IOException {
        // Every line is in the pipe before the response is sent.
        System.setOut(new PrintStream(new FileOutputStream(FileDescriptor.out), true, "UTF-8"));
        System.setErr(new PrintStream(new FileOutputStream(FileDescriptor.err), true, "UTF-8"));
        Api api = new Api(System.getenv("AWS_LAMBDA_RUNTIME_API"));
        Handler handler;
        try {
            ClassLoader loader = new URLClassLoader(classPath(), Main.class.getClassLoader());
            Thread.currentThread().setContextClassLoader(loader);
            handler = Handler.load(System.getenv("_HANDLER"), loader);
        } catch (Fault fault) {
            Log.error(fault.logged());
            api.failInit(fault.toJson(), "Runtime.BadFunctionCode");
            System.exit(1);
            return;
        }
        while (true) {
            Api.Invocation invocation = api.next();
            System.setProperty("com.amazonaws.xray.traceHeader", invocation.header("lambda-runtime-trace-id"));
            if (!answer(api, handler, invocation)) {
                // As on Lambda, where the next run gets a new process.
                System.exit(1);
            }
        }
    }

    /** Returns whether the process can run the next invocation. */
    private static boolean answer(Api api, Handler handler, Api.Invocation invocation) throws IOException {
        String id = invocation.header("lambda-runtime-aws-request-id");
        ByteArrayOutputStream response = new ByteArrayOutputStream();
        try {
            handler.call(invocation.body, response, new LambdaContext(invocation));
        } catch (Fault fault) {
            Log.error(fault.logged());
            api.fail(id, fault.toJson(), "Runtime.BadFunctionCode");
            return !fault.isFatal;
        } catch (Throwable thrown) {
            Fault.hideRuntime(thrown);
            Log.error(new Fault(thrown).logged());
            api.fail(id, Fault.toJson(thrown), "Runtime.UserException");
            return !(thrown instanceof VirtualMachineError || thrown instanceof IOError);
        }
        System.out.flush();
        System.err.flush();
        api.respond(id, response.toByteArray());
        return true;
    }

    /** The package, its jars in `lib`, and those of layers; in the order of their names, as on Lambda. */
    private static URL[] classPath() throws MalformedURLException {
        List<URL> found = new ArrayList<>();
        String task = System.getenv("LAMBDA_TASK_ROOT");
        found.add(new File(task + "/").toURI().toURL());
        addJars(new File(task, "lib"), found);
        // Not a variable, which the Function would see.
        String layers = System.getProperty("tasklane.layers");
        if (layers != null) {
            addJars(new File(layers), found);
        }
        return found.toArray(new URL[0]);
    }

    private static void addJars(File folder, List<URL> found) throws MalformedURLException {
        String[] names = folder.list((in, name) -> name.endsWith(".jar"));
        if (names == null) {
            return;
        }
        Arrays.sort(names);
        for (String name : names) {
            found.add(new File(folder, name).toURI().toURL());
        }
    }
}
