/* A relay between libpq and a PostgreSQL server that counts, delays, breaks and forges.
 *
 *     relay serve DIR SOCKET     listens on DIR/.s.PGSQL.5432, forwards to the server's SOCKET, takes commands on
 *                                DIR/control; says "ready" on stdout; ends when nobody reads its stdout any more
 *     relay ask DIR "COMMAND"    sends one command and prints the answer
 *
 *     reset            counters to zero; faults disarmed, connections welcome, latency back to normal
 *     turns            how often a client sent bytes after it had received some: its round trips
 *     statements       Execute and Query messages that clients sent
 *     connections      connections that clients opened
 *     latency MS       how long the server's bytes are held back
 *     fault K KIND     what happens at the K-th statement from now on, once (see fault_kind)
 *     cancels MS       how long requests to cancel are held back
 *     tcp              listens on 127.0.0.1 too, and answers with the port
 *     refuse on|off    close new connections at once, as if the server were down
 *     drop             close all connections now
 *     stop
 *
 * What a turn is: a client that pipelines may get early answers while it still sends, without ever waiting for
 * them. So the server's bytes are held back until the client has been silent for the latency: bytes that a client
 * sends after a delivery, it sends after having waited.
 *
 * One thread, one poll loop, buffers that grow: neither side is ever blocked by the other. Memory that runs out
 * ends the process. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 128
#define LATENCY         10 /* milliseconds */
#define SETTLE          50 /* how long a swallowed statement's Sync may take to arrive */

typedef struct buffer {
    char *bytes;
    size_t len, cap;
} buffer;

typedef enum fault_kind {
    FAULT_NONE,
    FAULT_BEFORE, /* the statement never reaches the server; both sides are closed */
    FAULT_AFTER,  /* it reaches the server; the client is closed at once */
    FAULT_SWALLOW, /* it reaches the server and is done; then the client is closed without an answer */
    FAULT_ERROR    /* the server gets a statement that fails in its place */
} fault_kind;

/* A client and its connection to the server. */
typedef struct link {
    int client, server;
    buffer in; /* from the client, not yet a whole message */
    buffer to_server;
    buffer to_client; /* held back until the client is silent */
    bool started;     /* the startup message has passed: messages have a type byte */
    bool delivered;   /* what the client sends next begins a turn */
    bool ending;      /* no more from the client: the server gets what is buffered, then the end */
    bool shut;        /* the server has been told the end */
    fault_kind fault; /* FAULT_SWALLOW: settling until `settle` */
    int64_t settle;
    int64_t held;        /* nothing goes to the server before this time */
    int64_t quiet_since; /* when the client last sent something, or the server began to answer */
} link_t;

static struct {
    const char *target;
    int listener, tcp, control;
    link_t *links[MAX_CONNECTIONS];
    unsigned long long tcp_port;
    uint64_t turns, statements, connections;
    int64_t latency, cancels;
    bool refuse, stop;
    fault_kind fault;
    uint64_t fault_at; /* statements still to come before the fault */
} relay;

/* ---- Little helpers ---- */

static void die(const char *what) {
    fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void append(buffer *b, const void *bytes, size_t len) {
    if (b->len + len > b->cap) {
        b->cap = (b->len + len) * 2;
        b->bytes = realloc(b->bytes, b->cap);
        if (!b->bytes) die("memory");
    }
    memcpy(b->bytes + b->len, bytes, len);
    b->len += len;
}

static void drop_front(buffer *b, size_t len) {
    b->len -= len;
    memmove(b->bytes, b->bytes + len, b->len);
}

static struct sockaddr_un address_of(const char *path) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path) {
        errno = ENAMETOOLONG;
        die(path);
    }
    strcpy(a.sun_path, path);
    return a;
}

static int connect_to(const char *path) {
    struct sockaddr_un a = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int listen_on(const char *dir, const char *name) {
    char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    struct sockaddr_un a = address_of(path);
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 64) != 0) die(path);
    return fd;
}

static int listen_on_tcp(unsigned long long *port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        die("tcp");
    *port = ntohs(a.sin_port);
    return fd;
}

/* ---- Links ---- */

static void close_client(link_t *l) {
    if (l->client >= 0) close(l->client);
    l->client = -1;
    l->to_client.len = 0;
}

static void close_server(link_t *l) {
    if (l->server >= 0) close(l->server);
    l->server = -1;
}

