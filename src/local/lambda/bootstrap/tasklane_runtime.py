"""Runs a Function's handler under Python, as AWS's runtime client does (PyPI awslambdaric): the same ways to find a
handler, names of errors, context and log lines.

A module, which `bootstrap.py` imports, so that Python finds it compiled."""

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
# Where the process is jailed: the same API, in its own jail.
_SOCKET = os.environ.pop("_TASKLANE_RUNTIME_SOCKET", None)
_ENSURE_ASCII = os.environ.get("AWS_EXECUTION_ENV") in {
    "AWS_Lambda_python" + version for version in ("3.8", "3.9", "3.10", "3.11")
}


class Fault(Exception):
    """An error that has a name of Lambda's own."""

    def __init__(self, name, message, trace=None):
        super().__init__(message)
        self.name = "Runtime." + name
        self.message = message
        self.trace = trace or []


# --- Runtime API ------------------------------------------------------------------------------------------------------
# A client of its own, because http.client would import half of the standard library before the Function starts.


def _connect():
    # The module that `socket` is made of: that one takes longer to import than all of this file to run.
    if _SOCKET is None:
        connection = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        connection.connect((_HOST, int(_PORT)))
        connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        return connection
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.connect(_SOCKET)
    return connection


class _Connection:
    """The one connection to the Runtime API. Its replies come in the order of the requests."""

    def __init__(self):
        self._socket = _connect()
        self._unsent = b""
        self._replies = io.open(self._socket.fileno(), "rb", closefd=False)
        self._unread = 0

    def tell(self, method, route, body=b"", headers=()):
        """Is sent together with what is asked next; what the API says to it is read then too."""
        head = [
            "%s %s%s HTTP/1.1" % (method, _API, route),
            "Host: %s:%s" % (_HOST, _PORT),
            "Content-Length: %d" % len(body),
            *("%s: %s" % header for header in headers),
        ]
        self._unsent += "\r\n".join(head).encode("utf-8") + b"\r\n\r\n" + body
        self._unread += 1

    def ask(self, method, route, body=b"", headers=()):
        """Waits for the reply: its headers and its body."""
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
# AWS's client encodes with simplejson, which knows some types that the standard library's encoder does not: decimals
# keep their digits, named tuples are objects, and bytes are text.

_DECIMAL = "\0decimal:" + os.urandom(8).hex() + ":"
_DECIMALS = re.compile(r'"\\u0000decimal:' + _DECIMAL.split(":")[1] + r':([^"]*)"')


def _plain(value):
    kind = type(value)
    if kind is str or kind is int or kind is float or kind is bool or value is None:
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8")
    # Nobody has one who has not imported its module, and that takes long.
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
        # Most likely a list that holds itself; the encoder says so in the words that AWS's users know.
        plain = value
    text = json.dumps(plain, ensure_ascii=_ENSURE_ASCII)
    text = _DECIMALS.sub(r"\1", text) if "decimal:" in text else text
    return text if text.isascii() else _well_formed(text)


def _well_formed(text):
    """What is left of an emoji that was cut in two has no bytes in UTF-8, and goes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)
    return text


# --- Log --------------------------------------------------------------------------------------------------------------

_request_id = None
_LOGS_JSON = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
# Lambda has a level that Python lacks, below all others.
_LOG_LEVEL = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper().replace("TRACE", "DEBUG")
_JSON_TIME = "%Y-%m-%dT%H:%M:%SZ"


def _write_entry(text):
    # One call is one entry of the log, however many lines it has: whoever reads the pipe turns \r back.
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
    # A field that a call adds (`extra=`) is one that records do not have by themselves.
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
# It has imported these before the Function's code, which so gets the standard library's, whatever files of these names
# lie in its folder. Here they are imported when somebody wants them: most of a start would go into it.

_STANDARD = {
    "_weakrefset", "contextlib", "linecache", "logging", "math", "select", "selectors", "socket", "string", "textwrap",
    "threading", "token", "tokenize", "traceback", "weakref",
}  # fmt: skip
# Without the folder of this file, in whose place the Function's will stand.
_STANDARD_PATH = sys.path[1:]


class _Standard:
    """Finds the modules of `_STANDARD` where the Function's own are not."""

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
    """Loads `logging`, and sets it up as Lambda does before anybody logs."""

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
        # Some package of this Python's has imported it at its start.
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
            # The log's viewers drop plain spaces at the start of a line.
            lines.append("\u00a0" * indent + line[indent:])
    _write_entry("\n".join(lines))


# --- Errors -----------------------------------------------------------------------------------------------------------


def _trace_of(error):
    try:
        import traceback
    except Exception:
        # There may be no file left to open, which is then what the error says.
        return []
    frames = traceback.extract_tb(error.__traceback__)
    # Where the Function's own code begins; an error that never got there keeps ours.
    own = next((at for at, frame in enumerate(frames) if frame.filename != __file__), 0)
    return traceback.format_list(frames[own:])


def _explained(error):
    """What an error says; of the AWS SDK that is not found, also why that is so here, and what to do."""
    message = str(error)
    if isinstance(error, ImportError) and (error.name or "").split(".")[0] in ("boto3", "botocore"):
        return (
            message + ": Lambda's runtime has the AWS SDK, and this machine's has it once you run "
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
    """`context.identity`: nobody's, as in every call that is not made through Cognito."""

    __slots__ = ["cognito_identity_id", "cognito_identity_pool_id"]

    def __init__(self):
        self.cognito_identity_id = None
        self.cognito_identity_pool_id = None


class LambdaContext:
    """What a handler is told of its invocation."""

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
        """Writes to the log as it is."""
        sys.stdout.write(str(message))


# --- Start ------------------------------------------------------------------------------------------------------------


def _finish_start():
    """What `site` would have done, which Python is started without: it adds the packages that pip put on the machine, and
    runs what they want to be run."""
    import site

    # `exit`, `quit`, `help` and the like.
    site.setquit()
    site.setcopyright()
    site.sethelper()
    if os.environ.get("PYTHONPATH") != os.environ["LAMBDA_RUNTIME_DIR"]:
        # The Function's configuration adds folders, and some who do that have a `sitecustomize` there.
        site.execsitecustomize()
    sdk = os.environ["LAMBDA_RUNTIME_DIR"] + "/site-packages"
    if os.path.isdir(sdk):
        # Behind everything else: a package's own counts.
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
    # The Function's folder stands where Python put this file's.
    sys.path[0] = os.environ["LAMBDA_TASK_ROOT"]
    # Python sets it for itself where the machine lacks the locale that Lambda has.
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
