package tasklane.runtime;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What an entry point names: `package.Class` or `package.Class::method`. */
interface Handler {
    void call(byte[] event, OutputStream response, Context context) throws Throwable;

    /**
     * Finds the handler. What is wrong with it is reported by the first run, as AWS's client does, unless the code could not be
     * initialised.
     */
    static Handler load(String entryPoint, ClassLoader loader) {
        int colon = entryPoint.lastIndexOf("::");
        String name = colon < 0 ? entryPoint : entryPoint.substring(0, colon);
        String method = colon < 0 ? null : entryPoint.substring(colon + 2);
        try {
            if (name.isEmpty() || method != null && method.isEmpty()) {
                throw new Fault("Invalid handler: `" + entryPoint + "'");
            }
            Class<?> type = Class.forName(name, true, loader);
            return method == null ? ofInterface(type) : ofMethod(type, method);
        } catch (Fault fault) {
            return failing(fault);
        } catch (ClassNotFoundException missing) {
            return failing(Fault.notFound(name, missing));
        } catch (NoClassDefFoundError missing) {
            return failing(Fault.loading(name, missing, false));
        } catch (Throwable thrown) {
            throw Fault.loading(name, thrown, true);
        }
    }

    static Handler failing(Fault fault) {
        if (fault.isFatal) {
            throw fault;
        }
        return (event, response, context) -> {
            throw fault;
        };
    }

    static Handler ofInterface(Class<?> type) {
        if (RequestStreamHandler.class.isAssignableFrom(type)) {
            RequestStreamHandler handler = (RequestStreamHandler) instance(type);
            return (event, response, context) ->
                    handler.handleRequest(new ByteArrayInputStream(event), response, context);
        }
        if (!RequestHandler.class.isAssignableFrom(type)) {
            throw new Fault("Class does not implement an appropriate handler interface: " + type.getName());
        }
        Type[] parameters = parametersOf(type, new HashMap<>());
        if (parameters == null || parameters[0] instanceof TypeVariable) {
            throw new Fault("Class " + type.getName() + " does not implement RequestHandler with concrete type parameters");
        }
        @SuppressWarnings("unchecked")
        RequestHandler<Object, Object> handler = (RequestHandler<Object, Object>) instance(type);
        return (event, response, context) -> {
            Object input = parsed(event, parameters[0]);
            write(handler.handleRequest(input, context), response);
        };
    }

    static Handler ofMethod(Class<?> type, String name) {
        List<Method> named = new ArrayList<>();
        for (Method method : type.getMethods()) {
            // The compiler adds a method without the types of a generic interface.
            if (method.getName().equals(name) && !method.isBridge()) {
                named.add(method);
            }
        }
        // The longest one, and of equally long ones that with a context.
        named.sort(Comparator.comparing((Method method) -> -method.getParameterCount())
                .thenComparing(method -> endsWithContext(method) ? 0 : 1));
        for (Method method : named) {
            if (isHandler(method.getParameterTypes())) {
                Object receiver = Modifier.isStatic(method.getModifiers()) ? null : instance(type);
                method.setAccessible(true);
                return (event, response, context) -> callMethod(method, receiver, event, response, context);
            }
        }
        throw new Fault("No public method named " + name + " with appropriate method signature found on class " + type.getName());
    }

    static boolean endsWithContext(Method method) {
        Class<?>[] types = method.getParameterTypes();
        return types.length > 0 && types[types.length - 1] == Context.class;
    }

    /** An event or streams, and then a context; each can be missing. */
    static boolean isHandler(Class<?>[] types) {
        List<Class<?>> left = new ArrayList<>(Arrays.asList(types));
        if (!left.isEmpty() && left.get(left.size() - 1) == Context.class) {
            left.remove(left.size() - 1);
        }
        boolean isTwoStreams = left.size() == 2 && left.get(0) == InputStream.class && left.get(1) == OutputStream.class;
        return left.size() < 2 || isTwoStreams;
    }

    static void callMethod(Method method, Object receiver, byte[] event, OutputStream response, Context context)
            throws Throwable {
        Type[] types = method.getGenericParameterTypes();
        Object[] arguments = new Object[types.length];
        boolean hasOutput = false;
        for (int i = 0; i < types.length; i++) {
            if (types[i] == Context.class) {
                arguments[i] = context;
            } else if (types[i] == InputStream.class) {
                arguments[i] = new ByteArrayInputStream(event);
            } else if (types[i] == OutputStream.class) {
                hasOutput = true;
                arguments[i] = response;
            } else {
                arguments[i] = parsed(event, types[i]);
            }
        }
        Object result;
        try {
            result = method.invoke(receiver, arguments);
        } catch (InvocationTargetException thrown) {
            throw thrown.getCause() == null ? thrown : thrown.getCause();
        }
        if (!hasOutput) {
            write(result, response);
        }
    }

    static Object parsed(byte[] event, Type type) {
        try {
            return Mapper.to(type, Json.parse(new String(event, StandardCharsets.UTF_8)));
        } catch (RuntimeException wrong) {
            throw new RuntimeException("An error occurred during JSON parsing", wrong);
        }
    }

    static void write(Object result, OutputStream response) throws java.io.IOException {
        String json;
        try {
            json = Json.write(Mapper.from(result, 0));
        } catch (RuntimeException wrong) {
            throw new RuntimeException("An error occurred during JSON serialization of response", wrong);
        }
        response.write(json.getBytes(StandardCharsets.UTF_8));
    }

    static Object instance(Class<?> type) {
        Constructor<?> constructor;
        try {
            constructor = type.getConstructor();
        } catch (NoSuchMethodException none) {
            boolean isInner = type.getEnclosingClass() != null && !Modifier.isStatic(type.getModifiers());
            String why = isInner
                    ? " cannot be instantiated because it is a non-static inner class"
                    : " has no public zero-argument constructor";
            throw new Fault(new Exception("Class " + type.getName() + why));
        }
        try {
            return constructor.newInstance();
        } catch (InvocationTargetException thrown) {
            throw Fault.atStart(thrown.getCause() == null ? thrown : thrown.getCause());
        } catch (ReflectiveOperationException thrown) {
            throw new Fault(thrown);
        }
    }

    /** What `RequestHandler`'s two parameters are for a class, wherever above it they are given. */
    static Type[] parametersOf(Type type, Map<TypeVariable<?>, Type> known) {
        if (type == null) {
            return null;
        }
        Class<?> raw = Mapper.raw(type);
        if (type instanceof ParameterizedType) {
            Type[] given = ((ParameterizedType) type).getActualTypeArguments();
            for (int i = 0; i < given.length; i++) {
                known.put(raw.getTypeParameters()[i], given[i] instanceof TypeVariable ? known.getOrDefault((TypeVariable<?>) given[i], given[i]) : given[i]);
            }
        }
        if (raw == RequestHandler.class) {
            TypeVariable<?>[] names = raw.getTypeParameters();
            Type input = known.get(names[0]);
            return input == null ? null : new Type[] {input, known.get(names[1])};
        }
        for (Type above : raw.getGenericInterfaces()) {
            Type[] found = parametersOf(above, known);
            if (found != null) {
                return found;
            }
        }
        return parametersOf(raw.getGenericSuperclass(), known);
    }
}