static void open_link(int listener) {
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0) return;
    int slot = 0;
    while (slot < MAX_CONNECTIONS && relay.links[slot]) slot++;
    int server = relay.refuse || slot == MAX_CONNECTIONS ? -1 : connect_to(relay.target);
    if (server < 0) {
        close(client);
        return;
    }
    link_t *l = calloc(1, sizeof *l);
    if (!l) die("memory");
    l->client = client;
    l->server = server;
    l->delivered = true; /* its first bytes begin a turn */
    l->quiet_since = now();
    fcntl(client, F_SETFL, O_NONBLOCK);
    fcntl(server, F_SETFL, O_NONBLOCK);
    relay.links[slot] = l;
    relay.connections++;
}

static void free_link(link_t *l) {
    close_client(l);
    close_server(l);
    free(l->in.bytes);
    free(l->to_server.bytes);
    free(l->to_client.bytes);
    free(l);
}

/* ---- What clients say ---- */

static uint32_t read_u32(const char *p) {
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

/* Length of the first whole message in the buffer, 0 if it is not whole yet. */
static size_t message_length(const link_t *l) {
    size_t type = l->started ? 1 : 0;
    if (l->in.len < type + 4) return 0;
    size_t len = type + read_u32(l->in.bytes + type);
    return l->in.len >= len ? len : 0;
}

/* A statement that fails on the server, of the same protocol as the one it stands for. */
static void forge_error(link_t *l, char type) {
    static const char query[] = "select 1/(length('heddle relay') - 12)";
    static const char portal[] = "heddle relay: no such portal";
    const char *text = type == 'Q' ? query : portal;
    size_t text_len = strlen(text) + 1;
    uint32_t len = (uint32_t)(4 + text_len + (type == 'Q' ? 0 : 4));
    char head[5] = {type, (char)(len >> 24), (char)(len >> 16), (char)(len >> 8), (char)len};
    append(&l->to_server, head, sizeof head);
    append(&l->to_server, text, text_len);
    if (type == 'E') append(&l->to_server, "\0\0\0\0", 4);
}

/* The statement at which the fault was armed has come. Answers whether the message was dealt with. */
static bool strike(link_t *l, char type, const char *message, size_t len) {
    fault_kind fault = relay.fault;
    relay.fault = FAULT_NONE;
    switch (fault) {
    case FAULT_BEFORE:
        close_client(l);
        l->ending = true;
        return true;
    case FAULT_AFTER:
        append(&l->to_server, message, len);
        close_client(l);
        l->ending = true;
        return true;
    case FAULT_SWALLOW:
        append(&l->to_server, message, len);
        l->fault = FAULT_SWALLOW;
        l->settle = now() + SETTLE;
        l->ending = type == 'Q';
        return true;
    case FAULT_ERROR:
        forge_error(l, type);
        return true;
    case FAULT_NONE:
        break;
    }
    return false;
}

static void take_message(link_t *l, const char *message, size_t len) {
    if (!l->started) {
        /* SSLRequest and GSSENCRequest are followed by another message without a type. */
        uint32_t code = len >= 8 ? read_u32(message + 4) : 0;
        l->started = code != 80877103 && code != 80877104;
        if (code == 80877102) l->held = now() + relay.cancels; /* CancelRequest */
        append(&l->to_server, message, len);
        return;
    }
    char type = message[0];
    if (type == 'E' || type == 'Q') {
        if (l->fault == FAULT_SWALLOW) { /* the next statement is not to be swallowed as well */
            l->ending = true;
            return;
        }
        relay.statements++;
        if (relay.fault != FAULT_NONE && --relay.fault_at == 0 && strike(l, type, message, len))
            return;
    }
    append(&l->to_server, message, len);
    if (type == 'S' && l->fault == FAULT_SWALLOW) l->ending = true;
}

static void take_messages(link_t *l) {
    size_t done = 0;
    buffer *in = &l->in;
    buffer whole = *in;
    for (;;) {
        in->bytes = whole.bytes + done;
        in->len = whole.len - done;
        size_t len = l->ending ? 0 : message_length(l);
        if (len == 0) break;
        bool goodbye = l->started && in->bytes[0] == 'X';
        if (l->delivered && !goodbye) {
            relay.turns++;
            l->delivered = false;
        }
        take_message(l, in->bytes, len);
        done += len;
    }
    *in = whole;
    drop_front(in, done);
    if (l->ending) in->len = 0;
}

static void read_client(link_t *l) {
    char chunk[65536];
    ssize_t n = read(l->client, chunk, sizeof chunk);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        close_client(l);
        l->ending = true;
        return;
    }
    l->quiet_since = now();
    append(&l->in, chunk, (size_t)n);
    take_messages(l);
}

