/* Which hosts there are, only libpq knows: from options, the environment, a service file, its own defaults. It is asked
 * with an option that it refuses behind reading all those, and before it does anything about them.
 *
 * What a job needs and finds is its own (a lookup); it is read only when the job is done. */
#include "resolve.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/job.h"
#include "report.h"

typedef struct lookup {
    struct addrinfo *found;
    int code, system; /* getaddrinfo's answer, and errno */
    char name[];
} lookup;

struct hd_pg_host {
    const char *name, *address, *port; /* "" where nothing is said */
    hd_job *job;                       /* looks the name up */
    lookup *answer;                    /* the job's */
    const char *problem;               /* why there is no address */
};

/* ---- The job ---- */

/* Asked for as libpq does. */
static void look_up(void *data) {
    lookup *l = data;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    l->code = getaddrinfo(l->name, NULL, &hints, &l->found);
    l->system = errno;
}

static void free_lookup(void *data) {
    lookup *l = data;
    if (l->found) freeaddrinfo(l->found);
    free(l);
}

static void start_lookup(hd_pg_host *host) {
    size_t len = strlen(host->name);
    lookup *l = calloc(1, sizeof *l + len + 1);
    if (l) {
        memcpy(l->name, host->name, len);
        host->job = hd_job_start(look_up, free_lookup, l);
    }
    host->answer = host->job ? l : NULL;
    if (host->job) return;
    host->problem = l ? strerror(errno) : "out of memory";
    free(l);
}

/* ---- Which hosts ---- */

/* An option in libpq's view of things, copied; "" where it has none. NULL: out of memory. */
static const char *effective(const PQconninfoOption *known, const char *keyword, hd_arena *arena) {
    while (known->keyword && strcmp(known->keyword, keyword) != 0) known++;
    const char *value = known->keyword && known->val ? known->val : "";
    return hd_arena_copy(arena, value, strlen(value));
}

static bool is_numeric(const char *name) {
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *found = NULL;
    bool is = getaddrinfo(name, NULL, &hints, &found) == 0;
    if (found) freeaddrinfo(found);
    return is;
}

static bool needs_lookup(const hd_pg_host *host) {
    bool is_socket = *host->name == '/' || *host->name == '@';
    return !*host->address && *host->name && !is_socket && !is_numeric(host->name);
}

/* Item i of a list that is empty or as long as the others; of ports one may stand for all. */
static const char *item_of(const char *list, size_t i, hd_arena *arena) {
    const char *item;
    size_t len;
    if (!*list) return "";
    hd_pg_options_item(list, i, &item, &len);
    return hd_arena_copy(arena, item, len);
}

static size_t length_of(const char *list) {
    size_t count = *list != '\0';
    for (; *list; list++) count += *list == ',';
    return count;
}

/* Lists that do not go together are libpq's to complain of: there is nothing to look up then. */
static int read_lists(hd_pg_names *names, hd_arena *arena, const char *hosts, const char *addresses,
                      const char *ports) {
    size_t count = length_of(hosts), address_count = length_of(addresses);
    size_t port_count = length_of(ports);
    if (count == 0 || (address_count > 0 && address_count != count) ||
        (port_count > 1 && port_count != count))
        return 0;
    names->hosts = hd_arena_zero(arena, count * sizeof *names->hosts);
    if (!names->hosts) return -1;
    for (size_t i = 0; i < count; i++) {
        hd_pg_host *host = &names->hosts[i];
        host->name = item_of(hosts, i, arena);
        host->address = item_of(addresses, i, arena);
        host->port = item_of(ports, i, arena);
        if (!host->name || !host->address || !host->port) return -1;
    }
    names->count = count;
    return 0;
}

/* The hosts that the options lead to. */
static int read_hosts(hd_pg_names *names, const hd_pg_options *options) {
    hd_pg_options asked;
    if (hd_pg_options_copy(&asked, options, options->arena) != 0 ||
        hd_pg_options_set(&asked, "sslmode", "?") != 0)
        return -1;
    names->reader = PQconnectStartParams(asked.keywords, asked.values, 0);
    PQconninfoOption *known = names->reader ? PQconninfo(names->reader) : NULL;
    if (!known) return -1;
    const char *hosts = effective(known, "host", options->arena);
    const char *addresses = effective(known, "hostaddr", options->arena);
    const char *ports = effective(known, "port", options->arena);
    PQconninfoFree(known);
    if (!hosts || !addresses || !ports) return -1;
    return read_lists(names, options->arena, hosts, addresses, ports);
}

