"""Runs a Function's handler under Python, as AWS's runtime client does (PyPI awslambdaric): it finds handlers, names
errors, and writes context and log lines in the same way.

`bootstrap.py` imports this as a module, because Python caches the bytecode of modules only."""

import _socket
import importlib
import io
import json
import os
import re
import sys
import time

_API = "/2018-06-01/runtime"
_HOST, _PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
# In a jail: a socket for the same API.
_SOCKET = os.environ.pop("_TASKLANE_RUNTIME_SOCKET", None)
_ENSURE_ASCII = os.environ.get("AWS_EXECUTION_ENV") in {
    "AWS_Lambda_python" + version for version in ("3.8", "3.9", "3.10", "3.11")
}


class Fault(Exception):
    """An error with one of Lambda's own names."""

    def __init__(self, name, message, trace=None):
        super().__init__(message)
        self.name = "Runtime." + name
        self.message = message
        self.trace = trace or []


# --- Runtime API ------------------------------------------------------------------------------------------------------
# Not http.client, which would import half of the standard library before the Function starts.


def _connect():
    # The module that `socket` is built on: importing `socket` takes longer than running this whole file.
    if _SOCKET is None:
        connection = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        connection.connect((_HOST, int(_PORT)))
        connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        return connection
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.connect(_SOCKET)
    return connection


class _Connection:
    """The only connection to the Runtime API. Replies arrive in the order of the requests."""

    def __init__(self):
        self._socket = _connect()
        self._unsent = b""
        self._replies = io.open(self._socket.fileno(), "rb", closefd=False)
        self._unread = 0

    def tell(self, method, route, body=b"", headers=()):
        """Queues a request. It is sent together with the next `ask`, which also reads the reply to it."""
        head = [
            "%s %s%s HTTP/1.1" % (method, _API, route),
            "Host: %s:%s" % (_HOST, _PORT),
            "Content-Length: %d" % len(body),
            *("%s: %s" % header for header in headers),
        ]
        self._unsent += "\r\n".join(head).encode("utf-8") + b"\r\n\r\n" + body
        self._unread += 1

    def ask(self, method, route, body=b"", headers=()):
        """Sends a request and waits for the reply: its headers and its body."""
        self.tell(method, route, body, headers)
        request, self._unsent = self._unsent, b""
        self._socket.sendall(request)
        while True:
            self._replies.readline()
            found = {}
            for line in iter(self._replies.readline, b"\r\n"):
                if not line:
                    raise ConnectionError("the Runtime API closed the connection")
                name, _, value = line.decode("latin-1").partition(":")
                found[name.strip().lower()] = value.strip()
            content = self._replies.read(int(found.get("content-length", 0)))
            self._unread -= 1
            if self._unread == 0:
                return found, content


def _error_of(error):
    headers = [
        ("Content-Type", "application/json"),
        ("Lambda-Runtime-Function-Error-Type", error["errorType"].encode("ascii", "replace").decode()),
    ]
    return _to_json(error).encode("utf-8"), headers


# --- JSON -------------------------------------------------------------------------------------------------------------
# AWS's client uses simplejson, which supports some types that the standard library's encoder does not: decimals keep
# their digits, named tuples become objects, and bytes become strings.

_DECIMAL = "\0decimal:" + os.urandom(8).hex() + ":"
_DECIMALS = re.compile(r'"\\u0000decimal:' + _DECIMAL.split(":")[1] + r':([^"]*)"')


