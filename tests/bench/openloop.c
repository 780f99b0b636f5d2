/* An open-loop HTTP/1.1 client: plays a schedule of requests over kept-alive connections.
 *
 *   openloop PORT CONNECTIONS REQUESTS SCHEDULE ANSWERS
 *
 * REQUESTS holds raw requests, each after its length (uint32). SCHEDULE holds (uint64 due in ns, uint64 number
 * of the request) in order of due time. ANSWERS gets one line a request, tab-separated: number, due, sent, done
 * (ns from the start), status, Retry-After, RateLimit-Policy, RateLimit. Status 0 is a request without a whole
 * answer. A request that finds no idle connection waits for one, and its latency still counts from its due time,
 * so that a slow server cannot slow down its own measurement. Standard output gets the number of connections that
 * had to be opened anew, and the start (ns, CLOCK_MONOTONIC). With OPENLOOP_TOLERANT in the environment a server that
 * cannot be reached costs the request alone: it is tried again with the next one.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_REQUESTS 1000000
#define MAX_CONNECTIONS 1024
#define ANSWER_BYTES 65536
#define GRACE_NS 5000000000LL /* how long the last answers may take */

struct due { uint64_t at, request; };
struct answer { int64_t sent, done; int status; char *retry, *policy, *limit; };
struct connection { int fd; int64_t index; size_t have; char bytes[ANSWER_BYTES + 1]; };

static int port, connections, idle_count, idle_first, epoll, reconnects, tolerant;
static struct connection *idle[MAX_CONNECTIONS]; /* a ring, so that all connections take turns */

static void die(const char *what) { fprintf(stderr, "openloop: %s: %s\n", what, strerror(errno)); exit(1); }

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000LL + t.tv_nsec;
}

static char *read_whole(const char *path, size_t *size) {
    struct stat s;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &s) < 0) die(path);
    char *bytes = malloc((size_t)s.st_size + 1);
    size_t have = 0;
    while (bytes && have < (size_t)s.st_size) {
        ssize_t n = read(fd, bytes + have, (size_t)s.st_size - have);
        if (n <= 0) die(path);
        have += (size_t)n;
    }
    if (!bytes) die(path);
    close(fd);
    *size = have;
    return bytes;
}

static void open_connection(struct connection *c) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    struct timeval patience = {.tv_sec = 2};
    int one = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0) die("socket");
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience); /* bounds connect too */
    c->have = 0;
    c->index = -1;
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0) {
        if (!tolerant) die("connect");
        close(c->fd);
        c->fd = -1;
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e) < 0) die("epoll_ctl");
}

static void put_idle(struct connection *c) { idle[(idle_first + idle_count++) % MAX_CONNECTIONS] = c; }

static struct connection *take_idle(void) {
    struct connection *c = idle[idle_first];
    idle_first = (idle_first + 1) % MAX_CONNECTIONS;
    idle_count--;
    return c;
}

static void reopen(struct connection *c) {
    close(c->fd);
    reconnects++;
    open_connection(c);
}

/* The value of a field in a head that ends with a NUL, copied; NULL when it is not there. */
static char *field(const char *head, const char *name) {
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, length) || line[2 + length] != ':') continue;
        const char *from = line + 3 + length;
        while (*from == ' ' || *from == '\t') from++;
        char *value = strndup(from, strcspn(from, "\r"));
        for (char *p = value; *p; p++)
            if ((unsigned char)*p < ' ') *p = ' ';
        return value;
    }
    return NULL;
}

/* 1 when the connection's bytes are one whole answer, 0 when more must come, -1 when they cannot become one. */
static int complete(struct connection *c, struct answer *a, int *closes) {
    c->bytes[c->have] = 0;
    char *end = memmem(c->bytes, c->have, "\r\n\r\n", 4);
    if (!end) return c->have < ANSWER_BYTES ? 0 : -1;
    size_t body = c->have - (size_t)(end + 4 - c->bytes);
    char kept = end[4];
    int state, status;
    end[4] = 0;
    if (sscanf(c->bytes, "HTTP/1.%*1d %3d", &status) != 1) return -1;
    char *length = field(c->bytes, "content-length"), *coding = field(c->bytes, "transfer-encoding");
    if (status == 204 || status == 304) state = body ? -1 : 1;
    else if (coding) { /* one answer is awaited at a time, so that its end is the end of what came */
        const char *tail = c->bytes + c->have - 5;
        end[4] = kept;
        state = body >= 5 && !memcmp(tail, "0\r\n\r\n", 5) && (body == 5 || tail[-1] == '\n');
        end[4] = 0;
    } else if (!length) state = -1;
    else {
        size_t wanted = strtoul(length, NULL, 10);
        state = body == wanted ? 1 : body < wanted ? 0 : -1;
    }
    if (state == 1) {
        char *connection = field(c->bytes, "connection");
        *closes = connection && strcasecmp(connection, "close") == 0;
        free(connection);
        a->status = status;
        a->retry = field(c->bytes, "retry-after");
        a->policy = field(c->bytes, "ratelimit-policy");
        a->limit = field(c->bytes, "ratelimit");
    }
    end[4] = kept;
    free(length);
    free(coding);
    return state == 0 && c->have >= ANSWER_BYTES ? -1 : state;
}

