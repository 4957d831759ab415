package tasklane.runtime;

import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/**
 * Events as the types of handlers, and results as JSON: strings, numbers, booleans, enums, maps, lists, arrays, and classes with
 * setters, getters and public fields. AWS's client uses Jackson, which knows more; annotations have no effect here.
 */
final class Mapper {
    private Mapper() {}

    static Object to(Type type, Object json) {
        Class<?> raw = raw(type);
        if (json == null) {
            if (raw.isPrimitive()) {
                return to(raw, raw == boolean.class ? (Object) Boolean.FALSE : (Object) 0);
            }
            return null;
        }
        if (raw == Object.class || raw == void.class || raw == Void.class) {
            return json instanceof BigDecimal ? (Object) ((BigDecimal) json).doubleValue() : generic(json);
        }
        if (raw == Optional.class) {
            return Optional.of(to(parameter(type, 0), json));
        }
        if (raw == String.class || raw == CharSequence.class) {
            if (json instanceof Map || json instanceof List) {
                throw new IllegalArgumentException("a String cannot be made of an object or a list");
            }
            return json.toString();
        }
        if (raw == boolean.class || raw == Boolean.class) {
            return json instanceof Boolean ? json : Boolean.valueOf(json.toString());
        }
        if (raw == char.class || raw == Character.class) {
            return json.toString().charAt(0);
        }
        if (raw.isPrimitive() || Number.class.isAssignableFrom(raw)) {
            return number(raw, new BigDecimal(json.toString()));
        }
        if (raw.isEnum()) {
            return constant(raw, json.toString());
        }
        if (raw == byte[].class && json instanceof String) {
            return Base64.getDecoder().decode((String) json);
        }
        if (raw.isArray()) {
            return array(type, raw, list(json, raw));
        }
        if (Collection.class.isAssignableFrom(raw) || raw == Iterable.class) {
            return collection(type, raw, list(json, raw));
        }
        if (!(json instanceof Map)) {
            throw new IllegalArgumentException("a " + raw.getName() + " cannot be made of " + json);
        }
        return Map.class.isAssignableFrom(raw) ? map(type, raw, (Map<?, ?>) json) : bean(raw, (Map<?, ?>) json);
    }

    private static Object generic(Object json) {
        if (json instanceof List) {
            List<Object> items = new ArrayList<>();
            ((List<?>) json).forEach(item -> items.add(to(Object.class, item)));
            return items;
        }
        if (json instanceof Map) {
            Map<Object, Object> items = new LinkedHashMap<>();
            ((Map<?, ?>) json).forEach((name, item) -> items.put(name, to(Object.class, item)));
            return items;
        }
        return json;
    }

    private static Object number(Class<?> raw, BigDecimal value) {
        if (raw == int.class || raw == Integer.class) {
            return value.intValue();
        } else if (raw == long.class || raw == Long.class) {
            return value.longValue();
        } else if (raw == short.class || raw == Short.class) {
            return value.shortValue();
        } else if (raw == byte.class || raw == Byte.class) {
            return value.byteValue();
        } else if (raw == float.class || raw == Float.class) {
            return value.floatValue();
        } else if (raw == BigInteger.class) {
            return value.toBigInteger();
        } else if (raw == BigDecimal.class) {
            return value;
        }
        return value.doubleValue();
    }

    private static Object constant(Class<?> type, String name) {
        for (Object constant : type.getEnumConstants()) {
            if (((Enum<?>) constant).name().equals(name)) {
                return constant;
            }
        }
        throw new IllegalArgumentException(type.getName() + " has no " + name);
    }

    private static List<?> list(Object json, Class<?> raw) {
        if (json instanceof List) {
            return (List<?>) json;
        }
        throw new IllegalArgumentException("a " + raw.getName() + " cannot be made of " + json);
    }

    private static Object array(Type type, Class<?> raw, List<?> items) {
        Type of = type instanceof GenericArrayType
                ? ((GenericArrayType) type).getGenericComponentType()
                : raw.getComponentType();
        Object array = Array.newInstance(raw.getComponentType(), items.size());
        for (int i = 0; i < items.size(); i++) {
            Array.set(array, i, to(of, items.get(i)));
        }
        return array;
    }

    private static Object collection(Type type, Class<?> raw, List<?> items) {
        Collection<Object> found;
        if (raw.isInterface()) {
            found = Set.class.isAssignableFrom(raw) ? new LinkedHashSet<>() : new ArrayList<>();
        } else {
            found = created(raw);
        }
        items.forEach(item -> found.add(to(parameter(type, 0), item)));
        return found;
    }

    private static Object map(Type type, Class<?> raw, Map<?, ?> json) {
        Map<Object, Object> found = raw.isInterface() ? new LinkedHashMap<>() : created(raw);
        json.forEach((name, item) -> found.put(to(parameter(type, 0), name), to(parameter(type, 1), item)));
        return found;
    }