def _plain(value):
    kind = type(value)
    if kind is str or kind is int or kind is float or kind is bool or value is None:
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8")
    # Not imported here, because that takes long. If the code has not imported it, the value is not a Decimal.
    decimal = sys.modules.get("decimal")
    if decimal and isinstance(value, decimal.Decimal):
        return float("nan") if value.is_nan() else _DECIMAL + str(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple) and callable(getattr(value, "_asdict", None)):
        return {key: _plain(item) for key, item in value._asdict().items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _to_json(value):
    try:
        plain = _plain(value)
    except RecursionError:
        # Most likely a list that contains itself. The encoder reports that in the same words as on AWS.
        plain = value
    text = json.dumps(plain, ensure_ascii=_ENSURE_ASCII)
    text = _DECIMALS.sub(r"\1", text) if "decimal:" in text else text
    return text if text.isascii() else _well_formed(text)


def _well_formed(text):
    """Replaces halves of emojis that were cut in two, which have no UTF-8 form."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)
    return text


# --- Log --------------------------------------------------------------------------------------------------------------

_request_id = None
_LOGS_JSON = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
# Lambda's lowest level, TRACE, does not exist in Python.
_LOG_LEVEL = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper().replace("TRACE", "DEBUG")
_JSON_TIME = "%Y-%m-%dT%H:%M:%SZ"


def _write_entry(text):
    # One call is one log entry, even if it has several lines: the reader of the pipe turns \r back into a line break.
    sys.stdout.write(_well_formed(text).replace("\n", "\r") + "\n")


def _set_up_logging(logging):
    class LogHandler(logging.Handler):
        log_sink = sys.stdout

        def emit(self, record):
            _write_entry(self.format(record))

    class RequestIdFilter(logging.Filter):
        def filter(self, record):
            record.aws_request_id = _request_id or ""
            return True

    logging.Formatter.converter = time.gmtime
    handler = LogHandler()
    layout = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
    text = logging.Formatter(layout, "%Y-%m-%dT%H:%M:%S")
    handler.setFormatter(_json_formatter(logging) if _LOGS_JSON else text)
    handler.addFilter(RequestIdFilter())
    root = logging.getLogger()
    root.addHandler(handler)
    if _LOG_LEVEL in ("DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL", "FATAL"):
        root.setLevel(_LOG_LEVEL)


def _json_formatter(logging):
    # All other fields of a record were added by the call (`extra=`).
    own = {*vars(logging.makeLogRecord({})), "message", "asctime", "aws_request_id", "tenant_id"}

    class JsonFormatter(logging.Formatter):
        def format(self, record):
            level = min(50, max(0, record.levelno)) // 10 * 10
            kind, error, trace = record.exc_info or (None, None, None)
            entry = {
                "timestamp": self.formatTime(record, _JSON_TIME),
                "level": logging.getLevelName(level),
                "message": record.msg if isinstance(record.msg, dict) and not record.args else record.getMessage(),
                "logger": record.name,
                "stackTrace": _format_trace(trace) if kind else None,
                "errorType": kind.__name__ if kind else None,
                "errorMessage": str(error) if kind else None,
                "requestId": record.aws_request_id,
                "location": "%s:%s:%s" % (record.pathname, record.funcName, record.lineno) if kind else None,
            }
            added = {name: value for name, value in vars(record).items() if name not in own and name not in entry}
            shown = {name: value for name, value in {**entry, **added}.items() if value is not None}
            return json.dumps(shown, ensure_ascii=False, default=str)

    return JsonFormatter()


def _format_trace(trace):
    import traceback

    return traceback.format_tb(trace)


# --- What AWS's client imports ----------------------------------------------------------------------------------------
# It imports these before the Function's code, so the Function gets the standard library's modules even if its own
# folder has files with these names. Here they are imported when they are first used, to save most of the start-up time.

_STANDARD = {
    "_weakrefset", "contextlib", "linecache", "logging", "math", "select", "selectors", "socket", "string", "textwrap",
    "threading", "token", "tokenize", "traceback", "weakref",
}  # fmt: skip
# Without the folder of this file, which the Function's folder will replace.
_STANDARD_PATH = sys.path[1:]


class _Standard:
    """Finds the modules of `_STANDARD` outside of the Function's folder."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in _STANDARD:
            return None
        for finder in sys.meta_path:
            spec = None if finder is _Standard else finder.find_spec(name, _STANDARD_PATH, target)
            if spec is not None:
                if name == "logging":
                    spec.loader = _LoadingLogging(spec.loader)
                return spec
        return None


class _LoadingLogging:
    """Loads `logging`, and configures it as Lambda does."""

    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _set_up_logging(module)


def _prepare_logging():
    if "logging" in sys.modules:
        # A package of this Python imported it during the start.
        _set_up_logging(sys.modules["logging"])
    sys.meta_path.insert(0, _Standard)


def _log_error(error):
    if _LOGS_JSON:
        entry = {"timestamp": time.strftime(_JSON_TIME, time.gmtime()), "level": "ERROR", **error}
        _write_entry(_to_json(entry))
        return
    parts = [part for part in (error["errorType"], error["errorMessage"]) if part]
    lines = [" ".join(["[ERROR]", ": ".join(parts)]).rstrip(), "Traceback (most recent call last):"]
    for element in error["stackTrace"]:
        for line in element.splitlines():
            indent = len(line) - len(line.lstrip(" "))
            # Log viewers drop plain spaces at the start of a line.
            lines.append("\u00a0" * indent + line[indent:])
    _write_entry("\n".join(lines))


# --- Errors -----------------------------------------------------------------------------------------------------------


def _trace_of(error):
    try:
        import traceback
    except Exception:
        # The process may have too many open files, which is then the error.
        return []
    frames = traceback.extract_tb(error.__traceback__)
    # Start with the Function's own code, if the trace contains any.
    own = next((at for at, frame in enumerate(frames) if frame.filename != __file__), 0)
    return traceback.format_list(frames[own:])


def _explained(error):
    """The error's message. If the AWS SDK is missing, also why, and how to install it."""
    message = str(error)
    if isinstance(error, ImportError) and (error.name or "").split(".")[0] in ("boto3", "botocore"):
        return (
            message + ": Lambda's runtime includes the AWS SDK, this machine's does not: run "
            "'tasklane runtimes add-sdk', or put it into the package"
        )
    return message


def _describe(error, request_id=""):
    if isinstance(error, Fault):
        name, message, trace = error.name, error.message, error.trace
    else:
        name, message, trace = type(error).__name__, _explained(error), _trace_of(error)
    message = _well_formed(message)
    return {"errorMessage": message, "errorType": name, "requestId": request_id, "stackTrace": trace}


# --- Handler ----------------------------------------------------------------------------------------------------------


def _load_handler(handler):
    try:
        module_name, function_name = handler.rsplit(".", 1)
    except ValueError as error:
        raise Fault("MalformedHandlerName", "Bad handler '%s': %s" % (handler, error))
    if module_name.split(".")[0] in sys.builtin_module_names:
        message = "Cannot use built-in module %s as a handler module" % module_name
        raise Fault("BuiltInModuleConflict", message)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("ImportModuleError", "Unable to import module '%s': %s" % (module_name, _explained(error)))
    except SyntaxError as error:
        trace = ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)]
        raise Fault("UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, error), trace)
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise Fault("HandlerNotFound", "Handler '%s' missing on module '%s'" % (function_name, module_name))


class CognitoIdentity:
    """`context.identity`, which is empty, as in every call without Cognito."""

    __slots__ = ["cognito_identity_id", "cognito_identity_pool_id"]

    def __init__(self):
        self.cognito_identity_id = None
        self.cognito_identity_pool_id = None


class LambdaContext:
    """The `context` argument of a handler."""

    def __init__(self, headers):
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers["lambda-runtime-invoked-function-arn"]
        self.tenant_id = None
        self.client_context = None
        self.identity = CognitoIdentity()
        self._epoch_deadline_time_in_ms = int(headers["lambda-runtime-deadline-ms"])

    def get_remaining_time_in_millis(self):
        """Milliseconds until the time limit, never below zero."""
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    def log(self, message):
        """Writes to the log without formatting."""
        sys.stdout.write(str(message))


# --- Start ------------------------------------------------------------------------------------------------------------


def _finish_start():
    """Does what `site` would do, except adding the packages that pip installed on the machine and running their code.
    Python is started without `site`."""
    import site

    # `exit`, `quit`, `help` and the like.
    site.setquit()
    site.setcopyright()
    site.sethelper()
    if os.environ.get("PYTHONPATH") != os.environ["LAMBDA_RUNTIME_DIR"]:
        # The Function's configuration adds folders, which may contain a `sitecustomize`.
        site.execsitecustomize()
    sdk = os.environ["LAMBDA_RUNTIME_DIR"] + "/site-packages"
    if os.path.isdir(sdk):
        # Last, so that the Function's own packages take precedence.
        sys.path.append(sdk)


# --- Invocations ------------------------------------------------------------------------------------------------------


def _marshal(response):
    if isinstance(response, bytes):
        return response, "application/unknown"
    try:
        return _to_json(response).encode("utf-8"), "application/json"
    except Exception as error:
        raise Fault("MarshalError", "Unable to marshal response: %s" % error)


def _invoke(handler, headers, body):
    try:
        event = json.loads(body)
    except Exception as error:
        raise Fault("UnmarshalError", "Unable to unmarshal input: %s" % error)
    return _marshal(handler(event, LambdaContext(headers)))


def main():
    """Runs invocations until the process is killed."""
    global _request_id
    _finish_start()
    # Replace the folder of this file with the Function's.
    sys.path[0] = os.environ["LAMBDA_TASK_ROOT"]
    # Only set if there are layers. Lambda's order: the package, then the layers, then Python's own folders.
    layers = os.environ.pop("_TASKLANE_LAYERS", None)
    if layers is not None:
        version = "python%d.%d" % sys.version_info[:2]
        sys.path[1:1] = ["%s/python/lib/%s/site-packages" % (layers, version), "%s/python" % layers]
    # Python sets this itself if the machine lacks Lambda's locale.
    if os.environ.get("LC_CTYPE") == "C.UTF-8":
        del os.environ["LC_CTYPE"]
    _prepare_logging()
    api = _Connection()
    try:
        handler = _load_handler(os.environ["_HANDLER"])
    except Exception as error:
        described = _describe(error)
        _log_error(described)
        api.ask("POST", "/init/error", *_error_of(described))
        sys.exit(1)

    while True:
        headers, body = api.ask("GET", "/invocation/next")
        _request_id = headers["lambda-runtime-aws-request-id"]
        os.environ["_X_AMZN_TRACE_ID"] = headers.get("lambda-runtime-trace-id", "")
        try:
            result, content_type = _invoke(handler, headers, body)
        except Exception as error:
            described = _describe(error, _request_id)
            _log_error(described)
            api.tell("POST", "/invocation/%s/error" % _request_id, *_error_of(described))
        else:
            api.tell("POST", "/invocation/%s/response" % _request_id, result, [("Content-Type", content_type)])