/* ---- What the server says ---- */

static void read_server(link_t *l) {
    char chunk[65536];
    ssize_t n = read(l->server, chunk, sizeof chunk);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        close_server(l);
        return;
    }
    if (l->client < 0 || l->fault == FAULT_SWALLOW) return;
    if (l->to_client.len == 0 && now() > l->quiet_since) l->quiet_since = now();
    append(&l->to_client, chunk, (size_t)n);
}

/* Writes what the socket takes; on an error the other side is as good as gone. */
static void write_some(int fd, buffer *b) {
    ssize_t n = send(fd, b->bytes, b->len, MSG_NOSIGNAL);
    if (n > 0) {
        drop_front(b, (size_t)n);
    } else if (errno != EAGAIN && errno != EINTR) {
        b->len = 0;
    }
}

static bool may_deliver(const link_t *l, int64_t t) {
    return l->client >= 0 && l->to_client.len > 0 &&
           (l->server < 0 || t >= l->quiet_since + relay.latency);
}

/* ---- Commands ---- */

static bool arm(const char *kind, uint64_t at) {
    static const char *const names[] = {"none", "before", "after", "swallow", "error"};
    for (int i = 0; i < 5; i++) {
        if (strcmp(kind, names[i]) == 0 && (i == 0 || at > 0)) {
            relay.fault = (fault_kind)i;
            relay.fault_at = at;
            return true;
        }
    }
    return false;
}

static void reset(void) {
    relay.turns = relay.statements = relay.connections = 0;
    relay.latency = LATENCY;
    relay.cancels = 0;
    relay.refuse = false;
    relay.fault = FAULT_NONE;
    for (int i = 0; i < MAX_CONNECTIONS; i++) {
        if (relay.links[i]) relay.links[i]->delivered = true;
    }
}

static void answer(const char *command, char *out, size_t cap) {
    unsigned long long number = 0;
    char word[16] = "";
    snprintf(out, cap, "ok");
    if (strcmp(command, "reset") == 0) {
        reset();
    } else if (strcmp(command, "turns") == 0) {
        snprintf(out, cap, "%llu", (unsigned long long)relay.turns);
    } else if (strcmp(command, "statements") == 0) {
        snprintf(out, cap, "%llu", (unsigned long long)relay.statements);
    } else if (strcmp(command, "connections") == 0) {
        snprintf(out, cap, "%llu", (unsigned long long)relay.connections);
    } else if (strcmp(command, "tcp") == 0) {
        if (relay.tcp < 0) relay.tcp = listen_on_tcp(&relay.tcp_port);
        snprintf(out, cap, "%llu", relay.tcp_port);
    } else if (sscanf(command, "cancels %llu", &number) == 1) {
        relay.cancels = (int64_t)number;
    } else if (sscanf(command, "latency %llu", &number) == 1) {
        relay.latency = (int64_t)number;
    } else if (strcmp(command, "refuse on") == 0 || strcmp(command, "refuse off") == 0) {
        relay.refuse = command[8] == 'n';
    } else if (strcmp(command, "drop") == 0) {
        for (int i = 0; i < MAX_CONNECTIONS; i++) {
            if (!relay.links[i]) continue;
            close_client(relay.links[i]);
            relay.links[i]->ending = true;
        }
    } else if (strcmp(command, "stop") == 0) {
        relay.stop = true;
    } else if (sscanf(command, "fault %llu %15s", &number, word) != 2 || !arm(word, number)) {
        snprintf(out, cap, "error: unknown command");
    }
}