    /** Names that the class does not have are passed over, as Lambda's own mapper does. */
    private static Object bean(Class<?> raw, Map<?, ?> json) {
        Object bean = created(raw);
        Map<String, Method> setters = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
        for (Method method : raw.getMethods()) {
            String name = method.getName();
            if (name.length() > 3 && name.startsWith("set") && method.getParameterCount() == 1 && !method.isBridge()) {
                setters.put(name.substring(3), method);
            }
        }
        json.forEach((name, item) -> {
            try {
                Method setter = setters.get(name.toString());
                if (setter != null) {
                    setter.setAccessible(true);
                    setter.invoke(bean, to(setter.getGenericParameterTypes()[0], item));
                } else {
                    Field field = raw.getField(name.toString());
                    field.setAccessible(true);
                    field.set(bean, to(field.getGenericType(), item));
                }
            } catch (NoSuchFieldException unknown) {
                // It stays as the constructor has left it.
            } catch (ReflectiveOperationException wrong) {
                throw new IllegalArgumentException(raw.getName() + "." + name + " cannot be set", wrong);
            }
        });
        return bean;
    }

    @SuppressWarnings("unchecked")
    private static <T> T created(Class<?> raw) {
        try {
            java.lang.reflect.Constructor<?> constructor = raw.getDeclaredConstructor();
            constructor.setAccessible(true);
            return (T) constructor.newInstance();
        } catch (ReflectiveOperationException wrong) {
            throw new IllegalArgumentException(raw.getName() + " has no constructor without parameters", wrong);
        }
    }

    /** A result as maps, lists and simple values. */
    static Object from(Object value, int depth) {
        if (depth > Json.DEEPEST) {
            throw new IllegalArgumentException("nested too deeply: does an object contain itself?");
        }
        if (value == null || value instanceof Number || value instanceof Boolean) {
            return value;
        }
        if (value instanceof CharSequence || value instanceof Character) {
            return value.toString();
        }
        if (value instanceof Enum) {
            return ((Enum<?>) value).name();
        }
        if (value instanceof Optional) {
            return from(((Optional<?>) value).orElse(null), depth + 1);
        }
        if (value instanceof byte[]) {
            return Base64.getEncoder().encodeToString((byte[]) value);
        }
        if (value instanceof Map) {
            Map<String, Object> found = new LinkedHashMap<>();
            ((Map<?, ?>) value).forEach((name, item) -> found.put(String.valueOf(name), from(item, depth + 1)));
            return found;
        }
        if (value instanceof Iterable) {
            List<Object> found = new ArrayList<>();
            ((Iterable<?>) value).forEach(item -> found.add(from(item, depth + 1)));
            return found;
        }
        if (value.getClass().isArray()) {
            List<Object> found = new ArrayList<>();
            for (int i = 0; i < Array.getLength(value); i++) {
                found.add(from(Array.get(value, i), depth + 1));
            }
            return found;
        }
        return properties(value, depth);
    }

    /** What its getters and its public fields say, by name. */
    private static Map<String, Object> properties(Object value, int depth) {
        Map<String, Object> found = new TreeMap<>();
        try {
            for (Field field : value.getClass().getFields()) {
                if (!Modifier.isStatic(field.getModifiers())) {
                    field.setAccessible(true);
                    found.put(field.getName(), from(field.get(value), depth + 1));
                }
            }
            for (Method method : value.getClass().getMethods()) {
                String name = property(method);
                if (name != null) {
                    method.setAccessible(true);
                    found.put(name, from(method.invoke(value), depth + 1));
                }
            }
        } catch (InvocationTargetException thrown) {
            throw new IllegalArgumentException(value.getClass().getName() + " cannot be read", thrown.getCause());
        } catch (IllegalAccessException hidden) {
            throw new IllegalArgumentException(value.getClass().getName() + " cannot be read", hidden);
        }
        return found;
    }

    private static String property(Method method) {
        boolean isGetter = method.getParameterCount() == 0 && !Modifier.isStatic(method.getModifiers())
                && method.getReturnType() != void.class && method.getDeclaringClass() != Object.class && !method.isBridge();
        String name = method.getName();
        int prefix = name.startsWith("get") ? 3 : name.startsWith("is") && method.getReturnType() == boolean.class ? 2 : 0;
        if (!isGetter || prefix == 0 || name.length() == prefix) {
            return null;
        }
        return Character.toLowerCase(name.charAt(prefix)) + name.substring(prefix + 1);
    }

    static Class<?> raw(Type type) {
        if (type instanceof Class) {
            return (Class<?>) type;
        } else if (type instanceof ParameterizedType) {
            return raw(((ParameterizedType) type).getRawType());
        } else if (type instanceof GenericArrayType) {
            return Array.newInstance(raw(((GenericArrayType) type).getGenericComponentType()), 0).getClass();
        } else if (type instanceof TypeVariable) {
            return raw(((TypeVariable<?>) type).getBounds()[0]);
        }
        return raw(((WildcardType) type).getUpperBounds()[0]);
    }

    private static Type parameter(Type type, int index) {
        if (!(type instanceof ParameterizedType)) {
            return Object.class;
        }
        Type[] given = ((ParameterizedType) type).getActualTypeArguments();
        return index < given.length ? given[index] : Object.class;
    }
}
