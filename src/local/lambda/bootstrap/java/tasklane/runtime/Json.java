package tasklane.runtime;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** JSON as maps, lists, strings, numbers, booleans and null. */
final class Json {
    /** How deep values may be nested: deeper ones would exhaust the stack. */
    static final int DEEPEST = 500;

    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    static Object parse(String text) {
        Json json = new Json(text);
        Object value = json.value(0);
        json.space();
        if (json.at < text.length()) {
            throw json.wrong();
        }
        return value;
    }

    private Object value(int depth) {
        space();
        if (depth > DEEPEST || at >= text.length()) {
            throw wrong();
        }
        switch (text.charAt(at)) {
            case '{':
                return object(depth);
            case '[':
                return array(depth);
            case '"':
                return string();
            case 't':
                return word("true", Boolean.TRUE);
            case 'f':
                return word("false", Boolean.FALSE);
            case 'n':
                return word("null", null);
            default:
                return number();
        }
    }

    private Map<String, Object> object(int depth) {
        Map<String, Object> found = new LinkedHashMap<>();
        at++;
        space();
        if (next('}')) {
            return found;
        }
        do {
            space();
            if (at >= text.length() || text.charAt(at) != '"') {
                throw wrong();
            }
            String name = string();
            space();
            if (!next(':')) {
                throw wrong();
            }
            found.put(name, value(depth + 1));
            space();
        } while (next(','));
        if (!next('}')) {
            throw wrong();
        }
        return found;
    }

    private List<Object> array(int depth) {
        List<Object> found = new ArrayList<>();
        at++;
        space();
        if (next(']')) {
            return found;
        }
        do {
            found.add(value(depth + 1));
            space();
        } while (next(','));
        if (!next(']')) {
            throw wrong();
        }
        return found;
    }

    private String string() {
        StringBuilder found = new StringBuilder();
        at++;
        while (at < text.length()) {
            char c = text.charAt(at++);
            if (c == '"') {
                return found.toString();
            }
            if (c != '\\') {
                found.append(c);
                continue;
            }
            if (at >= text.length()) {
                break;
            }
            char escaped = text.charAt(at++);
            int simple = "\"\\/bfnrt".indexOf(escaped);
            if (simple >= 0) {
                found.append("\"\\/\b\f\n\r\t".charAt(simple));
            } else if (escaped == 'u' && at + 4 <= text.length()) {
                try {
                    found.append((char) Integer.parseInt(text.substring(at, at + 4), 16));
                } catch (NumberFormatException none) {
                    throw wrong();
                }
                at += 4;
            } else {
                break;
            }
        }
        throw wrong();
    }

    private Object number() {
        int start = at;
        while (at < text.length() && "+-0123456789.eE".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
        String number = text.substring(start, at);
        try {
            if (number.matches("-?[0-9]+")) {
                BigInteger whole = new BigInteger(number);
                if (whole.bitLength() < Integer.SIZE) {
                    return whole.intValue();
                }
                return whole.bitLength() < Long.SIZE ? (Object) whole.longValue() : whole;
            }
            return new BigDecimal(number);
        } catch (NumberFormatException none) {
            throw wrong();
        }
    }

    private Object word(String word, Object value) {
        if (!text.startsWith(word, at)) {
            throw wrong();
        }
        at += word.length();
        return value;
    }

    private boolean next(char wanted) {
        boolean isIt = at < text.length() && text.charAt(at) == wanted;
        at += isIt ? 1 : 0;
        return isIt;
    }

    private void space() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    private RuntimeException wrong() {
        return new IllegalArgumentException("not JSON at position " + at);
    }

    static String write(Object value) {
        StringBuilder text = new StringBuilder();
        write(value, text);
        return text.toString();
    }

    private static void write(Object value, StringBuilder text) {
        if (value instanceof Map) {
            char before = '{';
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
                text.append(before);
                before = ',';
                quote(String.valueOf(entry.getKey()), text);
                text.append(':');
                write(entry.getValue(), text);
            }
            text.append(before == '{' ? "{}" : "}");
        } else if (value instanceof List) {
            char before = '[';
            for (Object item : (List<?>) value) {
                text.append(before);
                before = ',';
                write(item, text);
            }
            text.append(before == '[' ? "[]" : "]");
        } else if (value instanceof String) {
            quote((String) value, text);
        } else if (isNoNumber(value)) {
            quote(value.toString(), text);
        } else {
            text.append(value);
        }
    }

    /** Jackson writes them as text. */
    private static boolean isNoNumber(Object value) {
        if (value instanceof Double) {
            return !Double.isFinite((Double) value);
        }
        return value instanceof Float && !Float.isFinite((Float) value);
    }

    private static void quote(String value, StringBuilder text) {
        text.append('"');
        for (int i = 0; i < value.length(); i++) {
            char c = value.charAt(i);
            int simple = "\"\\\b\f\n\r\t".indexOf(c);
            if (simple >= 0) {
                text.append('\\').append("\"\\bfnrt".charAt(simple));
            } else if (c < ' ') {
                text.append(String.format("\\u%04x", (int) c));
            } else {
                text.append(c);
            }
        }
        text.append('"');
    }
}