int main(int count, char **arguments) {
    if (count != 6) { fprintf(stderr, "usage: openloop PORT CONNECTIONS REQUESTS SCHEDULE ANSWERS\n"); return 2; }
    size_t size, total = 0;
    port = atoi(arguments[1]);
    connections = atoi(arguments[2]);
    if (connections < 1 || connections > MAX_CONNECTIONS) { fprintf(stderr, "openloop: connections\n"); return 2; }

    tolerant = getenv("OPENLOOP_TOLERANT") != NULL;
    char *raw = read_whole(arguments[3], &size);
    struct { uint32_t length; char *bytes; } *requests = calloc(size / 4 + 1, sizeof *requests);
    for (size_t at = 0; at + 4 <= size; at += 4 + requests[total++].length) {
        memcpy(&requests[total].length, raw + at, 4);
        requests[total].bytes = raw + at + 4;
        if (at + 4 + requests[total].length > size) { fprintf(stderr, "openloop: requests are cut\n"); return 2; }
    }
    struct due *schedule = (struct due *)(void *)read_whole(arguments[4], &size);
    int64_t n = (int64_t)(size / sizeof *schedule);
    if (n < 1 || n > MAX_REQUESTS) { fprintf(stderr, "openloop: 1 to %d requests\n", MAX_REQUESTS); return 2; }
    for (int64_t i = 0; i < n; i++)
        if (schedule[i].request >= total) { fprintf(stderr, "openloop: no such request\n"); return 2; }
    struct answer *answers = calloc((size_t)n, sizeof *answers);

    epoll = epoll_create1(0);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event timer_event = {.events = EPOLLIN, .data.ptr = NULL}, events[MAX_CONNECTIONS + 1];
    if (!answers || epoll < 0 || timer < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &timer_event) < 0) die("epoll");
    for (int i = 0; i < connections; i++) {
        struct connection *c = malloc(sizeof *c);
        if (!c) die("malloc");
        open_connection(c);
        put_idle(c);
    }

    int64_t start = now_ns() + 50000000, next = 0, flying = 0;
    int64_t deadline = start + (int64_t)schedule[n - 1].at + GRACE_NS;
    for (;;) {
        int64_t now = now_ns();
        while (next < n && idle_count && start + (int64_t)schedule[next].at <= now) {
            struct connection *c = take_idle();
            uint64_t which = schedule[next].request;
            if (c->fd < 0) open_connection(c);
            if (c->fd < 0) {
                answers[next].sent = answers[next].done = now_ns() - start;
                next++;
                put_idle(c);
                continue;
            }
            c->index = next;
            c->have = 0;
            answers[next].sent = now_ns() - start;
            next++;
            if (write(c->fd, requests[which].bytes, requests[which].length) == (ssize_t)requests[which].length) {
                flying++;
            } else { /* it stays without an answer */
                reopen(c);
                put_idle(c);
            }
        }
        if ((next == n && !flying) || now > deadline) break;
        if (next < n && idle_count) {
            int64_t at = start + (int64_t)schedule[next].at;
            struct itimerspec when = {.it_value = {at / 1000000000, at % 1000000000}};
            timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
        }
        int ready = epoll_wait(epoll, events, MAX_CONNECTIONS + 1, 100);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                uint64_t expirations;
                if (read(timer, &expirations, sizeof expirations) < 0 && errno != EAGAIN) die("timer");
                continue;
            }
            ssize_t got = read(c->fd, c->bytes + c->have, ANSWER_BYTES - c->have);
            if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
            if (c->index < 0) { /* an idle connection was closed, or spoke unasked */
                reopen(c);
                continue;
            }
            int closes = 0, state = -1;
            struct answer *a = &answers[c->index];
            if (got > 0) {
                c->have += (size_t)got;
                state = complete(c, a, &closes);
                if (!state) continue;
            }
            a->done = now_ns() - start;
            flying--;
            c->index = -1;
            if (state < 0 || closes) reopen(c);
            put_idle(c);
        }
    }

    FILE *out = fopen(arguments[5], "w");
    if (!out) die(arguments[5]);
    for (int64_t i = 0; i < n; i++) {
        struct answer *a = &answers[i];
        fprintf(out, "%llu\t%llu\t%lld\t%lld\t%d\t%s\t%s\t%s\n", (unsigned long long)schedule[i].request,
                (unsigned long long)schedule[i].at, (long long)a->sent, (long long)a->done, a->status,
                a->retry ? a->retry : "", a->policy ? a->policy : "", a->limit ? a->limit : "");
    }
    if (fclose(out)) die(arguments[5]);
    printf("%d %lld\n", reconnects, (long long)start);
    return 0;
}