static void obey(void) {
    int fd = accept4(relay.control, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return;
    char command[128], out[64];
    ssize_t n = read(fd, command, sizeof command - 1);
    if (n > 0) {
        command[n] = '\0';
        answer(command, out, sizeof out);
        n = send(fd, out, strlen(out), MSG_NOSIGNAL);
    }
    close(fd);
}

/* ---- The loop ---- */

/* What a link waits for, in two pollfd entries: client, server. Answers how long it can wait, -1 for ever. */
static int64_t prepare(link_t *l, struct pollfd *p, int64_t t) {
    bool deliver = may_deliver(l, t);
    p[0] = (struct pollfd){.fd = l->client,
                           .events = (short)((l->ending ? 0 : POLLIN) | (deliver ? POLLOUT : 0))};
    p[1] = (struct pollfd){.fd = l->server,
                           .events =
                               (short)(POLLIN | (l->to_server.len && t >= l->held ? POLLOUT : 0))};
    int64_t until = -1;
    if (l->fault == FAULT_SWALLOW && !l->ending) until = l->settle;
    if (l->client >= 0 && l->to_client.len > 0 && !deliver) until = l->quiet_since + relay.latency;
    if (l->to_server.len > 0 && t < l->held) until = l->held;
    if (until < 0) return -1;
    return until > t ? until - t : 0;
}

/* Moves what can be moved; answers false when the link has nothing left to do. */
static bool carry(link_t *l, const struct pollfd *p) {
    if (l->client >= 0 && p[0].revents & (POLLIN | POLLHUP | POLLERR)) {
        if (l->ending)
            close_client(l);
        else
            read_client(l);
    }
    if (l->server >= 0 && p[1].revents & (POLLIN | POLLHUP | POLLERR)) read_server(l);

    int64_t t = now();
    if (l->fault == FAULT_SWALLOW && t >= l->settle) l->ending = true;
    if (l->server >= 0 && l->to_server.len && t >= l->held) write_some(l->server, &l->to_server);
    if (l->server >= 0 && l->ending && !l->shut && !l->to_server.len) {
        shutdown(l->server, SHUT_WR);
        l->shut = true;
    }
    if (may_deliver(l, t)) {
        write_some(l->client, &l->to_client);
        l->delivered = true;
    }
    if (l->server < 0 && !l->to_client.len) close_client(l);
    return l->client >= 0 || l->server >= 0;
}

static void turn_once(void) {
    struct pollfd p[4 + 2 * MAX_CONNECTIONS];
    int slots[MAX_CONNECTIONS], used = 0;
    int64_t timeout = -1, t = now();
    p[0] = (struct pollfd){.fd = relay.listener, .events = POLLIN};
    p[1] = (struct pollfd){.fd = relay.control, .events = POLLIN};
    p[2] = (struct pollfd){.fd = STDOUT_FILENO, .events = 0};
    p[3] = (struct pollfd){.fd = relay.tcp, .events = POLLIN};
    for (int i = 0; i < MAX_CONNECTIONS; i++) {
        if (!relay.links[i]) continue;
        int64_t wait = prepare(relay.links[i], p + 4 + 2 * used, t);
        if (wait >= 0 && (timeout < 0 || wait < timeout)) timeout = wait;
        slots[used++] = i;
    }
    if (poll(p, (nfds_t)(4 + 2 * used), (int)timeout) < 0) {
        if (errno == EINTR) return;
        die("poll");
    }
    for (int i = 0; i < used; i++) {
        link_t *l = relay.links[slots[i]];
        if (!carry(l, p + 4 + 2 * i)) {
            free_link(l);
            relay.links[slots[i]] = NULL;
        }
    }
    if (p[0].revents & POLLIN) open_link(relay.listener);
    if (p[3].revents & POLLIN) open_link(relay.tcp);
    if (p[1].revents & POLLIN) obey();
    if (p[2].revents & (POLLERR | POLLHUP)) relay.stop = true;
}

static int serve(const char *dir, const char *target) {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* Ctrl-C is the specs' affair; they close our stdout */
    relay.target = target;
    relay.listener = listen_on(dir, ".s.PGSQL.5432");
    relay.control = listen_on(dir, "control");
    relay.tcp = -1;
    reset();
    printf("ready\n");
    fflush(stdout);
    while (!relay.stop) turn_once();
    for (int i = 0; i < MAX_CONNECTIONS; i++) {
        if (relay.links[i]) free_link(relay.links[i]);
    }
    return 0;
}

static int ask(const char *dir, const char *command) {
    char path[256], out[64];
    snprintf(path, sizeof path, "%s/control", dir);
    int fd = connect_to(path);
    if (fd < 0) die(path);
    if (send(fd, command, strlen(command), MSG_NOSIGNAL) < 0) die("send");
    ssize_t n = read(fd, out, sizeof out);
    if (n <= 0) die("no answer");
    printf("%.*s\n", (int)n, out);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "serve") == 0) return serve(argv[2], argv[3]);
    if (argc == 4 && strcmp(argv[1], "ask") == 0) return ask(argv[2], argv[3]);
    fprintf(stderr, "usage: relay serve DIR SOCKET | relay ask DIR COMMAND\n");
    return 2;
}