hd_error_kind hd_pg_names_start(hd_pg_names *names, const hd_pg_options *options, hd_error *err) {
    bool any = false;
    hd_pg_names_end(names);
    names->until = options->connect_timeout ? hd_now() + options->connect_timeout : HD_NEVER;
    if (read_hosts(names, options) != 0) {
        hd_pg_names_end(names);
        return hd_error_memory(err);
    }
    for (size_t i = 0; i < names->count; i++) {
        if (!needs_lookup(&names->hosts[i])) continue;
        start_lookup(&names->hosts[i]);
        any = true;
    }
    if (!any) hd_pg_names_end(names);
    return HD_OK;
}

void hd_pg_names_end(hd_pg_names *names) {
    for (size_t i = 0; i < names->count; i++) hd_job_release(names->hosts[i].job);
    PQfinish(names->reader);
    *names = (hd_pg_names){0};
}

/* ---- What was found ---- */

typedef struct lists {
    hd_buffer hosts, addresses, ports;
    size_t count;
} lists;

static void add_item(hd_buffer *list, bool is_first, const char *item) {
    if (!is_first) hd_buffer_char(list, ',');
    hd_buffer_str(list, item);
}

static void add(lists *to, const hd_pg_host *host, const char *address) {
    bool is_first = to->count++ == 0;
    add_item(&to->hosts, is_first, host->name);
    add_item(&to->addresses, is_first, address);
    add_item(&to->ports, is_first, host->port);
}

static void add_found(lists *to, hd_pg_host *host) {
    const lookup *l = host->answer;
    size_t before = to->count;
    if (host->problem) return;
    for (const struct addrinfo *a = l->found; l->code == 0 && a; a = a->ai_next) {
        char text[NI_MAXHOST];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0)
            add(to, host, text);
    }
    if (to->count > before) return;
    if (l->code == 0)
        host->problem = "it has no address";
    else
        host->problem = l->code == EAI_SYSTEM ? strerror(l->system) : gai_strerror(l->code);
}

static int set_lists(hd_pg_options *options, lists *found) {
    const char *hosts = hd_buffer_text(&found->hosts);
    const char *addresses = hd_buffer_text(&found->addresses);
    const char *ports = hd_buffer_text(&found->ports);
    if (found->hosts.failed || found->addresses.failed || found->ports.failed) return -1;
    if (hd_pg_options_set(options, "host", hosts) != 0) return -1;
    if (hd_pg_options_set(options, "hostaddr", addresses) != 0) return -1;
    return hd_pg_options_set(options, "port", ports);
}

static hd_step report(const hd_pg_names *names, const hd_pg_options *options, hd_error *err) {
    hd_buffer why;
    hd_buffer_init(&why, options->arena->mem);
    for (size_t i = 0; i < names->count; i++) {
        const hd_pg_host *host = &names->hosts[i];
        hd_buffer_fmt(&why, "%shost '%s' was not found (%s)", i ? ", " : "", host->name,
                      host->problem);
    }
    hd_pg_report_connect(err, names->reader, options, hd_buffer_text(&why));
    hd_error_text(err, &err->cause, NULL, 0); /* libpq's complaint is of our question */
    if (why.failed) hd_error_memory(err);
    hd_buffer_free(&why);
    return HD_FAILED;
}

static hd_step take(hd_pg_names *names, hd_pg_options *options, hd_error *err) {
    lists found = {.count = 0};
    const hd_allocator *mem = options->arena->mem;
    hd_buffer_init(&found.hosts, mem);
    hd_buffer_init(&found.addresses, mem);
    hd_buffer_init(&found.ports, mem);
    for (size_t i = 0; i < names->count; i++) {
        hd_pg_host *host = &names->hosts[i];
        if (host->job || host->problem)
            add_found(&found, host);
        else
            add(&found, host, host->address);
    }
    hd_step step = HD_DONE;
    if (found.count == 0) {
        step = report(names, options, err);
    } else if (set_lists(options, &found) != 0) {
        hd_error_memory(err);
        step = HD_FAILED;
    }
    hd_buffer_free(&found.hosts);
    hd_buffer_free(&found.addresses);
    hd_buffer_free(&found.ports);
    return step;
}

/* What is not answered when the time is over counts as not found. */
hd_step hd_pg_names_step(hd_pg_names *names, hd_pg_options *options, hd_wait *wait, hd_error *err) {
    for (size_t i = 0; i < names->count; i++) {
        hd_pg_host *host = &names->hosts[i];
        if (!host->job || host->problem || hd_job_is_done(host->job)) continue;
        if (hd_now() >= names->until) {
            host->problem = "no answer within connect_timeout";
            continue;
        }
        *wait = (hd_wait){hd_job_fd(host->job), HD_READ, names->until};
        return HD_WAIT;
    }
    if (names->count == 0) return HD_DONE;
    hd_step step = take(names, options, err);
    hd_pg_names_end(names);
    return step;
}
