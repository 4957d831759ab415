/* A custom runtime for images in tests. An event, or the data of a Task, is a string, "WHAT" or "WHAT:ON", and so is the
 * response. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_api(void) {
    char host[64] = "";
    sscanf(getenv("AWS_LAMBDA_RUNTIME_API"), "%63[^:]", host);
    struct sockaddr_in to = { .sin_family = AF_INET };
    to.sin_port = htons(atoi(strchr(getenv("AWS_LAMBDA_RUNTIME_API"), ':') + 1));
    inet_pton(AF_INET, host, &to.sin_addr);
    int api = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(api, (struct sockaddr *)&to, sizeof to) != 0) exit(3);
    return api;
}

/* Sends a request and reads the whole response. */
static void call(const char *method, const char *path, const char *body, char *response, size_t size) {
    int api = open_api();
    char request[70000];
    int length = snprintf(request, sizeof request,
        "%s /2018-06-01/runtime/%s HTTP/1.1\r\nhost: api\r\nconnection: close\r\ncontent-length: %zu\r\n\r\n%s", method,
        path, strlen(body), body);
    if (write(api, request, length) != length) exit(4);
    size_t got = 0;
    ssize_t count;
    while (got + 1 < size && (count = read(api, response + got, size - got - 1)) > 0) got += count;
    response[got] = 0;
    close(api);
}

static void answer_with(char *to, const char *what, const char *on, int count, char **arguments) {
    char buffer[8192] = "";
    if (strcmp(what, "arguments") == 0) {
        for (int at = 0; at < count; at++) sprintf(to + strlen(to), "%s%s", at ? " " : "", arguments[at]);
    } else if (strcmp(what, "folder") == 0) {
        strcpy(to, getcwd(buffer, sizeof buffer) ? buffer : strerror(errno));
    } else if (strcmp(what, "variable") == 0) {
        strcpy(to, getenv(on) ? getenv(on) : "(none)");
    } else if (strcmp(what, "user") == 0) {
        sprintf(to, "%s", getuid() == 0 || geteuid() == 0 ? "root" : "nobody");
    } else if (strcmp(what, "read") == 0) {
        int file = open(on, O_RDONLY);
        ssize_t got = file < 0 ? -1 : read(file, buffer, 2000);
        strcpy(to, got < 0 ? strerror(errno) : buffer);
        if (file >= 0) close(file);
    } else if (strcmp(what, "write") == 0) {
        int file = open(on, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        strcpy(to, file < 0 || write(file, "x", 1) != 1 ? strerror(errno) : "written");
        if (file >= 0) close(file);
    } else if (strcmp(what, "list") == 0) {
        struct dirent **names;
        int found = scandir(on, &names, NULL, alphasort);
        if (found < 0) strcpy(to, strerror(errno));
        for (int at = 0; at < found; at++)
            if (names[at]->d_name[0] != '.') sprintf(to + strlen(to), "%s%s", *to ? " " : "", names[at]->d_name);
    } else if (strcmp(what, "exit") == 0) {
        exit(atoi(on));
    } else if (strcmp(what, "sleep") == 0) {
        sleep(atoi(on));
    }
}

int main(int count, char **arguments) {
    setvbuf(stdout, NULL, _IONBF, 0);
    puts("the image started");
    for (;;) {
        char response[16384], id[64] = "", path[128], body[65536] = "\"", result[8192] = "";
        call("GET", "invocation/next", "", response, sizeof response);
        char *found = strcasestr(response, "lambda-runtime-aws-request-id: ");
        if (!found) return 5;
        sscanf(found, "%*s %63s", id);
        char *event = strstr(response, "\r\n\r\n");
        char *data = event ? strstr(event, "\"data\":\"") : NULL;
        event = data ? data + strlen("\"data\":") : event ? strchr(event, '"') : NULL;
        if (!event) return 6;
        *strchr(++event, '"') = 0;
        char *on = strchr(event, ':');
        if (on) *on++ = 0;
        printf("doing %s\n", event);
        answer_with(result, event, on ? on : "", count, arguments);
        char *end = body + 1;
        for (char *at = result; *at; at++) {
            if ((unsigned char)*at < ' ') end += sprintf(end, "\\u%04x", *at);
            else if (*at == '"' || *at == '\\') { *end++ = '\\'; *end++ = *at; }
            else *end++ = *at;
        }
        strcpy(end, "\"");
        snprintf(path, sizeof path, "invocation/%s/response", id);
        call("POST", path, body, response, sizeof response);
    }
}
