package tasklane.runtime;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** The only connection to the Runtime API. */
final class Api {
    private static final String ROOT = "/2018-06-01/runtime";

    /** An event and what comes with it. */
    static final class Invocation {
        private final Map<String, String> headers;
        final byte[] body;

        Invocation(Map<String, String> headers, byte[] body) {
            this.headers = headers;
            this.body = body;
        }

        String header(String name) {
            return headers.getOrDefault(name, "");
        }
    }

    private final String host;
    private final OutputStream output;
    private final DataInputStream input;

    Api(String address) throws IOException {
        host = address;
        int colon = address.lastIndexOf(':');
        Socket socket = new Socket(address.substring(0, colon), Integer.parseInt(address.substring(colon + 1)));
        socket.setTcpNoDelay(true);
        output = socket.getOutputStream();
        input = new DataInputStream(new BufferedInputStream(socket.getInputStream()));
    }

    Invocation next() throws IOException {
        return ask("GET", "/invocation/next", new byte[0], null);
    }

    void respond(String id, byte[] response) throws IOException {
        ask("POST", "/invocation/" + id + "/response", response, null);
    }

    void fail(String id, String error, String kind) throws IOException {
        ask("POST", "/invocation/" + id + "/error", error.getBytes(StandardCharsets.UTF_8), kind);
    }

    void failInit(String error, String kind) throws IOException {
        ask("POST", "/init/error", error.getBytes(StandardCharsets.UTF_8), kind);
    }

    private Invocation ask(String method, String route, byte[] body, String kind) throws IOException {
        StringBuilder head = new StringBuilder(method + " " + ROOT + route + " HTTP/1.1\r\nHost: " + host + "\r\n");
        head.append("Content-Type: application/json\r\nContent-Length: ").append(body.length).append("\r\n");
        if (kind != null) {
            head.append("Lambda-Runtime-Function-Error-Type: ").append(kind).append("\r\n");
        }
        ByteArrayOutputStream request = new ByteArrayOutputStream();
        request.write(head.append("\r\n").toString().getBytes(StandardCharsets.US_ASCII));
        request.write(body);
        output.write(request.toByteArray());
        output.flush();
        line();
        Map<String, String> headers = new HashMap<>();
        for (String line = line(); !line.isEmpty(); line = line()) {
            int colon = line.indexOf(':');
            headers.put(line.substring(0, colon).toLowerCase(Locale.ROOT), line.substring(colon + 1).trim());
        }
        byte[] content = new byte[Integer.parseInt(headers.getOrDefault("content-length", "0"))];
        input.readFully(content);
        return new Invocation(headers, content);
    }

    private String line() throws IOException {
        StringBuilder line = new StringBuilder();
        for (int next = input.readUnsignedByte(); next != '\n'; next = input.readUnsignedByte()) {
            if (next != '\r') {
                line.append((char) next);
            }
        }
        return line.toString();
    }
}
